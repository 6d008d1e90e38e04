"""Basel Face Models of 2009, 2017 and 2019: loading, and writing any model in the layout of 2017."""

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import h5py
import numpy as np

from lightning_modules.faces.landmarks.ibug import Landmarks
from lightning_modules.faces.landmarks.mesh_landmark_files import landmarks_from_file
from lightning_modules.faces.landmarks.transfer import completed_landmarks
from lightning_modules.faces.loaders.basel_2009 import is_matlab, read_mat
from lightning_modules.faces.loaders.basel_hdf5 import OUR_GROUP, PARTS, read_hdf5
from lightning_modules.faces.loaders.basel_landmarks import (
    BASEL_NAMES,
    IBUG_NAMES,
    NOTED_VERTICES_OF_FULL_2017,
    VERTICES_OF_FULL_2017,
)
from lightning_modules.faces.loaders.file_content import ModelFile
from lightning_modules.faces.morphable_model import ModelSource, MorphableModel
from lightning_modules.plain.files import require_file, sha256_of_file, written_atomically


def load_basel(
    path: Path,
    *,
    shape_components: int | None = None,
    albedo_components: int | None = None,
    expression_components: int | None = None,
    landmarks: Path | None = None,
    open_model: Callable[[], MorphableModel] | None = None,
) -> MorphableModel:
    """A Basel Face Model of 2017 or 2019 (.h5), of 2009 (.mat), or a file that `save_basel` wrote.

    Vertices in mm, albedo as the file's colours in [0, 1], taken as sRGB. Landmarks come from the user's file
    if given; else from what `save_basel` kept; else from the names in the file's metadata, the published
    vertex ids (full 2017 only), and for the rest by closest point from the open model.

    Args:
        path: the file.
        shape_components: how many to read, the first ones; None reads all. Others stay on the disk.
        albedo_components: likewise.
        expression_components: likewise.
        landmarks: a landmark file for this mesh (see `landmark_files`).
        open_model: gives the model that missing landmarks are transferred from; called only if some are.
            None: a model with missing landmarks has none.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it is damaged, of another layout, or has fewer components than asked for.
    """
    path = Path(path)
    require_file(path, "a Basel Face Model (.h5 or .mat), given out at https://faces.dmi.unibas.ch/bfm")
    counts = {
        "shape": shape_components,
        "albedo": albedo_components,
        "expression": expression_components,
    }
    with ThreadPoolExecutor(1) as pool:
        digest = pool.submit(sha256_of_file, path)
        file = read_mat(path, counts) if is_matlab(path) else read_hdf5(path, counts)
    if file.own is None:
        provenance = ModelSource("basel", path.name, digest.result(), file.note)
    else:
        provenance = ModelSource(file.own.kind, file.own.name, digest.result(), file.own.note)
    return MorphableModel(
        shape=file.shape,
        albedo=file.albedo,
        expression=file.expression,
        triangles=file.triangles,
        landmarks=_landmarks(file, landmarks, open_model),
        provenance=provenance,
    )


def _landmarks(
    file: ModelFile, path: Path | None, open_model: Callable[[], MorphableModel] | None
) -> Landmarks | str:
    vertices = file.shape.mean.unflatten(0, (-1, 3))
    if path is not None:
        return landmarks_from_file(path, vertices)
    if file.own is not None:
        return file.own.landmarks
    known = {index: (vertex, "file") for index, vertex in file.named_vertices.items()}
    if len(vertices) == VERTICES_OF_FULL_2017:
        known = {index: (vertex, "notes") for index, vertex in NOTED_VERTICES_OF_FULL_2017.items()} | known
    return completed_landmarks(vertices, file.triangles, known, open_model)


def save_basel(model: MorphableModel, path: Path) -> None:
    """Writes any model in the layout of Basel 2017, atomically; `load_basel` reads the same model back.

    What the layout has no place for (provenance, landmarks as vertex ids with weights and sources, variance
    of the components that were cut) goes into a group of our own beside it. The same model gives the same
    bytes.

    Args:
        model: on any device; written as float32.
        path: replaced if it exists; missing folders are made.
    """
    with written_atomically(path) as temporary, h5py.File(temporary, "w") as file:
        file["version/majorVersion"], file["version/minorVersion"] = np.int32(0), np.int32(9)
        for part, name in PARTS.items():
            components = model.components(part)
            if part == "expression" and not components.basis.shape[1] and not components.mean.any():
                continue
            for key in ("mean", "basis", "variance"):
                array = getattr(components, key).float().cpu().numpy()
                file[f"{name}/model/{'mean' if key == 'mean' else f'pca{key.title()}'}"] = array
            file[f"{name}/model/noiseVariance"] = np.zeros(1, np.float32)
            # The layout's points and cells lie transposed.
            file[f"{name}/representer/points"] = model.shape_mean.float().cpu().numpy().reshape(-1, 3).T
            file[f"{name}/representer/cells"] = model.triangles.cpu().numpy().T.astype(np.int32)
        file["color/representer/colorspace"] = np.array([b"RGB"])
        _write_own_group(file, model)


def _write_own_group(file: h5py.File, model: MorphableModel) -> None:
    group = file.create_group(OUR_GROUP)
    for key in ("kind", "name", "note"):
        group.attrs[key] = getattr(model.provenance, key)
    group["total_variance"] = np.array([model.components(part).total_variance for part in PARTS])
    if model.no_landmarks:
        group.attrs["no_landmarks"] = model.no_landmarks
        return
    landmarks = model.landmarks
    group["landmarks/vertex_ids"] = landmarks.vertex_ids.cpu().numpy()
    group["landmarks/weights"] = landmarks.weights.cpu().numpy()
    group["landmarks"].attrs["sources"] = json.dumps(landmarks.sources)
    # For other readers, as the layout has it: points near the representer's.
    points = landmarks.on(model.shape_mean.unflatten(0, (1, -1, 3)))[0].tolist()
    names = {index: name for name, index in (IBUG_NAMES | BASEL_NAMES).items()}
    entries = [{"id": names[index], "coordinates": point} for index, point in enumerate(points)]
    file["metadata/landmarks/json"] = np.array([json.dumps(entries).encode()])
