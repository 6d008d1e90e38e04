"""Arrays that grow row by row, in memory-mapped files: one file a column, rows only ever appended."""

import json
import sys
import time
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import numpy as np

from lightning_modules.plain.files import put_aside, written_atomically
from lightning_modules.plain.one_at_a_time import one_at_a_time

from .mapped_columns import Column, in_parts, parts_of

# The column that every folder has besides: a CRC-32 of each row, over its columns in their order.
CHECKS, CHECK = "checks", np.dtype(np.uint32)
AT_ONCE = 4096  # rows that are checked together
# Says which files were found to be what was written, by their sizes and times.
CHECKED = "checked.json"
SETTLED_NS = 2 * 10**9


class RowFiles:
    """Some columns of one length in a folder.

    A row counts once every column has it, so a process that is stopped leaves nothing that is wrong: the next
    one that appends cuts what is half-written. Reading maps the files, so memory stays flat however many
    rows there are; it writes nothing. Rows carry check sums: see `damage`.

    Args:
        folder: made when rows are appended.
        columns: the type of one row of each column, such as `np.dtype((np.float32, 256))`.
        numbers: columns whose rows are finite and never all zero.
    """

    def __init__(self, folder: Path, columns: Mapping[str, np.dtype], *, numbers: Sequence[str] = ()) -> None:
        self.folder, self.columns, self.numbers = folder, dict(columns), tuple(numbers)
        self.refresh()

    def refresh(self) -> None:
        """Look again how many rows there are; another process may have appended."""
        self._count = min(self._size(name) // dtype.itemsize for name, dtype in self.columns.items())
        if self._has_checks():
            self._count = min(self._count, self._size(CHECKS) // CHECK.itemsize)

    def __len__(self) -> int:
        return self._count

    def column(self, name: str) -> np.ndarray:
        """All rows of a column, mapped from its file."""
        base, shape = self.columns[name].base, self.columns[name].shape
        if self._count == 0:
            return np.empty((0, *shape), base)
        return np.memmap(self._file(name), base, "r", shape=(self._count, *shape))

    def damage(self) -> str:
        """Why the rows are not what was written; empty where they are.

        Reads all of them, but not again while no file's size or time changes: at a million rows that takes
        longer than all else of a start. Of rows that an older version wrote without check sums, it is only
        known that numbers are finite and not all zero.
        """
        if self._is_checked():
            return ""
        reason = self._damage()
        if not reason and self._count:
            self._keep_checked()
        return reason

    def _damage(self) -> str:
        if self._count and self._has_checks():
            kept = np.fromfile(self._file(CHECKS), CHECK, self._count)
            for start in range(0, self._count, AT_ONCE):
                rows = self._rows(start, min(start + AT_ONCE, self._count))
                wrong = np.flatnonzero(_checks(rows) != kept[start : start + AT_ONCE])
                if len(wrong):
                    return f"row {start + int(wrong[0])} is not what was written"
        elif self._count:
            return self._implausible(self._rows(0, self._count))
        return ""

    @contextmanager
    def appending(self) -> Iterator[Callable[..., None]]:
        """A function that appends rows, given by column; only one process at a time gets it.

        It raises a ValueError, and appends nothing, if a column's rows are of another shape or number, or if
        numbers are not finite or all zero. Rows that were damaged are put aside before, and said.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        with one_at_a_time(self.folder / "lock", "computes the same rows"), ExitStack() as stack:
            self.refresh()
            self._put_damage_aside()
            checks = b"" if self._has_checks() else _checks(self._rows(0, self._count)).tobytes()
            written = self.columns | {CHECKS: CHECK}
            files = {name: stack.enter_context(self._file(name).open("ab")) for name in written}
            files[CHECKS].write(checks)
            for name, dtype in written.items():
                files[name].flush()
                files[name].truncate(self._count * dtype.itemsize)

            def append(**rows: np.ndarray) -> None:
                count = len(next(iter(rows.values())))
                for name, dtype in self.columns.items():
                    expected = (count, *dtype.shape)
                    if rows[name].shape != expected:
                        raise ValueError(
                            f"rows of {name} must be {list(expected)}, got {list(rows[name].shape)}"
                        )
                same = {
                    name: np.ascontiguousarray(rows[name], dtype.base) for name, dtype in self.columns.items()
                }
                if count and (reason := self._implausible(same)):
                    raise ValueError(f"{reason}; nothing was added to {self.folder}")
                # Last the check sums: a row counts once it has one.
                for name, values in (same | {CHECKS: _checks(same)}).items():
                    files[name].write(values.tobytes())
                    files[name].flush()
                self._count += count

            yield append

    def _put_damage_aside(self) -> None:
        reason = self.damage()
        if not reason:
            return
        for name in (*self.columns, CHECKS):
            put_aside(self._file(name))
        self.refresh()
        print(f"{self.folder} was damaged ({reason}): put aside, and computed again", file=sys.stderr)

    def _states(self) -> dict[str, list[int]]:
        """Size and time of each file."""
        found = {
            name: self._file(name).stat() for name in (*self.columns, CHECKS) if self._file(name).exists()
        }
        return {name: [state.st_size, state.st_mtime_ns] for name, state in found.items()}

    def _is_checked(self) -> bool:
        try:
            kept = json.loads((self.folder / CHECKED).read_text(encoding="utf-8"))
            states, at = kept["states"], float(kept["at_ns"])
        except (OSError, ValueError, KeyError, TypeError):
            return False
        now = self._states()
        # A file that was written just before the check may have been written again with the same time.
        return states == now and all(changed < at - SETTLED_NS for _, changed in now.values())

    def _keep_checked(self) -> None:
        content = json.dumps({"states": self._states(), "at_ns": time.time_ns()})
        try:
            with written_atomically(self.folder / CHECKED) as temporary:
                temporary.write_text(content, encoding="utf-8")
        except OSError:  # a cache that can only be read is checked at every start
            return

    def _implausible(self, rows: Mapping[str, np.ndarray]) -> str:
        for name in self.numbers:
            values = rows[name].reshape(len(rows[name]), -1)
            if not np.isfinite(values).all():
                return f"{name} holds values that are not finite"
            if not values.any(axis=1).all():
                return f"{name} holds a row of zeros"
        return ""

    def _rows(self, start: int, stop: int) -> dict[str, np.ndarray]:
        return {name: self.column(name)[start:stop] for name in self.columns}

    def _has_checks(self) -> bool:
        return self._file(CHECKS).exists()

    def _file(self, name: str) -> Path:
        return self.folder / f"{name}.bin"

    def _size(self, name: str) -> int:
        return self._file(name).stat().st_size if self._file(name).exists() else 0


def _checks(rows: Mapping[str, np.ndarray]) -> np.ndarray:
    """The check sum [N] of each row."""
    count = len(next(iter(rows.values())))
    if count == 0:
        return np.empty(0, CHECK)
    parts = [np.ascontiguousarray(values).reshape(count, -1).view(np.uint8) for values in rows.values()]
    return np.array([zlib.crc32(line.data) for line in np.concatenate(parts, axis=1)], CHECK)


def places_of(keys: Column, known: Column) -> np.ndarray:
    """Where each key [N] stands among known ones [M], each of them once; -1 where it does not.

    Args:
        keys: of bytes, in any order, some perhaps more than once.
        known: of the same type; may be mapped from a file.
    """
    places, parts = np.full(len(keys), -1), parts_of(max(len(keys), len(known)))
    for (wanted, some), (rows, others) in zip(in_parts(keys, parts), in_parts(known, parts), strict=True):
        if len(wanted) and len(rows):
            found = _places_of(some, others)
            places[wanted] = np.where(found < 0, -1, rows[found])
    return places


def _places_of(keys: np.ndarray, known: np.ndarray) -> np.ndarray:
    """The same for what fits into memory: looked up by a number of each key, and compared in full."""
    numbers, sought = _numbers(known), _numbers(keys)
    order = np.argsort(numbers)
    ordered = known[order]
    if ((np.diff(numbers[order]) == 0) & (ordered[1:] != ordered[:-1])).any():
        # Two keys have one number, which those of contents never do: look up the keys themselves.
        numbers, sought, order = known, keys, np.argsort(known)
    place = order[np.searchsorted(numbers[order], sought).clip(max=len(known) - 1)]
    return np.where(known[place] == keys, place, -1)


def _numbers(keys: np.ndarray) -> np.ndarray:
    """A number [N] of 64 bits of each key of bytes: numbers are sorted ten times as fast as keys."""
    count, width = len(keys), keys.dtype.itemsize
    padded = np.zeros((count, -(-width // 8) * 8), np.uint8)
    padded[:, :width] = np.ascontiguousarray(keys).view(np.uint8).reshape(count, width)
    words = padded.view(np.uint64)
    numbers = np.zeros(count, np.uint64)
    for word in words.T:
        numbers = (numbers ^ word) * np.uint64(0x9E3779B97F4A7C15)  # odd: no bit is lost; of the golden ratio
        numbers ^= numbers >> np.uint64(32)
    return numbers
