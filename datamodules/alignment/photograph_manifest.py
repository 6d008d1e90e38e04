"""What a start needs to know of photographs that were prepared before, without touching one of them.

Listing a folder and asking for the record of each photograph takes about a third of a millisecond each: at
2.6 million photographs 12 to 19 minutes on a local disk, at every start and in every process. A manifest
holds the answers in a few mapped arrays. It is written whenever a listing found something else, and says
when.
"""

import json
import os
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from errno import EACCES, EPERM, EROFS
from pathlib import Path
from typing import NamedTuple, overload

import numpy as np

from lightning_modules.plain.files import written_atomically

from ..long_work.mapped_columns import let_go, pieces
from .crops import Quality
from .face_cache import AlignedFaces

# Raise it when the files of a manifest change: older ones are written anew.
VERSION = 1
NOT_THERE = -1  # the size and time of a photograph that cannot be looked at
ARRAYS = ("names", "ends", "sizes", "modified", "photograph", "digest", "face", "quality")


class PhotographPaths(Sequence[Path]):
    """Paths in their order, as bytes in one array: 2.6 million take 0.2 GB as mapped pages, as objects 1.3.

    Args:
        names: [B] bytes, all paths one after the other.
        ends: [N], where each ends.
    """

    def __init__(self, names: np.ndarray, ends: np.ndarray) -> None:
        self.names, self.ends = np.asarray(names), np.asarray(ends)

    @classmethod
    def of(cls, paths: Iterable[Path]) -> "PhotographPaths":
        """Of paths as Python has them."""
        encoded = [os.fsencode(path) for path in paths]
        ends = np.cumsum([len(name) for name in encoded], dtype=np.int64)
        return cls(np.frombuffer(b"".join(encoded), np.uint8), ends)

    @classmethod
    def read(cls, folder: Path) -> "PhotographPaths":
        """What `write` has written into a folder; none where there is nothing."""
        files = [folder / f"{name}.npy" for name in ("names", "ends")]
        return cls(*(np.load(file) for file in files)) if files[0].exists() else cls.of([])

    def write(self, folder: Path) -> None:
        """Write them into a folder, for other processes to read; no file where there are none."""
        self.forget(folder)
        if not len(self):
            return
        for name, values in (("ends", self.ends), ("names", self.names)):
            with written_atomically(folder / f"{name}.npy") as temporary, temporary.open("wb") as file:
                np.save(file, values)

    @staticmethod
    def forget(folder: Path) -> None:
        """Delete what was written into a folder."""
        if folder.is_dir():
            _remove_arrays(folder)

    def __len__(self) -> int:
        return len(self.ends)

    @overload
    def __getitem__(self, index: int) -> Path: ...

    @overload
    def __getitem__(self, index: slice) -> list[Path]: ...

    def __getitem__(self, index: int | slice) -> Path | list[Path]:
        if isinstance(index, slice):
            return [self[place] for place in range(*index.indices(len(self)))]
        return Path(os.fsdecode(self.name(index)))

    def name(self, index: int) -> bytes:
        """A path in bytes."""
        place = range(len(self))[index]
        start = int(self.ends[place - 1]) if place else 0
        return self.names[start : int(self.ends[place])].tobytes()

    def in_bytes(self) -> Iterator[bytes]:
        """All paths in bytes."""
        names, start = self.names.data, 0
        for _, ends in pieces(self.ends):
            for end in ends.tolist():
                yield bytes(names[start:end])
                start = end
            let_go(self.names)

    def as_lines(self) -> Iterator[bytes]:
        """The bytes of a list that names one path a line, some at a time; the last line has no end."""
        start = 0
        for first, ends in pieces(self.ends):
            end_of_line = ends[:-1] if first + len(ends) == len(self) else ends
            yield np.insert(self.names[start : ends[-1]], end_of_line - start, ord("\n")).tobytes()
            let_go(self.names)
            start = int(ends[-1])


class FileStates(NamedTuple):
    """Photographs as a listing finds them: unless size or time changed, one need not be read again.

    Attributes:
        sizes: [N] in bytes, NOT_THERE where a file cannot be looked at.
        modified: [N], nanoseconds.
    """

    sizes: np.ndarray
    modified: np.ndarray

    @classmethod
    def of(cls, paths: Iterable[Path]) -> "FileStates":
        """Of files as they are now."""
        found = np.array([_state(path) for path in paths], np.int64).reshape(-1, 2)
        return cls(found[:, 0], found[:, 1])


