"""Comparing variants that were each trained with several seeds and scored on the same people.

Everything asked of such a study is a contrast: a weighted sum of the variants' scores, such as one variant
minus another, or a Shapley value.
"""

from collections.abc import Sequence
from itertools import combinations
from math import factorial
from typing import NamedTuple

import numpy as np
import torch
from scipy import stats
from scipy.optimize import brentq

from .paired import ROUNDING, Statistic, bootstrap_interval

# A test's level, and the share of true effects that a smallest effect is found in.
LEVEL, POWER = 0.05, 0.8


class Contrast(NamedTuple):
    """A contrast over all seeds.

    Attributes:
        value: the mean over seeds.
        interval: of 95 %, from resampled people; the seeds stay as they are.
        p_value: of the paired t-test over people that the contrast is 0, not corrected.
        by_seed: [S], the contrast of each seed.
        people: how many stand behind it.
        standard_error: over people, each with all seeds' scores; 0 where they differ by rounding alone.
    """

    value: float
    interval: tuple[float, float]
    p_value: float
    by_seed: np.ndarray
    people: int
    standard_error: float

    @property
    def same_sign(self) -> int:
        """In how many seeds it has the sign of its mean."""
        return int((np.sign(self.by_seed) == np.sign(self.value)).sum())

    def smallest_over_people(self, level: float = LEVEL) -> float | None:
        """The smallest contrast that the test over people would find with other people, in POWER of cases.

        None where all people have the same contrast: how much others would vary is not known then.

        Args:
            level: of the test; that of one among many comparisons is their number times smaller.
        """
        return smallest_effect(self.standard_error, self.people, level) if self.standard_error else None

    @property
    def smallest_over_seeds(self) -> float | None:
        """The smallest that a t-test over seeds would find with other seeds.

        None of a single seed, and where all have the same contrast.
        """
        count = len(self.by_seed)
        if count < 2 or np.ptp(self.by_seed) <= ROUNDING:
            return None
        return smallest_effect(float(self.by_seed.std(ddof=1)) / count**0.5, count, LEVEL)


def contributions(statistic: Statistic) -> np.ndarray:
    """Each person's part [I] in a statistic, by the jackknife; their mean is the statistic.

    Of a mean of one value a person these are the values themselves. Of other statistics (an area under a ROC
    curve, a distance of distributions) they are its linear approximation: Efron 1982, chapter 3, without the
    correction of bias.
    """
    left_out = np.asarray(statistic.leave_one_out, np.float64)
    return statistic.value + (len(left_out) - 1) * (left_out.mean() - left_out)


def contrast(
    scores: np.ndarray, weights: np.ndarray, generator: torch.Generator, *, repeats: int = 2000
) -> Contrast:
    """The weighted sum of variants' scores, with what resampling people says of it.

    A person is drawn with all seeds' scores: the same people were seen by all of them, so their scores are
    not independent. What would change with other seeds is not in the interval.

    Args:
        scores: [V, S, I], contributions by variant, seed and person.
        weights: [V].
        generator: draws people.
        repeats: how many samples are drawn.

    Raises:
        ValueError: if shapes disagree, there are fewer than two people, or a score is not finite.
    """
    scores, weights = np.asarray(scores, np.float64), np.asarray(weights, np.float64)
    if scores.ndim != 3 or weights.shape != scores.shape[:1] or scores.shape[1] == 0:
        raise ValueError(
            f"scores must be [V, S, I] and weights [V], got {list(scores.shape)} and {list(weights.shape)}"
        )
    by_seed_and_person = np.tensordot(weights, scores, 1)
    by_person = by_seed_and_person.mean(0)
    interval = bootstrap_interval(by_person, generator, repeats=repeats)
    # Figures are of the order of 1: where all are 0, what the jackknife's rounding leaves is no difference.
    scale = max(1.0, float(np.abs(scores).max()))
    p_value = paired_p_value(by_person, scale)
    count = scores.shape[2]
    error = float(by_person.std(ddof=1)) / count**0.5 if np.ptp(by_person) > ROUNDING * scale else 0.0
    return Contrast(float(by_person.mean()), interval, p_value, by_seed_and_person.mean(1), count, error)


def smallest_effect(standard_error: float, count: int, level: float) -> float:
    """The smallest mean that a two-sided t-test finds to differ from 0 in a share of POWER of samples.

    Cohen 1988, chapter 2, by the non-central t distribution.

    Args:
        standard_error: of the mean.
        count: of the values behind it, at least 2.
        level: of the test.
    """
    critical = stats.t.ppf(1 - level / 2, count - 1)

    def missed(standard_errors: float) -> float:
        return float(stats.nct.cdf(critical, count - 1, standard_errors)) - (1 - POWER)

    return float(brentq(missed, 0.0, 10 * critical)) * standard_error


def paired_p_value(differences: np.ndarray, scale: float = 1.0) -> float:
    """Two-sided p of the t-test that the mean of paired differences [I] is 0; 1 where all are 0.

    Args:
        differences: of each person.
        scale: of the values that were subtracted, whose rounding is no difference.
    """
    if np.abs(differences).max() <= ROUNDING * scale:
        return 1.0
    if np.ptp(differences) <= ROUNDING * scale:
        return 0.0  # everybody's difference is the same, and not 0
    return float(stats.ttest_1samp(differences, 0.0).pvalue)


def holm(p_values: Sequence[float]) -> np.ndarray:
    """p-values corrected for their number, in their order.

    Holm 1979: the chance of one false finding or more among all of them stays below the level, however they
    depend on one another.
    """
    values = np.asarray(p_values, np.float64)
    order = np.argsort(values, kind="stable")
    factors = len(values) - np.arange(len(values))
    corrected = np.empty(len(values))
    corrected[order] = np.maximum.accumulate(values[order] * factors).clip(max=1.0)
    return corrected


def smallest_sign_test_p(seeds: int) -> float:
    """The smallest two-sided p that a sign test over so many seeds can give: that all agree."""
    return min(1.0, 2.0 ** (1 - seeds))


def shapley_weights(off: Sequence[frozenset[str]], players: Sequence[str]) -> np.ndarray:
    """The contrasts [P, V] whose values are the players' Shapley values.

    Shapley 1953: a player's value is what adding it changes, averaged over all orders in which the players
    can be added. The values add up to the score with all of them minus the score with none.

    Args:
        off: of each variant [V], the players that it lacks; every combination exactly once.
        players: [P], that are switched.

    Raises:
        ValueError: if a combination is missing, or there twice.
    """
    everyone = frozenset(players)
    place = {everyone - lacking: index for index, lacking in enumerate(off)}
    if len(place) != 2 ** len(everyone) or len(off) != len(place):
        raise ValueError(
            f"Shapley values of {len(everyone)} switches need each of their {2 ** len(everyone)} "
            f"combinations once, got {len(off)} variants, {len(place)} different ones; run the design full"
        )
    weights = np.zeros((len(players), len(off)))
    count = len(players)
    for row, player in enumerate(players):
        others = sorted(everyone - {player})
        for size in range(count):
            share = factorial(size) * factorial(count - size - 1) / factorial(count)
            for chosen in combinations(others, size):
                weights[row, place[frozenset(chosen) | {player}]] += share
                weights[row, place[frozenset(chosen)]] -= share
    return weights
