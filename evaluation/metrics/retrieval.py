"""Retrieval: whether a query's nearest gallery photographs show its person.

Only the wrong photographs that lie before the best right one matter: with fewer than k of them the query is
found among its k nearest. Wrong photographs that tie with it are counted as lying before it (pessimistic,
`found`), or shared out as a random order would (`expected_found`).
"""

from typing import NamedTuple

import numpy as np
import torch
from scipy.special import gammaln
from torch import Tensor
from torch.nn import functional

from .nearest import all_finite, check_left_out

# Two products of one float32 pair of unit embeddings differ by less, so duplicates tie.
TIE_TOLERANCE = 1e-6


class Ranks(NamedTuple):
    """Where the best right photograph of each query stands.

    Attributes:
        ahead: [Q], wrong photographs with a larger similarity than the best right one.
        tied_wrong: [Q], wrong photographs with the same similarity.
        tied_right: [Q], right ones with it, at least 1; 0 where the gallery has no photograph of the person.
    """

    ahead: np.ndarray
    tied_wrong: np.ndarray
    tied_right: np.ndarray

    @property
    def findable(self) -> np.ndarray:
        """[Q], whether the gallery has a photograph of the query's person (beside a source left out)."""
        return self.tied_right > 0

    def of(self, chosen: np.ndarray) -> "Ranks":
        """Those of some queries, by index or mask."""
        return Ranks(*(field[chosen] for field in self))


class Chance(NamedTuple):
    """What a random order of the gallery finds among k photographs.

    Attributes:
        per_photograph: the mean probability that one of k photographs, drawn without replacement, is right.
        per_identity: k / people, the paper's row "random" (Genova et al. 2018, Table 3).
    """

    per_photograph: float
    per_identity: float


def rank(
    similarity: np.ndarray,
    query_identity: np.ndarray,
    gallery_identity: np.ndarray,
    *,
    left_out: np.ndarray | None = None,
    tie_tolerance: float = 0.0,
) -> Ranks:
    """The ranks of queries, given their similarity to the whole gallery.

    Args:
        similarity: [Q, G].
        query_identity: [Q], person of each query.
        gallery_identity: [G], person of each gallery photograph.
        left_out: [Q], the gallery index of each query's source photograph, which is then ignored; None keeps
            it in the gallery, as the paper does.
        tie_tolerance: similarities that differ by no more are tied.

    Raises:
        ValueError: if shapes disagree, a similarity is not finite, or a source shows another person or is
            no photograph of the gallery.
    """
    similarity = np.asarray(similarity)
    query_identity, gallery_identity = np.asarray(query_identity), np.asarray(gallery_identity)
    expected = (len(query_identity), len(gallery_identity))
    if similarity.shape != expected:
        raise ValueError(f"similarity must be {list(expected)}, got {list(similarity.shape)}")
    if not np.isfinite(similarity).all():
        raise ValueError(
            f"{(~np.isfinite(similarity)).sum()} similarities are not finite; leave failures out"
        )
    _check_sources(left_out, query_identity, gallery_identity)
    if similarity.size == 0:
        return _nothing_near(len(query_identity))
    same = query_identity[:, None] == gallery_identity
    right = same.copy()
    if left_out is not None:
        right[np.arange(len(right)), left_out] = False
    best = np.where(right, similarity, -np.inf).max(1, keepdims=True)
    ahead = ~same & (similarity > best + tie_tolerance)
    tied = similarity >= best - tie_tolerance
    return Ranks(ahead.sum(1), (tied & ~same & ~ahead).sum(1), (tied & right).sum(1))


