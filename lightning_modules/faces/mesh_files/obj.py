"""Reads and writes Wavefront OBJ, keeping every vertex at its place.

Readers that split a vertex at texture seams, or merge equal ones, break the correspondence that a morphable
model lives on, and none of them names the line that is wrong; hence our own. A test holds it against trimesh
and Open3D.
"""

import re
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from lightning_modules.faces.mesh import Mesh, checked_mesh
from lightning_modules.faces.mesh_files.colours import as_fractions
from lightning_modules.faces.mesh_files.text import text_of, uncommented
from lightning_modules.faces.mesh_files.textures import Corners, colours_from_materials

# They may go on in the next line, after a backslash; names end in one as they like.
_CONTINUED = frozenset({"v", "vt", "vn", "f", "fo", "l", "p", "mtllib"})
# In faces that are not ids from 1 as `7`, `7//9` or `7/8/9`, of at most nine figures.
_UNUSUAL = re.compile(r"[^0-9/\s]|[0-9]{10}|/[0-9]*/[0-9]*/|///|/\s|\s/|^/|/$")
LARGEST_ID = 2**31
_GREY = 0.5  # of a vertex without a colour among others that have one


class _Rows(NamedTuple):
    """Statements of one kind: what follows the key, and the line's number."""

    texts: list[str]
    lines: list[int]

    def add(self, text: str, line: int) -> None:
        self.texts.append(text)
        self.lines.append(line)


class _Statements(NamedTuple):
    """The statements of an OBJ file that matter here.

    `counts` has of each face how many vertices and texture vertices stood before it, and `materials` the
    number of the first face of each `usemtl`.
    """

    vertices: _Rows
    texture: _Rows
    faces: _Rows
    counts: list[tuple[int, int]]
    materials: list[tuple[int, str]]
    libraries: list[str]


class _Triangles(NamedTuple):
    """Corners [T, 3, 2], vertex and texture vertex (-1: none), and of each triangle its face's number [T]."""

    corners: NDArray[np.int64]
    faces: NDArray[np.int64]


def read_obj_vertices(path: Path) -> np.ndarray:
    """Vertices [V, 3] float64 of an OBJ file, in its unit and order; the rest of the file is skipped.

    Raises:
        ValueError: if there is none, or one is not three finite numbers.
    """
    rows = _statements(path, only_vertices=True).vertices
    vertices = np.ascontiguousarray(_numbers(path, rows, "vertex").values[:, :3])
    checked_mesh(path, Mesh(torch.from_numpy(vertices), torch.zeros(0, 3, dtype=torch.int64), None))
    return vertices


def read_obj(path: Path, *, materials: bool = True) -> Mesh:
    """Reads an OBJ file, its vertices in the file's order; polygons become fans of triangles.

    Colours come from the vertices (`v x y z r g b`) or else from the materials: the texture, sampled
    bilinearly at each vertex's texture coordinates (their mean at a seam), or the diffuse colour.

    Args:
        path: the file.
        materials: whether to look for colours in materials.

    Raises:
        ValueError: naming the file, and the line or vertex that cannot be used.
    """
    statements = _statements(path)
    rows = _numbers(path, statements.vertices, "vertex")
    triangles = _triangles(path, statements)
    _check_vertices(path, triangles, statements, len(rows.values))
    colours = _vertex_colours(path, rows)
    mesh = checked_mesh(
        path,
        Mesh(
            torch.from_numpy(rows.values[:, :3].astype(np.float32)),
            torch.from_numpy(triangles.corners[..., 0].copy()),
            None if colours is None else torch.from_numpy(colours),
        ),
    )
    if colours is None and statements.libraries and materials:
        names = np.array(_material_of_faces(statements), dtype=object)[triangles.faces]
        corners = Corners(triangles.corners[..., 0], triangles.corners[..., 1], names)
        coordinates = _texture_coordinates(path, triangles, statements)
        mesh = mesh._replace(
            colours=colours_from_materials(
                path, statements.libraries, corners, coordinates, len(mesh.vertices)
            )
        )
    return mesh


# ---------------------------------------------------------------------- statements


def _statements(path: Path, *, only_vertices: bool = False) -> _Statements:
    found = _Statements(_Rows([], []), _Rows([], []), _Rows([], []), [], [], [])
    vertices, texture, faces = found[:3]
    for number, line in _lines(text_of(path)):
        key, *rest = line.split(None, 1)
        content = rest[0] if rest else ""
        if key == "v":
            vertices.add(uncommented(content), number)
        elif only_vertices:
            continue
        elif key in {"f", "fo"}:  # fo: as old programs write it
            faces.add(content.split("#", 1)[0], number)
            found.counts.append((len(vertices.texts), len(texture.texts)))
        elif key == "vt":
            texture.add(uncommented(content), number)
        elif key == "usemtl":
            found.materials.append((len(faces.texts), content.strip()))
        elif key == "mtllib":
            found.libraries.append(content.strip())
    return found


