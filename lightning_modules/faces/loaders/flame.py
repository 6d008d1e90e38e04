"""Loads FLAME (Li et al. 2017; 2020, 2023 and 2023 Open) as a MorphableModel, without running its pickle.

Names and shapes in the files are those that its published loaders read: FLAME_PyTorch for `generic_model.pkl`
and `flame_static_embedding.pkl`, DECA for `landmark_embedding.npy`, VHAP for the same with two eyes more,
TF_FLAME for `FLAME_texture.npz`, BFM_to_FLAME for `FLAME_albedo_from_BFM.npz`.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lightning_modules.faces.albedo_transfer import borrowed_albedo
from lightning_modules.faces.landmarks.ibug import NUMBER_OF_LANDMARKS, Landmarks
from lightning_modules.faces.landmarks.mesh_landmark_files import landmarks_from_file
from lightning_modules.faces.landmarks.transfer import completed_landmarks
from lightning_modules.faces.loaders.array_pickles import as_array, read_arrays
from lightning_modules.faces.loaders.file_content import check_triangles, checked_count, checked_finite
from lightning_modules.faces.loaders.mesh_cuts import MeshCut, are_places, face_mask, with_exact
from lightning_modules.faces.loaders.principal_components import own_components
from lightning_modules.faces.loaders.texture_space import read_texture_space, texture_file_beside
from lightning_modules.faces.morphable_model import ModelSource, MorphableModel, PrincipalComponents
from lightning_modules.plain.files import require_file, sha256_of_file

WHERE = "generic_model.pkl of FLAME 2020 or 2023, given out at https://flame.is.tue.mpg.de"
SHAPE_COMPONENTS = 300  # the columns of shapedirs; expressions follow
MILLIMETRES_PER_UNIT = 1000.0
SUBSETS = ("face", "head")
# Embeddings of landmarks that lie beside the model, and what their triangles and weights are called. One of
# 51 landmarks has iBUG's without the jaw; of 70, the last two are the eyes' middles, which are not iBUG's.
EMBEDDINGS = (
    "landmark_embedding.npy", "landmark_embedding_with_eyes.npy", "flame_static_embedding_68.pkl",
    "flame_static_embedding.pkl",
)  # fmt: skip
EMBEDDING_KEYS = (
    ("full_lmk_faces_idx", "full_lmk_bary_coords"),
    ("lmk_face_idx", "lmk_b_coords"),
    ("static_lmk_faces_idx", "static_lmk_bary_coords"),
)
WITHOUT_JAW, WITH_EYES = 51, 70


def load_flame(
    path: Path,
    *,
    subset: str = "face",
    albedo: str | None = None,
    shape_components: int | None = None,
    albedo_components: int | None = None,
    expression_components: int | None = None,
    landmarks: Path | None = None,
    open_model: Callable[[], MorphableModel] | None = None,
) -> MorphableModel:
    """FLAME with neck, jaw and eyes at rest, in mm; its coefficients are the published ones.

    At rest its skinning and pose correctives are the identity: vertices are the template plus `shapedirs`
    times shape and expression coefficients. Nothing in the file is run, see `array_pickles`.

    Args:
        path: generic_model.pkl, or the same arrays as .npz.
        subset: `face`, found by geometry (`mesh_cuts.face_mask`), or `head`: all of the mesh.
        albedo: None takes the texture space beside the file if there is one, else `open`. `constant` and
            `open` as for `load_ict`.
        shape_components: how many to keep; None keeps all.
        albedo_components: likewise.
        expression_components: likewise.
        landmarks: a landmark file for the subset's mesh. None takes those of an embedding beside the file;
            what it lacks is transferred from the open model.
        open_model: gives the open model; called only if something is transferred from it.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it is no FLAME, holds anything but arrays, or an option is none of the above.
    """
    path = Path(path)
    require_file(path, WHERE)
    if subset not in SUBSETS:
        raise ValueError(f"the subset of {path} must be {' or '.join(map(repr, SUBSETS))}, got {subset!r}")
    template, modes, triangles = _arrays(path)
    shape_count = checked_count(path, "shape", shape_components, SHAPE_COMPONENTS)
    expression_count = checked_count(
        path, "expression", expression_components, modes.shape[2] - SHAPE_COMPONENTS
    )  # fmt: skip
    mask = face_mask(template) if subset == "face" else np.ones(len(template), bool)
    cut = MeshCut.of(mask, triangles)
    mean = cut.rows(template)
    shape = own_components(mean, cut.rows(modes[..., :SHAPE_COMPONENTS]), shape_count)
    still = torch.zeros_like(mean)
    expression = own_components(still, cut.rows(modes[..., SHAPE_COMPONENTS:]), expression_count)
    vertices = mean.unflatten(0, (-1, 3))
    found = _landmarks(path, landmarks, vertices, triangles, cut, open_model)
    texture = texture_file_beside(path) if albedo is None else None
    if texture is None:
        colours, note = borrowed_albedo(
            str(path), albedo or "open", vertices, cut.triangles, found, open_model
        )
        colours = colours.cut(checked_count(path, "albedo", albedo_components, colours.basis.shape[1]))
    else:
        whole = read_texture_space(texture, triangles, len(template), albedo_components)
        colours = _of_vertices(whole, cut)
        note = f"albedo: {texture.name} ({sha256_of_file(texture)[:12]}) at the vertices, taken as sRGB"
    return MorphableModel(
        shape=shape,
        albedo=colours,
        expression=expression,
        triangles=cut.triangles,
        landmarks=found,
        provenance=ModelSource("flame", f"{path.name} {subset}", sha256_of_file(path), note),
    )


def _arrays(path: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Template [V, 3] in mm, modes [V, 3, K] in mm, triangles [T, 3]."""
    content = read_arrays(path)
    missing = {"v_template", "shapedirs", "f"} - content.keys()
    if missing:
        raise ValueError(
            f"{path} is no FLAME: expected v_template, shapedirs and f, found "
            f"{', '.join(sorted(content)) or 'nothing'}; give {WHERE}"
        )
    template, modes, triangles = (
        as_array(content[name], f"{path}: {name}") for name in ("v_template", "shapedirs", "f")
    )
    if (
        template.ndim != 2
        or modes.ndim != 3
        or modes.shape[:2] != template.shape
        or template.shape[1] != 3
        or modes.shape[2] < SHAPE_COMPONENTS
        or triangles.ndim != 2
        or triangles.shape[1] != 3
    ):
        raise ValueError(
            f"{path} is no FLAME: v_template must be [V, 3], shapedirs [V, 3, {SHAPE_COMPONENTS} or more] "
            f"and f [T, 3], got {list(template.shape)}, {list(modes.shape)} and {list(triangles.shape)}; "
            f"give {WHERE}"
        )
    triangles = triangles.astype(np.int64)
    check_triangles(path, torch.from_numpy(triangles), len(template))
    numbers = {"v_template": template, "shapedirs": modes}
    checked_finite(
        path, {name: torch.from_numpy(array.astype(np.float32)) for name, array in numbers.items()}
    )
    return template * MILLIMETRES_PER_UNIT, modes * MILLIMETRES_PER_UNIT, triangles


