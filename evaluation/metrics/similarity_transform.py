"""Similarities of space: rotation, translation and one scale, never a reflection."""

from typing import NamedTuple, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.spatial.transform import Rotation

from lightning_modules.plain.umeyama import rotation_and_scale

# Points whose second spread is below this share of the first lie on a line, which leaves a rotation open.
COLLINEAR = 1e-6


class Similarity(NamedTuple):
    """The map x -> scale * rotation @ x + translation.

    Attributes:
        scale: positive.
        rotation: [3, 3], orthonormal, determinant +1.
        translation: [3].
    """

    scale: float
    rotation: NDArray[np.float64]
    translation: NDArray[np.float64]

    def points(self, points: NDArray) -> NDArray[np.float64]:
        """The images [P, 3] of points [P, 3]."""
        return self.scale * (points @ self.rotation.T) + self.translation

    def directions(self, directions: NDArray) -> NDArray[np.float64]:
        """Directions [P, 3], turned only: unit vectors stay unit vectors."""
        return directions @ self.rotation.T

    def inverse(self) -> Self:
        """The map back."""
        back = self.rotation.T / self.scale
        return type(self)(1 / self.scale, self.rotation.T, -back @ self.translation)

    def after(self, first: Self) -> Self:
        """The map that applies `first`, then this one."""
        return type(self)(
            self.scale * first.scale, self.rotation @ first.rotation, self.points(first.translation)
        )


IDENTITY = Similarity(1.0, np.eye(3), np.zeros(3))


def similarity(
    *, scale: float = 1.0, rotation_vector: ArrayLike = (0, 0, 0), translation: ArrayLike = (0, 0, 0)
) -> Similarity:
    """The similarity with a rotation vector (axis times angle, in radians)."""
    rotation = Rotation.from_rotvec(np.asarray(rotation_vector, np.float64)).as_matrix()
    return Similarity(float(scale), rotation, np.asarray(translation, np.float64))


def fit_similarity(
    source: NDArray, target: NDArray, *, scaled: bool = True, weights: NDArray | None = None
) -> Similarity:
    """The similarity that takes `source` to `target` with the least sum of squared distances.

    Umeyama 1991, equations 40 to 42. A reflection never comes back, even where it would fit better.

    Args:
        source: [P, 3].
        target: [P, 3], point for point.
        scaled: whether the scale is fitted; it is 1 otherwise.
        weights: [P], not negative, of the squared distances; alike if None.

    Raises:
        ValueError: if there are fewer than three points, or they lie on a line.
    """
    source, target = np.asarray(source, np.float64), np.asarray(target, np.float64)
    if source.shape != target.shape or source.ndim != 2 or source.shape[1:] != (3,) or len(source) < 3:
        raise ValueError(
            f"a similarity needs at least 3 pairs of points, [P, 3] each, got {list(source.shape)} and "
            f"{list(target.shape)}"
        )
    share = np.full(len(source), 1 / len(source)) if weights is None else weights / np.sum(weights)
    from_centre, to_centre = share @ source, share @ target
    source, target = source - from_centre, target - to_centre
    covariance, variance = (target * share[:, None]).T @ source, share @ (source**2).sum(1)
    # Points in one place have no variance, and are refused with those on a line.
    rotation, scale, spread = rotation_and_scale(covariance, variance or 1.0)
    if spread[1] <= COLLINEAR * spread[0]:
        raise ValueError("a similarity needs points that do not lie on a line; add a landmark beside it")
    scale = scale if scaled else 1.0
    return Similarity(scale, rotation, to_centre - scale * rotation @ from_centre)
