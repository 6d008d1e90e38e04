"""Reads and writes Wavefront OBJ, keeping every vertex at its place.

Readers that split a vertex at texture seams, or merge equal ones, break the correspondence that a morphable
model lives on; hence our own.
"""

import re
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from lightning_modules.faces.mesh import Mesh, checked_mesh
from lightning_modules.faces.mesh_files.textures import Corners, colours_from_materials


class _Lines(NamedTuple):
    """The statements of an OBJ file that matter here."""

    vertices: list[list[str]]
    texture: list[list[str]]
    polygons: list[tuple[list[tuple[int, int]], str]]  # (vertex, texture vertex or -1) per corner, material
    libraries: list[str]


def read_obj_vertices(path: Path) -> np.ndarray:
    """Vertices [V, 3] float64 of an OBJ file, in its unit and order; the rest of the file is skipped.

    Raises:
        ValueError: if there is none, or one is not three finite numbers.
    """
    rows = re.findall(r"^v[ \t]+(.+)$", path.read_text(encoding="utf-8", errors="replace"), re.MULTILINE)
    vertices = _numbers(path, " ".join(rows).split(), "vertex", max(len(rows[0].split()) if rows else 3, 3))
    vertices = vertices[:, :3]
    checked_mesh(path, Mesh(torch.from_numpy(vertices), torch.zeros(0, 3, dtype=torch.int64), None))
    return vertices


def read_obj(path: Path, *, materials: bool = True) -> Mesh:
    """Reads an OBJ file, its vertices in the file's order; polygons become fans of triangles.

    Colours come from the vertices (`v x y z r g b`, 0 to 1) or else from the materials: the texture, sampled
    bilinearly at each vertex's texture coordinates (their mean at a seam), or the diffuse colour.

    Args:
        path: the file.
        materials: whether to look for colours in materials.

    Raises:
        ValueError: naming the file, and the line or vertex that cannot be used.
    """
    lines = _read_lines(path)
    rows = _numbers(path, [row[:3] for row in lines.vertices], "vertex")
    triangles = [
        (polygon[0], one, other) for polygon, _ in lines.polygons for one, other in pairwise(polygon[1:])
    ]
    corners = np.array(triangles, dtype=np.int64).reshape(-1, 3, 2)
    colours = None
    if lines.vertices and all(len(row) >= 6 for row in lines.vertices):
        colours = _numbers(path, [row[-3:] for row in lines.vertices], "vertex colour")
    mesh = checked_mesh(
        path,
        Mesh(
            torch.from_numpy(rows.astype(np.float32)),
            torch.from_numpy(corners[..., 0].copy()),
            None if colours is None else torch.from_numpy(colours.astype(np.float32)),
        ),
    )
    if colours is None and lines.libraries and materials:
        coordinates = _numbers(path, [row[:2] for row in lines.texture], "texture coordinate", 2)
        if corners.size and corners[..., 1].max() >= len(coordinates):
            raise ValueError(
                f"{path}: a face names texture coordinate {corners[..., 1].max() + 1}, but there are "
                f"{len(coordinates)}; export the mesh again"
            )
        names = [material for polygon, material in lines.polygons for _ in polygon[2:]]
        all_corners = Corners(corners[..., 0], corners[..., 1], np.array(names, dtype=object))
        mesh = mesh._replace(
            colours=colours_from_materials(path, lines.libraries, all_corners, coordinates, len(rows))
        )
    return mesh


def _read_lines(path: Path) -> _Lines:
    lines, material = _Lines([], [], [], []), ""
    seen: dict[str, tuple[int, int]] = {}  # every corner recurs about six times
    text = path.read_text(encoding="utf-8", errors="replace").replace("\\\n", " ")
    for number, line in enumerate(text.splitlines(), 1):
        key, *values = line.split(None, 1)[:2] or [""]
        rest = values[0] if values else ""
        if key == "v":
            lines.vertices.append(rest.split())
        elif key == "vt":
            lines.texture.append(rest.split())
        elif key == "f":
            try:
                polygon = [seen.get(word) or _corner(word, lines, seen) for word in rest.split()]
            except ValueError as error:
                raise ValueError(f"{path}, line {number}: {error}; export the mesh again") from error
            if len(polygon) < 3:
                raise ValueError(f"{path}, line {number}: a face has {len(polygon)} corners; export it again")
            lines.polygons.append((polygon, material))
        elif key == "usemtl":
            material = rest.strip()
        elif key == "mtllib":
            lines.libraries.append(rest.strip())
    return lines


def _corner(word: str, lines: _Lines, seen: dict[str, tuple[int, int]]) -> tuple[int, int]:
    """0-based vertex and texture vertex of `7`, `7/8`, `7//9`, `7/8/9`; negative ones count from the end.

    Adds what does not depend on the line, all but negative ids, to `seen`.
    """
    parts = word.split("/")
    try:
        ids = [int(part) if part else None for part in (*parts, "")[:2]]
    except ValueError:
        raise ValueError(f"the face corner {word!r} is not a vertex id") from None
    vertex, texture = ids
    if not vertex:
        raise ValueError(f"the face corner {word!r} names vertex 0 or none, but ids start from 1")
    vertex = vertex - 1 if vertex > 0 else vertex + len(lines.vertices)
    if vertex < 0:
        raise ValueError(f"the face corner {word!r} counts back beyond the first vertex")
    if not texture:
        corner = vertex, -1
    else:
        corner = vertex, max(texture - 1 if texture > 0 else texture + len(lines.texture), -1)
    if "-" not in word:
        seen[word] = corner
    return corner


def _numbers(path: Path, rows: list[str] | list[list[str]], what: str, width: int = 3) -> np.ndarray:
    try:
        return np.array(rows, dtype=float).reshape(-1, width)
    except ValueError:
        raise ValueError(
            f"{path}: a {what} does not consist of {width} numbers; export the mesh again"
        ) from None


def obj_text(mesh: Mesh) -> str:
    """The mesh as OBJ: `v x y z [r g b]`, with digits enough to read float32 back whole."""
    rows = mesh.vertices if mesh.colours is None else torch.cat([mesh.vertices, mesh.colours], 1)
    vertices = "".join("v " + " ".join(f"{value:.9g}" for value in row) + "\n" for row in rows.tolist())
    triangles = "".join(f"f {one} {two} {three}\n" for one, two, three in (mesh.triangles + 1).tolist())
    return vertices + triangles
