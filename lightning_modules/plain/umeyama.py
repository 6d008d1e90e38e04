"""The similarity that fits points best, in any dimension: the one place that solves it."""

import numpy as np
from numpy.typing import NDArray


def rotation_and_scale(
    covariance: NDArray[np.float64], variance: float
) -> tuple[NDArray[np.float64], float, NDArray[np.float64]]:
    """Rotation and scale of the least-squares similarity between two sets of points, never a reflection.

    Umeyama 1991, Least-squares estimation of transformation parameters between two point patterns, equations
    40 to 42. Means and weights are the caller's, since cached crops and stored scores depend on the last bit
    of their sums; the translation is target mean - scale * rotation @ source mean.

    Args:
        covariance: [D, D], mean of target @ source.T over points that are centred on their means.
        variance: mean squared length of the centred source; not 0.

    Returns:
        The rotation [D, D], the scale, and the covariance's singular values [D], which tell whether the
        points lie on a line.
    """
    left, singular_values, right = np.linalg.svd(covariance)
    signs = np.ones(len(covariance))
    signs[-1] = np.sign(np.linalg.det(left) * np.linalg.det(right))
    return (left * signs) @ right, float((singular_values * signs).sum() / variance), singular_values
