"""Means of groups with intervals over people, and the largest difference between any two of them."""

from itertools import combinations
from typing import NamedTuple

import numpy as np
import torch

from .grouping import Grouping

# A group of fewer people is shown but not compared: a bootstrap of so few is too sure of itself.
LEAST_PEOPLE = 10
LEVEL = 0.95
AT_ONCE = 100  # samples of people


class GroupMean(NamedTuple):
    """The mean of one group.

    Attributes:
        value: NaN where it has no value.
        interval: of 95 %, people resampled; None where that says nothing: for fewer than two people, or where
            all have the same value, such as no hit.
        count: of values.
        people: that they belong to.
        missing: items of the group without a value.
    """

    value: float
    interval: tuple[float, float] | None
    count: int  # type: ignore[assignment]  # takes the place of tuple.count
    people: int
    missing: int


class LargestDifference(NamedTuple):
    """The two groups that lie farthest apart.

    Attributes:
        higher: the group with the higher mean.
        lower: the other one.
        value: the difference of their means.
        interval: of 95 %, for all pairs at once: that the pair was chosen for its difference is allowed for.
    """

    higher: int
    lower: int
    value: float
    interval: tuple[float, float]


class GroupComparison(NamedTuple):
    """All groups of one label.

    Attributes:
        means: [G].
        compared: [G], whether a group is large enough and no rest.
        largest: None where fewer than two groups are compared.
    """

    means: list[GroupMean]
    compared: np.ndarray
    largest: LargestDifference | None


def compare_groups(
    values: np.ndarray,
    groups: Grouping,
    identity: np.ndarray,
    generator: torch.Generator,
    *,
    least_people: int = LEAST_PEOPLE,
    repeats: int = 2000,
) -> GroupComparison:
    """Every group's mean, and the largest difference between two groups.

    People are drawn with all of their items, whichever groups these lie in: a person's photographs are not
    independent, and may be of several groups.

    Args:
        values: [N], of the items; NaN where one has none.
        groups: of the items.
        identity: [N], the person of each.
        generator: draws people.
        least_people: groups of fewer are not compared.
        repeats: how many samples are drawn.

    Raises:
        ValueError: if the lengths differ, or no item has a value.
    """
    values, identity = np.asarray(values, np.float64), np.asarray(identity)
    if not len(values) == len(groups.group) == len(identity):
        raise ValueError(
            f"expected a group and a person for each of {len(values)} values, got {len(groups.group)} and "
            f"{len(identity)}"
        )
    known = np.isfinite(values)
    if not known.any():
        raise ValueError(f"none of {len(values)} items has a value, so there is nothing to compare")
    number, group = len(groups.names), groups.group[known]
    person = np.unique(identity[known], return_inverse=True)[1]
    sums, counts = np.zeros((2, person.max() + 1, number))
    np.add.at(sums, (person, group), values[known])
    np.add.at(counts, (person, group), 1)
    drawn = _resampled_means(sums, counts, generator, repeats)
    people = (counts > 0).sum(0)
    missing = np.bincount(groups.group[~known], minlength=number)
    means = [
        GroupMean(
            float(sums[:, g].sum() / counts[:, g].sum()) if people[g] else float("nan"),
            _interval(drawn[:, g]) if people[g] > 1 else None,
            int(counts[:, g].sum()), int(people[g]), int(missing[g]),
        )
        for g in range(number)
    ]  # fmt: skip
    compared = groups.labelled & (people >= max(2, least_people))
    return GroupComparison(means, compared, _largest(means, drawn, np.flatnonzero(compared)))


def _resampled_means(
    sums: np.ndarray, counts: np.ndarray, generator: torch.Generator, repeats: int
) -> np.ndarray:
    """Means [repeats, G] over people drawn with replacement, given their sums and counts [P, G].

    NaN where a sample has nobody of a group.
    """
    people, parts = len(sums), []
    for start in range(0, repeats, AT_ONCE):
        some = min(AT_ONCE, repeats - start)
        drawn = torch.randint(people, (some, people), generator=generator).numpy()
        places = drawn + people * np.arange(some)[:, None]
        times = np.bincount(places.ravel(), minlength=some * people).reshape(some, people).astype(float)
        total, count = times @ sums, times @ counts
        parts.append(np.divide(total, count, out=np.full_like(total, np.nan), where=count > 0))
    return np.concatenate(parts)


def _interval(drawn: np.ndarray) -> tuple[float, float] | None:
    drawn = drawn[np.isfinite(drawn)]
    if not len(drawn):
        return None
    low, high = np.quantile(drawn, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return (float(low), float(high)) if np.ptp(drawn) > 0 else None


def _largest(means: list[GroupMean], drawn: np.ndarray, compared: np.ndarray) -> LargestDifference | None:
    """The largest difference with its share of a band that holds all pairs' true differences at once.

    The band's width is a number of standard errors that the largest of all pairs' standardised deviations
    stays below in 95 % of the samples (Westfall and Young 1993).
    """
    if len(compared) < 2:
        return None
    pairs = list(combinations(compared.tolist(), 2))
    values = np.array([means[one].value - means[other].value for one, other in pairs])
    samples = np.stack([drawn[:, one] - drawn[:, other] for one, other in pairs], 1)
    deviations = samples[np.isfinite(samples).all(1)] - values
    errors = deviations.std(0)
    standardised = np.divide(
        np.abs(deviations), errors, out=np.zeros_like(deviations), where=errors > 1e-12 * np.abs(values).max()
    )
    factor = float(np.quantile(standardised.max(1), LEVEL))
    place = int(np.abs(values).argmax())
    one, other = pairs[place]
    higher, lower = (one, other) if values[place] >= 0 else (other, one)
    value, spread = abs(float(values[place])), factor * float(errors[place])
    return LargestDifference(higher, lower, value, (value - spread, value + spread))
