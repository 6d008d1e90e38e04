"""Writes any morphable model in the layouts of published ones: miniatures, labelled so, never the models."""

import pickle
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import scipy.io
import scipy.sparse
import torch
from torch import Tensor

from lightning_modules.faces.morphable_model import MorphableModel

FLAME_COLUMNS = (300, 100)  # shape, expression


def columns_of(model: MorphableModel, part: str, count: int, *, seed: int = 0) -> np.ndarray:
    """[V, 3, count] in mm: the model's components times their deviations, then small random ones."""
    components = model.components(part)
    modes = (components.basis * components.variance.sqrt()).double().numpy()[:, :count]
    generator = np.random.default_rng(seed)
    rest = generator.standard_normal((len(modes), count - modes.shape[1])) * 0.02
    return np.concatenate([modes, rest], 1).reshape(-1, 3, count)


def template_of(model: MorphableModel) -> np.ndarray:
    """[V, 3] in mm."""
    return model.neutral_mean.double().numpy().reshape(-1, 3)


class chumpy_installed:
    """A stand-in for chumpy while a test writes a file; nothing of it is left for whoever reads the file."""

    def __enter__(self) -> type:
        class Ch:
            def __init__(self, array: np.ndarray) -> None:
                self.x, self._itr, self._dirty_vars = array, None, {"x"}

        Ch.__module__, Ch.__qualname__ = "chumpy.ch", "Ch"
        package, module = ModuleType("chumpy"), ModuleType("chumpy.ch")
        module.Ch = Ch
        sys.modules |= {"chumpy": package, "chumpy.ch": module}
        return Ch

    def __exit__(self, *_: object) -> None:
        for name in ("chumpy", "chumpy.ch"):
            del sys.modules[name]


def flame_arrays(model: MorphableModel) -> dict[str, Any]:
    """The arrays of generic_model.pkl, in metres, with as many columns as FLAME 2020 and 2023."""
    template = template_of(model) / 1000
    modes = np.concatenate(
        [
            columns_of(model, "shape", FLAME_COLUMNS[0]),
            columns_of(model, "expression", FLAME_COLUMNS[1], seed=1),
        ],
        2,
    )
    count = len(template)
    return {
        "v_template": template,
        "shapedirs": modes / 1000,
        "f": model.triangles.numpy().astype(np.uint32),
        "posedirs": np.zeros((count, 3, 36)),
        "weights": np.full((count, 5), 0.2),
        "kintree_table": np.array([[2**32 - 1, 0, 1, 1, 1], [0, 1, 2, 3, 4]]),
        "J_regressor": scipy.sparse.csc_matrix(np.eye(5, count)),
        "bs_style": "lbs",
        "bs_type": "lrotmin",
    }


def write_flame(model: MorphableModel, folder: Path, *, name: str = "generic_model.pkl") -> Path:
    """A miniature FLAME: a pickle of protocol 2 with chumpy's objects and a sparse matrix, or an .npz."""
    folder.mkdir(parents=True, exist_ok=True)
    content, path = flame_arrays(model), folder / name
    if name.endswith(".npz"):
        plain = {key: value for key, value in content.items() if isinstance(value, np.ndarray)}
        np.savez(path, **plain)
        return path
    with chumpy_installed() as chumpy:
        for key in ("v_template", "shapedirs"):
            content[key] = chumpy(content[key])
        path.write_bytes(pickle.dumps(content, protocol=2))
    return path


def triangle_of_landmarks(model: MorphableModel, numbers: range) -> tuple[np.ndarray, np.ndarray]:
    """For each landmark a triangle at its vertex, and weights there, most of it at the vertex."""
    faces, weights = [], []
    triangles = model.triangles
    for vertex in model.landmark_vertex_ids[numbers.start : numbers.stop, 0]:
        face = int((triangles == vertex).any(1).nonzero()[0])
        faces.append(face)
        weights.append(torch.where(triangles[face] == vertex, 0.8, 0.1).numpy())
    return np.array(faces), np.array(weights, float)


def write_flame_embedding(model: MorphableModel, folder: Path, *, count: int) -> Path:
    """Static landmarks: 51 as the pickle beside FLAME, 68 as DECA's .npy, which also holds torch tensors."""
    faces, weights = triangle_of_landmarks(model, range(68 - count, 68))
    if count == 51:
        path = folder / "flame_static_embedding.pkl"
        path.write_bytes(pickle.dumps({"lmk_face_idx": faces, "lmk_b_coords": weights}, protocol=2))
        return path
    content = {
        "full_lmk_faces_idx": faces[None],
        "full_lmk_bary_coords": weights[None],
        "static_lmk_faces_idx": faces[17:],
        "static_lmk_bary_coords": weights[17:],
        "dynamic_lmk_faces_idx": torch.zeros(79, 17, dtype=torch.int64),
        "dynamic_lmk_bary_coords": torch.zeros(79, 17, 3),
    }
    path = folder / "landmark_embedding.npy"
    np.save(path, np.array(content, dtype=object), allow_pickle=True)
    return path


def write_texture_space(
    model: MorphableModel, path: Path, *, picture: Tensor, modes: Tensor, basel: bool = False
) -> Path:
    """A texture space of pictures [S, S, 3] and [S, S, 3, K]: RGB from 0 to 1, row 0 at the top.

    Texture coordinates are the vertices' x and y, scaled to the picture; each vertex has one.
    """
    flat = template_of(model)[:, :2]
    low, high = flat.min(0), flat.max(0)
    content = {"vt": (flat - low) / (high - low), "ft": model.triangles.numpy().astype(np.uint32)}
    mean, directions = (part.double().numpy()[:, :, ::-1] for part in (picture, modes))
    if basel:
        content |= {"MU": mean.reshape(-1), "PC": directions.reshape(mean.size, -1)}
    else:
        content |= {"mean": 255 * mean, "tex_dir": 255 * directions}
    np.savez(path, **content)
    return path


