"""Reads the HDF5 layout of the Basel Face Model 2017 and 2019."""

import json
from pathlib import Path

import h5py
import numpy as np
import torch
from torch import Tensor

from lightning_modules.faces.landmarks.ibug import Landmarks
from lightning_modules.faces.loaders.basel_landmarks import parse_landmarks, vertices_of_landmarks
from lightning_modules.faces.loaders.file_content import (
    ModelFile,
    OwnMetadata,
    check_triangles,
    checked_count,
    checked_finite,
    outward,
    scaled,
)
from lightning_modules.faces.loaders.hdf5_content import TEXTS, checked, node_at
from lightning_modules.faces.morphable_model import PrincipalComponents

# Where files that we wrote keep what the Basel layout has no place for.
OUR_GROUP = "metadata/unsupervised_morphable_faces"
PARTS = {"shape": "shape", "albedo": "color", "expression": "expression"}

# The layout does not state whether colours are linear or sRGB-encoded; every model that we build from it
# says in its provenance that they were taken as this.
BASEL_COLOUR_ENCODING = "sRGB"


def read_hdf5(path: Path, counts: dict[str, int | None]) -> ModelFile:
    """Reads a file in the layout of Basel 2017 and 2019.

    Bases go straight from the file into the tensors that the model keeps, cut ones column by column.

    Args:
        path: the file.
        counts: components to read of `shape`, `albedo` and `expression`; None reads all.

    Raises:
        ValueError: if the file is no such file, is damaged, or contradicts itself.
    """
    try:
        with h5py.File(path, "r") as file:
            return _read(file, path, counts)
    except ValueError:
        raise
    except Exception as error:  # h5py raises whatever a damaged file leads to
        raise ValueError(
            f"{path} is not a whole HDF5 file: it is truncated or damaged; get it again"
        ) from error


