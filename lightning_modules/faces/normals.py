"""Vertex normals."""

from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn.functional import normalize

from lightning_modules.rendering.compilation import compiled, for_each
from lightning_modules.rendering.rasterizer import check_triangles

SMALLEST_SUM = 1e-12  # in squared units of the vertices; a shorter sum has no direction


def triangle_normals(vertices: Tensor, triangles: Tensor) -> Tensor:
    """Normal of every triangle, its length twice the triangle's area.

    Args:
        vertices: [B, V, 3].
        triangles: [T, 3] vertex ids, counter-clockwise seen from outside.

    Returns:
        [B, T, 3], outward, not normalised.
    """
    first, second, third = (vertices.index_select(1, corner) for corner in triangles.unbind(1))
    return torch.linalg.cross(second - first, third - first)


def vertex_normals(vertices: Tensor, triangles: Tensor) -> Tensor:
    """Unit normal of every vertex: the area-weighted mean over its triangles.

    On the CPU a compiled loop, the same bits at any number of threads; elsewhere the same in torch, where
    `torch.use_deterministic_algorithms` makes sums repeatable.

    Args:
        vertices: [B, V, 3].
        triangles: [T, 3] vertex ids, counter-clockwise seen from outside.

    Returns:
        [B, V, 3], unit length; zero for a vertex without a triangle or with only degenerate ones.

    Raises:
        ValueError: for wrong shapes, or a triangle of a vertex that is not there.
    """
    if vertices.dim() != 3 or vertices.shape[-1] != 3:
        raise ValueError(f"vertices must be [B, V, 3], got {list(vertices.shape)}")
    check_triangles(triangles, vertices.shape[1])
    if vertices.dtype in (torch.float16, torch.bfloat16):  # the smallest sum has no place in these
        return vertex_normals(vertices.float(), triangles).to(vertices.dtype)
    if vertices.device.type == "cpu":
        return _CompiledNormals.apply(vertices, triangles)
    return normals_in_torch(vertices, triangles)


def normals_in_torch(vertices: Tensor, triangles: Tensor) -> Tensor:
    """`vertex_normals` in torch alone, for other devices."""
    of_triangles = triangle_normals(vertices, triangles)
    sums = torch.zeros_like(vertices)
    for corner in triangles.unbind(1):
        sums = sums.index_add(1, corner, of_triangles)
    return normalize(sums, dim=-1, eps=SMALLEST_SUM)


class _CompiledNormals(torch.autograd.Function):
    """`vertex_normals` by compiled loops, one mesh a thread."""

    @staticmethod
    def forward(ctx: Any, vertices: Tensor, triangles: Tensor) -> Tensor:  # noqa: ANN401, torch has no type
        points, ids = vertices.detach().contiguous().numpy(), triangles.contiguous().numpy()
        normals, lengths = np.zeros_like(points), np.empty_like(points[..., 0])
        for_each(lambda mesh: _normals(points[mesh], ids, normals[mesh], lengths[mesh]), len(points))
        result = torch.from_numpy(normals)
        ctx.save_for_backward(vertices, triangles, result, torch.from_numpy(lengths))
        return result

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:  # noqa: ANN401, torch has no type
        vertices, triangles, normals, lengths = (
            saved.detach().contiguous().numpy() for saved in ctx.saved_tensors
        )
        of_normals, of_points = gradient.contiguous().numpy(), np.zeros_like(vertices)

        def one(mesh: int) -> None:
            of_sums = _gradients_of_sums(normals[mesh], lengths[mesh], of_normals[mesh])
            _add_gradients(vertices[mesh], triangles, of_sums, of_points[mesh])

        for_each(one, len(vertices))
        return torch.from_numpy(of_points), None


@compiled
def _normals(points: np.ndarray, triangles: np.ndarray, sums: np.ndarray, lengths: np.ndarray) -> None:
    """Adds up the triangles' normals in `sums`, and makes them unit vectors of the former `lengths`."""
    for t in range(triangles.shape[0]):
        i, j, k = np.uint32(triangles[t, 0]), np.uint32(triangles[t, 1]), np.uint32(triangles[t, 2])
        ax, ay, az = points[j, 0] - points[i, 0], points[j, 1] - points[i, 1], points[j, 2] - points[i, 2]
        bx, by, bz = points[k, 0] - points[i, 0], points[k, 1] - points[i, 1], points[k, 2] - points[i, 2]
        x, y, z = ay * bz - az * by, az * bx - ax * bz, ax * by - ay * bx
        for v in (i, j, k):
            sums[v, 0] += x
            sums[v, 1] += y
            sums[v, 2] += z
    for vertex in range(sums.shape[0]):
        lengths[vertex] = np.sqrt(sums[vertex, 0] ** 2 + sums[vertex, 1] ** 2 + sums[vertex, 2] ** 2)
        length = max(lengths[vertex], SMALLEST_SUM)
        for axis in range(3):
            sums[vertex, axis] /= length


@compiled
def _gradients_of_sums(normals: np.ndarray, lengths: np.ndarray, of_normals: np.ndarray) -> np.ndarray:
    """What lies across the normal, over the sum's length; none where the normal is undefined."""
    of_sums = np.zeros_like(normals)
    for v in range(normals.shape[0]):
        if lengths[v] > SMALLEST_SUM:
            along = (
                normals[v, 0] * of_normals[v, 0]
                + normals[v, 1] * of_normals[v, 1]
                + normals[v, 2] * of_normals[v, 2]
            )
            for axis in range(3):
                of_sums[v, axis] = (of_normals[v, axis] - along * normals[v, axis]) / lengths[v]
    return of_sums


@compiled
def _add_gradients(
    points: np.ndarray, triangles: np.ndarray, of_sums: np.ndarray, of_points: np.ndarray
) -> None:
    for t in range(triangles.shape[0]):
        i, j, k = np.uint32(triangles[t, 0]), np.uint32(triangles[t, 1]), np.uint32(triangles[t, 2])
        ax, ay, az = points[j, 0] - points[i, 0], points[j, 1] - points[i, 1], points[j, 2] - points[i, 2]
        bx, by, bz = points[k, 0] - points[i, 0], points[k, 1] - points[i, 1], points[k, 2] - points[i, 2]
        # Of the triangle's normal a x b, whose gradient is g: b x g for a, and g x a for b.
        x = of_sums[i, 0] + of_sums[j, 0] + of_sums[k, 0]
        y = of_sums[i, 1] + of_sums[j, 1] + of_sums[k, 1]
        z = of_sums[i, 2] + of_sums[j, 2] + of_sums[k, 2]
        of_ax, of_ay, of_az = by * z - bz * y, bz * x - bx * z, bx * y - by * x
        of_bx, of_by, of_bz = y * az - z * ay, z * ax - x * az, x * ay - y * ax
        of_points[j, 0] += of_ax
        of_points[j, 1] += of_ay
        of_points[j, 2] += of_az
        of_points[k, 0] += of_bx
        of_points[k, 1] += of_by
        of_points[k, 2] += of_bz
        of_points[i, 0] -= of_ax + of_bx
        of_points[i, 1] -= of_ay + of_by
        of_points[i, 2] -= of_az + of_bz
