from pathlib import Path

import pytest

from datamodules.identity_folder import IdentityFolder, read_labels

from .conftest import TinyNetwork, write_photograph


def prepared(root: Path, network: TinyNetwork, labels: Path | None = None) -> IdentityFolder:
    data = IdentityFolder(
        root, [network], labels=labels, cache_folder=root.parent / "cache", workers=0, progress=False
    )
    data.prepare_data()
    data.setup()
    return data


@pytest.mark.usefixtures("stub_detector")
def test_each_folder_is_a_person(tmp_path: Path, tiny: TinyNetwork) -> None:
    root = tmp_path / "faces"
    for index, name in enumerate(["b/1.png", "b/2.png", "a/sub/1.png"]):
        write_photograph(root / name, index)
    write_photograph(root / "a/2.png", 5, face=False)
    data = prepared(root, tiny)
    assert data.people == ["a", "b"]
    assert data.identity.tolist() == [0, 1, 1]
    assert data.provenance()["kind"] == "identities"
    assert sum(len(batch.index) for batch in data.predict_dataloader()) == 3


@pytest.mark.usefixtures("stub_detector")
def test_a_label_file_names_each_images_person(tmp_path: Path, tiny: TinyNetwork) -> None:
    root = tmp_path / "faces"
    for index, name in enumerate(["000001.jpg", "000002.jpg", "000003.jpg"]):
        write_photograph(root / name, index)
    (tmp_path / "identity_CelebA.txt").write_text("000001.jpg 2880\n000003.jpg 17\n000002.jpg 2880\n")
    data = prepared(root, tiny, tmp_path / "identity_CelebA.txt")
    assert data.people == ["17", "2880"]
    assert data.identity.tolist() == [1, 1, 0]


def test_images_without_folders_are_refused(tmp_path: Path) -> None:
    write_photograph(tmp_path / "1.png", 0)
    with pytest.raises(ValueError, match=r"no folder a person; expected .*/<identity>/<image>"):
        IdentityFolder(tmp_path).photographs()


def test_bad_label_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"no label file .*labels\.txt"):
        read_labels(tmp_path / "labels.txt")
    (tmp_path / "labels.txt").write_text("a.jpg 1\n\nb.jpg\n")
    with pytest.raises(ValueError, match=r"labels\.txt, line 3: expected an image and its identity"):
        read_labels(tmp_path / "labels.txt")
    (tmp_path / "labels.txt").write_text("a.jpg 1\nb.jpg 2\na.jpg 2\n")
    with pytest.raises(ValueError, match=r"line 3: a\.jpg is 2 here and 1 before; keep one"):
        read_labels(tmp_path / "labels.txt")
    (tmp_path / "labels.txt").write_text("\n")
    with pytest.raises(ValueError, match=r"labels\.txt names no image"):
        read_labels(tmp_path / "labels.txt")


@pytest.mark.parametrize(
    "content",
    [
        b"\xef\xbb\xbfone/a.jpg 1\r\nb.jpg 2\r\n",
        b"one\\a.jpg\t1\nb.jpg\t2\n",
        b"one/a.jpg, 1\nb.jpg;2\n",
        "one/a.jpg 1\nb.jpg 2\n".encode("utf-16"),
    ],
)
def test_label_files_are_read_with_every_separator_and_encoding(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "labels.txt").write_bytes(content)
    assert read_labels(tmp_path / "labels.txt") == {"one/a.jpg": "1", "b.jpg": "2"}


def test_a_label_file_of_another_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "labels.txt").write_text("images/a.jpg 1\nimages/b.jpg 2\n")
    with pytest.raises(ValueError, match=r"none of the 2 images that .*labels\.txt names, such as images/a"):
        IdentityFolder(tmp_path, labels=tmp_path / "labels.txt").photographs()
