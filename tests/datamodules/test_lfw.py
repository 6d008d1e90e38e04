import codecs
import sys
from pathlib import Path
from urllib.error import URLError

import numpy as np
import pytest

from datamodules import lfw
from datamodules.lfw import LFW, two_photographs_each
from datamodules.lfw_lists import Pair, find_images, find_list, read_pairs, read_people

from .conftest import TinyNetwork, write_photograph

PEOPLE = {"Ann_Bee": 3, "Cy_Dee": 2, "Eve": 1, "Flo_Gee": 2}


def write_lfw(root: Path, images: str = "lfw-deepfunneled", lists: str = "lists") -> Path:
    for seed, (person, count) in enumerate(PEOPLE.items()):
        for number in range(1, count + 1):
            name = f"{person}_{number:04d}.jpg"
            write_photograph(
                root / images / person / name, 10 * seed + number, face=name != "Cy_Dee_0002.jpg"
            )
    (root / lists).mkdir(exist_ok=True)
    (root / lists / "pairs.txt").write_text(
        "2\t1\nAnn_Bee\t1\t3\nAnn_Bee\t2\tEve\t1\nCy_Dee\t1\t2\nFlo_Gee\t2\tAnn_Bee\t1\n"
    )
    (root / lists / "pairsDevTrain.txt").write_text("1\nAnn_Bee\t1\t2\nAnn_Bee\t2\tEve\t1\n")
    (root / lists / "peopleDevTrain.txt").write_text("2\nAnn_Bee\t3\nEve\t1\n")
    return root


def prepared(root: Path, network: TinyNetwork) -> LFW:
    data = LFW(root, [network], cache_folder=root / "cache", workers=0, progress=False)
    data.prepare_data()
    data.setup()
    return data


def test_pairs_have_their_fold_and_label(tmp_path: Path) -> None:
    pairs = read_pairs(write_lfw(tmp_path) / "lists" / "pairs.txt")
    assert pairs == [
        Pair("Ann_Bee/Ann_Bee_0001.jpg", "Ann_Bee/Ann_Bee_0003.jpg", True, 0),
        Pair("Ann_Bee/Ann_Bee_0002.jpg", "Eve/Eve_0001.jpg", False, 0),
        Pair("Cy_Dee/Cy_Dee_0001.jpg", "Cy_Dee/Cy_Dee_0002.jpg", True, 1),
        Pair("Flo_Gee/Flo_Gee_0002.jpg", "Ann_Bee/Ann_Bee_0001.jpg", False, 1),
    ]


def test_development_pairs_are_one_fold(tmp_path: Path) -> None:
    assert [pair.fold for pair in read_pairs(write_lfw(tmp_path) / "lists" / "pairsDevTrain.txt")] == [0, 0]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("2\t1\nAnn_Bee\t1\t3\n", "announces 4 pairs and has 1; get it anew"),
        ("", "its first line must count pairs .* got nothing"),
        (
            "a photograph\n",
            r"pairs\.txt is not a list of LFW pairs: its first line must count .* a photograph",
        ),
        ("0\n", "its first line must count pairs of a kind"),
        ("10 0\n", "its first line must count pairs of a kind"),
        ("1\nAnn_Bee\t1\nEve\t1\t2\n", "line 2 must be `Name 1 2` or `Name 1 Other 2`, got Ann_Bee 1"),
        ("1\n\nAnn_Bee\t1\tx\nEve\t1\t2\n", "line 3 must be `Name 1 2` or .* got Ann_Bee 1 x"),
    ],
)
def test_damaged_pair_lists_are_refused(tmp_path: Path, content: str, message: str) -> None:
    (tmp_path / "pairs.txt").write_text(content)
    with pytest.raises(ValueError, match=message):
        read_pairs(tmp_path / "pairs.txt")


FORMS = {
    "tabs": lambda text: text.encode(),
    "blanks": lambda text: text.replace("\t", " ").encode(),
    "several blanks": lambda text: text.replace("\t", "    ").encode(),
    "commas": lambda text: text.replace("\t", ", ").encode(),
    "Windows": lambda text: text.replace("\n", "\r\n").encode(),
    "byte order mark": lambda text: codecs.BOM_UTF8 + text.encode(),
    "UTF-16": lambda text: text.replace("\n", "\r\n").encode("utf-16"),
    "blank lines": lambda text: text.replace("\n", " \n\n").encode(),
    "no last line end": lambda text: text.rstrip().encode(),
    "padded": lambda text: text.replace("\t1", "\t0001").encode(),
}


@pytest.mark.parametrize("form", FORMS)
def test_lists_are_read_in_all_forms_that_readers_of_the_field_take(tmp_path: Path, form: str) -> None:
    root = write_lfw(tmp_path)
    for name in ("pairs.txt", "pairsDevTrain.txt", "peopleDevTrain.txt"):
        file = root / "lists" / name
        read = read_people if name.startswith("people") else read_pairs
        expected = read(file)
        file.write_bytes(FORMS[form](file.read_text()))
        assert read(file) == expected


