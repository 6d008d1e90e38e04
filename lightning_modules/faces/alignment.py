"""Lays one face over another: similarity from landmarks, closest points, and a smooth warp."""

from typing import NamedTuple

import numpy as np
import trimesh
from scipy.interpolate import RBFInterpolator
from scipy.spatial import cKDTree

ROUNDS = 60
# Of the source's points, the share with the smallest distances that counts: the target may be cropped or
# have hair, ears or a neck where the source has none.
TRUSTED_SHARE = 0.8
LARGEST_SAMPLE = 3000
LARGEST_SUBDIVISION = 3  # a coarser mesh than this refines is no face


class Similarity(NamedTuple):
    """x -> scale * rotation @ x + translation."""

    scale: float
    rotation: np.ndarray
    translation: np.ndarray

    def of(self, points: np.ndarray) -> np.ndarray:
        """The transformed points [P, 3]."""
        return self.scale * points @ self.rotation.T + self.translation


def similarity_between(source: np.ndarray, target: np.ndarray) -> Similarity:
    """The similarity that brings points closest to their partners in the least squares sense.

    Umeyama, Least-squares estimation of transformation parameters between two point patterns, PAMI 1991.
    Never a reflection.

    Args:
        source: [P, 3], not all on a line.
        target: [P, 3].
    """
    source_mean, target_mean = source.mean(0), target.mean(0)
    covariance = (target - target_mean).T @ (source - source_mean) / len(source)
    left, singular, right = np.linalg.svd(covariance)
    signs = np.array([1, 1, np.sign(np.linalg.det(left) * np.linalg.det(right))])
    rotation = left * signs @ right
    scale = float((singular * signs).sum() / ((source - source_mean) ** 2).sum(1).mean())
    return Similarity(scale, rotation, target_mean - scale * rotation @ source_mean)


def closest_point_alignment(source: np.ndarray, target: np.ndarray, start: Similarity) -> Similarity:
    """Iterated closest points from a start, with scale.

    Args:
        source: [P, 3], of which at most some thousand, evenly taken, are used.
        target: [Q, 3], dense against the distances that matter.
        start: a first guess.
    """
    source = source[:: max(1, -(-len(source) // LARGEST_SAMPLE))]
    tree, similarity = cKDTree(target), start
    trusted = max(4, int(TRUSTED_SHARE * len(source)))
    for _ in range(ROUNDS):
        distances, partners = tree.query(similarity.of(source))
        nearest = np.argsort(distances, kind="stable")[:trusted]
        after = similarity_between(source[nearest], target[partners[nearest]])
        moved = np.abs(after.of(source) - similarity.of(source)).max()
        similarity = after
        if moved < 1e-2:
            break
    return similarity


def trusted_distance(distances: np.ndarray) -> float:
    """Root mean square of the trusted share of distances, the smallest ones."""
    trusted = np.sort(distances)[: max(4, int(TRUSTED_SHARE * len(distances)))]
    return float(np.sqrt((trusted**2).mean()))


def refined(vertices: np.ndarray, triangles: np.ndarray, edge: float) -> np.ndarray:
    """Points [Q, 3] on a mesh: its vertices, and those of midpoint subdivision until edges are short enough.

    Args:
        vertices: [V, 3].
        triangles: [T, 3].
        edge: largest mean length of an edge, in the mesh's unit.
    """
    for _ in range(LARGEST_SUBDIVISION):
        lengths = np.linalg.norm(vertices[triangles] - vertices[np.roll(triangles, 1, 1)], axis=2)
        if lengths.mean() <= edge:
            break
        vertices, triangles = trimesh.remesh.subdivide(vertices, triangles)
    return vertices


def smooth_warp(points: np.ndarray, source: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Points [P, 3] after a thin-plate spline that moves each source point onto its target.

    Args:
        points: to be moved.
        source: [N, 3]; fewer than four leave the points where they are.
        target: [N, 3].
    """
    if len(source) < 4:
        return points
    # The spatial thin-plate kernel is r; its affine part is left out because the similarity has been found.
    spline = RBFInterpolator(source, target - source, kernel="linear", degree=0)
    return points + spline(points)
