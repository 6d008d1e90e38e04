"""Triangle ids on the CPU by a compiled z-buffer."""

import math

import numpy as np
import torch
from torch import Tensor

from .compilation import compiled, for_each, vertex_ids

BEYOND_ROUNDING = 1e-6  # pixels by which bounding boxes are widened


@compiled
def _bounds(positions: np.ndarray, near: float, size: tuple[int, int]) -> np.ndarray:
    """First and last column, first and last row that each vertex allows, [V, 4], within the image.

    What is not beyond the near plane allows all: the outline of a triangle that crosses it may reach
    anywhere.
    """
    height, width = size
    bounds = np.empty((positions.shape[0], 4), dtype=np.int32)
    for v in range(positions.shape[0]):
        if positions[v, 2] > near:
            inverse = 1.0 / positions[v, 2]
            x = min(max(positions[v, 0] * inverse, -1.0), float(width))
            y = min(max(positions[v, 1] * inverse, -1.0), float(height))
            bounds[v, 0] = math.ceil(x - BEYOND_ROUNDING)
            bounds[v, 1] = math.floor(x + BEYOND_ROUNDING)
            bounds[v, 2] = math.ceil(y - BEYOND_ROUNDING)
            bounds[v, 3] = math.floor(y + BEYOND_ROUNDING)
        else:
            bounds[v, 0], bounds[v, 1], bounds[v, 2], bounds[v, 3] = 0, width - 1, 0, height - 1
    return bounds


@compiled
def _rasterize_image(positions: np.ndarray, triangles: np.ndarray, near: float, ids: np.ndarray) -> None:
    height, width = ids.shape
    bounds = _bounds(positions, near, ids.shape)
    depths = np.full((height, width), np.inf)
    ids[:] = -1
    for t in range(triangles.shape[0]):
        i, j, k = triangles[t, 0], triangles[t, 1], triangles[t, 2]
        left = max(0, min(bounds[i, 0], bounds[j, 0], bounds[k, 0]))
        right = min(width - 1, max(bounds[i, 1], bounds[j, 1], bounds[k, 1]))
        top = max(0, min(bounds[i, 2], bounds[j, 2], bounds[k, 2]))
        bottom = min(height - 1, max(bounds[i, 3], bounds[j, 3], bounds[k, 3]))
        if left > right or top > bottom:
            continue
        zi, zj, zk = positions[i, 2], positions[j, 2], positions[k, 2]
        if max(zi, zj, zk) <= near:
            continue
        nearest = min(zi, zj, zk)
        for row in range(top, bottom + 1):
            yi, yj, yk = positions[i, 1] - row * zi, positions[j, 1] - row * zj, positions[k, 1] - row * zk
            for column in range(left, right + 1):
                if nearest > depths[row, column]:
                    continue
                xi, xj, xk = (
                    positions[i, 0] - column * zi,
                    positions[j, 0] - column * zj,
                    positions[k, 0] - column * zk,
                )
                wi, wj, wk = xj * yk - xk * yj, xk * yi - xi * yk, xi * yj - xj * yi
                # Inside, the weights have one sign: the smallest and the largest agree.
                area = wi + wj + wk
                if min(wi, wj, wk) * max(wi, wj, wk) >= 0 and area != 0:
                    depth = (wi * zi + wj * zj + wk * zk) / area
                    if near < depth < depths[row, column]:
                        depths[row, column] = depth
                        ids[row, column] = t


@compiled
def _rasterize_view(vertices, matrices, triangles, near, ids, face, view):  # noqa: ANN001, ANN202
    matrix = matrices[face, view]
    positions = np.empty((vertices.shape[1], 3))
    for v in range(vertices.shape[1]):
        x, y, z = vertices[face, v, 0], vertices[face, v, 1], vertices[face, v, 2]
        for row in range(3):
            positions[v, row] = matrix[row, 0] * x + matrix[row, 1] * y + matrix[row, 2] * z + matrix[row, 3]
    _rasterize_image(positions, triangles, near, ids[face * matrices.shape[1] + view])


def rasterize(positions: Tensor, triangles: Tensor, size: tuple[int, int], near: float) -> Tensor:
    """Triangle ids [M, H, W] int32; arguments as in `rasterizer.rasterize`, which has checked them."""
    ids = torch.empty(len(positions), *size, dtype=torch.int32)
    positions_array = positions.cpu().double().contiguous().numpy()
    triangles_array = vertex_ids(triangles)
    ids_array = ids.numpy()
    for_each(
        lambda m: _rasterize_image(positions_array[m], triangles_array, near, ids_array[m]), len(positions)
    )
    return ids


def rasterize_views(
    vertices: Tensor, matrices: Tensor, triangles: Tensor, size: tuple[int, int], near: float
) -> Tensor:
    """Triangle ids [B N, H, W] of vertices [B, V, 3] seen by cameras [B, N, 3, 4], projected on the way."""
    batch, views = matrices.shape[:2]
    ids = torch.empty(batch * views, *size, dtype=torch.int32)
    vertices_array = vertices.detach().cpu().contiguous().numpy()
    matrices_array = matrices.detach().cpu().contiguous().numpy()
    triangles_array = vertex_ids(triangles)
    ids_array = ids.numpy()

    def task(m: int) -> None:
        _rasterize_view(vertices_array, matrices_array, triangles_array, near, ids_array, *divmod(m, views))

    for_each(task, batch * views)
    return ids
