"""The k nearest photographs of each query: exact, block by block, for galleries of any size."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numba
import numpy as np
import torch
from torch import Tensor

BLOCK = (256, 4096)
# Values that are compared with the k-th best at once; few of them hold a better one.
STRETCH = 256


class Nearest(NamedTuple):
    """The nearest photographs of each query, the nearest first.

    Attributes:
        index: [Q, k], in the gallery.
        similarity: [Q, k].
    """

    index: np.ndarray  # type: ignore[assignment]  # takes the place of tuple.index
    similarity: np.ndarray


def nearest(
    queries: Tensor,
    gallery: Tensor,
    k: int,
    *,
    left_out: np.ndarray | None = None,
    block: tuple[int, int] = BLOCK,
) -> Nearest:
    """The k gallery photographs with the largest dot product; of equal ones, those of lower index.

    Memory beyond the embeddings is one block and the result.

    Args:
        queries: [Q, D], float32; of unit length where cosines are meant.
        gallery: [G, D].
        k: how many; at most G, or G - 1 where sources are left out.
        left_out: [Q], a gallery photograph that each query ignores, such as its source; None ignores none.
        block: queries and gallery photographs compared at a time.

    Raises:
        ValueError: if k is too large, an embedding is not finite, or what a query ignores is no photograph
            of the gallery.
    """
    available = len(gallery) - (left_out is not None)
    if not 1 <= k <= available:
        raise ValueError(f"k must be between 1 and the {available} photographs of the gallery, got {k}")
    for name, embeddings in (("queries", queries), ("gallery", gallery)):
        if not all_finite(embeddings):
            raise ValueError(f"the embeddings of the {name} are not all finite; leave failures out")
    index = np.full((len(queries), k), -1, np.int64)
    similarity = np.full((len(queries), k), -np.inf, np.float32)
    ignored = (
        np.full(len(queries), -1)
        if left_out is None
        else check_left_out(left_out, len(queries), len(gallery))
    )
    threads = torch.get_num_threads()
    with ThreadPoolExecutor(threads) as pool:
        each = pool.map if threads > 1 else map  # waking one other thread a block costs more than the merge
        for first, column, values in all_blocks(queries, gallery, block):
            tasks = [
                (values[part.start - first : part.stop - first], column, ignored[part], index[part],
                 similarity[part])
                for part in _parts(first, len(values), threads)
            ]  # fmt: skip
            for _ in each(lambda task: _merge(*task), tasks):
                pass
    return Nearest(index, similarity)


def check_left_out(left_out: np.ndarray, queries: int, photographs: int) -> np.ndarray:
    """The gallery index [Q] of what each query ignores.

    A negative one, which NumPy counts from the end, would leave a query's own photograph in.

    Raises:
        ValueError: if it is no such index for each query.
    """
    places = np.asarray(left_out)
    right = places.shape == (queries,) and (places.size == 0 or np.issubdtype(places.dtype, np.integer))
    if not right or not ((places >= 0) & (places < photographs)).all():
        among = f" from {places.min()} to {places.max()}" if places.size else ""
        raise ValueError(
            f"left_out must hold a gallery index, 0 to {photographs - 1}, for each of {queries} queries, got "
            f"{places.dtype} {list(places.shape)}{among}"
        )
    return places.astype(np.int64)


def all_blocks(
    queries: Tensor, gallery: Tensor, block: tuple[int, int] = BLOCK
) -> Iterator[tuple[int, int, np.ndarray]]:
    """Yields first query, first gallery photograph and dot products [q, g], block by block.

    A block's memory is used again for the next one.
    """
    rows, columns = block
    memory = gallery.new_empty(rows * columns)
    for first in range(0, len(queries), rows):
        some = queries[first : first + rows]
        for column in range(0, len(gallery), columns):
            others = gallery[column : column + columns]
            product = memory[: len(some) * len(others)].view(len(some), len(others))
            torch.mm(some, others.T, out=product)
            yield first, column, product.cpu().numpy()


def all_finite(embeddings: Tensor) -> bool:
    """Whether every value is finite, without a mask or a copy of the embeddings' size."""
    return len(embeddings) == 0 or bool(torch.stack(embeddings.aminmax()).isfinite().all())


def _parts(first: int, rows: int, count: int) -> list[slice]:
    """`rows` queries from the first on, split evenly."""
    size = -(-rows // count)
    return [slice(start, min(start + size, first + rows)) for start in range(first, first + rows, size)]


@numba.njit(nogil=True)
def _merge(
    values: np.ndarray, column: int, ignored: np.ndarray, index: np.ndarray, similarity: np.ndarray
) -> None:
    """Insert a block's values into the sorted lists of the best so far, in place."""
    count, k = values.shape[1], index.shape[1]
    for r in range(values.shape[0]):
        row = values[r]
        for start in range(0, count, STRETCH):
            end = min(start + STRETCH, count)
            worst = similarity[r, k - 1]
            better = np.int32(0)
            for c in range(start, end):
                better += np.int32(row[c] > worst)
            if better == 0:
                continue
            for c in range(start, end):
                if row[c] > similarity[r, k - 1] and column + c != ignored[r]:
                    place = k - 1
                    while place > 0 and row[c] > similarity[r, place - 1]:
                        similarity[r, place] = similarity[r, place - 1]
                        index[r, place] = index[r, place - 1]
                        place -= 1
                    similarity[r, place] = row[c]
                    index[r, place] = column + c
