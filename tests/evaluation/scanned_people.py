"""A folder in MICC's layout with face-like scans, and a morphable model of their kind."""

import json
from pathlib import Path

import numpy as np
import torch
from scipy.spatial import cKDTree
from scipy.spatial.transform import Rotation

from evaluation.metrics.marked_mesh import MarkedMesh
from lightning_modules.faces.landmarks.ibug import landmarks_on_vertices
from lightning_modules.faces.mesh import Mesh
from lightning_modules.faces.mesh_files.any_format import write_mesh
from lightning_modules.faces.morphable_model import ModelSource, MorphableModel, PrincipalComponents
from tests.evaluation.metrics.face_like import PLACES, all_landmarks, face_like

NOSES_MM = {"subject_01": 22.0, "subject_02": 18.0, "subject_03": 26.0}


def face_like_model() -> MorphableModel:
    """Faces as `face_like` makes them; the first component is the nose's height, 4 mm a deviation."""
    face = face_like(6.0)
    flat = face.vertices[:, :2]
    nose = np.exp(-((flat[:, 0] / 11) ** 2)) * np.exp(-(((flat[:, 1] - 8) / 20) ** 2))
    wide = np.cos(flat[:, 0] / 40)
    directions = np.zeros((len(flat), 3, 2))
    directions[:, 2, 0], directions[:, 2, 1] = nose, wide
    basis, _ = np.linalg.qr(directions.reshape(-1, 2))
    basis *= np.sign((basis * directions.reshape(-1, 2)).sum(0))
    ids = torch.from_numpy(cKDTree(flat).query(all_landmarks()[:, :2])[1])
    variance = torch.tensor([(4 * np.linalg.norm(nose)) ** 2, 20.0]).float()
    grey = torch.full((face.vertices.size,), 0.5)
    return MorphableModel(
        shape=PrincipalComponents(
            torch.from_numpy(face.vertices).float().flatten(), torch.from_numpy(basis).float(), variance, 1.0
        ),
        albedo=PrincipalComponents(grey, torch.ones(len(grey), 1) / len(grey) ** 0.5, torch.ones(1), 1.0),
        expression=None,
        triangles=torch.from_numpy(face.triangles),
        landmarks=landmarks_on_vertices(ids, "marked"),
        provenance=ModelSource("open", "face-like", "ab" * 32),
    )


def write_scan(path: Path, face: MarkedMesh, *, seed: int = 0) -> None:
    """A scan in a pose of its own, with its landmarks beside it."""
    turn = Rotation.from_rotvec(np.random.default_rng(seed).uniform(-0.1, 0.1, 3))
    path.parent.mkdir(parents=True, exist_ok=True)
    write_face(path, face._replace(vertices=turn.apply(face.vertices)))
    known = np.isfinite(face.landmarks).all(1)
    points = turn.apply(np.nan_to_num(face.landmarks))
    rows = [point.tolist() if is_known else [None] * 3 for point, is_known in zip(points, known, strict=True)]
    landmarks = {"points": rows, "connectivity": []}
    path.with_suffix(".ljson").write_text(json.dumps({"version": 2, "landmarks": landmarks}))


def write_face(path: Path, face: MarkedMesh, *, scale: float = 1.0) -> None:
    """A mesh file without landmarks, in any unit."""
    path.parent.mkdir(parents=True, exist_ok=True)
    vertices = torch.from_numpy(scale * face.vertices).float()
    write_mesh(Mesh(vertices, torch.from_numpy(face.triangles), None), path)


def micc_folder(root: Path, *, second_scans: bool = False) -> Path:
    """Three subjects with a frontal scan each, or two, the second of them smoother."""
    for number, (name, nose) in enumerate(NOSES_MM.items()):
        face = face_like(4.0, nose_mm=nose, scattered=True)
        write_scan(root / name / "Model/frontal1/obj/1.obj", face, seed=number)
        if second_scans:
            other = face_like(4.0, nose_mm=nose - 3, scattered=True)
            write_scan(root / name / "Model/frontal2/obj/2.obj", other, seed=10 + number)
    return root


def mesh_folder(root: Path, *, error_mm: float = 0.0, scale: float = 1.0, skip: str = "") -> Path:
    """Another method's meshes of these subjects, their noses too high by an error; with vertex ids beside."""
    for name, nose in NOSES_MM.items():
        if name != skip:
            write_face(root / f"{name}.obj", face_like(5.0, nose_mm=nose + error_mm), scale=scale)
    return root


def vertex_ids(path: Path) -> Path:
    """The seven landmarks and the nose's tip of the methods' topology."""
    flat = face_like(5.0).vertices[:, :2]
    order = (36, 39, 42, 45, 33, 48, 54, 30)
    ids = [int(np.linalg.norm(flat - PLACES[index], axis=1).argmin()) for index in order]
    path.write_text(json.dumps(ids))
    return path
