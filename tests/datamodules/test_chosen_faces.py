from pathlib import Path

import numpy as np
import pytest

from datamodules.alignment.face_cache import AlignedFaces
from datamodules.chosen_faces import ChosenFaces, choose, photographs_at

from .conftest import TinyNetwork, write_photograph


def faces_of(photographs: list[int], failures: list[tuple[int, str]]) -> AlignedFaces:
    """Faces whose number within their photograph follows from the order."""
    photograph = np.array(photographs)
    face = np.array([photographs[:place].count(one) for place, one in enumerate(photographs)], np.uint8)
    digest = np.array([bytes([one]) * 32 for one in photographs], "V32")
    return AlignedFaces(photograph, digest, face, np.zeros((len(face), 7), np.float32), failures)


FOUND = faces_of([0, 2, 2, 2, 3, 3], [(1, "no face found")])


def test_without_a_choice_only_photographs_with_one_face_are_taken() -> None:
    chosen = choose(FOUND, None)
    assert chosen.photograph.tolist() == [0]
    assert [index for index, _ in chosen.failures] == [1, 2, 3]
    assert chosen.failures[1][1] == "several faces (3; say which by --face largest, all or a number)"


def test_the_largest_comes_first() -> None:
    chosen = choose(FOUND, "largest")
    assert (chosen.photograph.tolist(), chosen.face.tolist()) == ([0, 2, 3], [0, 0, 0])
    assert chosen.failures == [(1, "no face found")]


def test_all_faces_stay_as_they_are() -> None:
    assert choose(FOUND, "all") is FOUND


def test_a_number_counts_from_the_largest() -> None:
    chosen = choose(FOUND, 2)
    assert (chosen.photograph.tolist(), chosen.face.tolist()) == ([2], [2])
    assert chosen.failures[0] == (0, "no face 2 (1 found, numbered from 0)")
    assert [index for index, _ in chosen.failures] == [0, 1, 3]


def test_a_negative_number_is_refused() -> None:
    with pytest.raises(ValueError, match="face must be largest, all or a number from 0"):
        ChosenFaces([], face=-1)


@pytest.mark.usefixtures("stub_detector")
def test_faces_too_small_to_see_do_not_make_a_photograph_ambiguous(tmp_path: Path, tiny: TinyNetwork) -> None:
    # The second face is 20 pixels wide, its eyes are 5 apart.
    paths = [write_photograph(tmp_path / "two.png", 1, two_faces=True)]
    options = {"cache_folder": tmp_path / "cache", "workers": 0, "progress": False}
    for minimum, count in (({}, 1), ({"minimum_eye_distance": 0.0}, 0)):
        data = ChosenFaces(paths, [tiny], **options, **minimum)
        data.prepare_data()
        data.setup()
        assert len(data.dataset) == count
    assert len(data.dataset.faces.failures) == 1


def test_a_place_is_a_photograph_a_folder_or_a_list(tmp_path: Path) -> None:
    first, second = (write_photograph(tmp_path / "in" / f"{name}.png", 0) for name in "ab")
    (tmp_path / "list.TXT").write_text("in/b.png\n")
    assert photographs_at(first) == [first]
    assert photographs_at(tmp_path / "in") == [first, second]
    assert photographs_at(tmp_path / "list.TXT") == [second]
    with pytest.raises(FileNotFoundError, match="gone does not exist; expected a photograph"):
        photographs_at(tmp_path / "gone")
