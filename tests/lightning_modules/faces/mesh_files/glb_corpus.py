"""Small binary glTF files in every combination of transforms, primitives, array types and modes."""

import json
import struct
from collections.abc import Iterator
from itertools import product
from typing import Any

import numpy as np

from tests.lightning_modules.faces.mesh_files.written import Written

HALF = 2**-0.5
# A node's own transform, and what it does to a point: a matrix [3, 3] and a shift.
NODES: dict[str, tuple[dict[str, Any], np.ndarray, np.ndarray]] = {
    "none": ({}, np.eye(3), np.zeros(3)),
    "moved": ({"translation": [1, -2, 3]}, np.eye(3), np.array([1, -2, 3])),
    "mirrored": ({"scale": [-1, 1, 1]}, np.diag([-1, 1, 1]), np.zeros(3)),
    "turned": (  # a quarter about z: x to y
        {"rotation": [0, 0, HALF, HALF], "scale": [2, 1, 1], "translation": [0, 0, 1]},
        np.array([[0, -1, 0], [2, 0, 0], [0, 0, 1]]), np.array([0, 0, 1]),
    ),
    "mirroring matrix": (
        {"matrix": [0, 1, 0, 0, 1, 0, 0, 0, 0, 0, 1, 0, 5, 6, 7, 1]},
        np.array([[0, 1, 0], [1, 0, 0], [0, 0, 1]]), np.array([5, 6, 7]),
    ),
    "mirrored twice": ({"scale": [-1, -1, 1]}, np.diag([-1, -1, 1]), np.zeros(3)),
}  # fmt: skip
GLB_AXES: dict[str, tuple[Any, ...]] = {
    "node": tuple(NODES),
    "nested": (False, True),
    "primitives": ("one", "two", "two sharing"),
    "positions": ("float", "short normalised", "ushort", "sparse"),
    "colours": ("none", "float", "ubyte alpha", "ushort"),
    "ids": ("ubyte", "uint"),
    "mode": ("triangles", "strip"),
}
_CODES = {"b": 5120, "B": 5121, "h": 5122, "H": 5123, "I": 5125, "f": 5126}


class Builder:
    """Collects arrays into one buffer."""

    def __init__(self) -> None:
        self.binary, self.views, self.accessors = b"", [], []

    def view(self, content: bytes) -> int:
        """The number of a view of these bytes."""
        self.binary += b"\0" * (-len(self.binary) % 4)
        self.views.append({"buffer": 0, "byteOffset": len(self.binary), "byteLength": len(content)})
        self.binary += content
        return len(self.views) - 1

    def array(self, values: np.ndarray, code: str, **more: Any) -> int:  # noqa: ANN401 - JSON
        """The number of an accessor of an array [N, W] or [N]; rows are padded to four bytes."""
        rows = values.reshape(len(values), -1)
        raw = b"".join(
            struct.pack(f"<{rows.shape[1]}{code}", *row.tolist()).ljust(self.stride(rows, code), b"\0")
            for row in rows
        )
        number = self.view(raw)
        if rows.shape[1] > 1:
            self.views[number]["byteStride"] = self.stride(rows, code)
        self.accessors.append(
            {"bufferView": number, "componentType": _CODES[code], "count": len(rows),
             "type": "SCALAR" if values.ndim == 1 else f"VEC{rows.shape[1]}", **more}
        )  # fmt: skip
        if values.ndim > 1 and rows.shape[1] == 3:
            self.accessors[-1] |= {"min": rows.min(0).tolist(), "max": rows.max(0).tolist()}
        return len(self.accessors) - 1

    @staticmethod
    def stride(rows: np.ndarray, code: str) -> int:
        """Bytes of a row."""
        size = rows.shape[1] * struct.calcsize(code)
        return size if rows.shape[1] == 1 else size + -size % 4


def glb_of(content: dict[str, Any], binary: bytes) -> bytes:
    """A GLB file."""
    text = json.dumps({"asset": {"version": "2.0"}, **content}).encode()
    text += b" " * (-len(text) % 4)
    binary += b"\0" * (-len(binary) % 4)
    chunks = (
        struct.pack("<I4s", len(text), b"JSON") + text + struct.pack("<I4s", len(binary), b"BIN\0") + binary
    )
    return struct.pack("<4sII", b"glTF", 2, 12 + len(chunks)) + chunks