def _lines(text: str) -> Iterator[tuple[int, str]]:
    """Lines with their numbers, empty ones left out, continued ones joined under the first one's number."""
    lines = text.split("\n")
    if "\\\n" not in text:
        yield from ((number, line) for number, line in enumerate(lines, 1) if line and not line.isspace())
        return
    begun: tuple[int, str] | None = None
    for number, line in enumerate(lines, 1):
        first, whole = (number, line) if begun is None else (begun[0], f"{begun[1]} {line}")
        begun = None
        words = whole.split(None, 1)
        if line.endswith("\\") and words[0] in _CONTINUED and "#" not in whole:
            begun = first, whole[:-1]
        elif words:
            yield first, whole
    if begun is not None:
        yield begun


def _material_of_faces(statements: _Statements) -> list[str]:
    starts = [(0, ""), *statements.materials, (len(statements.faces.texts), "")]
    return [name for (first, name), (end, _) in pairwise(starts) for _ in range(end - first)]


# ---------------------------------------------------------------------- numbers


class _Numbers(NamedTuple):
    """Values [N, W] of statements and how many each has [N]; shorter rows end in NaN."""

    values: NDArray[np.float64]
    widths: NDArray[np.int64]


def _numbers(path: Path, rows: _Rows, what: str, least: int = 3) -> _Numbers:
    """The numbers of statements.

    Raises:
        ValueError: naming the line that has fewer than `least` numbers, or a word that is none.
    """
    widths = np.fromiter((len(text.split()) for text in rows.texts), np.int64, len(rows.texts))
    if not len(widths):
        return _Numbers(np.zeros((0, least)), widths)
    width = int(widths[0])
    if width >= least and (widths == width).all():
        try:
            return _Numbers(np.array(" ".join(rows.texts).split(), dtype=float).reshape(-1, width), widths)
        except ValueError:
            pass  # found below, with its line
    values = np.full((len(widths), max(least, int(widths.max()))), np.nan)
    for row, (text, line) in enumerate(zip(*rows, strict=True)):
        try:
            numbers = [float(word) for word in text.split()]
        except ValueError:
            numbers = []
        if len(numbers) < least:
            raise ValueError(
                f"{path}, line {line}: a {what} does not consist of {least} numbers, got "
                f"{text.strip()[:80]!r}; "
                "export the mesh again"
            )
        values[row, : len(numbers)] = numbers
    return _Numbers(values, widths)


def _vertex_colours(path: Path, rows: _Numbers) -> NDArray[np.float32] | None:
    """Colours [V, 3] of `x y z [w] r g b [a]`; grey where only others have one, None where none has."""
    coloured = rows.widths >= 6
    if not coloured.any():
        return None
    values = rows.values[coloured]
    first = 3
    if values.shape[1] > 7 or (values.shape[1] == 7 and (values[:, 3] == 1).all()):
        first = 4  # w comes first; where it is not 1 throughout, the seventh number is alpha
    fractions = as_fractions(str(path), values[:, first : first + 3])
    colours = np.full((len(rows.values), 3), _GREY, np.float32)
    colours[coloured] = fractions
    return colours


def _texture_coordinates(path: Path, triangles: _Triangles, statements: _Statements) -> NDArray[np.float64]:
    """Texture coordinates [N, 2]; NaN where one is no number, as some programs write them.

    Raises:
        ValueError: naming the line of a face that names one that is not there.
    """
    coordinates = np.full((len(statements.texture.texts), 2), np.nan)
    try:
        coordinates[:] = _numbers(path, statements.texture, "texture coordinate", 2).values[:, :2]
    except ValueError:
        for row, text in enumerate(statements.texture.texts):
            coordinates[row] = [_number_or_nan(word) for word in (*text.split(), "0", "0")[:2]]
    wrong = np.flatnonzero((triangles.corners[..., 1] >= len(coordinates)).any(1))
    if len(wrong):
        line = statements.faces.lines[triangles.faces[wrong[0]]]
        raise ValueError(
            f"{path}, line {line}: a face names texture coordinate "
            f"{triangles.corners[wrong[0], :, 1].max() + 1}, but there are {len(coordinates)}; "
            "export the mesh again"
        )
    return coordinates


