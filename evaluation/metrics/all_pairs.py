"""The similarities of all pairs of a set of photographs, streamed in blocks: exact, in little memory."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numba
import numpy as np
import torch
from torch import Tensor

from .similarity import Bins

# Rows and columns of a block. Large enough for the product's speed, small enough for the cache.
BLOCK = (256, 2048)
# Neighbouring values often fall into one bin; counting them in turns spares waiting for the last count.
TURNS = 4


class PairDistributions(NamedTuple):
    """Similarities of all pairs i < j of photographs.

    Attributes:
        same: [S], of every pair of one person, in the order of the photographs sorted by person.
        different: [bins], how many pairs of two people lie in each bin.
        different_above: by threshold, how many pairs of two people lie strictly above it.
        different_mean: of the pairs of two people.
    """

    same: np.ndarray
    different: np.ndarray
    different_above: dict[float, int]
    different_mean: float

    @property
    def different_count(self) -> int:
        """Of pairs of two people."""
        return int(self.different.sum())


def all_pairs(
    embeddings: Tensor,
    identity: np.ndarray,
    *,
    thresholds: Sequence[float] = (),
    bins: Bins = Bins(),  # noqa: B008 - a tuple does not change
    block: tuple[int, int] = BLOCK,
) -> PairDistributions:
    """The distributions of all pairs' cosines.

    With N photographs, N (N - 1) / 2 pairs: 87,549,528 for Labeled Faces in the Wild. Beside one block of
    similarities it keeps the pairs of one person and, unless photographs are sorted by person, a sorted copy.

    Args:
        embeddings: [N, D] of unit length, float32.
        identity: [N], the person of each.
        thresholds: whose exact share of different-person pairs above is wanted; each costs a pass.
        bins: of the histogram.
        block: rows and columns compared at a time.

    Raises:
        ValueError: if embeddings are not of unit length, or their number is not that of the people.
    """
    _check(embeddings, identity)
    order = np.argsort(identity, kind="stable")
    people = np.asarray(identity)[order]
    ends = np.searchsorted(people, people, "right")
    if (order[1:] < order[:-1]).any():
        embeddings = embeddings[torch.from_numpy(order).to(embeddings.device)]
    offsets = np.concatenate([[0], np.cumsum(ends - np.arange(len(ends)) - 1)])
    same = np.empty(offsets[-1], np.float32)
    counts = np.zeros(bins.count, np.int64)
    limits = np.array(thresholds, np.float32)
    above = np.zeros(len(limits), np.int64)
    with ThreadPoolExecutor(torch.get_num_threads()) as pool:
        for row, column, similarity in upper_blocks(embeddings, block):
            parts = [
                (similarity[part], row + part.start, column, ends, offsets, bins, limits, same)
                for part in _parts(len(similarity), torch.get_num_threads())
            ]
            for part_counts, part_above in pool.map(_counted, parts):
                counts += part_counts
                above += part_above
    return PairDistributions(
        same,
        counts,
        dict(zip(map(float, thresholds), above.tolist(), strict=True)),
        _mean_of_different(embeddings, same, int(counts.sum())),
    )


def upper_blocks(embeddings: Tensor, block: tuple[int, int] = BLOCK) -> Iterator[tuple[int, int, np.ndarray]]:
    """Yields first row, first column and similarities [b, c] of the blocks that hold a pair i < j.

    A block's memory is used again for the next one.
    """
    rows, columns = block
    memory = embeddings.new_empty(rows * columns)
    for row in range(0, len(embeddings), rows):
        some = embeddings[row : row + rows]
        for column in range(row // columns * columns, len(embeddings), columns):
            others = embeddings[column : column + columns]
            product = memory[: len(some) * len(others)].view(len(some), len(others))
            torch.mm(some, others.T, out=product)
            yield row, column, product.cpu().numpy()


def _counted(part: tuple) -> tuple[np.ndarray, np.ndarray]:
    """Histogram and counts above thresholds of some rows of a block; the pairs of one person go to `same`."""
    similarity, row, column, ends, offsets, bins, limits, same = part
    tables = np.zeros((TURNS, bins.count + 2), np.int64)  # rounding may leave the range: by a bin at most
    _count(similarity, row, column, ends, bins.low - bins.width, 1 / bins.width, tables)
    _copy_same(similarity, row, column, ends, offsets, same)
    counts = tables.sum(0)
    counts[1] += counts[0]
    counts[-2] += counts[-1]
    return counts[1:-1], np.array(
        [_above(similarity, row, column, ends, limit) for limit in limits], np.int64
    )


@numba.njit(nogil=True, error_model="numpy")
def _count(
    similarity: np.ndarray,
    row: int,
    column: int,
    ends: np.ndarray,
    low: float,
    per_unit: float,
    tables: np.ndarray,
) -> None:
    """Count the pairs of two people into bins, neighbours in turns into one of four tables."""
    width = similarity.shape[1]
    for r in range(similarity.shape[0]):
        values = similarity[r]
        c = max(ends[row + r] - column, 0)
        while c + 4 <= width:
            tables[0, int((values[c] - low) * per_unit)] += 1
            tables[1, int((values[c + 1] - low) * per_unit)] += 1
            tables[2, int((values[c + 2] - low) * per_unit)] += 1
            tables[3, int((values[c + 3] - low) * per_unit)] += 1
            c += 4
        while c < width:
            tables[0, int((values[c] - low) * per_unit)] += 1
            c += 1


def _above(similarity: np.ndarray, row: int, column: int, ends: np.ndarray, limit: np.float32) -> int:
    """How many pairs of two people lie strictly above a limit."""
    # Right of the last row's person every pair is of two people, and NumPy counts whole blocks fastest.
    clear = min(max(ends[row + len(similarity) - 1] - column, 0), similarity.shape[1])
    whole = np.count_nonzero(similarity[:, clear:] > limit)
    return whole + _above_beside_same(similarity[:, :clear], row, column, ends, limit)


@numba.njit(nogil=True)
def _above_beside_same(similarity: np.ndarray, row: int, column: int, ends: np.ndarray, limit: float) -> int:
    """The same where some pairs are of one person, or are counted elsewhere."""
    total = 0
    for r in range(similarity.shape[0]):
        for c in range(max(ends[row + r] - column, 0), similarity.shape[1]):
            total += similarity[r, c] > limit
    return total


@numba.njit(nogil=True)
def _copy_same(
    similarity: np.ndarray, row: int, column: int, ends: np.ndarray, offsets: np.ndarray, same: np.ndarray
) -> None:
    """Copy the pairs of one person, each to its place."""
    for r in range(similarity.shape[0]):
        i = row + r
        for j in range(max(i + 1, column), min(ends[i], column + similarity.shape[1])):
            same[offsets[i] + j - i - 1] = similarity[r, j - column]


def _parts(rows: int, count: int) -> list[slice]:
    size = -(-rows // count)
    return [slice(start, min(start + size, rows)) for start in range(0, rows, size)]


def _mean_of_different(embeddings: Tensor, same: np.ndarray, count: int) -> float:
    """From sums of vectors: all pairs' cosines add up to half of |sum|^2 less the photographs' own."""
    if count == 0:
        return float("nan")
    total, own = embeddings.sum(0, dtype=torch.float64), 0.0
    for some in embeddings.split(BLOCK[0]):
        own += float(some.double().square().sum())
    everything = (float(total @ total) - own) / 2
    return (everything - float(same.sum(dtype=np.float64))) / count


def _check(embeddings: Tensor, identity: np.ndarray) -> None:
    if embeddings.ndim != 2 or len(embeddings) != len(identity) or embeddings.dtype != torch.float32:
        raise ValueError(
            f"expected float32 embeddings [N, D] and a person for each, got {embeddings.dtype} "
            f"{list(embeddings.shape)} and {len(identity)} people"
        )
    for some in embeddings.split(BLOCK[0]):
        if not bool((some.norm(dim=1) - 1).abs().max() < 1e-3):
            raise ValueError("embeddings must be finite and of unit length; normalise, leave failures out")
