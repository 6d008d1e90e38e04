"""Loads the ICT-FaceKit model, a folder of OBJ files (MIT licence), as a MorphableModel."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from lightning_modules.faces.albedo_transfer import borrowed_albedo
from lightning_modules.faces.landmarks.ibug import NUMBER_OF_LANDMARKS, Landmarks, landmarks_on_vertices
from lightning_modules.faces.landmarks.mesh_landmark_files import landmarks_from_file
from lightning_modules.faces.landmarks.transfer import completed_landmarks
from lightning_modules.faces.loaders.file_content import checked_count
from lightning_modules.faces.loaders.principal_components import principal_components
from lightning_modules.faces.mesh_files.obj import read_obj, read_obj_vertices
from lightning_modules.faces.morphable_model import ModelSource, MorphableModel
from lightning_modules.plain.files import require_file, sha256_of_files

WHERE = "the folder FaceXModel of https://github.com/ICT-VGL/ICT-FaceKit"
VERTICES = 26_719
# Vertex ranges that its README publishes; sockets, teeth, lashes and fluids are never taken.
SUBSETS = {"face": range(9409), "head": range(9409, 11248), "eyes": range(21451, 24591)}
MILLIMETRES_PER_UNIT = 10.0  # the files are in cm

# Blendshape weights lie in [0, 1] and have no published distribution. As in the open model, few are active
# at a time: each of J shapes with probability 3 / J and a weight even in [0, 1], whose mean square is 1 / 3.
EXPRESSIONS_AT_A_TIME = 3
# How its files call sides, and which expressions have two of them here and one in ARKit.
SIDES = {"L": "Left", "R": "Right"}
WHOLE_IN_ARKIT = frozenset(("browInnerUp", "cheekPuff"))


def load_ict(
    folder: Path,
    *,
    subset: str = "face",
    albedo: str = "constant",
    shape_components: int | None = None,
    albedo_components: int | None = None,
    expression_components: int | None = None,
    landmarks: Path | None = None,
    open_model: Callable[[], MorphableModel] | None = None,
) -> MorphableModel:
    """The ICT-FaceKit model (Li et al., Learning Formation of Physically-Based Face Attributes, CVPR 2020).

    Its identities are face = neutral + sum of w_i (identity_i - neutral) with w standard normal, as its own
    scripts draw them. These modes are not orthogonal; their Gaussian is kept and its principal components
    are taken (`gaussian.principal_components`), so coefficients here are not ICT's weights. Expressions are
    principal components of the second moment about the neutral face of sparse random blendshape weights.
    Modes are restricted to the subset first.

    Args:
        folder: with generic_neutral_mesh.obj, identityNNN.obj, expressions as further OBJ files (any number)
            and vertex_indices.json (for the landmarks).
        subset: `face`, or joined by +, such as `face+head` or `face+head+eyes`.
        albedo: the model has none. `constant` gives every vertex one colour, `open` transfers the open
            model's mean and components by closest point after landmark alignment.
        shape_components: how many to keep; None keeps all.
        albedo_components: likewise, of the transferred ones.
        expression_components: likewise.
        landmarks: a landmark file for the subset's mesh; None takes those of vertex_indices.json.
        open_model: gives the open model; called only if something is transferred from it.

    Raises:
        FileNotFoundError: if the folder or the neutral mesh is missing.
        ValueError: if a file does not fit the others, or an option is none of the above.
    """
    folder = Path(folder)
    neutral_path, identities, expressions = _files(folder)
    if not identities:
        raise ValueError(f"{folder} holds no identity*.obj; give {WHERE} whole")
    kept = _kept_vertices(subset)
    neutral = _read_vertices(neutral_path)[kept]
    mean = torch.from_numpy(neutral.ravel()).float()
    shape = principal_components(mean, _modes(identities, kept, neutral))
    expression_modes = _modes(expressions, kept, neutral) * _expression_deviation(len(expressions))
    expression = principal_components(torch.zeros_like(mean), expression_modes)
    triangles = _kept_triangles(neutral_path, kept)
    vertices = mean.unflatten(0, (-1, 3))
    found = _landmarks(folder, landmarks, vertices, triangles, kept, open_model)
    colours, note = borrowed_albedo(str(folder), albedo, vertices, triangles, found, open_model)
    indices = folder / "vertex_indices.json"
    files = [neutral_path, *identities, *expressions, *([indices] if indices.is_file() else [])]
    return MorphableModel(
        shape=shape.cut(checked_count(folder, "shape", shape_components, shape.basis.shape[1])),
        albedo=colours.cut(checked_count(folder, "albedo", albedo_components, colours.basis.shape[1])),
        expression=expression.cut(
            checked_count(folder, "expression", expression_components, expression.basis.shape[1])
        ),
        triangles=triangles,
        landmarks=found,
        provenance=ModelSource("ict", f"ICT-FaceKit {subset}", sha256_of_files(files), note),
    )


def named_expressions(folder: Path, subset: str) -> dict[str, Tensor]:
    """Displacements [V, 3] in mm by each expression file of ICT-FaceKit, by ARKit's names where it has them.

    `mouthSmile_L` is ARKit's mouthSmileLeft. Two halves of what ARKit has whole (browInnerUp, cheekPuff) are
    added up. Names that ARKit does not have stay.

    Args:
        folder: see `load_ict`.
        subset: likewise.

    Raises:
        ValueError: if the folder holds no expression.
    """
    kept = _kept_vertices(subset)
    neutral_path, _, expressions = _files(folder)
    if not expressions:
        raise ValueError(f"{folder} holds no expressions; give {WHERE} whole")
    modes = _modes(expressions, kept, _read_vertices(neutral_path)[kept])
    named: dict[str, Tensor] = {}
    for path, mode in zip(expressions, modes.T.unflatten(1, (-1, 3)), strict=True):
        stem, _, side = path.stem.partition("_")
        name = stem if stem in WHOLE_IN_ARKIT else stem + SIDES.get(side, f"_{side}" if side else "")
        named[name] = named[name] + mode if name in named else mode
    return named


def _files(folder: Path) -> tuple[Path, list[Path], list[Path]]:
    """The neutral face, the identities and the expressions."""
    neutral_path = folder / "generic_neutral_mesh.obj"
    require_file(neutral_path, f"the neutral face of ICT-FaceKit; give {WHERE}")
    identities = sorted(folder.glob("identity*.obj"))
    return neutral_path, identities, sorted({*folder.glob("*.obj")} - {*identities, neutral_path})


def _kept_vertices(subset: str) -> np.ndarray:
    names = subset.split("+")
    if unknown := [name for name in names if name not in SUBSETS]:
        raise ValueError(
            f"the subset {subset!r} names {', '.join(map(repr, unknown))}; "
            f"join any of {', '.join(SUBSETS)} by +"
        )
    return np.concatenate([np.array(SUBSETS[name]) for name in SUBSETS if name in names])


def _read_vertices(path: Path) -> np.ndarray:
    vertices = read_obj_vertices(path)
    if len(vertices) != VERTICES:
        raise ValueError(
            f"{path} must have ICT-FaceKit's {VERTICES} vertices, got {len(vertices)}; give {WHERE}"
        )
    return vertices * MILLIMETRES_PER_UNIT


def _modes(paths: list[Path], kept: np.ndarray, neutral: np.ndarray) -> Tensor:
    """[3V, K]: displacement of each file's face from the neutral one, in mm."""
    modes = np.empty((neutral.size, len(paths)))
    for column, path in enumerate(paths):
        modes[:, column] = (_read_vertices(path)[kept] - neutral).ravel()
    return torch.from_numpy(modes)