def test_names_of_people_alone_or_with_blanks_are_names(tmp_path: Path) -> None:
    file = tmp_path / "people.txt"
    file.write_text("Ann_Bee\nEve\n")
    assert read_people(file) == ["Ann_Bee", "Eve"]
    file.write_text("2\nAnn Bee\t3\nEve\t1\n")
    assert read_people(file) == ["Ann_Bee", "Eve"]
    file.write_text("1\nAnn Bee 3\n")
    assert read_people(file) == ["Ann_Bee"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", r"people\.txt names nobody; get it anew"),
        ("0\n", r"people\.txt names nobody; get it anew"),
        ("3\nAnn_Bee\t3\nEve\t1\n", "announces 3 people and has 2; get it anew"),
        ("2\n1\nAnn_Bee\t3\n2\nEve\t1\n", "announces 2 people and has 1; get it anew"),
        ("1\nAnn_Bee\t3\tx\n", "line 2 must be `Name count`, got Ann_Bee 3 x"),
        ("<html>\n<body class=x>\n", "line 2 must be `Name count`, got <body class=x>"),
    ],
)
def test_damaged_lists_of_people_are_refused(tmp_path: Path, content: str, message: str) -> None:
    (tmp_path / "people.txt").write_text(content)
    with pytest.raises(ValueError, match=message):
        read_people(tmp_path / "people.txt")


def test_people_lists_leave_out_counts(tmp_path: Path) -> None:
    (tmp_path / "people.txt").write_text("2\n1\nAnn_Bee\t3\n2\nEve\t1\nCy\t2\n")
    assert read_people(tmp_path / "people.txt") == ["Ann_Bee", "Eve", "Cy"]


@pytest.mark.parametrize(
    ("images", "lists"), [("lfw-deepfunneled", "lists"), ("lfw_funneled", "."), (".", ".")]
)
def test_images_and_lists_are_found_in_their_usual_places(tmp_path: Path, images: str, lists: str) -> None:
    root = write_lfw(tmp_path, images, lists)
    assert find_images(root) == root / images
    assert find_images(root / images) == root / images
    for folder in (root, root / images):
        assert find_list(folder, "pairs.txt") == root / lists / "pairs.txt"


def test_missing_images_and_lists_name_their_layout(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"no LFW images in .*; expected Labeled Faces in the Wild"):
        find_images(tmp_path)
    with pytest.raises(FileNotFoundError, match=r"no pairs\.txt in .*; expected Labeled Faces"):
        find_list(tmp_path, "pairs.txt")


@pytest.mark.usefixtures("stub_detector")
def test_without_people_lists_pairs_serve_and_retrieval_says_where_they_are(
    tmp_path: Path, tiny: TinyNetwork
) -> None:
    root = write_lfw(tmp_path, "lfw_funneled", ".")
    (root / "peopleDevTrain.txt").unlink()  # as scikit-learn leaves it
    data = prepared(root, tiny)
    assert len(data.pairs().first) == 4
    with pytest.raises(FileNotFoundError, match=r"no peopleDevTrain\.txt in .*all but people\*\.txt, which"):
        data.retrieval_subset(300)


@pytest.mark.usefixtures("stub_detector")
def test_faces_carry_their_person_and_pairs_their_faces(tmp_path: Path, tiny: TinyNetwork) -> None:
    data = prepared(write_lfw(tmp_path), tiny)
    assert data.people == sorted(PEOPLE)
    assert [data.people[person] for person in data.identity] == [
        *["Ann_Bee"] * 3, "Cy_Dee", "Eve", *["Flo_Gee"] * 2,
    ]  # fmt: skip
    table = data.pairs()
    assert table.first.tolist() == [0, 1, 3, 6]
    assert table.second.tolist() == [2, 4, -1, 0]  # Cy_Dee's second photograph shows no face
    assert table.same.tolist() == [True, False, True, False]
    assert table.fold.tolist() == [0, 0, 1, 1]
    assert data.dataset.path(int(table.second[0])).name == "Ann_Bee_0003.jpg"
    assert data.dataset.faces.failures == [(4, "no face found")]
    assert sum(len(batch.index) for batch in data.test_dataloader()) == 7


@pytest.mark.usefixtures("stub_detector")
def test_the_retrieval_subset_excludes_development_people(tmp_path: Path, tiny: TinyNetwork) -> None:
    data = prepared(write_lfw(tmp_path), tiny)

    def names(indices: np.ndarray) -> list[str]:
        return [data.dataset.path(int(index)).stem for index in indices]

    subset = data.retrieval_subset(300)
    assert names(subset.query) == ["Flo_Gee_0001"]
    assert names(subset.gallery) == ["Flo_Gee_0001", "Flo_Gee_0002"]
    development = data.retrieval_subset(300, development=True)
    assert names(development.gallery) == ["Ann_Bee_0001", "Ann_Bee_0002"]
    assert development.identity.tolist() == [0, 0]


