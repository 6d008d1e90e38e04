"""Text of mesh and material files, whatever wrote it."""

import codecs
import re
from pathlib import Path

COMMENT = re.compile(r"(?<!\.)#")
_MARKS = ((codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be"))


def uncommented(words: str) -> str:
    """A statement's words without the comment behind them: `#` begins one, but not within `-1.#IND`."""
    return COMMENT.split(words, maxsplit=1)[0] if "#" in words else words


def text_of(path: Path) -> str:
    r"""A file's text without byte order mark, lines ended by `\n`.

    Bytes that are no UTF-8 stay what Python makes of them in names of files, so that these are found.
    """
    content = path.read_bytes()
    coding = "utf-8"
    for mark, named in _MARKS:
        if content.startswith(mark):
            content, coding = content[len(mark) :], named
            break
    text = content.decode(coding, errors="surrogateescape" if coding == "utf-8" else "replace")
    return text.replace("\r\n", "\n").replace("\r", "\n") if "\r" in text else text
