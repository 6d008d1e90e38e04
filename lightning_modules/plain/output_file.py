"""Single files as output: a command replaces only what it wrote itself, and never what it reads."""

import os
from collections.abc import Iterable
from pathlib import Path

from PIL import Image
from PIL.PngImagePlugin import PngInfo

from .writable_places import require_writable_file

SOFTWARE = "Software"  # the keyword that PNG has for what made a picture


def mark_of(command: str) -> PngInfo:
    """What a PNG file says of the command that drew it: `image.save(file, pnginfo=mark_of(...))`."""
    mark = PngInfo()
    mark.add_text(SOFTWARE, _mark(command))
    return mark


def check_picture(file: Path, command: str, inputs: Iterable[Path | None] = ()) -> None:
    """Refuse to write a picture in the place of anything but the command's own earlier one.

    Args:
        file: to be written.
        command: its name, such as qualitative.
        inputs: files that the command reads; none of them is replaced, whoever drew it.

    Raises:
        ValueError: saying what is there, or why nothing can be.
    """
    if not os.path.lexists(file):
        if file.suffix.lower() != ".png":
            raise ValueError(f"{file}: the picture is a PNG file; give --output a name that ends in .png")
        require_writable_file(file)
        return
    is_input = any(place is not None and place.exists() and place.samefile(file) for place in inputs)
    if is_input or file.is_symlink() or not _is_marked(file, command):
        what = "is what the command reads" if is_input else f"exists and was not drawn by {command}.py"
        raise ValueError(f"{file} {what}; move it away, or name another --output")
    require_writable_file(file)


def check_new(file: Path | None, *, but: Path | None = None) -> None:
    """Refuse to write a file that is there before, or cannot be made.

    Args:
        file: to be written; None is nothing to refuse.
        but: a file of the command's own that it may replace, such as a report kept beside it.

    Raises:
        ValueError: naming the file.
    """
    if file is not None and file != but and os.path.lexists(file):
        raise ValueError(f"{file} exists; move it away, or name another file")
    if file is not None:
        require_writable_file(file)


def _is_marked(file: Path, command: str) -> bool:
    if not file.is_file():
        return False
    try:
        with Image.open(file, formats=["PNG"]) as picture:
            return picture.info.get(SOFTWARE) == _mark(command)
    except (OSError, ValueError, SyntaxError):
        return False


def _mark(command: str) -> str:
    return f"unsupervised-morphable-faces {command}"
