"""Binary glTF: metres and linear colours in the file, millimetres and sRGB in our tensors."""

import json
import struct
from pathlib import Path

import numpy as np
import torch
import trimesh
from torch import Tensor

from lightning_modules.faces.mesh import Mesh, checked_mesh
from lightning_modules.faces.normals import vertex_normals
from lightning_modules.rendering.colour import decode_srgb, encode_srgb

MILLIMETRES_PER_METRE = 1000.0
_FLOAT, _UNSIGNED, _ARRAY_BUFFER, _ELEMENT_BUFFER = 5126, 5125, 34962, 34963


def glb_bytes(mesh: Mesh) -> bytes:
    """The mesh in mm as binary glTF 2.0: metres, COLOR_0 in linear light, normals for smooth shading."""
    vertices = mesh.vertices / MILLIMETRES_PER_METRE
    arrays = {"POSITION": vertices, "NORMAL": vertex_normals(vertices[None], mesh.triangles)[0]}
    if mesh.colours is not None:
        arrays["COLOR_0"] = decode_srgb(mesh.colours.clamp(0, 1))
    chunks = [array.numpy().astype("<f4").tobytes() for array in arrays.values()]
    accessors = [
        {"bufferView": view, "componentType": _FLOAT, "count": len(vertices), "type": "VEC3"}
        for view in range(len(arrays))
    ]
    accessors[0] |= {"min": vertices.amin(0).tolist(), "max": vertices.amax(0).tolist()}
    accessors.append(
        {
            "bufferView": len(arrays),
            "componentType": _UNSIGNED,
            "count": mesh.triangles.numel(),
            "type": "SCALAR",
        }
    )
    chunks.append(mesh.triangles.numpy().astype("<u4").tobytes())
    offsets = np.cumsum([0, *map(len, chunks)]).tolist()
    views = [
        {"buffer": 0, "byteOffset": offset, "byteLength": len(chunk), "target": _ARRAY_BUFFER}
        for offset, chunk in zip(offsets, chunks, strict=False)
    ]
    views[-1]["target"] = _ELEMENT_BUFFER
    attributes = {name: index for index, name in enumerate(arrays)}
    primitive = {"attributes": attributes, "indices": len(arrays), "material": 0}
    matt = {"metallicFactor": 0.0, "roughnessFactor": 0.8}
    header = {
        "asset": {"version": "2.0"},
        "scene": 0,
        "scenes": [{"nodes": [0]}],
        "nodes": [{"mesh": 0}],
        "meshes": [{"primitives": [primitive]}],
        "materials": [{"pbrMetallicRoughness": matt, "doubleSided": True}],
        "accessors": accessors,
        "bufferViews": views,
        "buffers": [{"byteLength": offsets[-1]}],
    }
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 4)
    binary = b"".join(chunks)  # all arrays are of four-byte numbers: already padded
    return b"".join(
        [
            struct.pack("<4sII", b"glTF", 2, 12 + 8 + len(text) + 8 + len(binary)),
            struct.pack("<I4s", len(text), b"JSON") + text,
            struct.pack("<I4s", len(binary), b"BIN\0") + binary,
        ]
    )


def read_glb(path: Path) -> Mesh:
    """All meshes of a binary glTF file as one, placed by its nodes, in mm.

    Colours are those of the vertices (COLOR_0); textures are not sampled.

    Raises:
        ValueError: naming the file, if it cannot be read or holds no mesh.
    """
    try:
        # The scene places the meshes, but rounds colours to 8 bits; the arrays beneath have them whole.
        graph = trimesh.load_scene(path, file_type="glb", process=False).graph
        placed = [graph[node] for node in graph.nodes_geometry]
        with open(path, "rb") as file:
            parts = trimesh.exchange.gltf.load_glb(file)["geometry"]
    except Exception as error:  # trimesh raises whatever a damaged file leads to
        raise ValueError(f"{path} cannot be read as GLB ({error}); export the mesh again") from error
    vertices, triangles, colours, offset = [], [], [], 0
    for transform, name in placed:
        part = parts[name]
        if "faces" not in part:  # points or lines
            continue
        metres = part["vertices"] @ transform[:3, :3].T + transform[:3, 3]
        vertices.append(torch.from_numpy(metres * MILLIMETRES_PER_METRE).float())
        triangles.append(torch.from_numpy(np.asarray(part["faces"], dtype=np.int64)) + offset)
        colours.append(_linear_colours(part))
        offset += len(metres)
    if not vertices:
        raise ValueError(f"{path} holds no vertices; give a mesh file")
    known = [colour for colour in colours if colour is not None]
    linear = torch.cat(known) if len(known) == len(colours) else None
    encoded = None if linear is None else encode_srgb(linear)
    return checked_mesh(path, Mesh(torch.cat(vertices), torch.cat(triangles), encoded))


def _linear_colours(part: dict) -> Tensor | None:
    """[V, 3] in [0, 1] of floats, or of normalised integers, with or without alpha."""
    stored = part.get("vertex_colors")
    if stored is None and "visual" in part:  # where trimesh puts them if the mesh has a material
        stored = part["visual"].vertex_attributes.get("color")
    if stored is None:
        return None
    scale = np.iinfo(stored.dtype).max if np.issubdtype(stored.dtype, np.integer) else 1
    return torch.from_numpy(stored[:, :3].astype(np.float32) / scale)
