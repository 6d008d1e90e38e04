"""Do two sets of photographs of one person give one shape: distances of faces, held against other people's.

No scan is needed. A method that answers with one face for everybody is perfectly consistent and says nothing,
so what counts is how near a person's two faces are beside how near two people's are.
"""

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

LEAST_PEOPLE = 3
RESAMPLES = 1000
LEVEL = 0.95


class Estimate(NamedTuple):
    """A number, NaN where there is none, and its 95 % interval over people."""

    value: float
    interval: tuple[float, float]


class Consistency(NamedTuple):
    """How far faces of one person and of two people lie apart.

    Attributes:
        one_person: mean distance of a person's two faces, in the vertices' unit.
        two_people: mean distance of a face from one set of photographs and one of somebody else's other set.
        ratio: of the two; 0 if photographs do not matter, 1 if people do not.
        area_under_roc: how likely a pair of one person is nearer than a pair of two, by shape alone.
    """

    one_person: Estimate
    two_people: Estimate
    ratio: Estimate
    area_under_roc: Estimate


@torch.no_grad()
def face_distances(first: Tensor, second: Tensor, weights: Tensor) -> np.ndarray:
    """Distances [I, J] of faces [I, V, 3] and [J, V, 3]: of corresponding vertices, averaged, not aligned.

    Args:
        first: faces in the morphable model's frame, where pose and place are no part of a shape.
        second: likewise.
        weights: [V], of each vertex, such as its area; what has none does not count.
    """
    counted = weights > 0
    share = (weights[counted] / weights[counted].sum()).to(first)
    others = second[:, counted]
    return torch.stack([(others - one).norm(dim=-1) @ share for one in first[:, counted]]).cpu().numpy()


def consistency_of(distances: np.ndarray, generator: np.random.Generator) -> Consistency:
    """One person's pairs beside two people's.

    Args:
        distances: [I, I], of the face that person i's first photographs give from the one that person j's
            others give.
        generator: draws the people of the intervals' resamples, whole people with all their pairs.

    Raises:
        ValueError: if there are fewer than three people, or a distance is not finite.
    """
    people = len(distances)
    if distances.shape != (people, people) or people < LEAST_PEOPLE:
        raise ValueError(
            f"distances must be [I, I] of at least {LEAST_PEOPLE} people, got {list(distances.shape)}"
        )
    if not np.isfinite(distances).all():
        raise ValueError("distances must be finite; leave people without a face out")
    pairs = _Pairs(distances)
    everybody = pairs.statistics(np.ones(people))
    drawn = [np.bincount(generator.integers(people, size=people), minlength=people) for _ in range(RESAMPLES)]
    resampled = np.array([pairs.statistics(counts) for counts in drawn])
    # A resample of one person alone has no pair of two people.
    resampled = np.where(np.isfinite(resampled).all(1, keepdims=True), resampled, np.nan)
    if np.isnan(resampled).all():
        bounds = np.full((2, len(everybody)), np.nan)
    else:
        bounds = np.nanquantile(resampled, [(1 - LEVEL) / 2, (1 + LEVEL) / 2], axis=0)
    return Consistency(
        *(
            Estimate(float(value), (float(low), float(high)))
            for value, low, high in zip(everybody, *bounds, strict=True)
        )
    )


class _Pairs:
    """Pairs of one person and of two, sorted once, so that people can be counted several times or not at all.

    Args:
        distances: see `consistency_of`.
    """

    def __init__(self, distances: np.ndarray) -> None:
        self.same = distances.diagonal()
        self.first, self.second = np.nonzero(~np.eye(len(distances), dtype=bool))
        order = np.argsort(distances[self.first, self.second], kind="stable")
        self.first, self.second = self.first[order], self.second[order]
        self.different = distances[self.first, self.second]
        # Pairs of two people up to which one person's distance is not larger, and larger.
        self.nearer = np.searchsorted(self.different, self.same, side="left")
        self.not_farther = np.searchsorted(self.different, self.same, side="right")

    def statistics(self, counts: np.ndarray) -> tuple[float, float, float, float]:
        """Those of `Consistency`, with each person counted so often."""
        weights = counts[self.first] * counts[self.second].astype(float)
        total = weights.sum()
        if total == 0:
            return (np.nan,) * 4
        one, two = float(counts @ self.same / counts.sum()), float(weights @ self.different / total)
        sums = np.concatenate([[0.0], weights.cumsum()])
        farther = 1 - (sums[self.nearer] + sums[self.not_farther]) / (2 * total)
        return one, two, one / two if two > 0 else np.nan, float(counts @ farther / counts.sum())
