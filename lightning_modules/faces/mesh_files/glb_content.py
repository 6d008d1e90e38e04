"""What a binary glTF file holds of a face: mesh, colours or a texture, and named expressions."""

import json
import struct
from io import BytesIO
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from lightning_modules.faces.mesh import Mesh
from lightning_modules.faces.mesh_files.glb import MILLIMETRES_PER_METRE
from lightning_modules.faces.normals import vertex_normals
from lightning_modules.faces.texture_atlas import TextureAtlas
from lightning_modules.rendering.colour import decode_srgb

_FLOAT, _UNSIGNED, _ARRAY_BUFFER, _ELEMENT_BUFFER = 5126, 5125, 34962, 34963
_LINEAR, _MIPMAPS, _CLAMPED = 9729, 9987, 33071
_MATT = {"metallicFactor": 0.0, "roughnessFactor": 0.8}
_TYPES = {1: "SCALAR", 2: "VEC2", 3: "VEC3"}


class ExpressionTargets(NamedTuple):
    """Named displacements [U, V, 3] in mm of a mesh's vertices, at a weight of 1."""

    names: tuple[str, ...]
    displacements: Tensor


class Texture(NamedTuple):
    """A picture [S, S, 3] in 8 bits, sRGB, and where a mesh's triangles lie in it."""

    atlas: TextureAtlas
    picture: NDArray[np.uint8]


def glb_bytes(
    mesh: Mesh, *, targets: ExpressionTargets | None = None, texture: Texture | None = None
) -> bytes:
    """The mesh in mm as binary glTF 2.0: metres, COLOR_0 in linear light, normals for smooth shading.

    Args:
        mesh: on the CPU, float32.
        targets: kept as sparse morph targets of positions and normals, their names in `extras.targetNames`
            of the mesh, where programs look for them.
        texture: in place of the vertices' colours, which glTF would multiply with it. Vertices at its seams
            are there more than once.
    """
    points = mesh.vertices / MILLIMETRES_PER_METRE
    normals = unit_normals(points, mesh.triangles)
    vertices = torch.arange(len(points)) if texture is None else texture.atlas.vertices
    triangles = mesh.triangles if texture is None else texture.atlas.triangles
    arrays = _Arrays()
    attributes = {
        "POSITION": arrays.add(points[vertices], bounded=True),
        "NORMAL": arrays.add(normals[vertices]),
    }
    if texture is not None:
        downwards = texture.atlas.coordinates * torch.tensor([1.0, -1.0]) + torch.tensor([0.0, 1.0])
        attributes["TEXCOORD_0"] = arrays.add(downwards)
    elif mesh.colours is not None:
        attributes["COLOR_0"] = arrays.add(decode_srgb(mesh.colours.clamp(0, 1)))
    primitive: dict[str, Any] = {
        "attributes": attributes,
        "indices": arrays.add_ids(triangles),
        "material": 0,
    }
    described: dict[str, Any] = {"primitives": [primitive]}
    if targets is not None:
        primitive["targets"] = [
            {
                "POSITION": arrays.add_sparse(moved[vertices], bounded=True),
                "NORMAL": arrays.add_sparse(
                    (unit_normals(points + moved, mesh.triangles) - normals)[vertices]
                ),
            }
            for moved in targets.displacements / MILLIMETRES_PER_METRE
        ]
        described |= {"weights": [0.0] * len(targets.names), "extras": {"targetNames": list(targets.names)}}
    look: dict[str, Any] = dict(_MATT)
    header = {
        "asset": {"version": "2.0"},
        "scene": 0,
        "scenes": [{"nodes": [0]}],
        "nodes": [{"mesh": 0}],
        "meshes": [described],
        "materials": [{"pbrMetallicRoughness": look, "doubleSided": True}],
        "accessors": arrays.accessors,
        "bufferViews": arrays.views,
    }
    if texture is not None:
        look["baseColorTexture"] = {"index": 0}
        header |= {
            "textures": [{"sampler": 0, "source": 0}],
            "samplers": [{"magFilter": _LINEAR, "minFilter": _MIPMAPS, "wrapS": _CLAMPED, "wrapT": _CLAMPED}],
            "images": [{"bufferView": arrays.view(png_bytes(texture.picture)), "mimeType": "image/png"}],
        }
    return _in_chunks(header, b"".join(arrays.chunks))


