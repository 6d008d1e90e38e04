"""Small meshes as other programs write them: every combination of what differs between their files.

The surface is a bumpy grid of 4 x 3 vertices; what each file holds is worked out here, without any reader.
"""

import struct
from collections.abc import Callable, Iterator
from itertools import pairwise, product
from typing import Any

import numpy as np

from tests.lightning_modules.faces.mesh_files.glb_corpus import GLB_AXES, glb_files
from tests.lightning_modules.faces.mesh_files.written import Written

ROWS, COLUMNS = 4, 3
UNUSED = (9.0, -8.0, 7.0)


def grid_points() -> np.ndarray:
    """Vertices of the grid, each exact in float32 and in six figures."""
    y, x = np.mgrid[:ROWS, :COLUMNS]
    bump = np.array([[0, 3, 1], [2, 5, 4], [1, 6, 2], [0, 2, 3]])
    return np.stack([x, y, bump / 8], -1).reshape(-1, 3).astype(float)


def quads() -> list[list[int]]:
    """Corners of the grid's six squares, counter-clockwise."""
    return [
        [r * COLUMNS + c, r * COLUMNS + c + 1, (r + 1) * COLUMNS + c + 1, (r + 1) * COLUMNS + c]
        for r in range(ROWS - 1)
        for c in range(COLUMNS - 1)
    ]


def polygons(kind: str) -> list[list[int]]:
    """The grid as triangles, quads, or a mixture with a hexagon."""
    if kind == "quads":
        return quads()
    if kind == "mixed":  # two squares of a column as one hexagon, others as they are, the last as triangles
        first, second, third, fourth, fifth, last = quads()
        tall = [first[0], first[1], third[1], third[2], third[3], first[3]]
        return [second, tall, fourth, fifth, last[:3], [last[0], last[2], last[3]]]
    return [triangle for quad in quads() for triangle in ([*quad[:3]], [quad[0], quad[2], quad[3]])]


def fans(shapes: list[list[int]]) -> np.ndarray:
    """Their triangles, each polygon a fan about its first corner."""
    return np.array([[s[0], a, b] for s in shapes for a, b in pairwise(s[1:])])


def strips() -> tuple[list[int], np.ndarray]:
    """The grid's rows as strips with -1 between them, and their triangles."""
    listed: list[int] = []
    triangles = []
    for r in range(ROWS - 1):
        row = [n for c in range(COLUMNS) for n in ((r + 1) * COLUMNS + c, r * COLUMNS + c)]
        listed += [*row, -1]
        for n in range(len(row) - 2):
            a, b, c = row[n : n + 3]
            triangles.append([a, b, c] if n % 2 == 0 else [b, a, c])
    return listed[:-1], np.array(triangles)


def fractions(count: int) -> np.ndarray:
    """Colours [count, 3] in 255ths: also those of 8 and 16 bits, whole."""
    return (np.arange(3 * count).reshape(-1, 3) * 37 % 256) / 255


# ---------------------------------------------------------------------- OBJ

OBJ_AXES: dict[str, tuple[Any, ...]] = {
    "texture": ("none", "vertex", "corner"),
    "faces": ("triangles", "quads", "mixed"),
    "unused": (False, True),
    "ends": ("\n", "\r\n", "\r"),
    "mark": (False, True),
    "comments": (False, True),
    "colours": ("none", "fractions", "255", "255 alpha"),
    "ids": ("positive", "negative"),
}


def obj_files() -> Iterator[Written]:
    """One file for every combination of OBJ_AXES."""
    for number, values in enumerate(product(*OBJ_AXES.values())):
        yield _obj(f"{number}.obj", **dict(zip(OBJ_AXES, values, strict=True)))


def _obj(
    name: str, *, texture: str, faces: str, unused: bool, ends: str, mark: bool, comments: bool, colours: str,
    ids: str,
) -> Written:  # fmt: skip
    points = grid_points()
    shapes = polygons(faces)
    if unused:
        points = np.insert(points, 5, UNUSED, 0)
        shapes = [[n + (n >= 5) for n in shape] for shape in shapes]
    shown = fractions(len(points))
    after = {
        "none": lambda _: "", "fractions": lambda c: " {:.9f} {:.9f} {:.9f}".format(*c),
        "255": lambda c: " {:.0f} {:.0f} {:.0f}".format(*(255 * c)),
        "255 alpha": lambda c: " {:.0f} {:.0f} {:.0f} 255".format(*(255 * c)),
    }[colours]  # fmt: skip
    note = "  # a note" if comments else ""
    lines = ["# 1 2 3", "o thing"] if comments else []
    lines += [f"v {x:g} {y:g} {z:g}{after(c)}{note}" for (x, y, z), c in zip(points, shown, strict=True)]
    corners = sum(map(len, shapes))
    if texture != "none":
        count = len(points) if texture == "vertex" else corners
        lines += [f"vt {n / 64:g} {1 - n / 64:g}{note}" for n in range(count)]
    lines += ["vn 0 0 1", "", "g skin"]
    wedge = 0
    for shape in shapes:
        words = []
        for vertex in shape:
            v = vertex + 1 if ids == "positive" else vertex - len(points)
            place = vertex if texture == "vertex" else wedge
            total = len(points) if texture == "vertex" else corners
            t = place + 1 if ids == "positive" else place - total
            words.append(f"{v}/{t}" if texture != "none" else f"{v}//1" if faces == "quads" else f"{v}")
            wedge += 1
        lines.append(f"f {' '.join(words)}{note}")
    content = ("\ufeff" if mark else "") + ends.join(lines) + ends
    return Written(name, content.encode(), points, fans(shapes), None if colours == "none" else shown)


