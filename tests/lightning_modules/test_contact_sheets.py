import numpy as np
import pytest
import torch
from PIL import Image

from lightning_modules.contact_sheets import PAPER, contact_sheet, picture


def plain(colour: tuple[int, int, int], size: int = 40) -> Image.Image:
    return Image.new("RGB", (size, size), colour)


def test_an_image_becomes_a_picture_of_the_size_that_is_wanted() -> None:
    image = torch.zeros(3, 2, 2)
    image[0] = 1.0
    shown = np.asarray(picture(image, 5))
    assert shown.shape == (5, 5, 3)
    assert (shown == (255, 0, 0)).all()
    same = np.arange(12, dtype=np.uint8).reshape(2, 2, 3)
    np.testing.assert_array_equal(np.asarray(picture(same, 2)), same)


def test_pictures_lie_in_their_rows_and_columns_below_the_captions() -> None:
    red, green, blue = (255, 0, 0), (0, 255, 0), (0, 0, 255)
    sheet = np.asarray(contact_sheet([[plain(red), None], [plain(green), plain(blue)]], columns=["a", "b"]))
    rows, columns = sheet.shape[:2]
    assert columns == 80
    caption = rows - 80
    assert 0 < caption < 40
    assert (sheet[caption : caption + 40, :40] == red).all()
    assert (sheet[caption : caption + 40, 40:] == PAPER).all()
    assert (sheet[caption + 40 :, :40] == green).all()
    assert (sheet[caption + 40 :, 40:] == blue).all()
    assert (sheet[:caption, :40] != PAPER).any()
    assert (sheet[:caption, 40:] != PAPER).any()


def test_title_row_captions_and_footnote_have_room_of_their_own() -> None:
    bare = contact_sheet([[plain((9, 9, 9))]], columns=["a"])
    full = contact_sheet([[plain((9, 9, 9))]], columns=["a"], row_captions=["b"], title="c", footnote="d")
    assert full.height > bare.height + 30


def test_a_caption_never_runs_into_its_neighbour() -> None:
    short = np.asarray(contact_sheet([[plain((9, 9, 9)), None]], columns=["long" * 20, ""]))
    assert (short[:, 41:] == PAPER).all()


def test_rows_of_another_length_are_refused() -> None:
    with pytest.raises(ValueError, match=r"expected rows of 2 pictures, got \[1\]"):
        contact_sheet([[plain((0, 0, 0))]], columns=["a", "b"])
    with pytest.raises(ValueError, match="no picture at all"):
        contact_sheet([[None]], columns=["a"])
