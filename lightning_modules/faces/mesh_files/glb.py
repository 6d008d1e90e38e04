"""Reads binary glTF: metres and linear colours in the file, millimetres and sRGB in our tensors."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from lightning_modules.faces.mesh import Mesh, checked_mesh
from lightning_modules.faces.mesh_files.colours import as_fractions
from lightning_modules.faces.mesh_files.glb_textures import GlbTextures
from lightning_modules.faces.mesh_files.gltf_arrays import (
    Gltf,
    array_of,
    entry_of,
    read_gltf,
    refuse_compression,
)
from lightning_modules.faces.mesh_files.polygons import fan, strip
from lightning_modules.rendering.colour import encode_srgb

MILLIMETRES_PER_METRE = 1000.0
MID_GREY = 0.5  # sRGB, of vertices without a colour among others
_TRIANGLES = 4  # mode of a primitive
# Vertices, and triangles, of all nodes together: a few bytes can place one mesh any number of times.
LARGEST_SCENE = 20_000_000


def read_glb(path: Path) -> Mesh:
    """All meshes of a binary glTF file as one, placed by the nodes of its scene, in mm.

    Primitives that share an array of vertices keep sharing it, so that vertices keep their number. Colours
    are those of the vertices (COLOR_0), times the texture's where there is one; mid grey where only other
    vertices have some. Skins do not bend.

    Raises:
        ValueError: naming the file and the part, if it cannot be read or holds no mesh.
    """
    gltf = read_gltf(path)
    parts, size = _Parts([], []), _Size()
    textures = GlbTextures(gltf)
    try:
        for transform, number, weights in _placed_meshes(gltf):
            mesh = entry_of(gltf, "meshes", number)
            weights = mesh.get("weights") or [] if weights is None else weights
            size = _add_mesh(gltf, mesh, transform, weights, textures, parts, size)
    except (KeyError, IndexError, TypeError, AttributeError, OverflowError) as error:
        raise ValueError(
            f"{path} cannot be read as GLB: its description lacks or misstates something ({error!r}); export "
            "the mesh again"
        ) from error
    if not parts.vertices:
        raise ValueError(f"{path} holds no vertices; give a mesh file")
    colours = None
    if any(vertices.are_coloured for vertices in parts.vertices):
        colours = torch.cat([vertices.srgb() for vertices in parts.vertices])
    with np.errstate(over="ignore"):
        millimetres = np.concatenate([each.points for each in parts.vertices]) * MILLIMETRES_PER_METRE
    triangles = np.concatenate([np.zeros((0, 3), np.int64), *parts.triangles])
    return checked_mesh(
        path,
        Mesh(torch.from_numpy(millimetres).float(), torch.from_numpy(triangles), colours),
    )


class _Vertices:
    """Vertices that primitives share.

    Args:
        points: [V, 3] in metres.
        own: their own linear colours [V, 3], or None.
        first: the number of the first one among those of the whole file.
    """

    def __init__(self, points: np.ndarray, own: np.ndarray | None, first: int) -> None:
        self.points, self.own, self.first = points, own, first
        self._sums, self._counts = np.zeros((len(points), 3)), np.zeros(len(points))

    @property
    def are_coloured(self) -> bool:
        """Whether any has a colour."""
        return self.own is not None or bool(self._counts.any())

    def paint(self, ids: np.ndarray, linear: np.ndarray) -> None:
        """Colour a primitive's vertices from [V, 3]; where several do, the mean counts, and NaN does not."""
        painted = np.unique(ids)
        painted = painted[np.isfinite(linear[painted]).all(1)]
        self._sums[painted] += linear[painted]
        self._counts[painted] += 1

    def srgb(self) -> Tensor:
        """Colours [V, 3], mid grey where there is none."""
        painted = self._counts > 0
        linear = np.ones((len(self.points), 3)) if self.own is None else self.own.astype(np.float64)
        linear[painted] *= self._sums[painted] / self._counts[painted, None]
        colours = encode_srgb(torch.from_numpy(linear).float())
        if self.own is None:
            colours[torch.from_numpy(~painted)] = MID_GREY
        return colours


class _Parts(NamedTuple):
    """What was read so far."""

    vertices: list[_Vertices]
    triangles: list[np.ndarray]


class _Size(NamedTuple):
    """How many vertices and triangles were read so far."""

    vertices: int = 0
    triangles: int = 0


def _placed_meshes(gltf: Gltf) -> Iterator[tuple[np.ndarray, int, list[float] | None]]:
    """The meshes of the scene, depth first; all where there is no node.

    Each with its transform [4, 4], its number, and the node's own weights of expressions, if it has any.
    """
    nodes, scenes = gltf.content.get("nodes") or [], gltf.content.get("scenes") or []
    if not nodes:
        yield from ((np.eye(4), number, None) for number in range(len(gltf.content.get("meshes") or [])))
        return
    if scenes:
        roots = entry_of(gltf, "scenes", gltf.content.get("scene", 0)).get("nodes") or []
    else:
        below = {child for node in nodes for child in node.get("children") or []}
        roots = [number for number in range(len(nodes)) if number not in below]
    waiting = [(np.eye(4), number) for number in reversed(roots)]
    visited = 0
    while waiting:
        above, number = waiting.pop()
        node = entry_of(gltf, "nodes", number)
        visited += 1
        if visited + len(waiting) > len(nodes):
            raise ValueError(
                f"{gltf.path}: node {number} has two parents or is its own; export the mesh again"
            )
        here = above @ _transform(node)
        if "mesh" in node:
            yield here, node["mesh"], node.get("weights")
        waiting += [(here, child) for child in reversed(node.get("children") or [])]


