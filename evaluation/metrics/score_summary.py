"""Scores of many subjects put together, failures counted and never averaged away."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from lightning_modules.plain.failures import counted_by_kind

from .paired import bootstrap_interval
from .scan_score import ScanScore
from .surface_distance import weighted_median

BOOTSTRAP_SEED = 0


class Summary(NamedTuple):
    """A method's scores over subjects, in mm.

    All figures are of the subjects that have a score; NaN where none has (a deviation, where fewer than two).

    Attributes:
        mean: over subjects.
        sd: their standard deviation, n - 1.
        median: over subjects.
        rmse: root mean square over subjects.
        mean_interval: 95 % percentile bootstrap interval of the mean; None for fewer than two subjects.
        median_interval: of the median.
        rmse_interval: of the root mean square.
        used: subjects with a score.
        total: subjects in all.
        failed: how many have none, by kind.
    """

    mean: float
    sd: float
    median: float
    rmse: float
    mean_interval: tuple[float, float] | None
    median_interval: tuple[float, float] | None
    rmse_interval: tuple[float, float] | None
    used: int
    total: int
    failed: Mapping[str, int]


class CumulativeCurve(NamedTuple):
    """Shares of all items, failed ones included, whose error is at most each threshold: both [N]."""

    thresholds_mm: NDArray[np.float64]
    shares: NDArray[np.float64]


def summarise(
    values_mm: Sequence[float],
    failures: Sequence[str | None],
    *,
    people: Sequence[str] | None = None,
    repeats: int = 2000,
) -> Summary:
    """The summary of one value for each subject.

    Args:
        values_mm: [S]; what stands beside a failure is not looked at.
        failures: [S], the reason why a subject has no value, None where it has one.
        people: [S], where several subjects are photographs of one person: intervals resample people.
        repeats: samples of the bootstrap.

    Raises:
        ValueError: if the lengths differ, or a value is not finite and no reason is given.
    """
    if len(values_mm) != len(failures):
        raise ValueError(
            f"expected a value or a reason for each subject, got {len(values_mm)} values and "
            f"{len(failures)} entries of failures"
        )
    values = np.array([v for v, f in zip(values_mm, failures, strict=True) if f is None], np.float64)
    if not np.isfinite(values).all():
        raise ValueError("a score is not finite and has no reason; give each failure its reason")
    reasons = counted_by_kind(reason for reason in failures if reason is not None)
    if not len(values):
        none = np.nan
        return Summary(none, none, none, none, None, None, None, 0, len(failures), reasons)
    statistics: tuple[Callable[..., Any], ...] = (np.mean, np.median, root_mean_square)
    if people is None or len(set(people)) == len(people):
        of_mean, of_median, of_rmse = (_interval(values, statistic, repeats) for statistic in statistics)
    else:
        scored = [person for person, failure in zip(people, failures, strict=True) if failure is None]
        of_mean, of_median, of_rmse = (
            _interval_over_people(values, scored, statistic, repeats) for statistic in statistics
        )
    mean, median, rmse = (float(statistic(values, axis=0)) for statistic in statistics)
    sd = float(values.std(ddof=1)) if len(values) > 1 else np.nan
    counts = (len(values), len(failures), reasons)
    return Summary(mean, sd, median, rmse, of_mean, of_median, of_rmse, *counts)


class Pooled(NamedTuple):
    """Distances of all points of all scans, as NoW reports them: median, mean, sd in mm; how many scans."""

    median: float
    mean: float
    sd: float
    used: int


def pooled(scores: Sequence[ScanScore]) -> Pooled:
    """All scans' distances to the mesh in one heap, each vertex with its weight; failed scans are not in it.

    NaN where every scan failed.
    """
    used = [score.scan_to_mesh for score in scores if score.scan_to_mesh is not None]
    if not used:
        return Pooled(np.nan, np.nan, np.nan, 0)
    values = np.concatenate([each.values_mm[each.counted] for each in used])
    weights = np.concatenate([each.weights[each.counted] for each in used])
    mean = float(np.average(values, weights=weights))
    sd = float(np.sqrt(np.average((values - mean) ** 2, weights=weights)))
    return Pooled(weighted_median(values, weights), mean, sd, len(used))


def cumulative_curve(values_mm: Sequence[float], failed: int, thresholds_mm: NDArray) -> CumulativeCurve:
    """The share of items with an error of at most each threshold; a failed item is below none.

    Args:
        values_mm: [N], of the items that have an error.
        failed: how many have none.
        thresholds_mm: [K].

    Raises:
        ValueError: if there is no item, or a value is not finite.
    """
    values = np.sort(np.asarray(values_mm, np.float64))
    if not len(values) + failed:
        raise ValueError("a cumulative curve needs at least one item, got none")
    if not np.isfinite(values).all():
        raise ValueError("an error is not finite; count that item as failed")
    below = np.searchsorted(values, thresholds_mm, side="right")
    return CumulativeCurve(np.asarray(thresholds_mm, np.float64), below / (len(values) + failed))


def root_mean_square(values: NDArray, axis: int | None = None) -> NDArray:
    """The root of the mean of squares along an axis."""
    return np.sqrt(np.mean(np.square(values), axis=axis))


def _interval(values: NDArray, statistic: Callable[..., Any], repeats: int) -> tuple[float, float] | None:
    if len(values) < 2:
        return None
    generator = torch.Generator().manual_seed(BOOTSTRAP_SEED)
    return bootstrap_interval(values, generator, statistic=statistic, repeats=repeats)


def _interval_over_people(
    values: NDArray, people: Sequence[str], statistic: Callable[..., Any], repeats: int
) -> tuple[float, float] | None:
    """The interval of a statistic of all values, people being drawn with all of theirs."""
    order = np.unique(people, return_inverse=True)[1]
    own = [values[order == person] for person in range(order.max() + 1)]
    if len(own) < 2:
        return None
    generator = torch.Generator().manual_seed(BOOTSTRAP_SEED)
    drawn = torch.randint(len(own), (repeats, len(own)), generator=generator).numpy()
    samples = [float(statistic(np.concatenate([own[person] for person in row]))) for row in drawn]
    low, high = np.quantile(samples, [0.025, 0.975])
    return float(low), float(high)