def rank_in_blocks(
    queries: Tensor,
    gallery: Tensor,
    query_identity: np.ndarray,
    gallery_identity: np.ndarray,
    *,
    left_out: np.ndarray | None = None,
    tie_tolerance: float = TIE_TOLERANCE,
    block: tuple[int, int] = (256, 4096),
) -> Ranks:
    """`rank` for galleries whose similarities do not fit into memory: exact, block by block.

    The right photographs' similarities are computed first, from the pairs alone; each block is then only
    compared with them.

    Args:
        queries: [Q, D], of unit length (or centred as wanted; their dot product is the similarity).
        gallery: [G, D].
        query_identity: [Q].
        gallery_identity: [G].
        left_out: see `rank`.
        tie_tolerance: see `rank`; must cover the rounding of a dot product.
        block: queries and gallery photographs compared at a time; as large as fits into the cache.

    Raises:
        ValueError: if lengths or widths disagree, an embedding is not finite, or a source shows another
            person or is no photograph of the gallery.
    """
    query_identity, gallery_identity = np.asarray(query_identity), np.asarray(gallery_identity)
    if (len(queries), len(gallery)) != (len(query_identity), len(gallery_identity)):
        raise ValueError(
            f"expected a person for each of {len(queries)} queries and {len(gallery)} photographs, got "
            f"{len(query_identity)} and {len(gallery_identity)}"
        )
    for name, embeddings in (("queries", queries), ("gallery", gallery)):
        if not all_finite(embeddings):
            raise ValueError(f"the embeddings of the {name} are not all finite; leave failures out")
    if queries.shape[1:] != gallery.shape[1:]:
        raise ValueError(
            f"queries must be as wide as the gallery, got {list(queries.shape)} and {list(gallery.shape)}; "
            "embed both by one network"
        )
    _check_sources(left_out, query_identity, gallery_identity)
    if len(queries) == 0:
        return _nothing_near(0)
    order = np.argsort(gallery_identity, kind="stable")
    starts, ends = (
        np.searchsorted(gallery_identity[order], query_identity, side) for side in ("left", "right")
    )
    parts = []
    for first in range(0, len(queries), block[0]):
        chosen = slice(first, first + block[0])
        sources = None if left_out is None else np.asarray(left_out)[chosen]
        pairs = _same_person(order, starts[chosen], ends[chosen])
        parts.append(_rank_block(queries[chosen], gallery, *pairs, sources, tie_tolerance, block[1]))
    return Ranks(*(np.concatenate(field) for field in zip(*parts, strict=True)))


def found(ranks: Ranks, k: int) -> np.ndarray:
    """Whether each query [Q] finds its person among its k nearest, ties counted against it.

    Raises:
        ValueError: if some person has no photograph in the gallery: that is no miss, leave the query out.
    """
    _check_findable(ranks)
    return ranks.ahead + ranks.tied_wrong < k


def expected_found(ranks: Ranks, k: int) -> np.ndarray:
    """The probability [Q] that each query finds its person among its k nearest when ties are shuffled.

    Raises:
        ValueError: see `found`.
    """
    _check_findable(ranks)
    places = np.maximum(k - ranks.ahead, 0)
    return np.where(places > 0, 1 - _none_right(ranks.tied_wrong, ranks.tied_right, places), 0.0)


def cumulative_match(ranks: Ranks, largest: int) -> np.ndarray:
    """The share of queries found among k photographs, for k = 1 to `largest` [largest]: the CMC curve."""
    return np.array([found(ranks, k).mean() for k in range(1, largest + 1)])


def chance(
    query_identity: np.ndarray, gallery_identity: np.ndarray, k: int, *, source_left_out: bool = False
) -> Chance:
    """What chance finds; queries whose person the gallery lacks are left out.

    Args:
        query_identity: [Q].
        gallery_identity: [G].
        k: how many photographs are looked at.
        source_left_out: whether each query's own photograph is taken out of the gallery.

    Raises:
        ValueError: if the gallery shows none of the queries' people, or k is less than 1.
    """
    if k < 1:
        raise ValueError(f"k must be at least 1, got {k}; nothing is found among no photographs")
    if len(gallery_identity) == 0:
        raise ValueError("the gallery shows none of the queries' people: it is empty")
    people, photographs = np.unique(gallery_identity, return_counts=True)
    place = np.searchsorted(people, query_identity).clip(max=len(people) - 1)
    right = np.where(people[place] == query_identity, photographs[place], 0) - source_left_out
    right = right[right > 0]
    if len(right) == 0:
        raise ValueError("the gallery shows none of the queries' people")
    size = len(gallery_identity) - source_left_out
    return Chance(float((1 - _none_right(size - right, right, k)).mean()), min(1.0, k / len(people)))


