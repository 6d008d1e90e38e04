from itertools import pairwise

import numpy as np
import pytest
import torch
from scipy import stats

from evaluation.metrics.group_means import GroupComparison, compare_groups
from evaluation.metrics.grouping import NO_LABEL, Grouping


def groups_of(*sizes: int, rest: bool = False) -> Grouping:
    names = [f"g{number}" for number in range(len(sizes))]
    if rest:
        names[-1] = NO_LABEL
    return Grouping("kind", tuple(names), np.repeat(np.arange(len(sizes)), sizes))


def compare(
    values: np.ndarray, groups: Grouping, identity: np.ndarray | None = None, **more: object
) -> GroupComparison:
    identity = np.arange(len(values)) if identity is None else identity
    return compare_groups(values, groups, identity, torch.Generator().manual_seed(0), **more)


def test_means_counts_people_and_missing_values_by_hand() -> None:
    values = np.array([1.0, 3.0, np.nan, 5.0, 7.0, 9.0])
    found = compare(values, groups_of(3, 3), np.array([0, 0, 1, 2, 2, 3]), least_people=2)
    first, second = found.means
    assert (first.value, first.count, first.people, first.missing) == (2.0, 2, 1, 1)
    assert (second.value, second.count, second.people, second.missing) == (7.0, 3, 2, 0)
    assert first.interval is None  # one person
    assert second.interval == (6.0, 9.0)  # resampled people give 6, 7 or 9
    assert found.compared.tolist() == [False, True]
    assert found.largest is None


def test_intervals_agree_with_the_normal_ones() -> None:
    values = np.random.default_rng(0).normal(size=800)
    found = compare(values, groups_of(400, 400))
    for part, mean in zip(np.split(values, 2), found.means, strict=True):
        error = part.std(ddof=1) / 20
        assert mean.value == pytest.approx(part.mean())
        assert mean.interval == pytest.approx(
            (part.mean() - 1.96 * error, part.mean() + 1.96 * error), abs=0.1 * error * 1.96
        )


def test_of_two_groups_the_difference_has_welch_s_interval() -> None:
    chance = np.random.default_rng(1)
    low, high = chance.normal(0, 1, 300), chance.normal(1, 2, 400)
    largest = compare(np.r_[low, high], groups_of(300, 400)).largest
    assert (largest.higher, largest.lower) == (1, 0)
    assert largest.value == pytest.approx(high.mean() - low.mean())
    welch = stats.ttest_ind(high, low, equal_var=False).confidence_interval()
    assert largest.interval == pytest.approx((welch.low, welch.high), abs=0.03)


def test_a_person_s_items_are_drawn_together() -> None:
    values = np.random.default_rng(2).normal(size=100)
    ten_times = np.repeat(values, 10)
    alone = compare(values, groups_of(100))
    together = compare(ten_times, groups_of(1000), np.repeat(np.arange(100), 10))
    assert together.means[0].interval == pytest.approx(alone.means[0].interval)
    assert together.means[0].people == 100


def test_what_a_person_adds_to_both_groups_leaves_their_difference() -> None:
    person = np.random.default_rng(3).normal(0, 5, 200)
    values = np.r_[person, person + 0.5]
    identity = np.tile(np.arange(200), 2)
    largest = compare(values, groups_of(200, 200), identity).largest
    assert largest.interval == pytest.approx((0.5, 0.5), abs=1e-6)
    apart = compare(values, groups_of(200, 200)).largest
    assert apart.interval[0] < 0 < apart.interval[1]


def test_small_groups_and_the_rest_are_shown_but_not_compared() -> None:
    values = np.r_[np.zeros(20) + np.arange(20) % 2, np.ones(20), np.full(5, 100.0), np.full(30, -100.0)]
    found = compare(values, groups_of(20, 20, 5, 30, rest=True), least_people=10)
    assert [mean.value for mean in found.means] == [0.5, 1.0, 100.0, -100.0]
    assert found.compared.tolist() == [True, True, False, False]
    assert (found.largest.higher, found.largest.lower, found.largest.value) == (1, 0, 0.5)


def test_a_group_whose_values_are_all_the_same_has_no_interval() -> None:
    found = compare(np.r_[np.zeros(5), np.arange(5.0)], groups_of(5, 5))
    assert found.means[0].interval is None
    assert found.means[1].interval is not None


def test_constant_groups_differ_without_doubt() -> None:
    largest = compare(np.r_[np.zeros(10), np.ones(10)], groups_of(10, 10)).largest
    assert (largest.value, largest.interval) == (1.0, (1.0, 1.0))


def test_among_many_equal_groups_the_largest_difference_is_rarely_taken_for_real() -> None:
    """Of ten equal groups the farthest two; an interval of that pair alone would miss 0 in most trials."""
    wrong = alone = 0
    for seed in range(60):
        values = np.random.default_rng(seed).normal(size=400)
        largest = compare(values, groups_of(*[40] * 10), repeats=400).largest
        wrong += largest.interval[0] > 0
        parts = np.split(values, 10)
        alone += stats.ttest_ind(parts[largest.higher], parts[largest.lower]).pvalue < 0.05
    assert wrong <= 8  # about 3 are expected
    assert alone > 25


def test_more_people_give_narrower_intervals() -> None:
    chance = np.random.default_rng(4)
    widths = []
    for size in (20, 80, 320):
        found = compare(chance.normal(size=2 * size), groups_of(size, size))
        widths.append(np.ptp(found.largest.interval))
    assert all(wide > 1.5 * narrow for wide, narrow in pairwise(widths))


def test_a_group_without_any_value_has_no_mean() -> None:
    found = compare(np.array([1.0, 2.0, np.nan]), groups_of(2, 1))
    assert np.isnan(found.means[1].value)
    assert found.means[1].missing == 1


@pytest.mark.parametrize(
    ("values", "message"),
    [(np.ones(2), "expected a group and a person for each of 2 values, got 3 and 2"),
     (np.full(3, np.nan), "none of 3 items has a value")],
)  # fmt: skip
def test_what_cannot_be_compared_is_refused(values: np.ndarray, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        compare(values, groups_of(3))
