"""What the files of faces are called: after their photographs."""

import itertools
import os
from collections import Counter
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path, PurePath

from evaluation.reporting.results import RESULTS, STARTED
from evaluation.shared.lifecycle import TABLES
from lightning_modules.plain.letters import composed

from .face_files import SUFFIXES

# Bytes of a name, of the 255 that file systems take: endings and numbers are added.
LONGEST = 200
# What a face's file must not be called.
RESERVED = frozenset((RESULTS, STARTED, *TABLES))


def files_of(paths: Sequence[Path], root: Path) -> list[str]:
    """Each photograph as files keep it: its path below the folder that was given, with slashes.

    One that lies elsewhere, as a list may name it, is kept by the end of its path, long enough to differ from
    all others. No such path leads out of a folder.
    """
    places = [_place(path) for path in paths]
    base = _place(root)
    files = {place: place.relative_to(base).as_posix() for place in places if place.is_relative_to(base)}
    inside = set(files.values())
    elsewhere = sorted(set(places) - files.keys())
    lengths = dict.fromkeys(elsewhere, 1)
    while True:
        files |= {place: _end(place, lengths[place]) for place in elsewhere}
        named = Counter(files[place] for place in elsewhere)
        alike = [place for place in elsewhere if named[files[place]] > 1 or files[place] in inside]
        if not alike:
            return [files[place] for place in places]
        for place in alike:
            lengths[place] += 1


def _place(path: Path) -> PurePath:
    """An absolute path without `..`; links stay what they are called, where that is possible."""
    return PurePath(os.path.abspath(path.parent.resolve() / path.name if ".." in path.parts else path))


def _end(place: PurePath, length: int) -> str:
    """The last parts of a path; beyond its first one, others are put before it."""
    parts = place.parts[1:]
    return "/".join([*["_"] * (length - len(parts)), *parts[-length:]])


def _of_bearable_length(name: PurePath) -> str:
    """A name to which endings can be added: one that is too long is cut, and stays unlike all others."""
    last = name.name
    if len(os.fsencode(last)) > LONGEST:
        digest = sha256(os.fsencode(last)).hexdigest()[:12]
        last = f"{os.fsencode(last)[: LONGEST - 13].decode(errors='ignore')}-{digest}"
    return name.with_name(last).as_posix()


def _alike(name: str) -> str:
    """The same of names that some disk takes for one."""
    return composed(name).casefold()


def names_of(
    faces: Sequence[tuple[str, int]], numbered: bool, endings: Sequence[str] = SUFFIXES
) -> list[str]:
    """The names of faces' files, each another, and none that the command's own files have.

    They also differ on disks that take a and A, or both ways of writing an accent, for one.

    Args:
        faces: of each its photograph's file and which of its faces it is.
        numbered: whether the face's number is part of the name.
        endings: what the names of a face's files end in.

    Returns:
        The file without its suffix; with it where that is another's, or the command's; cut where it is too
        long for what is added.
    """
    stems = {file: _of_bearable_length(Path(file).with_suffix("")) for file, _ in faces}
    shared = Counter(_alike(f"{stem}{ending}") for stem in stems.values() for ending in endings)
    names: dict[str, str] = {}
    taken: set[str] = set()
    for file, stem in stems.items():
        is_shared = any(shared[_alike(f"{stem}{ending}")] > 1 for ending in endings)
        longer = (_of_bearable_length(Path(file)) + count * "_" for count in itertools.count())
        for name in longer if is_shared else itertools.chain([stem], longer):
            made = {_alike(f"{name}{ending}") for ending in endings}
            if not made & (taken | RESERVED):
                break
        names[file] = name
        taken |= made
    return [f"{names[file]}-{number}" if numbered else names[file] for file, number in faces]
