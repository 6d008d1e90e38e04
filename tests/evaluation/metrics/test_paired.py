import numpy as np
import pytest
import torch
from scipy import stats

from evaluation.metrics.paired import (
    Statistic,
    bootstrap_interval,
    difference,
    jackknife_standard_error,
    mean_and_standard_error,
    mean_statistic,
)


def test_mean_and_error_by_hand() -> None:
    # Squared distances from 3: 4 + 0 + 4; variance 4; error sqrt(4 / 3).
    mean = mean_and_standard_error(np.array([1.0, 3.0, 5.0]))
    assert (mean.value, mean.count) == (3.0, 3)
    assert mean.standard_error == pytest.approx(np.sqrt(4 / 3))


def test_jackknife_of_a_mean_is_the_usual_error() -> None:
    values = np.random.default_rng(0).normal(size=50)
    statistic = mean_statistic(values)
    assert statistic.leave_one_out[7] == pytest.approx(np.delete(values, 7).mean())
    assert statistic.standard_error == pytest.approx(stats.sem(values))


def test_people_with_several_values_are_left_out_whole() -> None:
    # Means without person 5: 9; without person 8: (1 + 3) / 2 = 2. Error: |9 - 2| / 2.
    statistic = mean_statistic(np.array([1.0, 9.0, 3.0]), np.array([5, 8, 5]))
    assert statistic.leave_one_out.tolist() == [9.0, 2.0]
    assert statistic.standard_error == pytest.approx(3.5)


def test_a_difference_of_means_is_the_paired_t_test() -> None:
    generator = np.random.default_rng(1)
    first = generator.normal(size=40)
    second = first + generator.normal(0.2, 0.1, 40)
    found = difference(mean_statistic(first), mean_statistic(second))
    assert found.standard_errors == pytest.approx(stats.ttest_rel(first, second).statistic)
    assert found.value == pytest.approx((first - second).mean())
    assert found.standard_error < stats.sem(first) / 2


def test_constant_differences_have_no_error() -> None:
    values = np.arange(4.0)
    same, higher = mean_statistic(values), mean_statistic(values + 1)
    assert difference(same, same) == (0.0, 0.0, 0.0)
    assert difference(same, higher) == (-1.0, 0.0, -np.inf)


def test_bootstrap_covers_the_mean_as_often_as_it_says() -> None:
    generator = torch.Generator().manual_seed(0)
    samples = np.random.default_rng(2).normal(size=(200, 60))
    intervals = [bootstrap_interval(sample, generator, level=0.9, repeats=300) for sample in samples]
    covered = np.mean([low < 0 < high for low, high in intervals])
    assert covered == pytest.approx(0.9, abs=3 * np.sqrt(0.09 / 200))


def test_bootstrap_takes_other_statistics_and_repeats_with_its_seed() -> None:
    values = np.append(np.ones(20), 1000.0)
    drawn = [
        bootstrap_interval(values, torch.Generator().manual_seed(3), statistic=np.median, repeats=100)
        for _ in range(2)
    ]
    assert drawn == [(1.0, 1.0)] * 2


def test_unusable_values_are_refused() -> None:
    with pytest.raises(ValueError, match="1 values are not finite; leave failed items out"):
        mean_and_standard_error(np.array([1.0, np.nan, 2.0]))
    with pytest.raises(ValueError, match=r"at least 2 values \[N\], got \[1\]"):
        jackknife_standard_error(np.array([1.0]))
    with pytest.raises(ValueError, match="at least two people, got 1"):
        mean_statistic(np.array([1.0, 2.0]), np.array([4, 4]))
    with pytest.raises(ValueError, match="a person for each of 2 values, got 3"):
        mean_statistic(np.array([1.0, 2.0]), np.array([4, 4, 5]))
    with pytest.raises(ValueError, match="the same people, got 2 and 3"):
        difference(Statistic(0.0, np.zeros(2)), Statistic(0.0, np.zeros(3)))