def glb_files() -> Iterator[Written]:
    """One file for every combination of GLB_AXES."""
    for number, values in enumerate(product(*GLB_AXES.values())):
        yield _glb(f"{number}.glb", **dict(zip(GLB_AXES, values, strict=True)))


# Four corners of a square and a fifth that no triangle uses, in 16ths of a metre; each primitive has its own.
SQUARE = np.array([[0, 0, 0], [4, 0, 1], [4, 4, 2], [0, 4, 1], [7, 7, 7]]) / 16
TRIANGLES = np.array([[0, 1, 3], [1, 2, 3]])
STRIP = np.array([0, 1, 3, 2])  # 0 1 3, then 3 1 2


def _glb(
    name: str, *, node: str, nested: bool, primitives: str, positions: str, colours: str, ids: str, mode: str
) -> Written:
    built = Builder()
    parts = [SQUARE] if primitives != "two" else [SQUARE, SQUARE + np.array([1, 0, 0])]
    lists, points, triangles, shown = [], [], [], []
    for number, part in enumerate(parts):
        attributes = {"POSITION": _positions(built, part, positions)}
        linear = np.arange(15).reshape(5, 3) * 17 % 256 / 255
        if colours != "none":
            attributes["COLOR_0"] = _colours(built, linear, colours)
        for _ in range(2 if primitives == "two sharing" else 1):
            corners = TRIANGLES.ravel() if mode == "triangles" else STRIP
            indices = built.array(corners, {"ubyte": "B", "uint": "I"}[ids])
            lists.append(
                {"attributes": attributes, "indices": indices, "mode": 4 if mode == "triangles" else 5}
            )
            triangles.append(
                (TRIANGLES if mode == "triangles" else np.array([[0, 1, 3], [3, 1, 2]])) + 5 * number
            )
        points.append(part)
        shown.append(np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055))
    own, matrix, shift = NODES[node]
    nodes = [{"mesh": 0, **own}]
    if nested:  # below one that mirrors and doubles
        nodes = [{"children": [1], "scale": [2, 2, -2]}, {"mesh": 0, **own}]
        matrix, shift = np.diag([2, 2, -2]) @ matrix, np.diag([2, 2, -2]) @ shift
    content = {
        "scene": 0, "scenes": [{"nodes": [0]}], "nodes": nodes, "meshes": [{"primitives": lists}],
        "accessors": built.accessors, "bufferViews": built.views,
        "buffers": [{"byteLength": len(built.binary)}],
    }  # fmt: skip
    if positions in ("short normalised", "ushort"):
        content |= {
            "extensionsUsed": ["KHR_mesh_quantization"],
            "extensionsRequired": ["KHR_mesh_quantization"],
        }
    factor = {"short normalised": 2048 / 32767, "ushort": 16}.get(positions, 1.0)
    found = np.concatenate(triangles)
    if np.linalg.det(matrix) < 0:
        found = found[:, ::-1]
    vertices = 1000 * (factor * np.concatenate(points) @ matrix.T + shift)
    return Written(
        name, glb_of(content, built.binary), vertices, found,
        None if colours == "none" else np.concatenate(shown),
        frozenset({positions, "mirrored" if np.linalg.det(matrix) < 0 else "not mirrored"}),
    )  # fmt: skip


def _positions(built: Builder, part: np.ndarray, kind: str) -> int:
    if kind == "short normalised":  # a 16th of a metre is 128 of 32767
        return built.array(np.round(part * 2048).astype(int), "h", normalized=True)
    if kind == "ushort":
        return built.array(np.round(part * 16).astype(int), "H")
    if kind == "float":
        return built.array(part, "f")
    stored = part.copy()
    stored[[1, 3]] = 99.0  # which the sparse values replace
    number = built.array(stored, "f")
    replaced = {"bufferView": built.view(struct.pack("<2B", 1, 3)), "componentType": 5121}
    values = {"bufferView": built.view(part[[1, 3]].astype("<f4").tobytes())}
    built.accessors[number]["sparse"] = {"count": 2, "indices": replaced, "values": values}
    built.accessors[number] |= {"min": part.min(0).tolist(), "max": part.max(0).tolist()}
    return number


def _colours(built: Builder, linear: np.ndarray, kind: str) -> int:
    if kind == "float":
        return built.array(linear, "f")
    if kind == "ushort":
        return built.array(np.round(65535 * linear).astype(int), "H", normalized=True)
    return built.array(np.c_[np.round(255 * linear), np.full(5, 255)].astype(int), "B", normalized=True)