GNM_IDENTITIES = {"head": 170, "eyes": 3, "teeth": 80}
GNM_EXPRESSIONS = {
    "left_eye_region": 100, "right_eye_region": 100, "lower_face_region": 150, "tongue": 32, "pupils": 1,
}  # fmt: skip
GNM_TONGUE = 4  # vertices that are no skin: the tongue's, and a bag behind the mouth that is skin
GNM_BAG = 3


def gnm_arrays(model: MorphableModel) -> dict[str, Any]:
    """The arrays of gnm_head.npz, in metres: the model as skin, then a bag of the mouth and a tongue."""
    skin = template_of(model) / 1000
    inner = np.array([0, -0.03, 0.02]) + 0.003 * np.eye(GNM_BAG + GNM_TONGUE, 3)
    template = np.concatenate([skin, inner])
    count, shown = len(template), len(skin)
    identity = np.zeros((sum(GNM_IDENTITIES.values()), count, 3))
    identity[:170, :shown] = columns_of(model, "shape", 170).transpose(2, 0, 1) / 1000
    identity[170:, shown:] = 0.001
    expression = np.zeros((sum(GNM_EXPRESSIONS.values()), count, 3))
    expression[:350, :shown] = columns_of(model, "expression", 350, seed=1).transpose(2, 0, 1) / 1000
    expression[350:, shown + GNM_BAG :] = 0.002
    groups = {
        "skin": np.arange(count) < shown + GNM_BAG,
        "mouth_sock": (np.arange(count) >= shown) & (np.arange(count) < shown + GNM_BAG),
        "tongue": np.arange(count) >= shown + GNM_BAG,
        "eyes": np.zeros(count, bool),
        "upper_teeth_and_gums": np.zeros(count, bool),
        "lower_teeth_and_gums": np.zeros(count, bool),
    }
    more = [[shown, shown + 1, shown + 2], [shown + 3, shown + 4, shown + 5], [0, shown, shown + 1]]
    triangles = np.concatenate([model.triangles.numpy(), more]).astype(np.int32)
    floats = {
        "template_vertex_positions": template,
        "template_joint_positions": np.zeros((4, 3)),
        "vertex_identity_basis": identity,
        "joint_identity_basis": np.zeros((len(identity), 4, 3)),
        "expression_basis": expression,
        "skinning_weights": np.full((4, count), 0.25),
        "vertex_groups": np.stack(list(groups.values())),
        "triangle_uvs": np.zeros((len(triangles), 3, 2)),
    }
    names = {
        "identity_names": [
            f"{kind}_{index}" for kind, most in GNM_IDENTITIES.items() for index in range(most)
        ],
        "expression_names": [
            f"{kind}_{index}" for kind, most in GNM_EXPRESSIONS.items() for index in range(most)
        ],
        "joint_names": ["neck", "head", "left_eye", "right_eye"],
        "vertex_group_names": list(groups),
        "mesh_component_names": ["skin", "tongue"],
    }
    return {
        **{name: array.astype(np.float32) for name, array in floats.items()},
        **{name: np.array(listed) for name, listed in names.items()},
        "triangles": triangles,
        "quads": np.zeros((1, 4), np.int32),
        "version": np.array("3.0"),
        "variant": np.array("head"),
    }


def write_gnm(model: MorphableModel, folder: Path, *, jaw: list[int] | None = None) -> Path:
    """A miniature GNM Head in the folders of its repository, with its sparse landmarks.

    Args:
        model: becomes the skin.
        folder: for `versions/v3_0/gnm_head.npz` and `landmarks/head_sparse_68.txt`.
        jaw: in which order the file lists the jaw's 17 landmarks; iBUG's if not given.
    """
    path = folder / "versions" / "v3_0" / "gnm_head.npz"
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez(path, **gnm_arrays(model))
    faces, weights = triangle_of_landmarks(model, range(68))
    rows = np.stack([model.triangles.numpy()[faces], weights], 2).reshape(68, 6)
    rows = rows[[*(jaw or range(17)), *range(17, 68)]]
    (folder / "landmarks").mkdir(exist_ok=True)
    np.savetxt(folder / "landmarks" / "head_sparse_68.txt", rows, fmt="%d %.6f %d %.6f %d %.6f")
    return path


def bfm_front_arrays(model: MorphableModel) -> dict[str, np.ndarray]:
    """The arrays of BFM_model_front.mat: decimetres, colours 0 to 255, ids from 1; 80, 80 and 64 modes."""
    count = len(template_of(model))
    colours = columns_of(model, "albedo", 80, seed=2) * 255
    return {
        "meanshape": template_of(model).reshape(1, -1) / 100,
        "meantex": model.albedo_mean.double().numpy()[None] * 255,
        "idBase": columns_of(model, "shape", 80).reshape(3 * count, -1) / 100,
        "exBase": columns_of(model, "expression", 64, seed=1).reshape(3 * count, -1) / 100,
        "texBase": colours.reshape(3 * count, -1),
        "tri": (model.triangles.numpy() + 1).astype(np.int32),
        "keypoints": (model.landmark_vertex_ids[:, :1].T.numpy() + 1).astype(np.int32),
        "point_buf": np.ones((count, 8), np.int32),
        "frontmask2_idx": np.ones((5, 1), np.int32),
        "skinmask": np.ones((1, count), np.uint8),
    }


def write_bfm_front(model: MorphableModel, folder: Path) -> Path:
    """A miniature of Deep3DFaceRecon's model file."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "BFM_model_front.mat"
    scipy.io.savemat(path, bfm_front_arrays(model))
    return path
