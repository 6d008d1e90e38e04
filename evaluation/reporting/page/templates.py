"""The templates of a page. Whatever is filled in is escaped, unless it is a `Markup`."""

from functools import cache
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template
from markupsafe import Markup

FOLDER = Path(__file__).parent


@cache
def template(name: str) -> Template:
    """A template of this folder, such as page.html.jinja."""
    environment = Environment(
        loader=FileSystemLoader(FOLDER),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    return environment.get_template(name)


def part(macro: str, *arguments: object) -> Markup:
    """What a macro of parts.html.jinja makes of its arguments."""
    return getattr(template("parts.html.jinja").module, macro)(*arguments)


def file_content(name: str) -> Markup:
    """A style sheet or script of this folder, to be put into a page as it is."""
    return Markup((FOLDER / name).read_text(encoding="utf-8"))