def _transform(node: dict[str, Any]) -> np.ndarray:
    """A node's own transform [4, 4], a matrix or translation, rotation and scale."""
    if "matrix" in node:
        matrix = np.array(node["matrix"], np.float64)
        if matrix.size != 16:
            raise IndexError(f"a matrix of {matrix.size} numbers")
        return matrix.reshape(4, 4).T
    turn = np.array(node.get("rotation", (0, 0, 0, 1)), np.float64)
    # Of length 1 by the specification; some programs' are not, and would stretch the mesh.
    x, y, z, w = turn / (np.linalg.norm(turn) or 1)
    rotation = np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
            [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
            [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
        ]
    )
    transform = np.eye(4)
    transform[:3, :3] = rotation * np.array(node.get("scale", (1, 1, 1)), np.float64)
    transform[:3, 3] = node.get("translation", (0, 0, 0))
    return transform


def _add_mesh(
    gltf: Gltf,
    mesh: dict[str, Any],
    transform: np.ndarray,
    weights: Sequence[float],
    textures: GlbTextures,
    parts: _Parts,
    size: _Size,
) -> _Size:
    """Adds a mesh's primitives to parts of a size; those of one array of positions share its vertices.

    Its expressions are added by their weights, as a viewer shows the file.
    """
    shared: dict[tuple[int, int | None], _Vertices] = {}
    for primitive in mesh["primitives"]:
        refuse_compression(gltf, primitive)
        mode = primitive.get("mode", _TRIANGLES)
        if mode not in _MODES:  # points or lines
            continue
        attributes = primitive["attributes"]
        key = attributes["POSITION"], attributes.get("COLOR_0")
        positions = array_of(gltf, key[0]).astype(np.float64)
        if positions.ndim != 2 or positions.shape[1] != 3:
            raise ValueError(f"{gltf.path}: its positions are not x, y, z; export the mesh again")
        if key not in shared:
            for weight, target in zip(weights, primitive.get("targets") or [], strict=False):
                if weight and "POSITION" in target:
                    positions = positions + weight * array_of(gltf, target["POSITION"])
            with np.errstate(all="ignore"):  # what is no number or none that fits is refused below
                points = positions @ transform[:3, :3].T + transform[:3, 3]
            own = None if key[1] is None else _linear_colours(gltf, key[1], len(positions))
            shared[key] = _Vertices(points, own, size.vertices)
            parts.vertices.append(shared[key])
            size = size._replace(vertices=size.vertices + len(positions))
        ids = np.arange(len(positions))
        if "indices" in primitive:
            ids = array_of(gltf, primitive["indices"], scaled=False).astype(np.int64)
        if len(ids) and ids.max() >= len(positions):
            raise ValueError(
                f"{gltf.path}: a triangle names vertex {ids.max()}, but its primitive has {len(positions)}; "
                "export the mesh again"
            )
        if mode == _TRIANGLES and len(ids) % 3:
            raise ValueError(
                f"{gltf.path}: a primitive lists {len(ids)} corners, which are no triangles; export the mesh "
                "again"
            )
        linear = textures.colours(primitive, len(positions))
        if linear is not None:
            shared[key].paint(ids, linear)
        triangles = _MODES[mode](ids)
        with np.errstate(all="ignore"):
            if np.linalg.det(transform[:3, :3]) < 0:  # a mirrored node's triangles are wound the other way
                triangles = triangles[:, ::-1]
        parts.triangles.append(triangles + shared[key].first)
        size = size._replace(triangles=size.triangles + len(triangles))
        if max(size) > LARGEST_SCENE:
            raise ValueError(
                f"{gltf.path} has more than {LARGEST_SCENE:,} vertices or triangles over all its nodes; "
                "export the face alone, or fewer triangles"
            )
    return size


_MODES: dict[int, Callable[[np.ndarray], np.ndarray]] = {
    _TRIANGLES: lambda ids: ids.reshape(-1, 3), 5: strip, 6: fan,
}  # fmt: skip


def _linear_colours(gltf: Gltf, accessor: int, count: int) -> np.ndarray:
    """[V, 3] in [0, 1], with or without alpha; integers are normalised whether or not the file says so."""
    stored = array_of(gltf, accessor, scaled=False)
    if stored.ndim != 2 or stored.shape[1] not in (3, 4) or len(stored) != count:
        raise ValueError(f"{gltf.path}: its vertex colours are not r, g, b for each vertex; export it again")
    if np.issubdtype(stored.dtype, np.integer):
        return stored[:, :3].astype(np.float32) / np.float32(np.iinfo(stored.dtype).max)
    return as_fractions(str(gltf.path), stored[:, :3])
