"""The arrays of a binary glTF file: chunks, buffers and accessors, quantised and sparse ones included."""

import base64
import json
import operator
import struct
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

_KINDS = {5120: "<i1", 5121: "<u1", 5122: "<i2", 5123: "<u2", 5125: "<u4", 5126: "<f4"}
_WIDTHS = {"SCALAR": 1, "VEC2": 2, "VEC3": 3, "VEC4": 4, "MAT2": 4, "MAT3": 9, "MAT4": 16}
# What these compress or replace cannot be read without them.
_UNREADABLE = {
    "KHR_draco_mesh_compression": "Draco compresses its triangles; export the mesh without compression",
    "EXT_meshopt_compression": "meshopt compresses its arrays; export the mesh without compression",
    "KHR_meshopt_compression": "meshopt compresses its arrays; export the mesh without compression",
}
# Those that a file may require although its shape and vertex colours can be read without them.
_READABLE = (
    "KHR_mesh_quantization",
    "KHR_materials_",
    "KHR_texture_",
    "EXT_texture_",
    "KHR_lights_",
    "MSFT_",
)


class Gltf(NamedTuple):
    """A glTF file: its path, its description, and the buffers' bytes that came with it."""

    path: Path
    content: dict[str, Any]
    binary: bytes


def read_gltf(path: Path) -> Gltf:
    """The content of a .glb file.

    Raises:
        ValueError: naming the file, if it is none, ends early, or needs an extension that we do not read.
    """
    stored = path.read_bytes()
    try:
        magic, version, length = struct.unpack_from("<4sII", stored)
    except struct.error:
        raise ValueError(
            f"{path} cannot be read as GLB: it has {len(stored)} bytes; export it again"
        ) from None
    if magic != b"glTF" or version != 2:
        raise ValueError(
            f"{path} cannot be read as GLB: it is no binary glTF 2.0 file; export the mesh again"
        )
    if length > len(stored):
        raise ValueError(
            f"{path} cannot be read as GLB: it is truncated, {len(stored):,} of {length:,} bytes; "
            "export the mesh again"
        )
    chunks: dict[bytes, bytes] = {}
    place = 12
    while place + 8 <= length:
        size, kind = struct.unpack_from("<I4s", stored, place)
        if place + 8 + size > length:
            raise ValueError(f"{path} cannot be read as GLB: a chunk ends behind its end; export it again")
        chunks.setdefault(kind, stored[place + 8 : place + 8 + size])
        place += 8 + size
    try:
        content = json.loads(chunks[b"JSON"])
    except (KeyError, ValueError, RecursionError):
        content = None
    if not isinstance(content, dict):
        raise ValueError(f"{path} cannot be read as GLB: its description is no JSON; export the mesh again")
    needed = content.get("extensionsRequired") or []
    for name in needed if isinstance(needed, list) else [needed]:
        if name in _UNREADABLE:
            raise ValueError(f"{path} cannot be read: {_UNREADABLE[name]}")
        if not str(name).startswith(_READABLE):
            raise ValueError(f"{path} cannot be read: it requires {name}; export the mesh without it")
    return Gltf(path, content, chunks.get(b"BIN\0", b""))


def entry_of(gltf: Gltf, kind: str, number: int) -> dict[str, Any]:
    """An entry of one of the description's lists.

    Raises:
        IndexError: if there is none; a negative number, which Python counts from the end, is none either.
    """
    if number < 0:
        raise IndexError(f"{kind} {number}")
    return gltf.content[kind][number]


def _whole(number: object) -> int:
    """A whole number of the description, which may be written as 4.0.

    Raises:
        TypeError: if it is none.
    """
    if isinstance(number, float) and number.is_integer():
        return int(number)
    return operator.index(number)  # type: ignore[arg-type]  # it says what is no whole number


def refuse_compression(gltf: Gltf, part: dict[str, Any]) -> None:
    """Raises a ValueError if a part of the file is compressed, whether or not the file says that it is."""
    for name in part.get("extensions") or {}:
        if name in _UNREADABLE:
            raise ValueError(f"{gltf.path} cannot be read: {_UNREADABLE[name]}")


