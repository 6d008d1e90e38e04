"""What the benchmark of scan alignment measures on: a real head's scan, and faces of the open model."""

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks import head_scan
from benchmarks.scan_disturbances import split_to
from evaluation.metrics.marked_mesh import (
    INNER_EYE_CORNERS,
    LANDMARKS,
    MOUTH_CORNERS,
    NOSE_TIP,
    OUTER_EYE_CORNERS,
    MarkedMesh,
    outer_eye_distance,
)
from lightning_modules.faces.loading import load_morphable_model

OUTER_EYE_DISTANCE_MM = 90.5  # the mean over MICC's published landmarks
SCAN_VERTICES = 50_000


def real_head(folder: Path) -> MarkedMesh:
    """Lee Perry-Smith's scan at an outer eye distance of 90.5 mm, its surface split to 50,000 vertices."""
    rows = [line.split() for line in (folder / head_scan.OBJ).read_text().splitlines()]
    vertices = np.array([row[1:4] for row in rows if row[:1] == ["v"]], float)
    triangles = np.array(
        [[word.split("/")[0] for word in row[1:]] for row in rows if row[:1] == ["f"]], np.int64
    )
    # The file repeats vertices along its texture's seams, where edges could not be split alike.
    places, ids = np.unique(vertices, axis=0, return_inverse=True)
    landmarks = np.full((LANDMARKS, 3), np.nan)
    marks = {
        NOSE_TIP: head_scan.NOSE_TIP,
        OUTER_EYE_CORNERS[0]: head_scan.RIGHT_EYE[0],
        INNER_EYE_CORNERS[0]: head_scan.RIGHT_EYE[-1],
        INNER_EYE_CORNERS[1]: head_scan.LEFT_EYE[0],
        OUTER_EYE_CORNERS[1]: head_scan.LEFT_EYE[-1],
        **dict(zip(MOUTH_CORNERS, head_scan.MOUTH_CORNERS, strict=True)),
    }
    landmarks[list(marks)] = list(marks.values())
    unit = OUTER_EYE_DISTANCE_MM / outer_eye_distance(landmarks)
    mesh = MarkedMesh(unit * places, ids.ravel()[triangles - 1], unit * landmarks)
    return split_to(mesh, SCAN_VERTICES)


def model_faces(count: int, seed: int = 0) -> list[MarkedMesh]:
    """The open model's mean face, and `count` random ones."""
    model = load_morphable_model("open", albedo_components=0, expression_components=0)
    drawn = model.sample(count, torch.Generator().manual_seed(seed))
    shape = torch.cat([torch.zeros(1, drawn.shape.shape[1]), drawn.shape])
    with torch.no_grad():
        vertices = model(shape, torch.zeros(len(shape), 0)).vertices
        landmarks = model.landmarks.on(vertices)
    return [
        MarkedMesh(*(_double(part) for part in (each, model.triangles, marks)))
        for each, marks in zip(vertices, landmarks, strict=True)
    ]


def _double(part: torch.Tensor) -> NDArray:
    return part.numpy().astype(np.float64) if part.is_floating_point() else part.numpy()
