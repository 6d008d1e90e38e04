"""A triangle mesh as files hold it."""

from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor


class Mesh(NamedTuple):
    """One mesh.

    Attributes:
        vertices: [V, 3] float32.
        triangles: [T, 3] int64 vertex ids.
        colours: [V, 3] float32, sRGB-encoded, 0 to 1; None if the mesh has none.
    """

    vertices: Tensor
    triangles: Tensor
    colours: Tensor | None


def surface_vertices(mesh: Mesh) -> Tensor:
    """The vertices that triangles use: scanners leave others at the origin, or far away. All of a cloud."""
    if not len(mesh.triangles):
        return mesh.vertices
    used = torch.zeros(len(mesh.vertices), dtype=torch.bool)
    used[mesh.triangles.flatten()] = True
    return mesh.vertices[used]


def checked_mesh(path: Path, mesh: Mesh) -> Mesh:
    """The mesh of a file, if it is one.

    Raises:
        ValueError: naming the file, if it has no vertices, a vertex that is not finite, or a triangle of a
            vertex that is not there.
    """
    count = len(mesh.vertices)
    if not count:
        raise ValueError(f"{path} holds no vertices; give a mesh file")
    bad = (~mesh.vertices.isfinite().all(1)).nonzero().flatten()
    if len(bad):
        raise ValueError(
            f"{path}: vertex {int(bad[0]) + 1} of {count} (from 1) is NaN or infinite; export the mesh again"
        )
    outside = ((mesh.triangles < 0) | (mesh.triangles >= count)).any(1).nonzero().flatten()
    if len(outside):
        triangle = [index + 1 for index in mesh.triangles[outside[0]].tolist()]
        raise ValueError(
            f"{path}: a triangle names the vertices {triangle} (from 1), but there are {count}; "
            "export the mesh again"
        )
    if mesh.colours is not None and not bool(torch.isfinite(mesh.colours).all()):
        raise ValueError(f"{path}: a vertex colour is NaN or infinite; export the mesh again")
    return mesh