def _of_vertices(components: PrincipalComponents, cut: MeshCut) -> PrincipalComponents:
    """The same colours at the kept vertices, each component's length and variance with them."""
    mean, basis = (part.unflatten(0, (-1, 3)).numpy() for part in (components.mean, components.basis))
    modes = cut.rows(basis) * components.variance.sqrt()
    kept = own_components(cut.rows(mean), modes)
    share = float(kept.variance.double().sum()) / max(float(components.variance.double().sum()), 1e-30)
    return kept._replace(total_variance=components.total_variance * share)


def _landmarks(
    path: Path,
    given: Path | None,
    vertices: Tensor,
    triangles: np.ndarray,
    cut: MeshCut,
    open_model: Callable[[], MorphableModel] | None,
) -> Landmarks | str:
    if given is not None:
        return landmarks_from_file(given, vertices)
    exact: dict[int, tuple[Tensor, Tensor]] = {}
    embedding = next((file for name in EMBEDDINGS if (file := path.parent / name).is_file()), None)
    if embedding is not None:
        faces, weights = _embedding(embedding, len(triangles))
        first = NUMBER_OF_LANDMARKS - len(faces)
        exact = {first + number: point for number, point in cut.landmarks(triangles[faces], weights).items()}
    nearest = {number: (int(ids[weights.argmax()]), "file") for number, (ids, weights) in exact.items()}
    found = completed_landmarks(vertices, cut.triangles, nearest, open_model)
    return found if isinstance(found, str) else with_exact(found, exact, "file")


def _embedding(path: Path, count: int) -> tuple[np.ndarray, np.ndarray]:
    """The triangle of each landmark, and its weights there."""
    content: dict[str, Any] = read_arrays(path)
    keys = next((names for names in EMBEDDING_KEYS if set(names) <= content.keys()), None)
    if keys is None:
        raise ValueError(
            f"{path} is no embedding of landmarks: expected {' and '.join(EMBEDDING_KEYS[1])}, found "
            f"{', '.join(sorted(content)) or 'nothing'}; get it again, or move it away"
        )
    faces, weights = (as_array(content[name], f"{path}: {name}") for name in keys)
    faces, weights = faces.ravel().astype(np.int64), weights.reshape(-1, 3)
    if len(faces) == len(weights) == WITH_EYES:
        faces, weights = faces[:NUMBER_OF_LANDMARKS], weights[:NUMBER_OF_LANDMARKS]
    if (
        len(faces) not in (NUMBER_OF_LANDMARKS, WITHOUT_JAW)
        or len(weights) != len(faces)
        or not are_places(faces, weights, count)
    ):
        raise ValueError(
            f"{path} must place {NUMBER_OF_LANDMARKS} or {WITHOUT_JAW} landmarks on triangles 0 to "
            f"{count - 1} with weights that sum to 1, got {len(faces)}; get it again, or move it away"
        )
    return faces, weights
