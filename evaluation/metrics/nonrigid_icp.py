"""Non-rigid iterative closest points of one surface to points of another, as REALY's published code does it.

Amberg et al. 2007: each vertex has an affine map of its own, and neighbours' maps are held alike by a
stiffness that is lowered from level to level. Chai et al. 2022 (REALY) begin with a level of keypoints alone,
measure stiffness against the maps of the last step, not against the start, and solve for all maps at once.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.sparse.linalg import splu
from scipy.spatial import cKDTree

# Known, from their code: the stiffness, of keypoints alone and then lowered by exp(-1/2) a level; the weight
# of a keypoint, its share later on and how it fades with each step; the change of the maps that ends the
# first level, halved with each; how many steps a level has.
STIFFNESS, KEYPOINT_STIFFNESS, LEVELS = 50.0, 150.0, 3
KEYPOINT_WEIGHT, KEYPOINT_SHARE, KEYPOINT_FADE = 50.0, 0.1, 0.9
SMALLEST_CHANGE, MOST_STEPS = 1.0, 11
# How differences in each row of the maps count (x, y, z, shift) in the level of keypoints alone.
KEYPOINT_BALANCE = (2.0, 2.0, 3.0, 2.0)
# Ours: holds a vertex that nothing else holds (a part without a neighbour or a counterpart) where it is.
HOLD = 1e-6
# Ours: they let a level without keypoints run until it has converged.
MOST_FREE_STEPS = 50


class Keypoints(NamedTuple):
    """Where some vertices have to go: their ids [K] and targets [K, 3]."""

    ids: NDArray[np.int64]
    targets: NDArray[np.float64]


def deformed(
    vertices: NDArray, triangles: NDArray, targets: NDArray, keypoints: Keypoints | None
) -> NDArray[np.float64]:
    """The vertices [V, 3] of a surface, moved onto points.

    Args:
        vertices: [V, 3]; lengths are of order 0.1 between neighbours and 10 over all, as in REALY's frame.
        triangles: [T, 3], whose edges join neighbours.
        targets: [P, 3]; each vertex is drawn to the nearest.
        keypoints: targets of their own for some vertices; None where there are none.
    """
    problem, tree = _Problem(vertices, triangles), cKDTree(targets)
    moved = np.asarray(vertices, np.float64)
    before, maps = np.zeros((4 * len(moved), 3)), np.ones((4 * len(moved), 3))
    count = 0
    if keypoints is not None:
        weights = np.zeros(len(moved))
        weights[keypoints.ids] = KEYPOINT_WEIGHT
        before, maps = (
            maps,
            problem.maps(moved, KEYPOINT_STIFFNESS, KEYPOINT_BALANCE, [(weights, _with(moved, keypoints))]),
        )
        moved, count = problem.points(moved, maps), 1
    most = MOST_FREE_STEPS if keypoints is None else MOST_STEPS
    for stiffness, smallest in _levels():
        for _ in range(most):
            if np.linalg.norm(maps - before) <= smallest:
                break
            distances, nearest = tree.query(moved)
            drawn = targets[nearest]
            terms = [((distances < max(2 * distances.mean(), 1.0)).astype(float), drawn)]
            if keypoints is not None:
                weights = np.zeros(len(moved))
                weights[keypoints.ids] = KEYPOINT_WEIGHT * KEYPOINT_SHARE * np.exp(-KEYPOINT_FADE * count)
                terms.append((weights, _with(drawn, keypoints)))
            before, maps = maps, problem.maps(moved, stiffness, (1.0,) * 4, terms)
            moved, count = problem.points(moved, maps), count + 1
    return moved


def _levels() -> Iterator[tuple[float, float]]:
    """Of each level its stiffness, and the change of the maps at which it ends."""
    for level in range(LEVELS):
        yield STIFFNESS * np.exp(-0.5 * level), SMALLEST_CHANGE * 0.5**level


def _with(points: NDArray, keypoints: Keypoints) -> NDArray[np.float64]:
    points = np.array(points, np.float64)
    points[keypoints.ids] = keypoints.targets
    return points


class _Problem:
    """The least squares for all vertices' maps [4 V, 3], whose sparsity is the same in every step."""

    def __init__(self, vertices: NDArray, triangles: NDArray) -> None:
        count = len(vertices)
        edges = np.unique(np.sort(np.concatenate([triangles[:, [0, 1]], triangles[:, [1, 2]],
                                                  triangles[:, [2, 0]]]), 1), axis=0)  # fmt: skip
        rows = np.repeat(np.arange(len(edges)), 2)
        signs = np.tile([1.0, -1.0], len(edges))
        incidence = sparse.csc_matrix((signs, (rows, edges.ravel())), (len(edges), count))
        self._laplacian = incidence.T @ incidence
        self._rows = np.repeat(4 * np.arange(count)[:, None] + np.arange(4), 4, axis=1).ravel()
        self._columns = np.tile(4 * np.arange(count)[:, None] + np.arange(4), (1, 4)).ravel()
        self._still = np.tile(np.eye(4, 3), (count, 1))

    def maps(
        self,
        points: NDArray,
        stiffness: float,
        balance: tuple[float, ...],
        terms: list[tuple[NDArray, NDArray]],
    ) -> NDArray[np.float64]:
        """The maps that take points [V, 3] nearest to the terms' targets [V, 3], by their weights [V]."""
        homogeneous = np.column_stack([points, np.ones(len(points))])
        squared = np.sum([weights**2 for weights, _ in terms], 0)
        blocks = squared[:, None, None] * homogeneous[:, :, None] * homogeneous[:, None, :]
        size = 4 * len(points)
        data = sparse.csc_matrix((blocks.ravel(), (self._rows, self._columns)), (size, size))
        stiff = sparse.kron(self._laplacian, np.diag((stiffness * np.array(balance)) ** 2), "csc")
        pulls = np.sum([weights[:, None] ** 2 * targets for weights, targets in terms], 0)
        right = (homogeneous[:, :, None] * pulls[:, None, :]).reshape(size, 3) + HOLD * self._still
        matrix = (data + stiff + HOLD * sparse.identity(size, format="csc")).tocsc()
        return splu(
            matrix, permc_spec="MMD_AT_PLUS_A", diag_pivot_thresh=0.0, options={"SymmetricMode": True}
        ).solve(right)

    def points(self, points: NDArray, maps: NDArray) -> NDArray[np.float64]:
        """The points [V, 3] under their maps."""
        homogeneous = np.column_stack([points, np.ones(len(points))])
        return np.einsum("vi,vij->vj", homogeneous, maps.reshape(-1, 4, 3))
