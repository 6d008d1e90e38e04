"""Holds the commands that tests start to what they may write: never what they were given."""

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

WRITTEN = ("output", "cache-folder")


@contextmanager
def inputs_untouched(arguments: Sequence[object]) -> Iterator[None]:
    """Fails where a file that a command's words name, or that lies below one, is another afterwards.

    What `--output` and `--cache-folder` name may change.
    """
    before = {file: file.read_bytes() for file in files_named(arguments)}
    try:
        yield
    finally:
        after = {file: file.read_bytes() if file.is_file() else None for file in before}
        changed = [str(file) for file in before if before[file] != after[file]]
        assert not changed, f"the command changed what it was given: {changed}"


def files_named(arguments: Sequence[object]) -> list[Path]:
    """The files that words name, alone, after `=`, `:` or `,`, and those below folders that they name."""
    words = [str(argument) for argument in arguments]
    written: set[Path] = set()
    read: list[Path] = []
    for last, word in zip(["", *words], words, strict=False):
        name, equals, value = word.partition("=")
        options = (name, value) if equals and name.startswith("--") else (last, word)
        for part in (word, *re.split(r"[=:,\[\]]", word)):
            place = Path(part)
            if part and part != "." and place.exists():
                written.add(place.resolve()) if options[0][2:] in WRITTEN else read.append(place)
    found: list[Path] = []
    for place in read:
        inside = place.rglob("*") if place.is_dir() else [place]
        found += [file for file in inside if file.is_file()]
    return [file for file in found if written.isdisjoint([file.resolve(), *file.resolve().parents])]
