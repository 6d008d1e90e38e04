"""Vertex colours out of the materials and textures of an OBJ file."""

import warnings
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from PIL import Image
from torch import Tensor


class Corners(NamedTuple):
    """The corners of all triangles: vertex [T, 3], texture vertex [T, 3] or -1, material's name [T]."""

    vertices: np.ndarray
    texture: np.ndarray
    materials: np.ndarray


class _Material(NamedTuple):
    diffuse: np.ndarray | None
    texture: Path | None


def colours_from_materials(
    path: Path, libraries: list[str], corners: Corners, coordinates: np.ndarray, count: int
) -> Tensor | None:
    """Colours [V, 3] of the vertices, sRGB-encoded, from diffuse colours and textures.

    A vertex takes the mean over its corners; one without any colour is mid grey.

    Args:
        path: of the OBJ file; libraries lie beside it, textures beside those.
        libraries: names of the material files.
        corners: which vertex takes what from where.
        coordinates: [.., 2] texture coordinates, v upwards.
        count: V.

    Returns:
        None if no corner has a colour. A file that is named but missing is warned of.

    Raises:
        ValueError: if a texture is no picture.
    """
    materials: dict[str, _Material] = {}
    for name in libraries:
        library = path.parent / name
        if library.is_file():
            materials |= _read_library(library)
        else:
            warnings.warn(f"{path} names the materials {name}, which are missing: no colours", stacklevel=3)
    sums, weights = np.zeros((count, 3)), np.zeros(count)
    for name, material in materials.items():
        vertices = corners.vertices[corners.materials == name].ravel()
        texture = corners.texture[corners.materials == name].ravel()
        if material.texture is not None and not material.texture.is_file():
            warnings.warn(f"{path} names the texture {material.texture.name}, which is missing", stacklevel=3)
        elif material.texture is not None and len(vertices):
            colours = _sampled(material.texture, coordinates[texture[texture >= 0]])
            np.add.at(sums, vertices[texture >= 0], colours)
            np.add.at(weights, vertices[texture >= 0], 1)
            continue
        if material.diffuse is not None:
            np.add.at(sums, vertices, material.diffuse)
            np.add.at(weights, vertices, 1)
    if not weights.any():
        return None
    colours = np.where(weights[:, None] > 0, sums / np.maximum(weights, 1)[:, None], 0.5)
    return torch.from_numpy(colours.astype(np.float32))


def _read_library(library: Path) -> dict[str, _Material]:
    materials, name = {}, ""
    for line in library.read_text(encoding="utf-8", errors="replace").splitlines():
        key, *values = line.split(None, 1)[:2] or [""]
        rest = values[0].strip() if values else ""
        if key == "newmtl":
            name = rest
            materials[name] = _Material(None, None)
        elif key == "Kd" and name:
            materials[name] = materials[name]._replace(diffuse=np.array(rest.split()[:3], dtype=float))
        elif key == "map_Kd" and name:
            # Options such as "-s 1 1 1" stand before the file's name, which may hold blanks otherwise.
            file = rest.split()[-1] if rest.startswith("-") else rest
            materials[name] = materials[name]._replace(texture=library.parent / file.replace("\\", "/"))
    return materials


def _sampled(path: Path, coordinates: np.ndarray) -> np.ndarray:
    """Bilinear samples [N, 3] of a picture that repeats, at [N, 2] coordinates, v upwards."""
    try:
        with Image.open(path) as file:
            picture = np.asarray(file.convert("RGB"), dtype=float) / 255
    except OSError as error:
        raise ValueError(f"the texture {path} cannot be read as a picture; get it again") from error
    height, width, _ = picture.shape
    x = coordinates[:, 0] * width - 0.5
    y = (1 - coordinates[:, 1]) * height - 0.5
    left, top = np.floor(x).astype(int), np.floor(y).astype(int)
    across, down = (x - left)[:, None], (y - top)[:, None]
    rows, columns = (top % height, (top + 1) % height), (left % width, (left + 1) % width)
    above = picture[rows[0], columns[0]] * (1 - across) + picture[rows[0], columns[1]] * across
    below = picture[rows[1], columns[0]] * (1 - across) + picture[rows[1], columns[1]] * across
    return above * (1 - down) + below * down
