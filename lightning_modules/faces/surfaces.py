"""Closest points on a triangle mesh."""

from typing import NamedTuple

import numpy as np
import torch
import trimesh
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
    corners = vertices.double().numpy()[triangles.numpy()]  # [T, 3, 3]
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    kept = np.flatnonzero(np.linalg.norm(normals, axis=1) > 0)
    corners, ids = corners[kept], triangles.numpy()[kept]
    queries = points.double().numpy()
    count = min(CANDIDATES, len(corners))
    _, candidates = cKDTree(corners.mean(1)).query(queries, k=count)
    candidates = candidates.reshape(len(queries), count)
    repeated = np.repeat(queries, count, axis=0)
    closest = trimesh.triangles.closest_point(corners[candidates.ravel()], repeated)
    distances = np.linalg.norm(closest - repeated, axis=1).reshape(len(queries), count)
    best = distances.argmin(1)
    rows = np.arange(len(queries))
    chosen = candidates[rows, best]
    on_surface = closest.reshape(len(queries), count, 3)[rows, best]
    weights = trimesh.triangles.points_to_barycentric(corners[chosen], on_surface).clip(0, 1)
    weights /= weights.sum(1, keepdims=True)
    return SurfacePoints(
        torch.from_numpy(ids[chosen]),
        torch.from_numpy(weights).to(vertices.dtype),
        torch.from_numpy(distances[rows, best]).to(vertices.dtype),
    )
