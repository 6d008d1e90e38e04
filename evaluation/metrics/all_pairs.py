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
        thresholds: whose exact share of different-person pairs above is wanted.
        bins: of the histogram; they must hold [-1, 1].
        block: rows and columns compared at a time.

    Raises:
        ValueError: if embeddings are not of unit length, their number is not that of the people, or the bins
            do not hold all cosines.
    """
    _check(embeddings, identity, bins)
    order = np.argsort(identity, kind="stable")
    people = np.asarray(identity)[order]
    ends = np.searchsorted(people, people, "right")
    if (order[1:] < order[:-1]).any():
        embeddings = embeddings[torch.from_numpy(order).to(embeddings.device)]
    offsets = np.concatenate([[0], np.cumsum(ends - np.arange(len(ends)) - 1)])
    same = np.empty(offsets[-1], np.float32)
    limits, threads = np.array(thresholds, np.float32), torch.get_num_threads()
    counts = np.zeros((threads, TURNS, bins.count), np.int64)
    above = np.zeros((threads, len(limits)), np.int64)
    with ThreadPoolExecutor(threads) as pool:
        each = pool.map if threads > 1 else map  # waking one other thread a block costs more than it counts
        for row, column, similarity in upper_blocks(embeddings, block):
            tasks = [
                (similarity[part], row + part.start, column, ends, offsets, bins.low, 1 / bins.width, limits,
                 same, counts[thread], above[thread])
                for thread, part in enumerate(_parts(len(similarity), threads))
            ]  # fmt: skip
            for _ in each(lambda task: _tally(*task), tasks):
                pass
    different = counts.sum((0, 1))
    return PairDistributions(
        same,
        different,
        dict(zip(map(float, thresholds), above.sum(0).tolist(), strict=True)),
        _mean_of_different(embeddings, same, int(different.sum())),
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


@numba.njit(nogil=True, error_model="numpy")
def _tally(
    similarity: np.ndarray,
    row: int,
    column: int,
    ends: np.ndarray,
    offsets: np.ndarray,
    low: float,
    bins_per_unit: float,
    limits: np.ndarray,
    same: np.ndarray,
    counts: np.ndarray,
    above: np.ndarray,
) -> None:
    """Add some rows of a block to `same`, `counts` and `above`, each row while it is in the cache."""
    width = similarity.shape[1]
    bin_of = np.empty(width, np.uint32)
    for r in range(similarity.shape[0]):
        values, i = similarity[r], row + r
        # Photographs are sorted by person: first those that came before, then i's person, then other people.
        others = min(max(ends[i] - column, 0), width)
        for c in range(max(i + 1 - column, 0), others):
            same[offsets[i] + column + c - i - 1] = values[c]
        _count(values[others:], low, bins_per_unit, bin_of, counts)
        for t in range(len(limits)):
            above[t] += _above(values[others:], limits[t])


@numba.njit(nogil=True, error_model="numpy")
def _count(
    values: np.ndarray, low: float, bins_per_unit: float, bin_of: np.ndarray, counts: np.ndarray
) -> None:
    """Count values into bins [TURNS, bins]: first all their bins, in vector instructions, then one by one."""
    last = np.int32(counts.shape[1] - 1)
    for c in range(len(values)):
        # Rounding may leave the range.
        bin_of[c] = min(max(np.int32((values[c] - low) * bins_per_unit), np.int32(0)), last)
    whole = len(values) // TURNS * TURNS
    for c in range(0, whole, TURNS):
        for turn in range(TURNS):
            counts[turn, bin_of[c + turn]] += 1
    for c in range(whole, len(values)):
        counts[0, bin_of[c]] += 1


@numba.njit(nogil=True)
def _above(values: np.ndarray, limit: np.float32) -> np.int32:
    """How many values lie strictly above a limit."""
    total = np.int32(0)
    for c in range(len(values)):
        total += np.int32(values[c] > limit)
    return total


def _parts(rows: int, count: int) -> list[slice]:
    size = -(-rows // count)
    return [slice(start, min(start + size, rows)) for start in range(0, rows, size)]


def _mean_of_different(embeddings: Tensor, same: np.ndarray, count: int) -> float:
    """From sums of vectors: all pairs' cosines add up to half of |sum|^2 less the photographs' own."""
    if count == 0:
        return float("nan")
    total, own = torch.zeros_like(embeddings[0], dtype=torch.float64), 0.0
    for some in embeddings.split(BLOCK[0]):  # a sum in float64 copies what it adds up
        total += some.sum(0, dtype=torch.float64)
        own += float(some.double().square().sum())
    everything = (float(total @ total) - own) / 2
    return (everything - float(same.sum(dtype=np.float64))) / count


def _check(embeddings: Tensor, identity: np.ndarray, bins: Bins) -> None:
    if bins.low > -1 or bins.high < 1:
        raise ValueError(f"expected bins that hold all cosines, [-1, 1], got [{bins.low:g}, {bins.high:g}]")
    if embeddings.ndim != 2 or len(embeddings) != len(identity) or embeddings.dtype != torch.float32:
        raise ValueError(
            f"expected float32 embeddings [N, D] and a person for each, got {embeddings.dtype} "
            f"{list(embeddings.shape)} and {len(identity)} people"
        )
    for some in embeddings.split(BLOCK[0]):
        if not bool((some.norm(dim=1) - 1).abs().max() < 1e-3):
            raise ValueError("embeddings must be finite and of unit length; normalise, leave failures out")