@pytest.mark.usefixtures("stub_detector")
def test_development_people_of_another_folder_are_refused(tmp_path: Path, tiny: TinyNetwork) -> None:
    root = write_lfw(tmp_path)
    (root / "lists" / "peopleDevTrain.txt").write_text("2\nann_bee\t3\nEve_\t1\n")
    data = prepared(root, tiny)
    with pytest.raises(ValueError, match=r"none of the 2 names in .*peopleDevTrain\.txt, such as Eve_, is a"):
        data.retrieval_subset(300)
    with pytest.raises(ValueError, match="none of the 2 names"):
        data.development_people()


@pytest.mark.usefixtures("stub_detector")
def test_pairs_of_photographs_that_are_missing_are_refused(tmp_path: Path, tiny: TinyNetwork) -> None:
    root = write_lfw(tmp_path)
    (root / "lfw-deepfunneled/Eve/Eve_0001.jpg").unlink()
    with pytest.raises(ValueError, match=r"names 1 photographs that .* lacks, such as Eve/Eve_0001"):
        prepared(root, tiny).pairs()


def test_people_with_two_photographs_are_taken_evenly() -> None:
    identity = np.array([2, 0, 2, 1, 2, 0, 3, 3])
    everybody = two_photographs_each(identity, 9)
    assert everybody.gallery.tolist() == [1, 5, 0, 2, 6, 7]
    assert everybody.query.tolist() == [1, 0, 6]
    assert everybody.identity.tolist() == [0, 0, 1, 1, 2, 2]
    wanted = np.array([False, True, True, True])
    assert two_photographs_each(identity, 1, wanted).gallery.tolist() == [0, 2]


def test_a_copy_is_no_second_photograph() -> None:
    identity = np.array([0, 0, 0, 1, 1, 2, 2])
    contents = np.array([b"b", b"b", b"a", b"c", b"c", b"d", b"e"])
    assert two_photographs_each(identity, 9, contents=contents).gallery.tolist() == [0, 2, 5, 6]
    assert two_photographs_each(identity, 9).gallery.tolist() == [0, 1, 3, 4, 5, 6]


@pytest.mark.usefixtures("stub_detector")
def test_scikit_learns_data_home_and_downloader_are_used(
    tmp_path: Path, tiny: TinyNetwork, monkeypatch: pytest.MonkeyPatch
) -> None:
    datasets = pytest.importorskip("sklearn.datasets")
    calls = []

    def fetch(data_home: Path, min_faces_per_person: int) -> None:
        calls.append((data_home, min_faces_per_person))
        write_lfw(data_home / "lfw_home", "lfw_funneled", ".")

    monkeypatch.setattr(datasets, "fetch_lfw_people", fetch)
    data = LFW(
        None, [tiny], data_home=tmp_path, download=True, workers=0, progress=False,
        cache_folder=tmp_path / "cache",
    )  # fmt: skip
    data.prepare_data()
    data.setup()
    assert calls == [(tmp_path, 500)]
    assert len(data.pairs().first) == 4


def test_without_a_folder_and_scikit_learn_it_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sklearn.datasets", None)
    with pytest.raises(ImportError, match=r"name a folder, or pip install .*\[lfw\]'"):
        lfw.scikit_learn_folder(None)


def test_lfw_download_is_scikit_learns_folder_and_downloads_what_is_missing_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    datasets = pytest.importorskip("sklearn.datasets")
    calls = []

    def fetch(data_home: None, min_faces_per_person: int) -> None:
        calls.append(min_faces_per_person)
        write_lfw(tmp_path / "lfw_home", "lfw_funneled", ".")

    monkeypatch.setenv("SCIKIT_LEARN_DATA", str(tmp_path))
    monkeypatch.setattr(datasets, "fetch_lfw_people", fetch)
    monkeypatch.chdir(tmp_path)
    for _ in range(2):
        assert lfw.lfw_folder("download") == tmp_path / "lfw_home"
    assert calls == [500]
    assert capsys.readouterr().out.startswith("scikit-learn downloads Labeled Faces in the Wild")
    assert find_images(tmp_path / "lfw_home") == tmp_path / "lfw_home" / "lfw_funneled"


def test_a_folder_of_that_name_is_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "download").mkdir()
    assert lfw.lfw_folder("download") == Path("download")


def test_a_download_that_fails_is_said_in_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    datasets = pytest.importorskip("sklearn.datasets")

    def fetch(**_: object) -> None:
        raise URLError("no route to host")

    monkeypatch.setenv("SCIKIT_LEARN_DATA", str(tmp_path))
    monkeypatch.setattr(datasets, "fetch_lfw_people", fetch)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match=r"could not download .* \(.*no route to host.*give its folder"):
        lfw.lfw_folder("download")
