"""Means with their standard errors, and differences of two methods paired over identities."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch

# Relative errors below are those of float64 sums.
ROUNDING = 1e-12


class Mean(NamedTuple):
    """A mean of independent values.

    Attributes:
        value: the mean.
        standard_error: of the mean, from the values' standard deviation.
        count: of values.
    """

    value: float
    standard_error: float
    count: int  # type: ignore[assignment]  # takes the place of tuple.count


class Statistic(NamedTuple):
    """A statistic of a set of people, with what it would be without each of them.

    Attributes:
        value: over everybody.
        leave_one_out: [I], over everybody but person i.
    """

    value: float
    leave_one_out: np.ndarray

    @property
    def standard_error(self) -> float:
        """By the jackknife over people."""
        return jackknife_standard_error(self.leave_one_out)


class Difference(NamedTuple):
    """How far one method lies above another on the same people.

    Attributes:
        value: the first method's statistic minus the second's.
        standard_error: of that difference, paired over people.
        standard_errors: how many of them the difference is; 0 where both are 0, infinite where only the error
            is.
    """

    value: float
    standard_error: float
    standard_errors: float


def mean_and_standard_error(values: np.ndarray) -> Mean:
    """The mean [N] of independent values.

    Raises:
        ValueError: if there are fewer than two, or one is not finite.
    """
    values = _finite(values, least=2)
    return Mean(float(values.mean()), float(values.std(ddof=1) / np.sqrt(len(values))), len(values))


def mean_statistic(values: np.ndarray, identity: np.ndarray | None = None) -> Statistic:
    """The mean of values [N], leaving out one person at a time.

    With one value for each person the jackknife's error is the usual one, sd / sqrt(N), exactly.

    Args:
        values: [N].
        identity: [N], the person of each value; None: each value is another person.

    Raises:
        ValueError: if there are fewer than two people, or a value is not finite.
    """
    values = _finite(values, least=2)
    people = np.arange(len(values)) if identity is None else np.unique(identity, return_inverse=True)[1]
    if len(people) != len(values):
        raise ValueError(f"expected a person for each of {len(values)} values, got {len(people)}")
    sums, counts = np.bincount(people, values), np.bincount(people)
    if len(counts) < 2:
        raise ValueError("a jackknife needs at least two people, got 1")
    return Statistic(float(values.mean()), (values.sum() - sums) / (len(values) - counts))


def jackknife_standard_error(leave_one_out: np.ndarray) -> float:
    """The standard error of a statistic, from its values [I] with one person left out at a time.

    Efron 1982, chapter 3.

    Raises:
        ValueError: if there are fewer than two people, or a value is not finite.
    """
    values = _finite(leave_one_out, least=2)
    return float(np.sqrt((len(values) - 1) * values.var()))


def difference(first: Statistic, second: Statistic) -> Difference:
    """The first statistic minus the second, paired: both were taken of the same people in the same order.

    Raises:
        ValueError: if they were taken of different numbers of people.
    """
    if len(first.leave_one_out) != len(second.leave_one_out):
        raise ValueError(
            f"paired methods need the same people, got {len(first.leave_one_out)} and "
            f"{len(second.leave_one_out)}; score both on the people that neither failed on"
        )
    value = first.value - second.value
    error = jackknife_standard_error(first.leave_one_out - second.leave_one_out)
    rounding = ROUNDING * np.abs(first.leave_one_out).max()
    if error <= rounding:
        return Difference(value, 0.0, 0.0 if abs(value) <= rounding else float(np.copysign(np.inf, value)))
    return Difference(value, error, value / error)


def bootstrap_interval(
    values: np.ndarray,
    generator: torch.Generator,
    *,
    statistic: Callable[..., np.ndarray] = np.mean,
    level: float = 0.95,
    repeats: int = 2000,
) -> tuple[float, float]:
    """The percentile bootstrap interval of a statistic of independent values [N].

    Args:
        values: [N], such as one for each person; pass differences for a paired comparison.
        generator: draws the samples.
        statistic: called with samples [repeats, N] and axis=1.
        level: share of the bootstrap distribution inside the interval.
        repeats: how many samples are drawn.

    Raises:
        ValueError: if there are fewer than two values, or one is not finite.
    """
    values = _finite(values, least=2)
    drawn = torch.randint(len(values), (repeats, len(values)), generator=generator, device=generator.device)
    low, high = np.quantile(
        statistic(values[drawn.cpu().numpy()], axis=1), [(1 - level) / 2, (1 + level) / 2]
    )
    return float(low), float(high)


def _finite(values: np.ndarray, *, least: int) -> np.ndarray:
    values = np.asarray(values, np.float64)
    if values.ndim != 1 or len(values) < least:
        raise ValueError(f"expected at least {least} values [N], got {list(values.shape)}")
    if not np.isfinite(values).all():
        raise ValueError(f"{(~np.isfinite(values)).sum()} values are not finite; leave failed items out")
    return values