def _read(file: h5py.File, path: Path, counts: dict[str, int | None]) -> ModelFile:
    own = node_at(file, OUR_GROUP, path)
    shape = _read_part(file, path, "shape", counts["shape"])
    albedo = _read_part(file, path, "albedo", counts["albedo"])
    expression = None
    if node_at(file, "expression", path) is not None:
        expression = _read_part(file, path, "expression", counts["expression"])
    elif counts["expression"]:
        raise ValueError(f"{path} holds no expressions; do not ask for {counts['expression']} of them")
    for part, components in (("albedo", albedo), ("expression", expression)):
        if components is not None and len(components.mean) != len(shape.mean):
            raise ValueError(
                f"{path}: /{PARTS[part]}/model has {len(components.mean) // 3} vertices but /shape/model has "
                f"{len(shape.mean) // 3}; the file is not one model, get it again"
            )
    triangles = _read_triangles(file, path, len(shape.mean) // 3)
    named = _read_named_vertices(file, path, shape.mean)
    if own is not None:
        totals = _values(own, path, "total_variance").tolist()
        shape, albedo = shape._replace(total_variance=totals[0]), albedo._replace(total_variance=totals[1])
        expression = None if expression is None else expression._replace(total_variance=totals[2])
        return ModelFile(shape, albedo, expression, triangles, named, "", _read_own(own, path))
    notes = []
    scale = _millimetres_per_unit(file, path)
    if scale != 1:
        shape = scaled(shape, scale)
        expression = None if expression is None else scaled(expression, scale)
        notes.append(f"lengths times {scale:g}")
    # Decided by the values: what a file's attributes claim of its colours says little.
    if albedo.mean.mean() > 2:
        albedo = scaled(albedo, 1 / 255)
        notes.append("colours divided by 255")
    notes.append(f"colours taken as {BASEL_COLOUR_ENCODING}")
    triangles = outward(triangles, shape.mean)
    return ModelFile(shape, albedo, expression, triangles, named, ", ".join(notes))


def _dataset(file: h5py.File, path: Path, key: str) -> h5py.Dataset:
    node = node_at(file, key, path)
    if not isinstance(node, h5py.Dataset):
        raise ValueError(
            f"{path} is not a Basel 2017 or 2019 model: expected the dataset /{key}, found the groups "
            f"{', '.join(sorted(file)) or 'none'}; give model2017-1_bfm_nomouth.h5 or a file of its layout"
        )
    return checked(node, path)


def _values(group: h5py.Group, path: Path, key: str) -> np.ndarray:
    """The numbers of a data set."""
    node = node_at(group, key, path)
    if not isinstance(node, h5py.Dataset):
        raise ValueError(f"{path}: {key} must be a data set; get the file again")
    return np.asarray(checked(node, path)[()])


def _read_part(file: h5py.File, path: Path, part: str, count: int | None) -> PrincipalComponents:
    name = PARTS[part]
    mean = _floats(_dataset(file, path, f"{name}/model/mean")).flatten()
    variance = _floats(_dataset(file, path, f"{name}/model/pcaVariance")).flatten()
    basis = _dataset(file, path, f"{name}/model/pcaBasis")
    if basis.shape != (len(mean), len(variance)) or len(mean) % 3 or len(mean) == 0:
        raise ValueError(
            f"{path}: /{name}/model/pcaBasis must be [3 x vertices, components] = "
            f"[{len(mean)}, {len(variance)}] as mean and pcaVariance say, got {list(basis.shape)}; "
            "the file is damaged or of another layout, get it again"
        )
    count = checked_count(path, part, count, len(variance))
    columns = torch.empty(len(mean), count)
    if columns.numel():
        basis.read_direct(columns.numpy(), np.s_[:, :count] if count < basis.shape[1] else None)
    checked_finite(path, {f"/{name}/model/mean": mean, f"/{name}/model/pcaBasis": columns})
    if not bool((variance >= 0).all()):  # also false for NaN
        raise ValueError(
            f"{path}: /{name}/model/pcaVariance holds negative numbers or NaN; get the file again"
        )
    return PrincipalComponents(mean, columns, variance[:count].clone(), float(variance.double().sum()))


def _floats(dataset: h5py.Dataset) -> Tensor:
    return torch.from_numpy(np.asarray(dataset[()], dtype=np.float32))


def _read_triangles(file: h5py.File, path: Path, vertices: int) -> Tensor:
    cells = np.asarray(_dataset(file, path, "shape/representer/cells")[()])
    cells = _points_first(cells, path, "/shape/representer/cells")
    triangles = torch.from_numpy(cells.astype(np.int64))
    check_triangles(path, triangles, vertices)
    return triangles


def _points_first(array: np.ndarray, path: Path, name: str) -> np.ndarray:
    """[N, 3] of an array that is [3, N], as the layout says, or [N, 3]."""
    if array.ndim != 2 or 3 not in array.shape:
        raise ValueError(f"{path}: {name} must be [3, N], got {list(array.shape)}; get the file again")
    return array.T if array.shape[0] == 3 else array


def _millimetres_per_unit(file: h5py.File, path: Path) -> float:
    """1 where the file says nothing; otherwise from its metres per unit."""
    unit = node_at(file, "shape/representer/length-unit", path)
    if unit is None:
        return 1.0
    scale = float(_values(file, path, "shape/representer/length-unit").flat[0]) * 1000
    if not 0 < scale < np.inf:
        raise ValueError(f"{path}: /shape/representer/length-unit must be above 0; get the file again")
    return 1.0 if abs(scale - 1) < 1e-4 else scale  # 0.001 as float32 is not exact


def _read_named_vertices(file: h5py.File, path: Path, mean: Tensor) -> dict[int, int]:
    meshes = [mean.numpy().reshape(-1, 3)]
    if node_at(file, "shape/representer/points", path) is not None:
        points = _values(file, path, "shape/representer/points")
        points = _points_first(points, path, "/shape/representer/points")
        if points.shape == meshes[0].shape and np.isfinite(points).all():
            meshes.append(points)
    named: dict[str, np.ndarray] = {}
    for form in ("text", "json"):
        node = node_at(file, f"metadata/landmarks/{form}", path)
        if isinstance(node, h5py.Dataset):
            text = np.asarray(checked(node, path, TEXTS)[()]).flat[0]
            try:
                named |= parse_landmarks(bytes(text).decode(), is_json=form == "json")
            except ValueError as error:
                raise ValueError(
                    f"{path}: /metadata/landmarks/{form}: {error}; get the file again"
                ) from error
    return vertices_of_landmarks(named, meshes)


def _read_own(group: h5py.Group, path: Path) -> OwnMetadata:
    landmarks: Landmarks | str
    if node_at(group, "landmarks", path) is not None:
        landmarks = Landmarks(
            torch.from_numpy(_values(group, path, "landmarks/vertex_ids").astype(np.int64)),
            torch.from_numpy(_values(group, path, "landmarks/weights")),
            tuple(json.loads(group["landmarks"].attrs["sources"])),
        )
    else:
        landmarks = str(group.attrs["no_landmarks"])
    return OwnMetadata(
        str(group.attrs["kind"]), str(group.attrs["name"]), str(group.attrs["note"]), landmarks
    )
