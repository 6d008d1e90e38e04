import sys
from pathlib import Path

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
        ("a photograph\n", r"pairs\.txt is not a list of LFW pairs"),
        ("1\nAnn_Bee\t1\nEve\t1\t2\n", "a pair has 3 or 4 columns"),
    ],
)
def test_damaged_pair_lists_are_refused(tmp_path: Path, content: str, message: str) -> None:
    (tmp_path / "pairs.txt").write_text(content)
    with pytest.raises(ValueError, match=message):
        read_pairs(tmp_path / "pairs.txt")


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
