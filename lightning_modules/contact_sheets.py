"""Contact sheets: pictures in rows and columns with their captions."""

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

INK, PAPER = (40, 40, 40), (255, 255, 255)
CAPTION = 0.075  # height of a caption's letters as a share of a picture's height
# Captions wider than their place are shortened to this and an ellipsis.
FEWEST_LETTERS = 4


def picture(image: Tensor | np.ndarray, size: int) -> Image.Image:
    """A square picture of an image [3, H, W] in [0, 1], or [H, W, 3] in 8 bits, at size x size pixels."""
    if isinstance(image, Tensor):
        levels = (image.detach().cpu().float().clamp(0, 1) * 255).round().byte()
        image = levels.permute(1, 2, 0).numpy()
    shown = Image.fromarray(np.ascontiguousarray(image))
    return shown if shown.size == (size, size) else shown.resize((size, size), Image.Resampling.LANCZOS)


def contact_sheet(
    rows: Sequence[Sequence[Image.Image | None]],
    *,
    columns: Sequence[str],
    row_captions: Sequence[str] | None = None,
    title: str = "",
    footnote: str = "",
) -> Image.Image:
    """Pictures of one size in rows, with a caption above each column and, if given, below each row.

    Args:
        rows: pictures; None leaves a place empty.
        columns: captions of the columns.
        row_captions: one caption for each row, written below it.
        title: above everything, larger.
        footnote: below everything: what the pictures are of, and their credit.

    Raises:
        ValueError: if there is no picture, or a row has another length than the captions.
    """
    side = next((shown.height for row in rows for shown in row if shown is not None), None)
    if side is None or any(len(row) != len(columns) for row in rows):
        lengths = sorted({len(row) for row in rows})
        raise ValueError(f"expected rows of {len(columns)} pictures, got {lengths}, or no picture at all")
    font, large = _font(max(9, CAPTION * side)), _font(1.3 * max(9, CAPTION * side))
    line, title_line = int(1.7 * font.size), int(1.7 * large.size)
    below = line if row_captions is not None else 0
    width = len(columns) * side
    top = title_line if title else 0
    height = top + line + len(rows) * (side + below) + (line if footnote else 0)
    sheet = Image.new("RGB", (width, height), PAPER)
    pen = ImageDraw.Draw(sheet)
    if title:
        _write(pen, title, (0, 0, width, title_line), large)
    for column, caption in enumerate(columns):
        _write(pen, caption, (column * side, top, (column + 1) * side, top + line), font)
    for number, row in enumerate(rows):
        y = top + line + number * (side + below)
        for column, shown in enumerate(row):
            if shown is not None:
                sheet.paste(shown, (column * side, y))
        if row_captions is not None:
            _write(pen, row_captions[number], (0, y + side, width, y + side + below), font)
    if footnote:
        _write(pen, footnote, (0, height - line, width, height), font)
    return sheet


def _font(size: float) -> ImageFont.FreeTypeFont:
    font = ImageFont.load_default(size)
    assert isinstance(font, ImageFont.FreeTypeFont)  # Pillow gives another one only without a size
    return font


def _write(
    pen: ImageDraw.ImageDraw, text: str, box: tuple[int, int, int, int], font: ImageFont.FreeTypeFont
) -> None:
    """Text at the left of a box, in its middle by height, shortened where it is too wide."""
    left, top, right, bottom = box
    margin = 0.35 * font.size
    shown = text
    while len(shown) > FEWEST_LETTERS and pen.textlength(shown, font) > right - left - 2 * margin:
        shown = shown.removesuffix("…")[:-1].rstrip() + "…"
    pen.text((left + margin, (top + bottom) / 2), shown, fill=INK, font=font, anchor="lm")
