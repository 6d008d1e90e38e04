"""A small morphable model with the shape of a face, for tests that align and score."""

import numpy as np
import torch
from scipy.spatial import cKDTree

from lightning_modules.faces.landmarks.ibug import landmarks_on_vertices
from lightning_modules.faces.morphable_model import ModelSource, MorphableModel, PrincipalComponents
from tests.evaluation.metrics.face_like import all_landmarks, face_like


def face_like_model(components: int = 5) -> MorphableModel:
    """About 900 vertices; its components are smooth displacements of some mm.

    Landmarks that `face_like` does not know lie where a face has them.
    """
    face = face_like(6.0)
    generator = np.random.default_rng(0)
    waves = generator.normal(size=(components, 3, 3)) / 40
    fields = np.stack([np.cos(face.vertices @ each + index) for index, each in enumerate(waves)], -1)
    basis = torch.from_numpy(np.linalg.qr(fields.reshape(-1, components))[0]).float()
    variance = torch.full((components,), 50.0**2)
    landmarks = all_landmarks()
    nothing = torch.zeros(face.vertices.size, 0)
    return MorphableModel(
        shape=PrincipalComponents(
            torch.from_numpy(face.vertices.ravel()).float(), basis, variance, float(variance.sum())
        ),
        albedo=PrincipalComponents(torch.full((face.vertices.size,), 0.5), nothing, variance[:0], 0.0),
        expression=None,
        triangles=torch.from_numpy(face.triangles),
        landmarks=landmarks_on_vertices(
            torch.from_numpy(cKDTree(face.vertices).query(landmarks)[1]), "marked"
        ),
        provenance=ModelSource("open", "face-like", "07" * 32),
    )