# ---------------------------------------------------------------------- PLY

PLY_AXES: dict[str, tuple[Any, ...]] = {
    "form": ("ascii", "binary_little_endian", "binary_big_endian"),
    "texture": ("none", "vertex", "corner"),
    "faces": ("triangles", "quads", "mixed", "strips"),
    "unused": (False, True),
    "colours": ("none", "uchar", "uchar alpha", "ushort", "float", "float 255"),
    "faces_first": (False, True),
    "trailing": (False, True),
    "ends": (b"\n", b"\r\n"),
}
_CODES = {"uchar": "B", "ushort": "H", "float": "f", "int": "i", "double": "d"}
Field = tuple[str, str, list]  # type, name, values of one element; a list property has a list in it


def ply_files() -> Iterator[Written]:
    """One file for every combination of PLY_AXES."""
    for number, values in enumerate(product(*PLY_AXES.values())):
        yield _ply(f"{number}.ply", **dict(zip(PLY_AXES, values, strict=True)))


def _ply(
    name: str, *, form: str, texture: str, faces: str, unused: bool, colours: str, faces_first: bool,
    trailing: bool, ends: bytes,
) -> Written:  # fmt: skip
    points = grid_points()
    listed, triangles = strips()
    shapes = [listed] if faces == "strips" else polygons(faces)
    if unused:
        points = np.insert(points, 5, UNUSED, 0)
        shapes = [[n + (n >= 5) for n in shape] for shape in shapes]
        triangles = triangles + (triangles >= 5)
    if faces != "strips":
        triangles = fans(shapes)
    shown = fractions(len(points))
    vertex: list[Field] = [
        ("float", axis, list(column)) for axis, column in zip("xyz", points.T, strict=True)
    ]
    if texture == "vertex":
        vertex += [("float", axis, [float("nan")] + [n / 64 for n in range(1, len(points))]) for axis in "st"]
    kind, _, more = colours.partition(" ")
    if colours != "none":
        factor = {"uchar": 255, "ushort": 65535, "float": 255 if more else 1}[kind]
        for channel, column in zip(("red", "green", "blue"), shown.T, strict=True):
            values = [factor * value for value in column]
            vertex.append((kind, channel, values if kind == "float" else [round(value) for value in values]))
        if more == "alpha":
            vertex.append(("uchar", "alpha", [255] * len(points)))
    face: list[Field] = [("list uchar int", "vertex_indices", shapes)]
    if texture == "corner" and faces != "strips":
        face.append(("list uchar float", "texcoord", [[n / 16 for n in range(2 * len(s))] for s in shapes]))
        face.append(("int", "texnumber", [0] * len(shapes)))
    elements = [("vertex", vertex), ("tristrips" if faces == "strips" else "face", face)]
    if faces_first:
        elements.reverse()
    lines = [b"ply", f"format {form} 1.0".encode(), b"comment TextureFile skin.png", b"obj_info none"]
    body = b""
    for kind, fields in elements:
        lines.append(f"element {kind} {len(fields[0][2])}".encode())
        lines += [f"property {typed} {called}".encode() for typed, called, _ in fields]
        body += _ply_rows(fields, form, ends)
    head = ends.join([*lines, b"end_header", b""])
    return Written(
        name, head + body + (b"\x00\x01 rest" if trailing else b""), points, triangles,
        None if colours == "none" else shown,
    )  # fmt: skip


def _ply_rows(fields: list[Field], form: str, ends: bytes) -> bytes:
    order = ">" if form.endswith("big_endian") else "<"
    rows = b""
    for values in zip(*(values for _, _, values in fields), strict=True):
        words: list[str] = []
        for (typed, _, _), value in zip(fields, values, strict=True):
            kinds = typed.split()[1:] if typed.startswith("list") else [typed]
            numbers = [len(value), *value] if typed.startswith("list") else [value]
            codes = [_CODES[kinds[0]]] + [_CODES[kinds[-1]]] * (len(numbers) - 1)
            words += [f"{number:.9g}" for number in numbers]
            if form != "ascii":
                rows += b"".join(struct.pack(order + c, n) for c, n in zip(codes, numbers, strict=True))
        if form == "ascii":
            rows += " ".join(words).encode() + ends
    return rows


def combinations(axes: dict[str, tuple[Any, ...]]) -> int:
    """How many there are."""
    return int(np.prod([len(values) for values in axes.values()]))


CORPORA: dict[str, tuple[Callable[[], Iterator[Written]], int]] = {
    "obj": (obj_files, combinations(OBJ_AXES)),
    "ply": (ply_files, combinations(PLY_AXES)),
    "glb": (glb_files, combinations(GLB_AXES)),
}