class PhotographManifest(NamedTuple):
    """Photographs and their faces as they were when they were last listed.

    Attributes:
        paths: the photographs.
        states: of their files.
        faces: see AlignedFaces.
        written: when, in UTC; empty where it was not read.
    """

    paths: PhotographPaths
    states: FileStates
    faces: AlignedFaces
    written: str

    @classmethod
    def read(cls, folder: Path) -> "PhotographManifest | None":
        """A folder's, its arrays mapped; None where there is none, or one that was not finished."""
        try:
            head = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
            if head["version"] != VERSION:
                return None
            failures = [(int(index), str(reason)) for index, reason in head["failures"]]
            arrays = {
                name: np.load(folder / head["arrays"] / f"{name}.npy", mmap_mode="r") for name in ARRAYS
            }
            written = str(head["written"])
        except (OSError, ValueError, KeyError, TypeError):
            return None
        faces = AlignedFaces(
            arrays["photograph"], arrays["digest"], arrays["face"], arrays["quality"], failures
        )
        paths = PhotographPaths(arrays["names"], arrays["ends"])
        return cls(paths, FileStates(arrays["sizes"], arrays["modified"]), faces, written)

    def write(self, folder: Path) -> None:
        """Write a folder's; one that was there counts until this one is complete.

        Nothing is written into a cache that can only be read: the next start lists the photographs again.
        """
        try:
            self._write(folder)
        except OSError as error:
            if error.errno not in (EACCES, EPERM, EROFS):
                raise

    def _write(self, folder: Path) -> None:
        now = datetime.now(UTC)
        place = folder / now.strftime("%Y%m%dT%H%M%S.%f")
        place.mkdir(parents=True)
        values = (self.paths.names, self.paths.ends, *self.states, *self.faces[:4])
        for name, value in zip(ARRAYS, values, strict=True):
            np.save(place / f"{name}.npy", value)
        head = {
            "version": VERSION,
            "written": now.isoformat(timespec="seconds"),
            "arrays": place.name,
            "failures": self.faces.failures,
        }
        with written_atomically(folder / "manifest.json") as temporary:
            temporary.write_text(json.dumps(head), encoding="utf-8")
        for other in folder.iterdir():
            if other.is_dir() and other != place:
                _remove_arrays(other)

    def unchanged(self, paths: PhotographPaths, states: FileStates) -> np.ndarray:
        """[N], the place here of each photograph that is as it was; -1 for a new or changed one."""
        if np.array_equal(self.paths.ends, paths.ends) and np.array_equal(self.paths.names, paths.names):
            places = np.arange(len(paths))
        else:
            known = {name: place for place, name in enumerate(self.paths.in_bytes())}
            places = np.array([known.get(name, -1) for name in paths.in_bytes()], np.int64)
        same = (
            (places >= 0)
            & (states.sizes != NOT_THERE)
            & (self.states.sizes[places] == states.sizes)
            & (self.states.modified[places] == states.modified)
        )
        return np.where(same, places, -1)

    def faces_at(self, places: np.ndarray) -> AlignedFaces:
        """The faces of photographs that lie at places [N] here, -1 where another source tells of one."""
        new_place = np.full(len(self.paths), -1)
        new_place[places[places >= 0]] = np.flatnonzero(places >= 0)
        photograph = new_place[self.faces.photograph]
        kept = np.flatnonzero(photograph >= 0)
        failures = [(int(new_place[i]), reason) for i, reason in self.faces.failures if new_place[i] >= 0]
        return self.faces.subset(kept)._replace(photograph=photograph[kept], failures=failures)


def merged(first: AlignedFaces, second: AlignedFaces) -> AlignedFaces:
    """The faces of two disjoint sets of photographs of one list, in the list's order."""
    photograph = np.concatenate([first.photograph, second.photograph])
    order = np.argsort(photograph, kind="stable")
    both = [np.concatenate(parts)[order] for parts in zip(first[1:4], second[1:4], strict=True)]
    digest, face, quality = both
    failures = sorted([*first.failures, *second.failures])
    return AlignedFaces(photograph[order], digest, face, quality.reshape(-1, len(Quality._fields)), failures)


def _state(path: Path) -> tuple[int, int]:
    try:
        found = path.stat()
    except OSError:
        return NOT_THERE, NOT_THERE
    return found.st_size, found.st_mtime_ns


def _remove_arrays(folder: Path) -> None:
    for name in ARRAYS:
        (folder / f"{name}.npy").unlink(missing_ok=True)
    try:
        folder.rmdir()
    except OSError:  # another process wrote into it just now
        return