def centred_by_own_mean(embeddings: Tensor) -> Tensor:
    """Unit embeddings [N, D] around their own mean, of unit length again.

    For queries and gallery each by itself: a labelled column of its own, never the plain one. It takes out
    the hubs that are near everything, but it uses the test set, and the offset of renderings from
    photographs that it removes is a fault of the renderings.
    """
    units = functional.normalize(embeddings, dim=1)
    return functional.normalize(units - units.mean(0), dim=1)


def _rank_block(
    queries: Tensor,
    gallery: Tensor,
    row: np.ndarray,
    column: np.ndarray,
    sources: np.ndarray | None,
    tie_tolerance: float,
    width: int,
) -> Ranks:
    """The ranks of some queries; `row` and `column` [P] are all pairs that show one person."""
    count = len(queries)
    best, tied_right = np.full(count, -np.inf), np.zeros(count, np.int64)
    is_right = np.full(len(row), True) if sources is None else column != sources[row]
    scores = np.concatenate(
        [np.empty(0)]
        + [
            (queries[row[part]] * gallery[column[part]]).sum(1).cpu().double().numpy()
            for part in (slice(start, start + width) for start in range(0, len(row), width))
        ]
    )
    np.maximum.at(best, row[is_right], scores[is_right])
    np.add.at(tied_right, row[is_right & (scores >= best[row] - tie_tolerance)], 1)
    threshold = torch.from_numpy(best).to(queries)[:, None]
    ahead, at_least = np.zeros(count, np.int64), np.zeros(count, np.int64)
    order = np.argsort(column, kind="stable")
    row, column = row[order], column[order]
    for start in range(0, len(gallery), width):
        similarity = queries @ gallery[start : start + width].T
        inside = slice(*np.searchsorted(column, [start, start + width]))
        similarity[row[inside], column[inside] - start] = torch.nan  # never counted: comparisons are false
        tied_or_ahead = _count(similarity >= threshold - tie_tolerance)
        at_least += tied_or_ahead
        # Most queries have nothing near in most blocks.
        some = np.flatnonzero(tied_or_ahead)
        ahead[some] += _count(similarity[some] > threshold[some] + tie_tolerance)
    return Ranks(ahead, at_least - ahead, tied_right)


def _nothing_near(queries: int) -> Ranks:
    """The ranks of queries without a gallery, or of none."""
    return Ranks(*np.zeros((3, queries), np.int64))


def _count(mask: Tensor) -> np.ndarray:
    """How many are true in each row; NumPy counts bytes several times as fast as torch sums them."""
    return np.count_nonzero(mask.numpy(), axis=1) if mask.is_cpu else mask.sum(1).cpu().numpy()


def _same_person(order: np.ndarray, starts: np.ndarray, ends: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Row and column [P] of every pair of a query and a gallery photograph of its person."""
    counts = ends - starts
    row = np.repeat(np.arange(len(counts)), counts)
    offset = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
    return row, order[np.repeat(starts, counts) + offset]


def _none_right(wrong: np.ndarray, right: np.ndarray, drawn: np.ndarray | int) -> np.ndarray:
    """The probability that none of `drawn` is right: C(wrong, drawn) / C(wrong + right, drawn)."""
    enough = wrong >= drawn
    left = np.where(enough, wrong - drawn, 0)
    logarithm = gammaln(wrong + 1) - gammaln(left + 1) - gammaln(wrong + right + 1)
    logarithm = logarithm + gammaln(left + right + 1)
    return np.where(enough, np.exp(logarithm), 0.0)


def _check_findable(ranks: Ranks) -> None:
    if not ranks.findable.all():
        raise ValueError(
            f"the gallery shows no photograph of {(~ranks.findable).sum()} queries' people; count them as "
            "failed and take ranks.of(ranks.findable)"
        )


def _check_sources(
    left_out: np.ndarray | None, query_identity: np.ndarray, gallery_identity: np.ndarray
) -> None:
    if left_out is None:
        return
    places = check_left_out(left_out, len(query_identity), len(gallery_identity))
    if not (gallery_identity[places] == query_identity).all():
        raise ValueError("a query's source photograph shows another person; check the gallery indices")
