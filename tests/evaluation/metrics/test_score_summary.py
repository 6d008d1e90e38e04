import numpy as np
import pytest

from evaluation.metrics.scan_score import ScanScore
from evaluation.metrics.score_summary import cumulative_curve, pooled, summarise
from evaluation.metrics.surface_distance import Distances


def score(value: float, failure: str | None = None, *, distances: tuple[float, ...] = ()) -> ScanScore:
    to_mesh = (
        None
        if failure
        else Distances(np.array([*distances, np.nan]), np.array([1.0] * len(distances) + [0]), 1)
    )
    return ScanScore("genova", value, 0.9, None, to_mesh, None, failure)


def test_mean_sd_median_and_rmse_by_hand() -> None:
    found = summarise([1.0, 2.0, 6.0], [None] * 3)
    assert (found.mean, found.median) == (3, 2)
    assert found.sd == pytest.approx(np.sqrt((4 + 1 + 9) / 2))
    assert found.rmse == pytest.approx(np.sqrt(41 / 3))
    assert (found.used, found.total, found.failed) == (3, 3, {})
    for interval, value in (
        (found.mean_interval, found.mean),
        (found.median_interval, found.median),
        (found.rmse_interval, found.rmse),
    ):
        assert 1 <= interval[0] <= value <= interval[1] <= 6


def test_the_interval_of_a_mean_is_about_two_standard_errors_wide_each_way() -> None:
    values = np.random.default_rng(0).normal(1.5, 0.13, 53)
    found = summarise(values.tolist(), [None] * 53)
    error = found.sd / np.sqrt(53)
    assert found.mean_interval[0] == pytest.approx(found.mean - 1.96 * error, abs=0.15 * error)
    assert found.mean_interval[1] == pytest.approx(found.mean + 1.96 * error, abs=0.15 * error)


def test_intervals_resample_people_with_all_of_their_photographs() -> None:
    values, people = [1.0, 1.0, 1.0, 5.0], ["ann", "ann", "ann", "bob"]
    found = summarise(values, [None] * 4, people=people)
    # Ann alone, both, or Bob alone are drawn.
    assert found.mean_interval == (1, 5)
    assert found.median_interval == (1, 5)
    assert summarise(values, [None] * 4).mean_interval[1] < 5
    assert summarise(values, [None] * 4, people=["ann"] * 4).mean_interval is None
    alone = summarise(values, [None] * 4, people=["a", "b", "c", "d"])
    assert alone == summarise(values, [None] * 4)
    failed = summarise([1.0, np.nan, 2.0], [None, "no mesh: none", None], people=["ann", "ann", "bob"])
    assert failed.mean_interval == (1, 2)


def test_failures_are_counted_by_kind_and_never_averaged_away() -> None:
    failures = [None, "no convergence: 100", None, "no convergence: 7"]
    found = summarise([1.0, np.nan, 3.0, np.nan], failures)
    assert found.mean == 2
    assert (found.used, found.total, found.failed) == (2, 4, {"no convergence": 2})


def test_nothing_but_failures_has_no_figures_and_one_subject_has_no_spread() -> None:
    found = summarise([np.nan], ["missing subject"])
    assert np.isnan([found.mean, found.sd, found.median, found.rmse]).all()
    assert (found.mean_interval, found.used, found.failed) == (None, 0, {"missing subject": 1})
    single = summarise([1.5], [None])
    assert single.mean == 1.5
    assert np.isnan(single.sd)
    assert single.mean_interval is None


def test_a_value_that_is_not_finite_needs_a_reason() -> None:
    with pytest.raises(ValueError, match="not finite and has no reason"):
        summarise([np.nan], [None])
    with pytest.raises(ValueError, match="got 1 values and 2 entries"):
        summarise([1.0], [None, None])


def test_pooled_distances_are_one_heap() -> None:
    found = pooled([score(0, distances=(1, 1, 1)), score(0, distances=(5,)), score(np.nan, "x: y")])
    assert (found.median, found.mean, found.used) == (1, 2, 2)
    assert found.sd == pytest.approx(np.sqrt(3))
    assert np.isnan(pooled([score(np.nan, "x: y")]).median)


def test_the_cumulative_curve_counts_failures_below_no_threshold() -> None:
    curve = cumulative_curve([1.0, 2.0, 2.0], 1, np.array([0.5, 1, 2, 9]))
    assert curve.shares.tolist() == [0, 0.25, 0.75, 0.75]
    assert cumulative_curve([], 2, np.array([1.0])).shares.tolist() == [0]
    with pytest.raises(ValueError, match="at least one item"):
        cumulative_curve([], 0, np.array([1.0]))
    with pytest.raises(ValueError, match="count that item as failed"):
        cumulative_curve([np.inf], 0, np.array([1.0]))
