"""A real head with a photographed skin, its points marked by hand: Lee Perry-Smith's scan.

"Infinite, 3D Head Scan by Lee Perry-Smith", Infinite-Realities, CC BY 3.0 (www.ir-ltd.net,
www.triplegangers.com). The file is not part of this project.

The points were marked once, before any detector saw the scan, on renderings of it with its colour map at full
detail and a grid drawn in: from the front and in profile, from twelve times the picture's width away, at 8 to
27 pixels per hundredth of the file's unit. Their depth is that of the surface there. The head is in the
Frankfort horizontal: the top of the ear canal lies at y = 1.28, and there too, as nearly as can be guessed
under the skin, lies the lower rim of the orbit (20 mm below the eye).
"""

from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lightning_modules.plain.files import require_file

OBJ, COLOUR_MAP = "LeePerrySmith.obj", "color.jpg"
# The eyes are closed: corners, and the closed rim at a third and two thirds of the way, which both lids share
# and which therefore counts twice. In the file's units, x to the subject's left, from right to left.
RIGHT_EYE = ((-1.01, 1.642, 1.69), (-0.81, 1.597, 1.875), (-0.61, 1.627, 1.89), (-0.41, 1.707, 1.844))
LEFT_EYE = ((0.213, 1.697, 1.842), (0.405, 1.634, 1.91), (0.60, 1.605, 1.88), (0.79, 1.642, 1.69))
# Pronasale: the foremost point in profile; the next vertices of the silhouette lie .013 and .02 behind it.
NOSE_TIP = (-0.0898, 1.0955, 2.5905)
# Cheilia: where the line between the lips ends.
MOUTH_CORNERS = ((-0.485, 0.386, 2.083), (0.328, 0.416, 2.077))
SUBDIVISIONS = 2  # so that vertex colours keep the colour map's detail


class HeadScan(NamedTuple):
    """The scan as loose triangles: vertices, normals, sRGB colours [V, 3]; triangles [T, 3]; points [7, 3].

    Vertices and points are in the file's unit; one is about 52 mm.
    """

    vertices: Tensor
    triangles: Tensor
    normals: Tensor
    colours: Tensor
    points: Tensor


def read_head_scan(folder: Path) -> HeadScan:
    """The scan in `folder`, with its colour map's detail.

    Raises:
        FileNotFoundError: if the OBJ file or its colour map is missing.
    """
    for name in (OBJ, COLOUR_MAP):
        require_file(folder / name, "the head scan of Lee Perry-Smith")
    rows = [line.split() for line in (folder / OBJ).read_text().splitlines()]
    vertices = np.array([row[1:4] for row in rows if row[:1] == ["v"]], dtype=float)
    coordinates = np.array([row[1:3] for row in rows if row[:1] == ["vt"]], dtype=float)
    corners = (
        np.array([[word.split("/")[:2] for word in row[1:]] for row in rows if row[:1] == ["f"]], int) - 1
    )
    triangles = corners[..., 0]
    attributes = np.concatenate(
        [vertices[triangles], _smooth_normals(vertices, triangles), coordinates[corners[..., 1]]], -1
    )  # [T, 3, 8]
    for _ in range(SUBDIVISIONS):
        attributes = _quartered(attributes)
    flat = torch.from_numpy(attributes.reshape(-1, 8)).float()
    colours = _colours(folder / COLOUR_MAP, attributes.reshape(-1, 8)[:, 6:])
    return HeadScan(
        flat[:, :3],
        torch.arange(len(flat)).view(-1, 3),
        flat[:, 3:6],
        colours,
        torch.from_numpy(seven_points()),
    )


def seven_points() -> NDArray[np.float32]:
    """Eyes as the mean of six landmarks, nose tip, mouth corners, eyes as the middle of their corners [7, 3].

    The right ones first. The eyes are closed, which lowers the mean of six landmarks and leaves the corners.
    """
    eyes = [np.average(eye, axis=0, weights=(1, 2, 2, 1)) for eye in (RIGHT_EYE, LEFT_EYE)]
    corners = [np.mean([eye[0], eye[-1]], axis=0) for eye in (RIGHT_EYE, LEFT_EYE)]
    return np.array([*eyes, NOSE_TIP, *MOUTH_CORNERS, *corners], dtype=np.float32)


def _smooth_normals(vertices: NDArray, triangles: NDArray) -> NDArray:
    """Normals of the corners [T, 3, 3], across the seams where the file repeats a vertex."""
    _, welded = np.unique(vertices.round(6), axis=0, return_inverse=True)
    welded = welded.ravel()
    one, two, three = vertices[triangles].swapaxes(0, 1)
    sums = np.zeros_like(vertices)
    for corner in range(3):
        np.add.at(sums, welded[triangles[:, corner]], np.cross(two - one, three - one))
    normals = sums / np.linalg.norm(sums, axis=1, keepdims=True).clip(1e-12)
    return normals[welded[triangles]]


def _quartered(corners: NDArray) -> NDArray:
    """Each triangle of [T, 3, D] as four, [4T, 3, D]."""
    one, two, three = corners.swapaxes(0, 1)
    a, b, c = (one + two) / 2, (two + three) / 2, (three + one) / 2
    return np.concatenate(
        [np.stack(each, 1) for each in ((one, a, c), (a, two, b), (c, b, three), (a, b, c))]
    )


def _colours(path: Path, coordinates: NDArray) -> Tensor:
    """Bilinear samples [V, 3] of the colour map; in this file v points down, as in the GLB it came from."""
    picture = cv2.imread(str(path), cv2.IMREAD_COLOR_RGB).astype(np.float32) / 255
    pixels = (coordinates * picture.shape[1::-1] - 0.5).astype(np.float32)
    # OpenCV's remap takes at most 32,767 rows.
    pieces = [
        cv2.remap(picture, part[:, None], None, cv2.INTER_LINEAR) for part in np.array_split(pixels, 64)
    ]
    return torch.from_numpy(np.concatenate(pieces)[:, 0])
