"""Vertex colours out of the materials and textures of an OBJ file."""

import warnings
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from lightning_modules.faces.mesh_files.colours import EIGHT_BITS, SIXTEEN_BITS, as_fractions
from lightning_modules.faces.mesh_files.material_files import (
    DiffuseMaterial,
    named_file,
    named_files,
    read_library,
)
from lightning_modules.rendering.colour_profiles import in_srgb

# Pictures are opened as these alone: for others Pillow may start a program.
PICTURE_FORMATS = (
    "BMP", "DDS", "GIF", "JPEG", "JPEG2000", "PCX", "PNG", "PPM", "SGI", "TGA", "TIFF", "WEBP",
)  # fmt: skip
LARGEST_PICTURE = 16_384**2  # pixels
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
        file = None if material.texture is None else named_file(material.folder, material.texture)
        if material.texture is not None and file is None:
            warnings.warn(f"{path} names the texture {material.texture}, which is missing", stacklevel=3)
        elif file is not None:
            placed = texture >= 0
            placed[placed] = np.isfinite(coordinates[texture[placed]]).all(1)
            scaled = coordinates[texture[placed]] * material.scale + material.offset
            np.add.at(sums, vertices[placed], _sampled(file, scaled))
            np.add.at(weights, vertices[placed], 1)
            continue
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


def _sampled(path: Path, coordinates: np.ndarray) -> np.ndarray:
    """Bilinear samples [N, 3] of a picture that repeats, at [N, 2] coordinates, v upwards."""
    picture = _picture(path)
    height, width, _ = picture.shape
    x = coordinates[:, 0] % 1.0 * width - 0.5
    y = (1 - coordinates[:, 1] % 1.0) * height - 0.5
    left, top = np.floor(x).astype(int), np.floor(y).astype(int)
    across, down = (x - left)[:, None], (y - top)[:, None]
    rows, columns = (top % height, (top + 1) % height), (left % width, (left + 1) % width)
    above = picture[rows[0], columns[0]] * (1 - across) + picture[rows[0], columns[1]] * across
    below = picture[rows[1], columns[0]] * (1 - across) + picture[rows[1], columns[1]] * across
    largest = EIGHT_BITS if picture.dtype == np.uint8 else 1.0
    return (above * (1 - down) + below * down) / largest


def _picture(path: Path) -> np.ndarray:
    """A picture [H, W, 3], sRGB, in 8 bits or as fractions."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what Pillow makes of large or odd files; refused below, or read
            with Image.open(path, formats=PICTURE_FORMATS) as file:
                width, height = file.size
                if width * height <= LARGEST_PICTURE:
                    return _pixels(path, file)
    except Exception as error:  # whatever a decoder raises
        raise ValueError(f"the texture {path} cannot be read as a picture ({error}); get it again") from error
    raise ValueError(
        f"the texture {path} has {width} x {height} pixels, more than {LARGEST_PICTURE:,}; scale it down"
    )


def _pixels(path: Path, file: Image.Image) -> np.ndarray:
    if file.mode.startswith(("I", "F")):  # grey in 16 or 32 bits, which Pillow would clip
        values = np.asarray(file)
        if file.mode.startswith("I") and values.size and values.max() > EIGHT_BITS:
            grey = (values / SIXTEEN_BITS).clip(0, 1)
        else:
            grey = as_fractions(str(path), values)
        return np.repeat(grey[..., None], 3, -1)
    image = file if file.mode in ("RGB", "RGBA", "CMYK", "L", "LAB") else file.convert("RGB")
    return np.asarray(in_srgb(image).convert("RGB"))
