import sys
from collections.abc import Callable

import numpy as np
import pytest
from scipy import stats

from evaluation.metrics.similarity import (
    Bins,
    area_under_roc,
    earth_movers_distance,
    histogram,
    histogram_distance,
    leave_one_out_distances,
    pyemd_distance,
)


@pytest.fixture
def samples() -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(0)
    # Rounded: with ties in and between the samples.
    return np.tanh(generator.normal(0.5, 0.2, 700)).round(2), np.tanh(generator.normal(0, 0.1, 450)).round(2)


def test_distance_by_hand() -> None:
    # Half of the mass moves from 0 to 1, the other half from 1 to 3.
    assert earth_movers_distance(np.array([0.0, 1.0]), np.array([1.0, 3.0])) == 1.5
    # A third of the mass moves from 0 to 3, the rest stays.
    assert earth_movers_distance(np.zeros(3), np.array([0.0, 0.0, 3.0])) == 1.0


def test_a_shift_is_its_distance(samples: tuple[np.ndarray, np.ndarray]) -> None:
    assert earth_movers_distance(samples[0], samples[0]) == pytest.approx(0, abs=1e-12)
    shifted = earth_movers_distance(samples[0], samples[0] + 0.25)
    assert shifted == pytest.approx(0.25, abs=1e-12)


def test_leaving_people_out_is_computing_anew(samples: tuple[np.ndarray, np.ndarray]) -> None:
    groups = samples[0][:60].reshape(20, 3)
    expected = [earth_movers_distance(np.delete(groups, i, 0), samples[1]) for i in range(20)]
    np.testing.assert_allclose(leave_one_out_distances(groups, samples[1]), expected, atol=1e-12)


def test_histogram_distance_agrees_with_scipy(samples: tuple[np.ndarray, np.ndarray]) -> None:
    bins = Bins()
    first, second = (histogram(values, bins) for values in samples)
    expected = stats.wasserstein_distance(bins.centres, bins.centres, first, second)
    assert histogram_distance(first, second, bins) == pytest.approx(expected, abs=1e-12)
    # Each value moves to its bin's centre, by half a width at most.
    assert histogram_distance(first, second, bins) == pytest.approx(
        earth_movers_distance(*samples), abs=bins.width
    )


def test_pyemd_agrees_within_a_thousandth(samples: tuple[np.ndarray, np.ndarray]) -> None:
    pytest.importorskip("pyemd")
    first, second = (histogram(values) for values in samples)
    assert pyemd_distance(first, second) == pytest.approx(histogram_distance(first, second), abs=1e-3)


@pytest.mark.parametrize(
    ("first", "second", "distance"),
    [
        ({0: 3}, {199: 1}, 1.99),  # all of it from one end to the other
        ({0: 1, 199: 1}, {100: 700}, (1.0 + 0.99) / 2),
        ({5: 7, 9: 14}, {5: 1, 9: 2}, 0.0),  # the same shares of other totals
        ({50: 2, 51: 1}, {51: 1}, 0.01 * 2 / 3),
    ],
)
def test_pyemd_ends_and_is_right_where_totals_differ_and_most_bins_are_empty(
    first: dict[int, int], second: dict[int, int], distance: float
) -> None:
    pytest.importorskip("pyemd")
    counts = [np.bincount([*each], [*each.values()], 200) for each in (first, second)]
    assert histogram_distance(*counts) == pytest.approx(distance, abs=1e-12)
    assert pyemd_distance(*counts) == pytest.approx(distance, abs=1e-3)
    with pytest.raises(ValueError, match=r"must be \[200\], got \[199\]"):
        pyemd_distance(counts[0], counts[1][1:])


def test_pyemd_is_asked_for_by_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyemd", None)
    counts = np.ones(Bins().count)
    with pytest.raises(ImportError, match=r"pip install -e '\.\[emd\]'"):
        pyemd_distance(counts, counts)


def test_histograms_of_blocks_add_up(samples: tuple[np.ndarray, np.ndarray]) -> None:
    whole = histogram(samples[0])
    assert whole.sum() == 700
    assert (histogram(samples[0][:300]) + histogram(samples[0][300:]) == whole).all()
    assert histogram(np.array([-1 - 1e-7, 1 + 1e-7, 0.005]))[[0, 100, 199]].tolist() == [1, 1, 1]


def test_area_by_hand_and_by_scikit_learn(samples: tuple[np.ndarray, np.ndarray]) -> None:
    # Of four comparisons three are right and one is a tie.
    assert area_under_roc(np.array([0.9, 0.8]), np.array([0.8, 0.1])) == pytest.approx(0.875)
    metrics = pytest.importorskip("sklearn.metrics")
    labels = np.repeat([1, 0], [len(values) for values in samples])
    expected = metrics.roc_auc_score(labels, np.concatenate(samples))
    assert area_under_roc(*samples) == pytest.approx(expected)


def test_unusable_values_are_refused() -> None:
    with pytest.raises(ValueError, match="at least one value, got none"):
        earth_movers_distance(np.empty(0), np.ones(2))
    with pytest.raises(ValueError, match="1 values are not finite"):
        area_under_roc(np.array([0.1, np.inf]), np.ones(2))
    with pytest.raises(ValueError, match=r"from 0 to 1.2 lie outside the bins' range \[-1, 1\]"):
        histogram(np.array([0.0, 1.2]))
    with pytest.raises(ValueError, match=r"must be \[200\], got \[3\]"):
        histogram_distance(np.ones(3), np.ones(200))
    with pytest.raises(ValueError, match="got an empty histogram"):
        histogram_distance(np.zeros(200), np.ones(200))


@pytest.mark.parametrize("count", [-1.0, np.inf, np.nan])
@pytest.mark.parametrize("distance", [histogram_distance, pyemd_distance])
def test_counts_that_are_none_are_refused(count: float, distance: Callable[..., float]) -> None:
    bins = Bins(0, 1, 3)
    with pytest.raises(ValueError, match="counts must be finite and at least 0"):
        distance(np.array([count, 2.0, 2.0]), np.ones(3), bins)


def test_values_that_are_no_real_numbers_are_refused() -> None:
    masked = np.ma.masked_array([1.0, 9.0], [False, True])  # the 9 would count
    for values in (masked, np.array([1j])):
        with pytest.raises(ValueError, match="must be real numbers, none of them masked"):
            earth_movers_distance(values, np.ones(1))


@pytest.mark.parametrize("shape", [(1, 3), (0, 3), (3,)])
def test_nobody_is_left_out_of_fewer_than_two_people(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="of at least two people"):
        leave_one_out_distances(np.zeros(shape), np.zeros(4))
