"""Lays one face over another: similarity from landmarks, closest points, and a smooth warp."""

from typing import NamedTuple

import numpy as np
import torch
from scipy.interpolate import RBFInterpolator
from scipy.spatial import cKDTree
from scipy.spatial.transform import Rotation

from lightning_modules.faces.normals import normals_in_torch
from lightning_modules.plain.umeyama import rotation_and_scale

POINT_ROUNDS = 25
PLANE_ROUNDS = 15
# Of the source's points, the share with the smallest distances that counts: the target may be cropped or
# have hair, ears or a neck where the source has none.
TRUSTED_SHARE = 0.8
LARGEST_SAMPLE = 1500
LARGEST_REFINEMENT = 200_000  # triangles; a mesh with long edges after so many is no face


class SimilarityOfFaces(NamedTuple):
    """x -> scale * rotation @ x + translation."""

    scale: float
    rotation: np.ndarray
    translation: np.ndarray

    def of(self, points: np.ndarray) -> np.ndarray:
        """The transformed points [P, 3]."""
        return self.scale * points @ self.rotation.T + self.translation

    def then(self, after: "SimilarityOfFaces") -> "SimilarityOfFaces":
        """This similarity followed by another."""
        return SimilarityOfFaces(
            after.scale * self.scale, after.rotation @ self.rotation, after.of(self.translation[None])[0]
        )


class SampledSurface(NamedTuple):
    """Points [Q, 3] of a surface, its unit normals [Q, 3] there, and a tree that finds the points."""

    points: np.ndarray
    normals: np.ndarray
    tree: cKDTree


def similarity_between(source: np.ndarray, target: np.ndarray) -> SimilarityOfFaces:
    """The similarity that brings points closest to their partners in the least squares sense.

    See `rotation_and_scale`. Never a reflection.

    Args:
        source: [P, 3], not all on a line.
        target: [P, 3].
    """
    source_mean, target_mean = source.mean(0), target.mean(0)
    covariance = (target - target_mean).T @ (source - source_mean) / len(source)
    variance = ((source - source_mean) ** 2).sum(1).mean()
    rotation, scale, _ = rotation_and_scale(covariance, variance)
    return SimilarityOfFaces(scale, rotation, target_mean - scale * rotation @ source_mean)


def closest_point_alignment(
    source: np.ndarray, target: SampledSurface, start: SimilarityOfFaces
) -> SimilarityOfFaces:
    """Iterated closest points from a start, with scale.

    First rounds bring points to points, which finds the way from afar; later ones bring points to tangent
    planes, which slide along smooth skin (Chen and Medioni 1992) where points would stick.

    Args:
        source: [P, 3], of which at most some thousand, evenly taken, are used.
        target: dense against the distances that matter.
        start: a first guess.
    """
    source, similarity = thinned(source), start
    trusted = max(8, int(TRUSTED_SHARE * len(source)))
    for number in range(POINT_ROUNDS + PLANE_ROUNDS):
        moved = similarity.of(source)
        distances, partners = target.tree.query(moved)
        nearest = np.argsort(distances, kind="stable")[:trusted]
        partners = partners[nearest]
        if number < POINT_ROUNDS:
            similarity = similarity_between(source[nearest], target.points[partners])
        else:
            step = _step_to_planes(moved[nearest], target.points[partners], target.normals[partners])
            similarity = similarity.then(step)
    return similarity


def thinned(points: np.ndarray) -> np.ndarray:
    """At most `LARGEST_SAMPLE` of the points, every n-th."""
    return points[:: max(1, -(-len(points) // LARGEST_SAMPLE))]


def _step_to_planes(points: np.ndarray, partners: np.ndarray, normals: np.ndarray) -> SimilarityOfFaces:
    """The small similarity that brings points closest to their partners' tangent planes.

    With the centre c of the points, p -> c + (1 + s) R (p - c) + t, linear in s, t and R's axis and angle.
    """
    centre = points.mean(0)
    arms = points - centre
    columns = [np.cross(arms, normals), normals, (arms * normals).sum(1, keepdims=True)]
    wanted = ((partners - points) * normals).sum(1)
    matrix = np.concatenate(columns, 1)
    # By least squares once more: a sphere leaves turns, a plane leaves slides undetermined.
    solution = np.linalg.lstsq(matrix.T @ matrix, matrix.T @ wanted, rcond=1e-9)[0]
    rotation = Rotation.from_rotvec(solution[:3]).as_matrix()
    scale = float(np.clip(1 + solution[6], 0.9, 1.1))
    return SimilarityOfFaces(scale, rotation, centre + solution[3:6] - scale * rotation @ centre)


def trusted_distance(distances: np.ndarray) -> float:
    """Root mean square of the trusted share of distances, the smallest ones."""
    trusted = np.sort(distances)[: max(4, int(TRUSTED_SHARE * len(distances)))]
    return float(np.sqrt((trusted**2).mean()))


def refined(vertices: np.ndarray, triangles: np.ndarray, edge: float) -> tuple[np.ndarray, np.ndarray]:
    """A mesh's vertices and triangles after midpoint subdivision, until edges are short enough.

    Args:
        vertices: [V, 3].
        triangles: [T, 3].
        edge: largest mean length of the triangles' first edges, in the mesh's unit.
    """
    import trimesh  # here: see surfaces.py

    while 0 < 4 * len(triangles) <= LARGEST_REFINEMENT:
        lengths = np.linalg.norm(vertices[triangles[:, 0]] - vertices[triangles[:, 1]], axis=1)
        if lengths.mean() <= edge:
            break
        vertices, triangles = trimesh.remesh.subdivide(vertices, triangles)
    return vertices, triangles


def surface_of(vertices: np.ndarray, triangles: np.ndarray) -> SampledSurface:
    """A mesh's vertices with their normals."""
    # In torch: a compiled kernel for one call would first have to be compiled.
    normals = normals_in_torch(torch.from_numpy(vertices)[None], torch.from_numpy(triangles).long())[0]
    return SampledSurface(vertices, normals.numpy(), cKDTree(vertices))


def smooth_warp(points: np.ndarray, source: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Points [P, 3] after a thin-plate spline that moves each source point onto its target.

    Args:
        points: to be moved.
        source: [N, 3]; fewer than four places leave the points where they are. Sources at one place, which
            would leave the spline undetermined, go to the mean of their targets.
        target: [N, 3].
    """
    # Rounded: equal points may differ in their last digit after a matrix product.
    source, shared, counts = np.unique(source.round(6), axis=0, return_inverse=True, return_counts=True)
    sums = np.zeros(source.shape)
    np.add.at(sums, shared.ravel(), target)
    target = sums / counts[:, None]
    if len(source) < 4:
        return points
    # The spatial thin-plate kernel is r; its affine part is left out because the similarity has been found.
    spline = RBFInterpolator(source, target - source, kernel="linear", degree=0)
    return points + spline(points)
