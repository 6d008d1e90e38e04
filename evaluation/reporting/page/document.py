"""The page and its plain parts; every part is a piece of HTML whose texts are escaped."""

from base64 import b64encode
from collections.abc import Sequence
from html import escape
from io import BytesIO
from pathlib import Path

from matplotlib.figure import Figure
from PIL import Image

from evaluation.reporting.grids import Grid
from evaluation.reporting.studies import RESOLVED

# A table's cell is broken before these: value, interval and p below one another.
BREAKS = (" [", ", p ", " ± ")
JPEG_QUALITY = 88


def document(title: str, notices: Sequence[str], sections: Sequence[tuple[str, str]]) -> str:
    """The whole page.

    Args:
        title: of the page; a stand-in's says so.
        notices: sentences below it.
        sections: heading and HTML of each.
    """
    style = (Path(__file__).parent / "page.css").read_text(encoding="utf-8")
    body = "\n".join(
        f"<section>\n<h2>{escape(heading)}</h2>\n{content}\n</section>" for heading, content in sections
    )
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f'<link rel="icon" href="data:,">\n<title>{escape(title)}</title>\n'
        f"<style>\n{style}</style>\n</head>\n"
        f"<body>\n<main>\n<h1>{escape(title)}</h1>\n{paragraphs(notices)}\n{body}\n</main>\n</body>\n</html>\n"
    )


def paragraphs(sentences: Sequence[str]) -> str:
    """A paragraph for each."""
    return "\n".join(f"<p>{escape(sentence)}</p>" for sentence in sentences)


def table(content: Grid, kind: str = "") -> str:
    """A table that scrolls sideways by itself where the page is narrow; what is resolved stands out.

    Args:
        content: of it.
        kind: a class of page.css.
    """
    head = "".join(map(_heading, ["", *content.columns]))
    lines = "\n".join(
        f'<tr><th scope="row">{escape(label)}</th>{"".join(map(_cell, cells))}</tr>'
        for label, cells in content.lines
    )
    return (
        f'<div class="scroll" tabindex="0"><table class="{kind}">\n'
        f"<caption>{escape(content.title)}</caption>\n"
        f"<thead><tr>{head}</tr></thead>\n<tbody>\n{lines}\n</tbody></table></div>"
    )


def picture(image: Image.Image, text: str) -> str:
    """A picture inside the page."""
    stream = BytesIO()
    image.convert("RGB").save(stream, "JPEG", quality=JPEG_QUALITY)
    return _image("image/jpeg", stream.getvalue(), text)


def figure(drawn: Figure, caption: str) -> str:
    """A figure of matplotlib's, sharp at every size."""
    stream = BytesIO()
    drawn.savefig(stream, format="svg", metadata={"Date": None})
    image = _image("image/svg+xml", stream.getvalue(), caption)
    return f"<figure>{image}<figcaption>{escape(caption)}</figcaption></figure>"


def contact_sheet(columns: Sequence[str], rows: Sequence[Sequence[Image.Image]], caption: str) -> str:
    """Pictures in a column for each name, a row for each person, as in figure 3 of Genova et al. 2018."""
    head = "".join(map(_heading, columns))
    body = "\n".join(
        "<tr>"
        + "".join(
            f"<td>{picture(image, f'{column}, person {number}')}</td>"
            for column, image in zip(columns, row, strict=True)
        )
        + "</tr>"
        for number, row in enumerate(rows, 1)
    )
    return (
        f'<div class="scroll" tabindex="0"><table class="sheet">\n<caption>{escape(caption)}</caption>\n'
        f"<thead><tr>{head}</tr></thead>\n<tbody>\n{body}\n</tbody></table></div>"
    )


def _heading(text: str) -> str:
    """A variant's switches below one another."""
    return f'<th scope="col">{escape(text).replace("+", "<br>+ ")}</th>'


def _cell(text: str) -> str:
    written = escape(text)
    for pause in BREAKS:
        written = written.replace(pause, f"<br>{pause.removeprefix(', ').strip()} ".replace("[ ", "["))
    kind = ' class="resolved"' if RESOLVED in text else ""
    return f"<td{kind}>{written}</td>"


def _image(kind: str, content: bytes, text: str) -> str:
    return f'<img src="data:{kind};base64,{b64encode(content).decode()}" alt="{escape(text)}">'
