"""Vertex colours out of the materials and textures of an OBJ file."""

import warnings
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from lightning_modules.faces.mesh_files.material_files import (
    DiffuseMaterial,
    named_files,
    named_texture,
    read_library,
)
from lightning_modules.faces.mesh_files.texture_pictures import read_picture, sampled

_GREY = 0.5


class Corners(NamedTuple):
    """The corners of all triangles: vertex [T, 3], texture vertex [T, 3] or -1, material's name [T]."""

    vertices: np.ndarray
    texture: np.ndarray
    materials: np.ndarray


def colours_from_materials(
    path: Path, libraries: list[str], corners: Corners, coordinates: np.ndarray, count: int
) -> Tensor | None:
    """Colours [V, 3] of the vertices, sRGB-encoded, from diffuse colours and textures.

    A vertex takes the mean over its corners; one without any colour is mid grey.

    Args:
        path: of the OBJ file; libraries lie beside it, textures beside those.
        libraries: what follows `mtllib`, a statement each, which may name several files.
        corners: which vertex takes what from where.
        coordinates: [.., 2] texture coordinates, v upwards; a corner whose own are NaN takes no colour.
        count: V.

    Returns:
        None if no corner has a colour. Files and materials that are named but missing are warned of.

    Raises:
        ValueError: naming the file, if a texture is no picture, or a colour none.
    """
    materials: dict[str, DiffuseMaterial] = {}
    read: list[str] = []
    for statement in libraries:
        found, missing = named_files(path.parent, statement)
        for library in found:
            materials |= read_library(library)
            read.append(library.name)
        for name in missing:
            warnings.warn(f"{path} names the materials {name}, which are missing: no colours", stacklevel=3)
    if read and materials and not corners.materials.astype(bool).any():
        warnings.warn(
            f"{path} names {' and '.join(read)}, but uses no material of it: no colours", stacklevel=3
        )
    sums, weights = np.zeros((count, 3)), np.zeros(count)
    for name in dict.fromkeys(corners.materials):
        material = _of_name(materials, name)
        if material is None:
            if name and read:
                libraries_read = " and ".join(dict.fromkeys(read))
                warnings.warn(f"{path} uses the material {name}, which {libraries_read} lacks", stacklevel=3)
            continue
        vertices = corners.vertices[corners.materials == name].ravel()
        texture = corners.texture[corners.materials == name].ravel()
        file = None if material.texture is None else named_texture(material.folder, material.texture)
        if material.texture is not None and file is None:
            warnings.warn(f"{path} names the texture {material.texture}, which is missing", stacklevel=3)
        elif file is not None:
            placed = texture >= 0
            with np.errstate(all="ignore"):
                places = coordinates[texture[placed]] * material.scale + material.offset
            usable = np.isfinite(places).all(1)
            placed[placed] = usable
            if placed.any():
                colours = sampled(read_picture(file), places[usable], clamped=material.clamped)
                np.add.at(sums, vertices[placed], colours)
                np.add.at(weights, vertices[placed], 1)
                continue
            warnings.warn(
                f"{path} names the texture {material.texture}, but for no corner a place in it", stacklevel=3
            )
        if material.diffuse is not None:
            np.add.at(sums, vertices, material.diffuse)
            np.add.at(weights, vertices, 1)
    if not weights.any():
        return None
    colours = np.where(weights[:, None] > 0, sums / np.maximum(weights, 1)[:, None], _GREY)
    return torch.from_numpy(colours.astype(np.float32))


def _of_name(materials: dict[str, DiffuseMaterial], name: str) -> DiffuseMaterial | None:
    """The material that `usemtl` means; quotes may stand about names, and comments follow them."""
    for called in (name, name.strip('"'), name.split(" #")[0].rstrip(), name.split("#")[0].rstrip()):
        if called in materials:
            return materials[called]
    alike = [each for own, each in materials.items() if _uncommented(own) == _uncommented(name)]
    return alike[0] if len(alike) == 1 else None  # several: the mark belongs to their names


def _uncommented(name: str) -> str:
    return name.split(" #")[0].strip().strip('"')
