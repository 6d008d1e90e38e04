"""Reads and writes PLY, ascii and binary."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import torch
import trimesh

from lightning_modules.faces.mesh import Mesh, checked_mesh

_COORDINATES = "xyz"
_CHANNELS = ("red", "green", "blue")


def read_ply(path: Path) -> Mesh:
    """Reads a PLY file, its vertices in the file's order; polygons become triangles.

    Raises:
        ValueError: naming the file, if it cannot be read as PLY, is truncated, or holds no mesh.
    """
    try:
        with open(path, "rb") as file:
            content: dict[str, Any] = trimesh.exchange.ply.load_ply(file)
        vertices = np.asarray(content["vertices"], dtype=np.float32)
        triangles = np.zeros((0, 3), dtype=np.int64)
        if len(content.get("faces", [])):
            triangles = trimesh.geometry.triangulate_quads(content["faces"]).astype(np.int64)
        declared = re.findall(rb"element (?:vertex|face) (\d+)", path.read_bytes()[:65536])
    except Exception as error:  # trimesh raises whatever a damaged file leads to
        raise ValueError(
            f"{path} cannot be read as PLY ({error}), or has no vertices; export the mesh again"
        ) from error
    # Text that ends early gives fewer rows without an error; a polygon gives one triangle or more.
    found = [len(vertices), len(triangles)]
    if any(rows < int(count) for rows, count in zip(found, declared, strict=False)):
        raise ValueError(
            f"{path} is truncated: {len(vertices)} vertices and {len(triangles)} triangles of "
            f"{' and '.join(count.decode() for count in declared)}; export the mesh again"
        )
    colours = content.get("vertex_colors")
    if colours is not None:
        scale = 255 if np.issubdtype(colours.dtype, np.integer) else 1
        colours = torch.from_numpy(colours[:, :3].astype(np.float32) / scale)
    return checked_mesh(path, Mesh(torch.from_numpy(vertices), torch.from_numpy(triangles), colours))


def ply_bytes(mesh: Mesh, *, ascii_text: bool) -> bytes:
    """The mesh as PLY: float32 coordinates, colours rounded to 8 bits, ascii or little-endian binary."""
    fields = [(name, "<f4") for name in _COORDINATES]
    columns = dict(zip(_COORDINATES, mesh.vertices.numpy().T, strict=True))
    if mesh.colours is not None:
        fields += [(name, "u1") for name in _CHANNELS]
        bytes_ = (mesh.colours.clamp(0, 1) * 255).round().byte().numpy()
        columns |= dict(zip(_CHANNELS, bytes_.T, strict=True))
    vertices = np.empty(len(mesh.vertices), dtype=fields)
    for name, column in columns.items():
        vertices[name] = column
    triangles = np.empty(len(mesh.triangles), dtype=[("count", "u1"), ("ids", "<i4", 3)])
    triangles["count"], triangles["ids"] = 3, mesh.triangles.numpy()
    kinds = {"<f4": "float", "u1": "uchar"}
    header = [
        "ply",
        f"format {'ascii' if ascii_text else 'binary_little_endian'} 1.0",
        f"element vertex {len(vertices)}",
        *(f"property {kinds[kind]} {name}" for name, kind in fields),
        f"element face {len(triangles)}",
        "property list uchar int vertex_indices",
        "end_header\n",
    ]
    head = "\n".join(header).encode()
    if not ascii_text:
        return head + vertices.tobytes() + triangles.tobytes()
    lines = [" ".join(f"{value:.9g}" for value in row) for row in vertices.tolist()]
    lines += [f"3 {one} {two} {three}" for one, two, three in mesh.triangles.tolist()]
    return head + ("\n".join(lines) + "\n").encode()
