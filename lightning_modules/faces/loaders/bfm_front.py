"""Loads `BFM_model_front.mat`, the cut of Basel 2009 that Deep3DFaceRecon and its successors speak.

Names, shapes and units are those of Deng et al. 2019 (github.com/sicxu/Deep3DFaceRecon_pytorch,
`util/load_mats.py` writes the file, `models/bfm.py` reads it): modes are multiplied by their standard
deviations, lengths are decimetres, colours 0 to 255, ids count from 1.
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from scipy.io import loadmat

from lightning_modules.faces.landmarks.ibug import NUMBER_OF_LANDMARKS, Landmarks, landmarks_on_vertices
from lightning_modules.faces.landmarks.mesh_landmark_files import landmarks_from_file
from lightning_modules.faces.landmarks.transfer import completed_landmarks
from lightning_modules.faces.loaders.array_pickles import as_array
from lightning_modules.faces.loaders.basel_hdf5 import BASEL_COLOUR_ENCODING
from lightning_modules.faces.loaders.file_content import (
    check_triangles,
    checked_count,
    checked_finite,
    outward,
)
from lightning_modules.faces.loaders.principal_components import own_components
from lightning_modules.faces.morphable_model import ModelSource, MorphableModel
from lightning_modules.plain.files import require_file, sha256_of_file

WHERE = "BFM_model_front.mat, which Deep3DFaceRecon's util/load_mats.py makes from Basel 2009"
PARTS = {"shape": ("meanshape", "idBase"), "albedo": ("meantex", "texBase"), "expression": (None, "exBase")}
KEYS = ("meanshape", "idBase", "meantex", "texBase", "exBase", "tri")
MILLIMETRES_PER_UNIT = 100.0
COLOUR_PER_UNIT = 1 / 255


def load_bfm_front(
    path: Path,
    *,
    shape_components: int | None = None,
    albedo_components: int | None = None,
    expression_components: int | None = None,
    landmarks: Path | None = None,
    open_model: Callable[[], MorphableModel] | None = None,
) -> MorphableModel:
    """The model of BFM_model_front.mat in mm, with the coefficients of published checkpoints: 80, 80 and 64.

    Those checkpoints shift the mean's centre to the origin; here it stays where Basel's is.

    Args:
        path: the file.
        shape_components: how many to keep; None keeps all.
        albedo_components: likewise.
        expression_components: likewise.
        landmarks: a landmark file for this mesh; None takes the file's `keypoints`.
        open_model: gives the model that landmarks are transferred from; called only if the file has none.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it is no such file, is damaged, or has fewer components.
    """
    path = Path(path)
    require_file(path, WHERE)
    content = _content(path)
    counts = {"shape": shape_components, "albedo": albedo_components, "expression": expression_components}
    components = {}
    for part, (mean_key, basis_key) in PARTS.items():
        scale = COLOUR_PER_UNIT if part == "albedo" else MILLIMETRES_PER_UNIT
        modes = torch.from_numpy(content[basis_key]) * scale
        mean = (
            modes.new_zeros(len(modes)) if mean_key is None else torch.from_numpy(content[mean_key]) * scale
        )
        components[part] = own_components(
            mean, modes, checked_count(path, part, counts[part], modes.shape[1])
        )
    triangles = torch.from_numpy(content["tri"].astype(np.int64)) - 1
    vertices = components["shape"].mean.unflatten(0, (-1, 3))
    check_triangles(path, triangles, len(vertices))
    triangles = outward(triangles, components["shape"].mean)
    found: Landmarks | str
    if landmarks is not None:
        found = landmarks_from_file(landmarks, vertices)
    elif "keypoints" in content:
        found = landmarks_on_vertices(_keypoints(path, content["keypoints"], len(vertices)), "file")
    else:
        found = completed_landmarks(vertices, triangles, {}, open_model)
    return MorphableModel(
        **components,
        triangles=triangles,
        landmarks=found,
        provenance=ModelSource(
            "bfm-front", path.name, sha256_of_file(path), f"colours taken as {BASEL_COLOUR_ENCODING}"
        ),
    )


def _content(path: Path) -> dict[str, np.ndarray]:
    """The arrays that are needed: means [3V], modes [3V, K], triangles [T, 3], all checked."""
    try:
        raw = loadmat(path, variable_names=[*KEYS, "keypoints"])
    except Exception as error:  # scipy raises whatever a damaged stream leads to
        raise ValueError(f"{path} cannot be read as a MATLAB file up to version 7; give {WHERE}") from error
    if missing := [name for name in KEYS if name not in raw]:
        raise ValueError(f"{path} is no BFM_model_front.mat: {', '.join(missing)} is missing; give {WHERE}")
    names = [*KEYS, *(["keypoints"] if "keypoints" in raw else [])]
    content = {name: as_array(raw[name], f"{path}: {name}") for name in names}
    for name in KEYS[:-1]:
        content[name] = np.ascontiguousarray(content[name], dtype=np.float32)
    content |= {name: content[name].ravel() for name in ("meanshape", "meantex")}
    length = len(content["meanshape"])
    wrong = [
        name
        for name in ("idBase", "texBase", "exBase")
        if content[name].ndim != 2 or len(content[name]) != length
    ]
    if wrong or len(content["meantex"]) != length or length % 3 or content["tri"].shape[1:] != (3,):
        sizes = ", ".join(f"{name} {list(content[name].shape)}" for name in KEYS)
        raise ValueError(
            f"{path} is no BFM_model_front.mat: means must have 3 numbers a vertex, bases as many rows, tri "
            f"three columns, got {sizes}; give {WHERE}"
        )
    checked_finite(path, {name: torch.from_numpy(content[name]) for name in KEYS[:-1]})
    return content


def _keypoints(path: Path, listed: np.ndarray, vertices: int) -> torch.Tensor:
    """The 68 landmarks' vertices."""
    ids = torch.from_numpy(listed.ravel().astype(np.int64)) - 1
    if len(ids) != NUMBER_OF_LANDMARKS or int(ids.min()) < 0 or int(ids.max()) >= vertices:
        raise ValueError(
            f"{path}: keypoints must list {NUMBER_OF_LANDMARKS} vertices from 1 to {vertices}, got "
            f"{len(ids)}; get the file again"
        )
    return ids
