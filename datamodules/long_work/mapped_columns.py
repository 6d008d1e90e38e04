"""Passes over long columns, mapped from files or made on the way, with some rows in memory at a time.

Sorting 2.6 million keys of 33 bytes at once takes half a gigabyte beside the keys themselves. Here rows are
sorted in parts, by their first byte, and pages of a file that were read are let go: they count as memory of
each process that maps them.
"""

import mmap
from collections.abc import Iterator
from itertools import pairwise
from typing import Protocol

import numpy as np

AT_ONCE = 65_536  # rows of a piece
PER_PART = 131_072  # rows of a part, about


class Column(Protocol):
    """Rows that are there, or are made, when they are taken: an array, or what is indexed as one.

    What makes its rows of arrays names them as `arrays`, so that their pages can be let go.
    """

    def __len__(self) -> int: ...

    def __getitem__(self, chosen: slice | np.ndarray) -> np.ndarray: ...


def pieces(column: Column) -> Iterator[tuple[int, np.ndarray]]:
    """Rows of a column, AT_ONCE at a time, each piece with the place of its first row."""
    for start in range(0, len(column), AT_ONCE):
        yield start, column[start : start + AT_ONCE]
        let_go(column)


def parts_of(count: int) -> int:
    """In how many parts so many rows are sorted; `in_parts` knows 256 at most."""
    return min(256, 1 + count // PER_PART)


def in_parts(column: Column, parts: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Rows of one part after the other, in ascending order of their first byte.

    Args:
        column: [N] of rows without an order of their own, such as digests or keys of bytes.
        parts: how many, see `parts_of`.

    Yields:
        The places [M] in the column, ascending, and the rows [M] there; no row for an empty part.
    """
    if parts == 1:
        yield np.arange(len(column)), column[:]
        return
    part = np.empty(len(column), np.uint8)
    for start, piece in pieces(column):
        first = np.ascontiguousarray(piece).view(np.uint8).reshape(len(piece), -1)[:, 0]
        part[start : start + len(piece)] = (first.astype(np.uint16) * parts) >> 8
    for number in range(parts):
        places = np.flatnonzero(part == number)
        yield places, _taken(column, places)


def taken(column: Column, places: np.ndarray) -> np.ndarray:
    """The rows at some places of a column, in their order.

    They are read in ascending order: a row maps 64 kB of its file, so that a few here and there soon map all.
    """
    order = np.argsort(places, kind="stable")
    rows = _taken(column, places[order])
    in_order = np.empty_like(rows)
    in_order[order] = rows
    return in_order


def _taken(column: Column, places: np.ndarray) -> np.ndarray:
    """The same for ascending places."""
    bounds = np.searchsorted(places, range(0, len(column) + AT_ONCE, AT_ONCE))
    rows = [column[:0]]
    for start, stop in pairwise(bounds):
        if start < stop:
            rows.append(column[places[start:stop]])
            let_go(column)
    return np.concatenate(rows)


def let_go(column: Column) -> None:
    """Let go of pages that were read of mapped files; they are read again where they are wanted again."""
    if not hasattr(mmap, "MADV_DONTNEED"):
        return
    for array in getattr(column, "arrays", (column,)):
        # What may have been written to is kept: in a private mapping it would be lost.
        while isinstance(array, np.ndarray) and getattr(array, "mode", "r") == "r":
            array = array.base
        if isinstance(array, mmap.mmap):
            array.madvise(mmap.MADV_DONTNEED)
