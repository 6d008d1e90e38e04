"""Triangle ids on the CPU by a compiled z-buffer."""

import math

import numpy as np
import torch
from torch import Tensor

from .compilation import compiled, for_each, vertex_ids

BEYOND_ROUNDING = 1e-6  # pixels by which bounding boxes are widened
BLOCK = 256  # samples within triangles that the z-buffer takes at once


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
def _box(bounds: np.ndarray, i: int, j: int, k: int, size: tuple[int, int]) -> tuple[int, int, int, int]:
    """First and last column, first and last row of a triangle within the image."""
    return (
        max(0, min(bounds[i, 0], bounds[j, 0], bounds[k, 0])),
        min(size[1] - 1, max(bounds[i, 1], bounds[j, 1], bounds[k, 1])),
        max(0, min(bounds[i, 2], bounds[j, 2], bounds[k, 2])),
        min(size[0] - 1, max(bounds[i, 3], bounds[j, 3], bounds[k, 3])),
    )


@compiled
def _point(positions: np.ndarray, v: int) -> tuple[float, float, float]:
    return positions[v, 0], positions[v, 1], positions[v, 2]


@compiled
def _cross(a: tuple, b: tuple) -> tuple[float, float, float]:
    return a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]


@compiled
def _keep_nearest(found: tuple, n: int, near: float, nearest: np.ndarray, ids: np.ndarray) -> None:
    """The z-buffer; a triangle without area has depths that are not numbers, which are never nearer."""
    pixels, owners, depths = found
    for p in range(n):
        pixel = np.uint32(pixels[p])
        if near < depths[p] < nearest[pixel]:
            nearest[pixel], ids[pixel] = depths[p], owners[p]


@compiled
def _rasterize_image(positions: np.ndarray, triangles: np.ndarray, near: float, ids: np.ndarray) -> None:
    """Every sample of a triangle's box is written behind those found, and counted if the triangle holds it.

    A branch instead takes half as long again: the processor cannot foresee it. Indices are unsigned because
    numba asks of every other whether it counts from the end.
    """
    height, width = ids.shape
    bounds, nearest, flat_ids = (
        _bounds(positions, near, ids.shape),
        np.full(ids.size, np.inf),
        ids.reshape(-1),
    )
    flat_ids[:] = -1
    pixels, owners = np.empty(BLOCK + width, np.int32), np.empty(BLOCK + width, np.int32)
    depths, none = np.empty(BLOCK + width), np.uintp(0)
    n = none
    for t in range(triangles.shape[0]):
        i, j, k = np.uint32(triangles[t, 0]), np.uint32(triangles[t, 1]), np.uint32(triangles[t, 2])
        left, right, top, bottom = _box(bounds, i, j, k, (height, width))
        if left > right or top > bottom or max(positions[i, 2], positions[j, 2], positions[k, 2]) <= near:
            continue
        pi, pj, pk = _point(positions, i), _point(positions, j), _point(positions, k)
        # Weights are linear in the pixel; two triangles' at an edge that they share differ in sign alone.
        ei, ej, ek = _cross(pj, pk), _cross(pk, pi), _cross(pi, pj)
        for row in range(top, bottom + 1):
            ri, rj, rk = ei[1] * row + ei[2], ej[1] * row + ej[2], ek[1] * row + ek[2]
            for column in range(left, right + 1):
                wi, wj, wk = ei[0] * column + ri, ej[0] * column + rj, ek[0] * column + rk
                pixels[n], owners[n] = row * width + column, t
                depths[n] = (wi * pi[2] + wj * pj[2] + wk * pk[2]) / (wi + wj + wk)
                # Inside, the weights have one sign: the smallest and the largest agree.
                n += np.uintp(min(wi, wj, wk) * max(wi, wj, wk) >= 0)
            if n >= BLOCK:
                _keep_nearest((pixels, owners, depths), n, near, nearest, flat_ids)
                n = none
    _keep_nearest((pixels, owners, depths), n, near, nearest, flat_ids)


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
