"""Closest points on a triangle mesh."""

from typing import NamedTuple

import numpy as np
import torch
from scipy.spatial import cKDTree
from torch import Tensor

# The closest triangle is nearly always among so many with the nearest centres; where it is not, the one
# found is a neighbour.
CANDIDATES = 16


class SurfacePoints(NamedTuple):
    """Points on a mesh, each a weighted mean of a triangle's corners.

    Attributes:
        vertex_ids: [P, 3] int64.
        weights: [P, 3] in the mesh's dtype, each row sums to 1.
        distances: [P] from the points that were asked for.
    """

    vertex_ids: Tensor
    weights: Tensor
    distances: Tensor


def closest_on_surface(points: Tensor, vertices: Tensor, triangles: Tensor) -> SurfacePoints:
    """The point of a mesh's surface that comes closest to each point.

    Args:
        points: [P, 3].
        vertices: [V, 3].
        triangles: [T, 3]; those without area are never chosen.
    """
    import trimesh  # here: with what it needs it takes half a second, which every command would wait for

    mesh, ids, queries = vertices.double().numpy(), triangles.numpy(), points.double().numpy()
    centres = (mesh[ids[:, 0]] + mesh[ids[:, 1]] + mesh[ids[:, 2]]) / 3
    count = min(CANDIDATES, len(ids))
    _, candidates = cKDTree(centres).query(queries, k=count)
    candidates = candidates.ravel()
    corners, repeated = mesh[ids[candidates]], np.repeat(queries, count, axis=0)  # [P * count, 3, 3]
    closest = trimesh.triangles.closest_point(corners, repeated)
    distances = np.linalg.norm(closest - repeated, axis=1)
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    distances[~normals.any(1)] = np.inf
    best = distances.reshape(len(queries), count).argmin(1) + count * np.arange(len(queries))
    weights = trimesh.triangles.points_to_barycentric(corners[best], closest[best]).clip(0, 1)
    weights /= weights.sum(1, keepdims=True)
    return SurfacePoints(
        torch.from_numpy(ids[candidates[best]]),
        torch.from_numpy(weights).to(vertices.dtype),
        torch.from_numpy(distances[best]).to(vertices.dtype),
    )