def unit_normals(points: Tensor, triangles: Tensor) -> Tensor:
    """Normals [V, 3] of vertices [V, 3], forwards where there is none: glTF has no zero among them."""
    normals = vertex_normals(points[None], triangles)[0]
    return torch.where(normals.any(1, keepdim=True), normals, torch.tensor([0.0, 0.0, 1.0]))


def png_bytes(picture: NDArray[np.uint8]) -> bytes:
    """A picture as PNG."""
    stream = BytesIO()
    Image.fromarray(picture).save(stream, "PNG")
    return stream.getvalue()


class _Arrays:
    """Accessors and buffer views as they are added, and the buffer's content."""

    def __init__(self) -> None:
        self.accessors: list[dict[str, Any]] = []
        self.views: list[dict[str, Any]] = []
        self.chunks: list[bytes] = []
        self._end = 0

    def view(self, content: bytes, target: int | None = None) -> int:
        """The number of a view of these bytes; each begins at a multiple of four."""
        view = {"buffer": 0, "byteOffset": self._end, "byteLength": len(content)}
        self.views.append(view if target is None else view | {"target": target})
        self.chunks.append(content + b"\0" * (-len(content) % 4))
        self._end += len(self.chunks[-1])
        return len(self.views) - 1

    def add(self, values: Tensor, *, bounded: bool = False) -> int:
        """The number of an accessor of values [N, W]."""
        return self._accessor(values, {"bufferView": self.view(_floats(values), _ARRAY_BUFFER)}, bounded)

    def add_ids(self, triangles: Tensor) -> int:
        """The number of an accessor of triangles [T, 3]."""
        view = self.view(triangles.numpy().astype("<u4").tobytes(), _ELEMENT_BUFFER)
        count = triangles.numel()
        self.accessors.append(
            {"bufferView": view, "componentType": _UNSIGNED, "count": count, "type": "SCALAR"}
        )
        return len(self.accessors) - 1

    def add_sparse(self, values: Tensor, *, bounded: bool = False) -> int:
        """The number of an accessor of values [N, 3], of which only those are kept that are not zero."""
        moved = values.any(1).nonzero()[:, 0]
        place: dict[str, Any] = {}
        if len(moved):
            ids = {"bufferView": self.view(moved.numpy().astype("<u4").tobytes()), "componentType": _UNSIGNED}
            place = {
                "sparse": {
                    "count": len(moved),
                    "indices": ids,
                    "values": {"bufferView": self.view(_floats(values[moved]))},
                }
            }
        return self._accessor(values, place, bounded)

    def _accessor(self, values: Tensor, place: dict[str, Any], bounded: bool) -> int:
        described = {"componentType": _FLOAT, "count": len(values), "type": _TYPES[values.shape[1]]}
        limits = {"min": values.amin(0).tolist(), "max": values.amax(0).tolist()} if bounded else {}
        self.accessors.append(place | described | limits)
        return len(self.accessors) - 1


def _floats(values: Tensor) -> bytes:
    return values.numpy().astype("<f4").tobytes()


def _in_chunks(header: dict[str, Any], binary: bytes) -> bytes:
    text = json.dumps(header | {"buffers": [{"byteLength": len(binary)}]}).encode()
    text += b" " * (-len(text) % 4)
    return b"".join(
        [
            struct.pack("<4sII", b"glTF", 2, 12 + 8 + len(text) + 8 + len(binary)),
            struct.pack("<I4s", len(text), b"JSON") + text,
            struct.pack("<I4s", len(binary), b"BIN\0") + binary,
        ]
    )
