"""Reads the MATLAB file of the Basel Face Model 2009."""

import math
from pathlib import Path

import numpy as np
import torch
from scipy.io import loadmat, whosmat

from lightning_modules.faces.loaders.basel_hdf5 import BASEL_COLOUR_ENCODING
from lightning_modules.faces.loaders.file_content import (
    ModelFile,
    check_triangles,
    checked_count,
    checked_finite,
    outward,
    scaled,
)
from lightning_modules.faces.loaders.hdf5_content import LARGEST_BYTES
from lightning_modules.faces.loaders.principal_components import principal_components
from lightning_modules.faces.morphable_model import PrincipalComponents

KEYS = {"shape": ("shapeMU", "shapePC", "shapeEV"), "albedo": ("texMU", "texPC", "texEV")}
MILLIMETRES_PER_UNIT = 1e-3  # the file is in micrometres
COLOUR_PER_UNIT = 1 / 255
# A float32 basis of this length is orthonormal to about 1e-5; the bound tells rounding from more.
LARGEST_DEVIATION_FROM_ORTHONORMAL = 1e-3


def is_matlab(path: Path) -> bool:
    """Whether the file starts as every MATLAB file since version 5 does."""
    with open(path, "rb") as file:
        return file.read(6) == b"MATLAB"


def read_mat(path: Path, counts: dict[str, int | None]) -> ModelFile:
    """Reads `01_MorphableModel.mat`: lengths in micrometres, colours 0–255, standard deviations, 1-based ids.

    The file names no landmark and holds no expressions. A basis that is not orthonormal is replaced by the
    orthonormal one of the same Gaussian.

    Args:
        path: the file.
        counts: components to keep of `shape` and `albedo`; None keeps all.

    Raises:
        ValueError: if the file is no such file, is damaged, or contradicts itself.
    """
    required = {key for keys in KEYS.values() for key in keys} | {"tl"}
    try:
        declared = {name: shape for name, shape, _ in whosmat(path)}
        found = set(declared)
    except Exception as error:  # scipy raises whatever a damaged stream leads to
        raise ValueError(
            f"{path} cannot be read as a MATLAB file up to version 7 ({error}); "
            "get 01_MorphableModel.mat of the Basel Face Model 2009 again"
        ) from error
    if required - found:
        raise ValueError(
            f"{path} is not the Basel Face Model 2009: expected {', '.join(sorted(required))}, "
            f"found {', '.join(sorted(found)) or 'nothing'}; give its 01_MorphableModel.mat, "
            "or the .h5 file for 2017 and 2019"
        )
    for name in required:
        if 8 * math.prod(declared[name]) > 2 * LARGEST_BYTES:
            raise ValueError(
                f"{path}: {name} declares {list(declared[name])} values; no morphable model is so large"
            )
    if counts["expression"]:
        raise ValueError(f"{path} holds no expressions; do not ask for {counts['expression']} of them")
    shape = scaled(_read_part(path, "shape", counts["shape"]), MILLIMETRES_PER_UNIT)
    albedo = scaled(_read_part(path, "albedo", counts["albedo"]), COLOUR_PER_UNIT)
    if len(albedo.mean) != len(shape.mean):
        raise ValueError(
            f"{path}: texMU has {len(albedo.mean) // 3} vertices but shapeMU has {len(shape.mean) // 3}; "
            "get the file again"
        )
    # Contiguous: views of the file's column order would keep its array alive.
    triangles = torch.from_numpy(np.ascontiguousarray(_read(path, "tl"), dtype=np.int64)) - 1
    if triangles.shape[-1] != 3:
        raise ValueError(f"{path}: tl must be [T, 3], got {list(triangles.shape)}; get the file again")
    check_triangles(path, triangles, len(shape.mean) // 3)
    note = f"colours taken as {BASEL_COLOUR_ENCODING}"
    return ModelFile(shape, albedo, None, outward(triangles, shape.mean), {}, note)


def _read(path: Path, key: str) -> np.ndarray:
    try:
        return loadmat(path, variable_names=[key])[key]
    except Exception as error:  # scipy raises whatever a damaged stream leads to
        raise ValueError(
            f"{path}: {key} cannot be read, the file is truncated or damaged; get it again"
        ) from error


def _read_part(path: Path, part: str, count: int | None) -> PrincipalComponents:
    mean_key, basis_key, deviation_key = KEYS[part]
    mean = torch.from_numpy(_read(path, mean_key).astype(np.float32).ravel())
    deviation = torch.from_numpy(_read(path, deviation_key).astype(np.float32).ravel())
    columns = _read(path, basis_key)
    if columns.shape != (len(mean), len(deviation)) or len(mean) % 3 or len(mean) == 0:
        raise ValueError(
            f"{path}: {basis_key} must be [3 x vertices, components] = [{len(mean)}, {len(deviation)}] as "
            f"{mean_key} and {deviation_key} say, got {list(columns.shape)}; get the file again"
        )
    count = checked_count(path, part, count, len(deviation))
    basis = torch.from_numpy(np.ascontiguousarray(columns[:, :count], dtype=np.float32))
    checked_finite(path, {mean_key: mean, basis_key: basis, deviation_key: deviation})
    if not _is_orthonormal(basis):
        return principal_components(mean, basis * deviation[:count])
    variance = deviation**2
    return PrincipalComponents(mean, basis, variance[:count].clone(), float(variance.double().sum()))


def _is_orthonormal(basis: torch.Tensor) -> bool:
    error = basis.T @ basis - torch.eye(basis.shape[1])
    return not basis.shape[1] or float(error.abs().max()) <= LARGEST_DEVIATION_FROM_ORTHONORMAL
