"""Brings faces into the canonical frame, and says how good each is."""

from typing import Literal, NamedTuple

import cv2
import numpy as np

from lightning_modules.recognition.frame import (
    CANONICAL_POINTS,
    DLIB_TEMPLATE,
    WHOLE_FRAME,
    Crop,
    similarity_transform,
)

from .detection import Detection

Selection = Literal["largest", "central", "all"]
# Depth towards the camera of eyes, nose tip and mouth corners, in distances between the eyes: rough anatomy.
POINT_DEPTHS = np.array([0.0, 0.0, 0.45, 0.1, 0.1])


class Quality(NamedTuple):
    """How good the photograph of a face is.

    Attributes:
        score: the detector's confidence, 0 to 1.
        eye_distance: between the eyes in the photograph, in pixels; the canonical frame has 54.
        sharpness: standard deviation of the Laplacian of the aligned face's grey values (0 to 255).
        inside: share of the canonical frame that the photograph covers.
        yaw: estimated from the five points, degrees, positive where the face looks to the picture's right.
        pitch: likewise, positive where it looks up.
        roll: likewise, positive where its head leans to the picture's right (clockwise).
    """

    score: float
    eye_distance: float
    sharpness: float
    inside: float
    yaw: float
    pitch: float
    roll: float


def select_faces(faces: list[Detection], image_size: tuple[int, int], which: Selection) -> list[Detection]:
    """The largest face, the one nearest the middle of the image (height, width), or all by size."""

    def area(face: Detection) -> float:
        return float(np.prod(face.box[2:] - face.box[:2]))

    def distance_from_middle(face: Detection) -> float:
        middle = np.array([image_size[1], image_size[0]]) / 2 - 0.5
        return float(np.hypot(*((face.box[:2] + face.box[2:]) / 2 - middle)))

    if which == "all":
        return sorted(faces, key=area, reverse=True)
    if which == "largest":
        return [max(faces, key=area)] if faces else []
    if which == "central":
        return [min(faces, key=distance_from_middle)] if faces else []
    raise ValueError(f'faces must be "largest", "central" or "all", got {which!r}')


def align(image: np.ndarray, points: np.ndarray, crop: Crop = WHOLE_FRAME) -> np.ndarray:
    """The face at these five points, brought into the canonical frame or directly into a network's crop.

    A similarity (least squares over the five points). Reductions are antialiased: the photograph is averaged
    down first, and sampled at twice the resolution. Outside the photograph the crop is black.

    Args:
        image: [H, W, 3], 8 bits.
        points: [5, 2] in pixels of the image.
        crop: which box of the canonical frame, at which size.

    Returns:
        [size, size, 3], 8 bits.
    """
    to_canonical = similarity_transform(points, CANONICAL_POINTS)
    scale = crop.size / np.array([crop.right - crop.left, crop.bottom - crop.top])
    linear = scale[:, None] * to_canonical[:, :2]
    shift = scale * (to_canonical[:, 2] - (crop.left, crop.top)) - 0.5
    reduction = 1 / np.sqrt(abs(np.linalg.det(linear)))
    factor = int(reduction)
    if factor > 1:
        size = (max(1, image.shape[1] // factor), max(1, image.shape[0] // factor))
        shrink = np.array([image.shape[1] / size[0], image.shape[0] / size[1]])
        image = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
        # A pixel of the reduced photograph lies at (pixel + 0.5) * shrink - 0.5 of the whole one.
        shift = shift + linear @ (0.5 * shrink - 0.5)
        linear = linear * shrink
    oversampling = 2 if reduction > 1 else 1
    matrix = oversampling * np.column_stack([linear, shift])
    matrix[:, 2] += (oversampling - 1) / 2
    side = oversampling * crop.size
    aligned = cv2.warpAffine(image, matrix, (side, side), flags=cv2.INTER_LINEAR)
    return (
        aligned if oversampling == 1 else cv2.resize(aligned, (crop.size,) * 2, interpolation=cv2.INTER_AREA)
    )


def quality(face: Detection, image_size: tuple[int, int], aligned: np.ndarray) -> Quality:
    """The quality record of a face.

    Args:
        face: as detected.
        image_size: height and width of the photograph.
        aligned: the canonical crop [224, 224, 3].
    """
    centre = aligned[60:180, 50:174]
    laplacian = cv2.Laplacian(cv2.cvtColor(centre, cv2.COLOR_RGB2GRAY), cv2.CV_32F)
    eye_distance = float(np.hypot(*(face.points[1] - face.points[0])))
    return Quality(
        face.score,
        eye_distance,
        float(laplacian.std()),
        _share_inside(face.points, image_size),
        *estimate_pose(face.points),
    )


def estimate_pose(points: np.ndarray) -> tuple[float, float, float]:
    """Yaw, pitch and roll in degrees from five points [5, 2], seen from far away (scaled orthography)."""
    template = np.column_stack([DLIB_TEMPLATE / (DLIB_TEMPLATE[1, 0] - DLIB_TEMPLATE[0, 0]), POINT_DEPTHS])
    template = template - template.mean(0)
    # Least squares: points = template @ camera, whose columns are two scaled rows of a rotation.
    camera = np.linalg.lstsq(template, points - points.mean(0), rcond=None)[0].T
    left, _, right = np.linalg.svd(camera, full_matrices=False)
    x_axis, y_axis = left @ right
    # Picture coordinates: x right, y down, z (the face's depth) towards the camera.
    z_axis = np.cross(x_axis, y_axis)
    yaw = np.degrees(np.arctan2(x_axis[2], z_axis[2]))
    pitch = np.degrees(np.arcsin(np.clip(-y_axis[2], -1, 1)))
    roll = np.degrees(np.arctan2(y_axis[0], y_axis[1]))
    return float(yaw), float(pitch), float(roll)


def _share_inside(points: np.ndarray, image_size: tuple[int, int]) -> float:
    """Share of the canonical frame, on a 16 x 16 grid, that lies in the photograph."""
    matrix = similarity_transform(CANONICAL_POINTS, points)
    steps = (np.arange(16) + 0.5) * WHOLE_FRAME.size / 16 - 0.5
    grid = np.stack(np.meshgrid(steps, steps), -1).reshape(-1, 2)
    x, y = (grid @ matrix[:, :2].T + matrix[:, 2]).T
    return float(
        np.mean((np.minimum(x, y) >= -0.5) & (x <= image_size[1] - 0.5) & (y <= image_size[0] - 0.5))
    )
