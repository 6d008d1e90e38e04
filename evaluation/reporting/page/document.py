"""The page and its plain parts; every part is a piece of HTML whose texts are escaped."""

import re
from base64 import b64encode
from collections.abc import Sequence
from io import BytesIO

from markupsafe import Markup
from matplotlib.figure import Figure
from PIL import Image

from evaluation.reporting.figures import draw_texts_as_they_are
from evaluation.reporting.grids import Grid
from evaluation.reporting.studies import RESOLVED

from .templates import file_content, part, template

# A table's cell is broken here: value, spread, interval and p stand below one another.
BREAK = re.compile(r" (?=\[)|, (?=p )| (?=± )")
JPEG_QUALITY = 88


def document(title: str, notices: Sequence[str], sections: Sequence[tuple[str, Markup]]) -> str:
    """The whole page.

    Args:
        title: of the page; a stand-in's says so.
        notices: sentences below it.
        sections: heading and content of each; what is no `Markup` is shown as text.
    """
    page = template("page.html.jinja")
    return page.render(title=title, notices=notices, sections=sections, style=file_content("page.css"))


def paragraphs(sentences: Sequence[str]) -> Markup:
    """A paragraph for each."""
    return part("paragraphs", sentences)


def table(content: Grid, kind: str = "") -> Markup:
    """A table with its footnotes, which scrolls sideways by itself where the page is narrow.

    What is resolved stands out.

    Args:
        content: of it.
        kind: a class of page.css.
    """
    lines = [
        (label, [(BREAK.split(text), RESOLVED in text) for text in cells]) for label, cells in content.lines
    ]
    return part("table", content.title, kind, content.columns, lines, content.notes)


def figure(drawn: Figure, caption: str) -> Markup:
    """A figure of matplotlib's, sharp at every size."""
    stream = BytesIO()
    draw_texts_as_they_are(drawn)
    drawn.savefig(stream, format="svg", metadata={"Date": None})
    return part("figure", _source("image/svg+xml", stream.getvalue()), caption)


def figures(drawn: Sequence[Markup]) -> Markup:
    """Figures beside one another where the page is wide."""
    return part("figures", drawn)


def contact_sheet(columns: Sequence[str], rows: Sequence[Sequence[Image.Image]], caption: str) -> Markup:
    """Pictures in a column for each name, a row for each person, as in figure 3 of Genova et al. 2018.

    Raises:
        ValueError: if a row has not a picture for each name.
    """
    for number, row in enumerate(rows, 1):
        if len(row) != len(columns):
            raise ValueError(
                f"row {number} has {len(row)} pictures for {len(columns)} columns; give one each"
            )
    return part("contact_sheet", columns, [[jpeg_source(image) for image in row] for row in rows], caption)


def jpeg_source(image: Image.Image) -> str:
    """A picture as what `src` of an HTML image may be."""
    stream = BytesIO()
    image.convert("RGB").save(stream, "JPEG", quality=JPEG_QUALITY)
    return _source("image/jpeg", stream.getvalue())


def _source(kind: str, content: bytes) -> str:
    return f"data:{kind};base64,{b64encode(content).decode()}"
