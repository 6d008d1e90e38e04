"""The project's reporting protocol: renderings of I people against two photographs of each.

Query i is the rendering of person i's first photograph, its source. The gallery [2 I] holds the first and
second photograph of every person, in the queries' order. Two methods are compared paired over people.
"""

from typing import NamedTuple

import numpy as np

from .paired import Difference, Statistic, difference, mean_statistic
from .retrieval import found, rank
from .similarity import area_under_roc, earth_movers_distance, leave_one_out_distances


class PhotographPairs(NamedTuple):
    """Similarities between photographs, which the renderings' are held against.

    Attributes:
        same: [S], pairs of one person.
        different: [D], pairs of two people.
    """

    same: np.ndarray
    different: np.ndarray


class Scores(NamedTuple):
    """One method under the protocol; each with what it is without each person.

    Attributes:
        area_under_roc: a query against its source photograph and the photographs of all others: rendering and
            photograph against shuffled pairs.
        area_under_roc_both: against both photographs of its person and those of all others.
        mean_same: similarity of a query to both photographs of its person.
        mean_different: to those of all others.
        top1: share of queries whose nearest photograph shows their person, the source in the gallery.
        top5: one of the five nearest.
        top1_without_source: with each query's source left out of its gallery.
        top5_without_source: likewise.
        distance_to_same: Earth Mover's Distance from the queries' similarities to their person's photographs
            to photograph pairs of one person.
        distance_to_different: to photograph pairs of two people.
    """

    area_under_roc: Statistic
    area_under_roc_both: Statistic
    mean_same: Statistic
    mean_different: Statistic
    top1: Statistic
    top5: Statistic
    top1_without_source: Statistic
    top5_without_source: Statistic
    distance_to_same: Statistic
    distance_to_different: Statistic


class Hits(NamedTuple):
    """Whether each query finds its person, ties counted against it.

    Attributes:
        top1: [I], the source in the gallery.
        top5: [I].
        top1_without_source: [I], the source left out.
        top5_without_source: [I].
    """

    top1: np.ndarray
    top5: np.ndarray
    top1_without_source: np.ndarray
    top5_without_source: np.ndarray


def photograph_pairs(similarity: np.ndarray) -> PhotographPairs:
    """The pairs of the gallery's own photographs, given their similarities [2 I, 2 I], each pair once."""
    similarity = np.asarray(similarity, np.float64)
    if similarity.ndim != 2 or similarity.shape[0] != similarity.shape[1] or len(similarity) % 2:
        raise ValueError(f"photographs' similarities must be [2 I, 2 I], got {list(similarity.shape)}")
    first, second = np.triu_indices(len(similarity), 1)
    same = first // 2 == second // 2
    values = similarity[first, second]
    return PhotographPairs(values[same], values[~same])


def score(similarity: np.ndarray, photographs: PhotographPairs) -> Scores:
    """All of the protocol's figures for one method.

    Args:
        similarity: [I, 2 I], of each query to the gallery, by a network that was not trained with; at least
            three people.
        photographs: of the same people, see `photograph_pairs`.

    Raises:
        ValueError: if the shape is another, or a similarity is not finite.
    """
    same, different = same_and_different(similarity)
    retrieved = hits(similarity)
    return Scores(
        _area_statistic(same[:, :1], different),
        _area_statistic(same, different),
        mean_statistic(same.mean(1)),
        _mean_of_others(different),
        *(mean_statistic(hit) for hit in retrieved),
        *(
            Statistic(earth_movers_distance(same, pairs), leave_one_out_distances(same, pairs))
            for pairs in photographs
        ),
    )


def hits(similarity: np.ndarray) -> Hits:
    """Top-1 and top-5 of every query, given similarities [I, 2 I]."""
    _check(similarity)
    people = np.arange(len(similarity))
    gallery = np.repeat(people, 2)
    ranks = [rank(similarity, people, gallery, left_out=source) for source in (None, 2 * people)]
    return Hits(*(found(r, k) for r in ranks for k in (1, 5)))


def compare(first: Scores, second: Scores) -> dict[str, Difference]:
    """How far the first method lies above the second in each figure, paired over the same people."""
    return {name: difference(getattr(first, name), getattr(second, name)) for name in Scores._fields}


def same_and_different(similarity: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Similarities to the photographs of one's own person [I, 2], and to those of others.

    The second is [I, I, 2], by query, person and photograph, NaN where the person is the query's own.
    """
    _check(similarity)
    count = len(similarity)
    blocks = np.array(similarity, np.float64).reshape(count, count, 2)
    people = np.arange(count)
    same = blocks[people, people]
    blocks[people, people] = np.nan
    return same, blocks


def _area_statistic(same: np.ndarray, different: np.ndarray) -> Statistic:
    """The area under the ROC, exactly, and without each person as query and in the gallery."""
    count = len(same)
    others = different[~np.isnan(different)]
    # Wins of each value over all values of the other kind; a tie is half a win.
    wins_of_same = _values_below(np.sort(others), same)
    wins_over_different = same.size - _values_below(np.sort(same.ravel()), different)  # NaN stays NaN
    involved = np.nansum(wins_over_different, (1, 2)) + np.nansum(wins_over_different, (0, 2))
    own = np.array(
        [_values_below(np.sort(_involving(different, person)), same[person]).sum() for person in range(count)]
    )
    wins = wins_of_same.sum() - wins_of_same.sum(1) - involved + own
    left = count - 1
    photographs = same.shape[1]
    return Statistic(area_under_roc(same, others), wins / (photographs * left * 2 * left * (left - 1)))


def _mean_of_others(different: np.ndarray) -> Statistic:
    """The mean similarity to other people, without each person as query and in the gallery."""
    count, total = len(different), np.nansum(different)
    involved = np.nansum(different, (1, 2)) + np.nansum(different, (0, 2))
    return Statistic(
        float(total / (2 * count * (count - 1))), (total - involved) / (2 * (count - 1) * (count - 2))
    )


def _involving(different: np.ndarray, person: int) -> np.ndarray:
    values = np.concatenate([different[person].ravel(), different[:, person].ravel()])
    return values[~np.isnan(values)]


def _values_below(ordered: np.ndarray, values: np.ndarray) -> np.ndarray:
    """How many of the ordered values lie below each value, equal ones counted half; NaN for NaN."""
    below = (np.searchsorted(ordered, values, "left") + np.searchsorted(ordered, values, "right")) / 2
    return np.where(np.isnan(values), np.nan, below)


def _check(similarity: np.ndarray) -> None:
    shape = np.shape(similarity)
    if len(shape) != 2 or shape[1] != 2 * shape[0] or shape[0] < 3:
        raise ValueError(
            "similarity must be [I, 2 I], every query against two photographs of each of at least three "
            f"people, got {list(shape)}"
        )
    if not np.isfinite(np.asarray(similarity)).all():
        raise ValueError("a similarity is not finite; leave the person out, with both photographs")
