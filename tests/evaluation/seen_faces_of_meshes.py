"""A mesh like a face, and a detector that sees its five points where a camera shows them."""

import numpy as np
import torch

from datamodules.alignment.detection import Detection
from evaluation.shared.mesh_detection import PICTURE_PIXELS as PIXELS
from lightning_modules.faces.landmarks.ibug import five_points
from lightning_modules.faces.mesh import Mesh
from lightning_modules.faces.mesh_views import DISTANCE_MM, MARGIN
from tests.evaluation.metrics.face_like import face_like
from tests.evaluation.scanned_people import face_like_model


def mesh_of(nose_mm: float = 22.0) -> Mesh:
    face = face_like(4.0, nose_mm=nose_mm)
    return Mesh(torch.from_numpy(face.vertices).float(), torch.from_numpy(face.triangles), None)


def five_of_model() -> np.ndarray:
    model = face_like_model()
    return five_points(model.landmarks.on(model.neutral_mean.view(1, -1, 3))[0]).numpy()


def detector_at(points: np.ndarray, *, upright_only: bool = False):  # noqa: ANN201 - a stub
    """Sees the face's points where a camera in front of the mesh's middle shows them."""

    def detect(picture: np.ndarray) -> list[Detection]:
        middle, shown = np.array([0, 0, 0.5 * (points[:, 2].max() - 110)]), MARGIN * 200
        offset = points - middle
        scale = PIXELS * DISTANCE_MM / shown / (DISTANCE_MM - offset[:, 2])
        pixels = (PIXELS - 1) / 2 + scale[:, None] * offset[:, :2] * (1, -1)
        is_upright = picture[: PIXELS // 4].sum() > 0
        return [Detection(np.zeros(4), pixels, 0.9)] if is_upright or not upright_only else []

    return detect