def array_of(gltf: Gltf, number: int, *, scaled: bool = True) -> NDArray:
    """The array [N, W] of an accessor, [N] of a scalar one.

    Args:
        gltf: the file.
        number: of the accessor.
        scaled: whether normalised integers become fractions; ids stay integers.

    Raises:
        ValueError: naming the accessor, if it lies beyond its buffer.
    """
    accessor = entry_of(gltf, "accessors", number)
    kind, width = np.dtype(_KINDS[accessor["componentType"]]), _WIDTHS[accessor["type"]]
    count = _whole(accessor["count"])
    what = f"{gltf.path} cannot be read as GLB: accessor {number}"
    if "bufferView" in accessor:
        values = _elements(
            gltf, what, accessor["bufferView"], accessor.get("byteOffset", 0), kind, count, width
        )
    elif count * width * kind.itemsize > _LARGEST_ZEROS:
        raise ValueError(f"{what} declares {count:,} elements and stores none; export the mesh again")
    else:
        values = np.zeros((count, width), kind)
    if "sparse" in accessor:
        values = _with_sparse(gltf, what, values, accessor["sparse"])
    if scaled and accessor.get("normalized") and kind.kind in "iu":
        values = np.maximum(values / np.float64(np.iinfo(kind).max), -1.0)
    return values[:, 0] if accessor["type"] == "SCALAR" else values


def bytes_of_view(gltf: Gltf, number: int) -> bytes:
    """The bytes of a buffer view.

    Raises:
        ValueError: if it lies beyond its buffer.
    """
    view = entry_of(gltf, "bufferViews", number)
    refuse_compression(gltf, view)
    buffer = _buffer(gltf, view["buffer"])
    start, length = _whole(view.get("byteOffset", 0)), _whole(view["byteLength"])
    if min(start, length) < 0 or start + length > len(buffer):
        raise ValueError(
            f"{gltf.path} cannot be read as GLB: part {number} lies beyond its buffer; export the mesh again"
        )
    return buffer[start : start + length]


# Of an accessor without a buffer, which is all zeros.
_LARGEST_ZEROS = 1 << 28


def _with_sparse(gltf: Gltf, what: str, values: NDArray, sparse: dict[str, Any]) -> NDArray:
    """The values with some of them replaced."""
    count, ids, given = _whole(sparse["count"]), sparse["indices"], sparse["values"]
    kind = np.dtype(_KINDS[ids["componentType"]])
    places = _elements(gltf, what, ids["bufferView"], ids.get("byteOffset", 0), kind, count, 1)[:, 0]
    if len(places) and places.max() >= len(values):
        raise ValueError(f"{what} replaces element {places.max()} of {len(values)}; export the mesh again")
    changed = values.copy()
    changed[places] = _elements(
        gltf, what, given["bufferView"], given.get("byteOffset", 0), values.dtype, count, values.shape[1]
    )
    return changed


def _elements(
    gltf: Gltf, what: str, view_number: int, offset: int, kind: np.dtype, count: int, width: int
) -> NDArray:
    """[count, width] numbers of a buffer view, which may interleave them with others."""
    view = entry_of(gltf, "bufferViews", view_number)
    refuse_compression(gltf, view)
    buffer = _buffer(gltf, view["buffer"])
    size = width * kind.itemsize
    stride = _whole(view.get("byteStride") or size)
    start, length = _whole(view.get("byteOffset", 0)) + _whole(offset), _whole(view["byteLength"])
    end = start + stride * (count - 1) + size if count else start
    if (
        min(start, offset, count, length) < 0
        or stride < size
        or end > min(len(buffer), _whole(view.get("byteOffset", 0)) + length)
    ):
        raise ValueError(f"{what} lies beyond its buffer; export the mesh again")
    if not count:
        return np.zeros((0, width), kind)
    return np.ndarray((count, width), kind, buffer, start, (stride, kind.itemsize))


def _buffer(gltf: Gltf, number: int) -> bytes:
    """A buffer: the file's own, one written into its description, or a file beside it."""
    address = entry_of(gltf, "buffers", number).get("uri")
    if address is None:
        return gltf.binary
    if address.startswith("data:"):
        return written_out(gltf, address)
    raise ValueError(
        f"{gltf.path} keeps its arrays in another file, {address}; export the mesh as one .glb file"
    )


def written_out(gltf: Gltf, address: str) -> bytes:
    """The bytes that an address of the kind `data:` holds.

    Raises:
        ValueError: if they are not written in base 64.
    """
    try:
        return base64.b64decode(address.partition(",")[2])
    except ValueError:
        raise ValueError(
            f"{gltf.path} cannot be read as GLB: what it holds as data: is no base 64; export it again"
        ) from None
