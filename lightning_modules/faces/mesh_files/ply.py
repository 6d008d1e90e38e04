"""Reads and writes PLY, ascii and binary."""

import warnings
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from lightning_modules.faces.mesh import Mesh, checked_mesh
from lightning_modules.faces.mesh_files.colours import as_fractions
from lightning_modules.faces.mesh_files.ply_elements import ElementColumns, Lists, read_elements
from lightning_modules.faces.mesh_files.polygons import fan, strip

_COORDINATES = "xyz"
_CHANNELS = ("red", "green", "blue")
_CHANNEL_NAMES = (
    _CHANNELS, ("diffuse_red", "diffuse_green", "diffuse_blue"), ("r", "g", "b"),
)  # fmt: skip
_POLYGONS, _STRIPS, _FANS = ("face",), ("tristrips", "tristrip"), ("trifans", "trifan")
_IDS = ("vertex_indices", "vertex_index")
RESTART = -1  # ends a strip within a list
# Coordinates in a texture, as programs call them.
_TEXTURE = ("s", "u", "texture_u", "texture_s")
_GREY = 0.5  # of a vertex in no coloured face
_NOTHING = ElementColumns(0, {}, {})


def read_ply(path: Path) -> Mesh:
    """Reads a PLY file, its vertices in the file's order; polygons and strips become triangles.

    Colours are those of the vertices, or else the mean of those of their faces. Textures are not read, and
    warned of where there are no other colours.

    Raises:
        ValueError: naming the file and the element, if it cannot be read as PLY, ends early, or is no mesh.
    """
    elements = read_elements(path, ("vertex", *_POLYGONS, *_STRIPS, *_FANS))
    vertices = elements.get("vertex", _NOTHING)
    if vertices.total and not all(axis in vertices.numbers for axis in _COORDINATES):
        raise ValueError(f"{path}: its vertices have no x, y and z; export the mesh again")
    points = np.zeros((0, 3))
    if vertices.total:
        points = np.stack([vertices.numbers[axis] for axis in _COORDINATES], -1)
    triangles = [np.zeros((0, 3), np.int64)]
    for name, columns in elements.items():
        if name != "vertex" and columns.total:
            triangles.append(_triangles(path, name, columns))
    return checked_mesh(
        path,
        Mesh(
            torch.from_numpy(points.astype(np.float32)),
            torch.from_numpy(np.concatenate(triangles)),
            _colours(path, elements),
        ),
    )


def _colours(path: Path, elements: Mapping[str, ElementColumns]) -> Tensor | None:
    vertices = elements.get("vertex", _NOTHING)
    of_vertices = _stored_colours(path, vertices)
    if of_vertices is not None:
        return torch.from_numpy(of_vertices)
    textured = not vertices.numbers.keys().isdisjoint(_TEXTURE)
    for name in _POLYGONS:
        columns = elements.get(name, _NOTHING)
        of_polygons = _stored_colours(path, columns)
        corners = next((columns.lists[key] for key in _IDS if key in columns.lists), None)
        if of_polygons is not None and corners is not None:
            return torch.from_numpy(_mean_at_vertices(of_polygons, corners, vertices.total))
        textured |= "texcoord" in columns.lists
    if textured:
        warnings.warn(
            f"{path} has texture coordinates, but a PLY file's texture is not read: no colours; export "
            "colours of the vertices, or OBJ",
            stacklevel=4,
        )
    return None


def _stored_colours(path: Path, columns: ElementColumns) -> np.ndarray | None:
    """Colours [N, 3] in 0 to 1 of elements that have some."""
    for names in _CHANNEL_NAMES:
        if columns.total and all(name in columns.numbers for name in names):
            stored = [columns.numbers[name] for name in names]
            return as_fractions(str(path), np.stack(stored, -1))
    return None


def _mean_at_vertices(colours: np.ndarray, corners: Lists, count: int) -> np.ndarray:
    """The mean colour [V, 3] of the polygons about each vertex; grey about a vertex without one."""
    ids = np.asarray(corners.values, np.int64)
    placed = (ids >= 0) & (ids < count)  # others are refused with their triangles
    sums, weights = np.zeros((count, 3)), np.zeros(count)
    np.add.at(sums, ids[placed], np.repeat(colours, corners.lengths, 0)[placed])
    np.add.at(weights, ids[placed], 1)
    means = np.where(weights[:, None] > 0, sums / np.maximum(weights, 1)[:, None], _GREY)
    return means.astype(np.float32)


def _triangles(path: Path, name: str, columns: ElementColumns) -> np.ndarray:
    """Triangles [T, 3] of polygons, strips or fans."""
    lists = next((columns.lists[key] for key in _IDS if key in columns.lists), None)
    if lists is None:
        raise ValueError(f"{path}: its {name} elements list no vertex_indices; export the mesh again")
    ids = np.asarray(lists.values)
    if not np.issubdtype(ids.dtype, np.integer) and not (np.abs(ids) < 2**53).all():
        raise ValueError(f"{path}: a {name} names a vertex that is no number; export the mesh again")
    ids = ids.astype(np.int64)
    if name not in _POLYGONS:
        cut = strip if name in _STRIPS else fan
        ends = np.cumsum(lists.lengths)
        parts = [part for one in np.split(ids, ends[:-1]) for part in _between_restarts(one)]
        return np.concatenate([np.zeros((0, 3), np.int64), *map(cut, parts)])
    short = np.flatnonzero(lists.lengths < 3)
    if len(short):
        raise ValueError(
            f"{path}: {name} {short[0] + 1} of {columns.total} (from 1) has {lists.lengths[short[0]]} "
            "corners instead of 3 or more; export the mesh again"
        )
    # Each polygon becomes a fan about its first corner; its triangles follow each other.
    counts = lists.lengths - 2
    polygon = np.repeat(np.arange(len(counts)), counts)
    first = (np.cumsum(lists.lengths) - lists.lengths)[polygon]
    step = np.arange(len(polygon)) - (np.cumsum(counts) - counts)[polygon]
    return np.stack([ids[first], ids[first + step + 1], ids[first + step + 2]], -1)


def _between_restarts(ids: np.ndarray) -> list[np.ndarray]:
    """Strips that a list holds one after the other, each ended by -1."""
    return [part[part != RESTART] for part in np.split(ids, np.flatnonzero(ids == RESTART))]


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
