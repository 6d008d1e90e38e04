"""A face-like height field with landmarks, for tests of registration and distances."""

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import Delaunay

from evaluation.metrics.marked_mesh import LANDMARKS, MarkedMesh
from lightning_modules.faces.landmarks.typical_places import TYPICAL_PLACES

# x to the subject's left, y up, in mm.
PLACES = {
    17: (-55, 52),
    26: (55, 52),
    27: (0, 35),
    30: (0, 0),
    31: (-14, -12),
    33: (0, -14),
    35: (14, -12),
    36: (-45, 35),
    39: (-16, 33),
    42: (16, 33),
    45: (45, 35),
    48: (-25, -38),
    54: (25, -38),
    8: (0, -85),
}


def all_landmarks(nose_mm: float = 22.0) -> NDArray:
    """All 68 [68, 3] on the surface: where `PLACES` has none, where a face has it."""
    flat = TYPICAL_PLACES[:, :2].copy()
    flat[list(PLACES)] = list(PLACES.values())
    return np.column_stack([flat, height(flat[:, 0], flat[:, 1], nose_mm=nose_mm)])


def height(x: NDArray, y: NDArray, *, nose_mm: float = 22.0) -> NDArray:
    """Depth z of the surface: a bowl, a nose, two eye sockets, a mouth and a chin."""
    bowl = -70 * ((x / 95) ** 2 + (y / 125) ** 2)
    nose = nose_mm * np.exp(-((x / 11) ** 2)) * np.exp(-(((y - 8) / 20) ** 2))
    eyes = sum(-7 * np.exp(-(((x - side) / 15) ** 2) - ((y - 34) / 10) ** 2) for side in (-30, 30))
    mouth = 4 * np.exp(-((x / 24) ** 2) - ((y + 38) / 6) ** 2)
    return bowl + nose + eyes + mouth + 8 * np.exp(-((x / 18) ** 2) - ((y + 75) / 14) ** 2)


def face_like(step_mm: float = 5.0, *, nose_mm: float = 22.0, scattered: bool = False) -> MarkedMesh:
    """The surface on a grid, or on scattered points; about 160 x 200 mm, normals towards z."""
    x, y = np.meshgrid(np.arange(-80, 80.1, step_mm), np.arange(-100, 100.1, step_mm))
    flat = np.stack([x.ravel(), y.ravel()], 1)
    if scattered:
        inner = (np.abs(flat) < (80, 100)).all(1)
        shift = np.random.default_rng(3).uniform(-0.4, 0.4, flat.shape) * step_mm
        flat = flat + shift * inner[:, None]
    triangles = Delaunay(flat).simplices
    one, two, three = flat[triangles].swapaxes(0, 1)
    a, b = two - one, three - one
    clockwise = a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0] < 0
    triangles[clockwise] = triangles[clockwise][:, ::-1]
    landmarks = np.full((LANDMARKS, 3), np.nan)
    for index, (px, py) in PLACES.items():
        landmarks[index] = px, py, height(np.array(px), np.array(py), nose_mm=nose_mm)
    vertices = np.column_stack([flat, height(flat[:, 0], flat[:, 1], nose_mm=nose_mm)])
    return MarkedMesh(vertices, triangles.astype(np.int64), landmarks)
