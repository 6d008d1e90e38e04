"""Vertex normals."""

import torch
from torch import Tensor
from torch.nn.functional import normalize


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

    Args:
        vertices: [B, V, 3].
        triangles: [T, 3] vertex ids, counter-clockwise seen from outside.

    Returns:
        [B, V, 3], unit length; zero for a vertex without a triangle or with only degenerate ones.
    """
    of_triangles = triangle_normals(vertices, triangles)
    sums = torch.zeros_like(vertices)
    for corner in triangles.unbind(1):
        sums = sums.index_add(1, corner, of_triangles)
    return normalize(sums, dim=-1, eps=1e-12)
