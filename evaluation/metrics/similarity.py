"""Distributions of similarities: how far two lie apart, and how well one lies above another."""

from typing import NamedTuple

import numpy as np
from scipy.stats import wasserstein_distance

from .verification import area_under_curve, roc

# Cosines of float32 embeddings leave [-1, 1] by rounding.
ROUNDING = 1e-5


class Bins(NamedTuple):
    """Equal bins over a closed range; cosines by default.

    Attributes:
        low: the first bin's lower edge.
        high: the last bin's upper edge.
        count: of bins.
    """

    low: float = -1.0
    high: float = 1.0
    count: int = 200  # type: ignore[assignment]  # takes the place of tuple.count

    @property
    def width(self) -> float:
        """Of one bin."""
        return (self.high - self.low) / self.count

    @property
    def centres(self) -> np.ndarray:
        """[count], the middle of each bin."""
        return self.low + (np.arange(self.count) + 0.5) * self.width


def earth_movers_distance(first: np.ndarray, second: np.ndarray) -> float:
    """The exact Wasserstein-1 distance of two samples [M] and [N], by SciPy.

    In the values' unit. Genova et al. 2018, Table 2, report it as Earth Mover's Distance in cosine units.

    Raises:
        ValueError: if a sample is empty or holds a value that is not finite.
    """
    return float(wasserstein_distance(_sample(first), _sample(second)))


def leave_one_out_distances(groups: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """The exact distance [I] to a reference of all values [I, M] but those of person i.

    The reference [N] stays whole: it belongs to the photographs, not to the method. It is sorted once here;
    SciPy would sort it anew for each person, which takes an hour for 1,000 people.

    Raises:
        ValueError: if there are fewer than two people, or as `earth_movers_distance`.
    """
    if np.ndim(groups) != 2 or len(groups) < 2:
        raise ValueError(
            f"values must be [I, M] of at least two people, got {list(np.shape(groups))}: without its only "
            "person nothing is left to compare"
        )
    values, distribution = _sample(groups), _Distribution.of(_sample(reference))
    order = np.argsort(values)
    values, person = values[order], order // np.shape(groups)[1]
    return np.array([_distance(values[person != left_out], distribution) for left_out in range(len(groups))])


def histogram(values: np.ndarray, bins: Bins = Bins()) -> np.ndarray:  # noqa: B008 - a tuple does not change
    """How many values lie in each bin [count]; counts of several blocks may be added.

    Raises:
        ValueError: if a value is not finite or lies outside the range by more than rounding.
    """
    values = _sample(values)
    if values.min() < bins.low - ROUNDING or values.max() > bins.high + ROUNDING:
        raise ValueError(
            f"values from {values.min():.4g} to {values.max():.4g} lie outside the bins' range "
            f"[{bins.low:g}, {bins.high:g}]; choose bins that hold them"
        )
    return np.histogram(values.clip(bins.low, bins.high), bins.count, (bins.low, bins.high))[0]


def histogram_distance(first: np.ndarray, second: np.ndarray, bins: Bins = Bins()) -> float:  # noqa: B008
    """The exact distance of two histograms with their mass at the bins' centres.

    At most a bin's width off the distance of the samples.

    Args:
        first: [count], of `bins`; counts or shares.
        second: [count].
        bins: of both.

    Raises:
        ValueError: if a histogram has another number of bins, is empty, or has a count that is none.
    """
    first, second = _shares(first, bins), _shares(second, bins)
    return float(np.abs(np.cumsum(first - second)[:-1]).sum() * bins.width)


def pyemd_distance(first: np.ndarray, second: np.ndarray, bins: Bins = Bins()) -> float:  # noqa: B008
    """The distance of two histograms by the package pyemd, which the paper's figures may have come from.

    Explicit bins on purpose: pyemd's own choice of bins and range follows the samples and changes the result.

    Raises:
        ImportError: if pyemd is not installed.
        ValueError: as `histogram_distance`.
    """
    first, second = _shares(first, bins), _shares(second, bins)
    try:
        from pyemd import emd
    except ImportError as error:
        raise ImportError(
            "pyemd is not installed; pip install -e '.[emd]', or use histogram_distance, which agrees with it"
        ) from error
    costs = np.abs(bins.centres[:, None] - bins.centres)
    return float(emd(first, second, costs))


def area_under_roc(positive: np.ndarray, negative: np.ndarray) -> float:
    """The probability that a positive value exceeds a negative one; ties count half.

    Raises:
        ValueError: if a sample [M] or [N] is empty or holds a value that is not finite.
    """
    positive, negative = _sample(positive), _sample(negative)
    same = np.arange(len(positive) + len(negative)) < len(positive)
    return area_under_curve(roc(np.concatenate([positive, negative]), same))


class _Distribution(NamedTuple):
    """A sample's distribution function G with its integral.

    Attributes:
        ordered: [N], the values.
        sums: [N + 1], of the smallest 0 to N.
    """

    ordered: np.ndarray
    sums: np.ndarray

    @classmethod
    def of(cls, values: np.ndarray) -> "_Distribution":
        ordered = np.sort(values)
        return cls(ordered, np.append(0.0, np.cumsum(ordered)))

    def integral(self, places: np.ndarray) -> np.ndarray:
        """Of G, from minus infinity to each place: the mean of how far the values below lie below it."""
        below = np.searchsorted(self.ordered, places, "right")
        return (below * places - self.sums[below]) / len(self.ordered)


def _distance(ordered: np.ndarray, other: _Distribution) -> float:
    """The area between two distributions: the integral of |F - G|, F that of ordered values [M].

    Between two values F is constant and G rises, so G - F changes its sign once at most.
    """
    count, size = len(ordered), len(other.ordered)
    low, high = min(ordered[0], other.ordered[0]), max(ordered[-1], other.ordered[-1])
    ends = np.concatenate([[low], ordered, [high]])
    share = np.arange(count + 1) / count
    reached = other.ordered[np.ceil(share * size).astype(int).clip(1) - 1]  # where G reaches F
    crossing = reached.clip(ends[:-1], ends[1:])
    integral = other.integral(ends)
    above = share * (2 * crossing - ends[:-1] - ends[1:])
    area = (above + integral[:-1] + integral[1:] - 2 * other.integral(crossing)).sum()
    return max(0.0, float(area))  # equal samples differ by rounding


def _sample(values: np.ndarray) -> np.ndarray:
    if np.ma.is_masked(values) or np.iscomplexobj(values):
        raise ValueError("values must be real numbers, none of them masked; leave failed items out")
    values = np.asarray(values, np.float64).ravel()
    if len(values) == 0:
        raise ValueError("a distribution needs at least one value, got none")
    if not np.isfinite(values).all():
        raise ValueError(f"{(~np.isfinite(values)).sum()} values are not finite; leave failed items out")
    return values


def _shares(counts: np.ndarray, bins: Bins) -> np.ndarray:
    counts = np.asarray(counts, np.float64)
    if counts.shape != (bins.count,):
        raise ValueError(f"a histogram must be [{bins.count}], got {list(counts.shape)}")
    if not (np.isfinite(counts) & (counts >= 0)).all():
        raise ValueError("a histogram's counts must be finite and at least 0; a distribution has no others")
    if not counts.sum() > 0:
        raise ValueError("a distribution needs at least one value, got an empty histogram")
    return counts / counts.sum()