def _number_or_nan(word: str) -> float:
    try:
        return float(word)
    except ValueError:
        return np.nan


# ---------------------------------------------------------------------- faces


def _triangles(path: Path, statements: _Statements) -> _Triangles:
    corners = _plain_triangles(statements.faces.texts)
    if corners is not None:
        return _Triangles(corners, np.arange(len(corners)))
    triangles: list[tuple[tuple[int, int], ...]] = []
    numbers: list[int] = []
    seen: dict[str, tuple[int, int]] = {}  # every corner recurs about six times
    for face, (text, line) in enumerate(zip(*statements.faces, strict=True)):
        try:
            polygon = [
                seen.get(word) or _corner(word, statements.counts[face], seen) for word in text.split()
            ]
        except ValueError as error:
            raise ValueError(f"{path}, line {line}: {error}; export the mesh again") from error
        if len(polygon) < 3:
            raise ValueError(f"{path}, line {line}: a face has {len(polygon)} corners; export it again")
        triangles += [(polygon[0], one, other) for one, other in pairwise(polygon[1:])]
        numbers += [face] * (len(polygon) - 2)
    return _Triangles(
        np.array(triangles, dtype=np.int64).reshape(-1, 3, 2), np.array(numbers, dtype=np.int64)
    )


def _plain_triangles(texts: Sequence[str]) -> NDArray[np.int64] | None:
    """Corners [T, 3, 2] of files whose faces are all triangles of one form, as in most; else None."""
    text = "\n".join(texts)
    if not texts or _UNUSUAL.search(text) or not all(len(face.split()) == 3 for face in texts):
        return None
    slashes, words = text.count("/"), 3 * len(texts)
    if slashes not in {0, 2 * words}:
        return None
    parts = text.replace("//", "/0/").replace("/", " ").split()
    ids = np.array(parts, dtype=np.int64).reshape(len(texts), 3, -1)
    corners = np.zeros((len(texts), 3, 2), np.int64)
    corners[..., : min(ids.shape[2], 2)] = ids[..., :2]
    return None if (corners[..., 0] == 0).any() else corners - 1


def _corner(word: str, counts: tuple[int, int], seen: dict[str, tuple[int, int]]) -> tuple[int, int]:
    """0-based vertex and texture vertex of `7`, `7/8`, `7//9`, `7/8/9`; negative ones count from the end.

    Adds what does not depend on the line, all but negative ids, to `seen`.
    """
    parts = word.split("/")
    try:
        ids = [int(part) if part else None for part in (*parts, "")[:2]]
    except ValueError:
        raise ValueError(f"the face corner {word[:40]!r} is not a vertex id") from None
    vertex, texture = ids
    if not vertex:
        raise ValueError(f"the face corner {word[:40]!r} names vertex 0 or none, but ids start from 1")
    if max(abs(vertex), abs(texture or 0)) > LARGEST_ID:
        raise ValueError(f"the face corner {word[:40]!r} is beyond every vertex")
    vertex = vertex - 1 if vertex > 0 else vertex + counts[0]
    if vertex < 0:
        raise ValueError(f"the face corner {word[:40]!r} counts back beyond the first vertex")
    if not texture:
        corner = vertex, -1
    else:
        corner = vertex, max(texture - 1 if texture > 0 else texture + counts[1], -1)
    if "-" not in word:
        seen[word] = corner
    return corner


def _check_vertices(path: Path, triangles: _Triangles, statements: _Statements, count: int) -> None:
    wrong = np.flatnonzero((triangles.corners[..., 0] >= count).any(1))
    if len(wrong) and count:
        triangle = (triangles.corners[wrong[0], :, 0] + 1).tolist()
        line = statements.faces.lines[triangles.faces[wrong[0]]]
        raise ValueError(
            f"{path}, line {line}: a triangle names the vertices {triangle} (from 1), but there are "
            f"{count}; export the mesh again"
        )


# ---------------------------------------------------------------------- writing


def obj_text(mesh: Mesh) -> str:
    """The mesh as OBJ: `v x y z [r g b]`, with digits enough to read float32 back whole."""
    triangles = "".join(f"f {one} {two} {three}\n" for one, two, three in (mesh.triangles + 1).tolist())
    return obj_vertices(mesh) + triangles


def obj_vertices(mesh: Mesh) -> str:
    """The lines of `obj_text` that are the mesh's vertices."""
    rows = mesh.vertices if mesh.colours is None else torch.cat([mesh.vertices, mesh.colours], 1)
    return "".join("v " + " ".join(f"{value:.9g}" for value in row) + "\n" for row in rows.tolist())
