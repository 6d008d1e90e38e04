from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from datamodules.cheeks import cheek_colours, footage_cheek_colour, median_cheeks
from datamodules.photographs import Photographs
from lightning_modules.recognition.frame import CHEEKS

from .conftest import TinyNetwork, detect_by_colour, write_photograph


def painted(skin: tuple[float, float, float], *, covered: float = 0.0) -> torch.Tensor:
    """A green picture [1, 3, 224, 224] with both cheeks of a colour, a share of their rows white."""
    image = torch.zeros(1, 3, 224, 224)
    image[:, 1] = 1
    for left, top, right, bottom in CHEEKS:
        image[0, :, top : bottom + 1, left : right + 1] = torch.tensor(skin)[:, None, None]
        rows = int(covered * (bottom - top + 1))
        image[0, :, top : top + rows, left : right + 1] = 1
    return image


def test_cheeks_have_the_colour_inside_their_boxes() -> None:
    colours = median_cheeks(torch.cat([painted((0.7, 0.5, 0.4)), painted((0.3, 0.2, 0.1))]))
    torch.testing.assert_close(colours, torch.tensor([[0.7, 0.5, 0.4], [0.3, 0.2, 0.1]]))


def test_highlights_on_less_than_half_are_left_out() -> None:
    skin = (0.7, 0.5, 0.4)
    torch.testing.assert_close(median_cheeks(painted(skin, covered=0.4)), torch.tensor([skin]))
    torch.testing.assert_close(median_cheeks(painted(skin, covered=0.7)), torch.ones(1, 3))


def test_cheeks_mirror_each_other_and_do_not_overlap() -> None:
    (left, top, right, bottom), (other_left, other_top, other_right, other_bottom) = CHEEKS
    assert (top, bottom) == (other_top, other_bottom)
    assert right < other_left
    assert right - left == other_right - other_left
    assert abs((left + other_right) / 2 - 111.5) < 1


@pytest.mark.usefixtures("stub_detector")
def test_colours_follow_the_indices_in_batches(
    tmp_path: Path, tiny: TinyNetwork, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("datamodules.cheeks.AT_ONCE", 2)
    for index in range(5):
        write_photograph(tmp_path / "photographs" / f"{index}.png", index)
    options = {"cache_folder": tmp_path / "cache", "workers": 0, "progress": False}
    photographs = Photographs(tmp_path / "photographs", [tiny], **options)
    photographs.prepare_data()
    photographs.setup()
    every = cheek_colours(photographs.dataset, range(5), progress=False)
    assert every.shape == (5, 3)
    assert len(np.unique(every, axis=0)) == 5
    np.testing.assert_array_equal(every, median_cheeks(photographs.dataset.images(range(5))).numpy())
    some = cheek_colours(photographs.dataset, np.array([4, 0, 2]), progress=False)
    np.testing.assert_array_equal(some, every[[4, 0, 2]])
    assert cheek_colours(photographs.dataset, [], progress=False).shape == (0, 3)


def test_footage_has_the_median_colour_of_its_frames(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("datamodules.cheeks.load_detector", lambda name: detect_by_colour)
    (tmp_path / "frames").mkdir()
    for number, level in enumerate((90, 100, 200)):
        pixels = np.full((64, 64, 3), (level + 50, level, level - 40), np.uint8)
        Image.fromarray(pixels).save(tmp_path / "frames" / f"{number}.png")
    colour = footage_cheek_colour(tmp_path / "frames")
    np.testing.assert_allclose(colour, np.array([150, 100, 60]) / 255, atol=1e-6)


def test_footage_without_a_face_or_that_cannot_be_read_has_no_colour(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("datamodules.cheeks.load_detector", lambda name: detect_by_colour)
    (tmp_path / "frames").mkdir()
    Image.fromarray(np.full((64, 64, 3), (0, 0, 255), np.uint8)).save(tmp_path / "frames" / "0.png")
    (tmp_path / "broken.avi").write_text("no video")
    for name in ("frames", "broken.avi"):
        assert np.isnan(footage_cheek_colour(tmp_path / name)).all()
