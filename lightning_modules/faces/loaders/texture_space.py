"""FLAME's albedo: a linear model of textures, read at the vertices of its mesh."""

from pathlib import Path

import numpy as np
import torch
from scipy.sparse import csr_array

from lightning_modules.faces.loaders.array_pickles import as_array, read_arrays
from lightning_modules.faces.loaders.file_content import checked_count
from lightning_modules.faces.loaders.principal_components import own_components
from lightning_modules.faces.morphable_model import PrincipalComponents

# Names of mean and components: of FLAME's texture space, and of the one that BFM_to_FLAME makes from Basel's.
LAYOUTS = (("mean", "tex_dir"), ("MU", "PC"))
FILES = ("FLAME_texture.npz", "FLAME_albedo_from_BFM.npz")


def texture_file_beside(model_file: Path) -> Path | None:
    """The texture space in a model file's folder, if there is one."""
    return next((path for name in FILES if (path := model_file.parent / name).is_file()), None)


def read_texture_space(
    path: Path, triangles: np.ndarray, vertices: int, count: int | None
) -> PrincipalComponents:
    """The albedo that a texture space gives the vertices of a mesh, sRGB-encoded.

    Textures are read at each texture vertex, bilinearly; a vertex on a seam takes the mean of its own.
    Colours lie in the order blue, green, red, as the published code has it (DECA turns them round), from 0 to
    255 or from 0 to 1: decided by the values. Texture coordinates count upwards. Components are taken as one
    standard deviation each.

    Args:
        path: FLAME_texture.npz or FLAME_albedo_from_BFM.npz.
        triangles: [T, 3] of the mesh, in the order of the file's own `ft`.
        vertices: V of the mesh.
        count: how many components to keep; None keeps all.

    Returns:
        Of [3V] values.

    Raises:
        ValueError: if the file is no such file, or of another mesh.
    """
    content = read_arrays(path)
    layout = next((names for names in LAYOUTS if {*names, "vt", "ft"} <= content.keys()), None)
    if layout is None:
        raise ValueError(
            f"{path} is no texture space of FLAME: expected mean and tex_dir (or MU and PC), vt and ft, "
            f"found {', '.join(sorted(content)) or 'nothing'}; give {' or '.join(FILES)}"
        )
    mean, modes = (as_array(content[name], f"{path}: {name}") for name in layout)
    corners, coordinates = as_array(content["ft"], f"{path}: ft"), as_array(content["vt"], f"{path}: vt")
    size = round((mean.size / 3) ** 0.5)
    if mean.size != 3 * size**2 or not size or modes.size % mean.size:
        raise ValueError(
            f"{path}: {layout[0]} must be a square picture and {layout[1]} several, got {list(mean.shape)} "
            f"and {list(modes.shape)}; get the file again"
        )
    if (
        corners.shape != triangles.shape
        or coordinates.ndim != 2
        or corners.max(initial=0) >= len(coordinates)
    ):
        raise ValueError(
            f"{path}: ft must give {len(triangles)} triangles corners of vt, got {list(corners.shape)} of "
            f"{len(coordinates)}; give the texture space of this model"
        )
    available = modes.size // mean.size
    count = checked_count(path, "albedo", count, available)
    pictures = np.concatenate(
        [mean.reshape(size, size, 3, 1), modes.reshape(size, size, 3, available)[..., :count]], axis=3
    )  # fmt: skip
    colours = _at_vertices(_sampled(pictures, coordinates), triangles, corners, vertices)[:, ::-1]
    if not np.isfinite(colours).all():
        raise ValueError(f"{path} holds NaN or infinity; the file is damaged, get it again")
    scale = 255 if colours[..., 0].mean() > 2 else 1
    flat = torch.from_numpy(np.ascontiguousarray(colours, np.float32)).flatten(0, 1) / scale
    return own_components(flat[:, 0].contiguous(), flat[:, 1:])


def _sampled(pictures: np.ndarray, coordinates: np.ndarray) -> np.ndarray:
    """Bilinear samples [N, 3, ...] of pictures [H, W, 3, ...] at texture coordinates [N, 2], v upwards."""
    height, width = pictures.shape[:2]
    x = np.clip(coordinates[:, 0] * width - 0.5, 0, width - 1)
    y = np.clip((1 - coordinates[:, 1]) * height - 0.5, 0, height - 1)
    left, top = np.floor(x).astype(int), np.floor(y).astype(int)
    right, bottom = np.minimum(left + 1, width - 1), np.minimum(top + 1, height - 1)
    across, down = ((part - start)[:, None, None] for part, start in ((x, left), (y, top)))
    above = pictures[top, left] * (1 - across) + pictures[top, right] * across
    below = pictures[bottom, left] * (1 - across) + pictures[bottom, right] * across
    return above * (1 - down) + below * down


def _at_vertices(
    samples: np.ndarray, triangles: np.ndarray, corners: np.ndarray, vertices: int
) -> np.ndarray:
    """Means [V, 3, ...] over the texture vertices of each vertex; mid grey where it has none."""
    pairs = np.unique(np.stack([triangles.ravel(), corners.ravel()], 1), axis=0)
    ones = np.ones(len(pairs))
    belongs = csr_array((ones, (pairs[:, 0], pairs[:, 1])), shape=(vertices, len(samples)))
    counts = belongs.sum(1)
    sums = (belongs @ samples.reshape(len(samples), -1)).reshape(vertices, *samples.shape[1:])
    return sums / np.maximum(counts, 1)[:, None, None]