def _expression_deviation(count: int) -> float:
    """Root of the mean square of one blendshape's weight."""
    return (min(1.0, EXPRESSIONS_AT_A_TIME / max(count, 1)) / 3) ** 0.5


def _kept_triangles(path: Path, kept: np.ndarray) -> Tensor:
    position = np.full(VERTICES, -1)
    position[kept] = np.arange(len(kept))
    triangles = torch.from_numpy(position)[read_obj(path, materials=False).triangles]
    return triangles[(triangles >= 0).all(1)].contiguous()


def _landmarks(
    folder: Path,
    path: Path | None,
    vertices: Tensor,
    triangles: Tensor,
    kept: np.ndarray,
    open_model: Callable[[], MorphableModel] | None,
) -> Landmarks | str:
    if path is not None:
        return landmarks_from_file(path, vertices)
    indices = folder / "vertex_indices.json"
    if not indices.is_file():
        return completed_landmarks(vertices, triangles, {}, open_model)
    try:
        listed = np.array(json.loads(indices.read_text())["idx_to_landmark_verts"], dtype=np.int64)
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{indices} must list idx_to_landmark_verts ({error}); give {WHERE}") from error
    if listed.shape != (NUMBER_OF_LANDMARKS,) or not np.isin(listed, kept).all():
        raise ValueError(
            f"{indices}: idx_to_landmark_verts must list {NUMBER_OF_LANDMARKS} vertices of the subset; "
            f"take a subset with `face`, or give {WHERE}"
        )
    return landmarks_on_vertices(torch.from_numpy(np.searchsorted(kept, listed)), "file")
