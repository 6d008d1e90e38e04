"""How far a face detector's points lie from landmarks that are known, on faces of any proportions.

The sources whose landmarks are known independently of the open model are ICT-FaceKit, with its own landmark
vertices, and a real head's scan, marked by hand (`head_scan.py`). Their faces can be brought to other heights
of nose and mouth, landmarks and all: so the detector's bias is had as a function of a face's proportions.
"""

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from scipy.interpolate import PchipInterpolator
from torch import Tensor

from benchmarks.head_scan import read_head_scan
from datamodules.alignment.detection import Detector, load_detector
from lightning_modules.faces.landmarks.ibug import Landmarks, five_points
from lightning_modules.faces.loading import load_morphable_model
from lightning_modules.faces.morphable_model import MorphableModel
from lightning_modules.faces.portraits import studio_lights
from lightning_modules.faces.show import frontal_cameras
from lightning_modules.rendering.camera import Cameras, project
from lightning_modules.rendering.renderer import render

YAWS = (0.0, 25.0, -45.0)
POINTS = (
    "right eye, six landmarks",
    "left eye, six landmarks",
    "nose tip",
    "right mouth corner",
    "left mouth corner",
    "right eye, corners",
    "left eye, corners",
)
SIX_LANDMARKS, NOSE, MOUTH, CORNERS = [0, 1], [2], [3, 4], [5, 6]  # of POINTS
DETECTED = [0, 1, 2, 3, 4, 0, 1]  # which of the detector's five points answers each of POINTS
MIRRORED = [1, 0, 2, 4, 3, 6, 5]
EYE_CORNERS = ([36, 39], [42, 45])  # of the 68 landmarks
NOSE_TIP = 30
SIZE = 400
# The detector's points depend on how the face lies on its grid, by up to a tenth of the interocular distance:
# each picture is looked at in several scales and places, and its answers are averaged.
LOOKS = tuple((0.5 + 0.07 * index, 11 * index % 32, 19 * index % 32) for index in range(12))
MOVED_REACH_MM = 40.0  # below the mouth and above the eyes; what lies beyond moves as a whole


class Face(NamedTuple):
    """A face to be drawn: vertices, normals and albedo [1, V, 3], triangles [T, 3]."""

    vertices: Tensor
    triangles: Tensor
    normals: Tensor
    albedo: Tensor


class Source(NamedTuple):
    """Faces whose seven points are known.

    Attributes:
        vertices: [S, V, 3], in mm.
        points: [S, 7, 3], those of POINTS.
        faces: makes faces to be drawn of vertices [S, V, 3].
        cameras: [1, Y].
    """

    vertices: Tensor
    points: Tensor
    faces: Callable[[Tensor], Iterable[Face]]
    cameras: Cameras


class Measured(NamedTuple):
    """Offsets of the detector on S faces, and these faces' proportions.

    Attributes:
        offsets: [S, Y, 7, 2] detected minus marked, x right and y down, in frontal interocular distances; NaN
            where no face was found.
        heights: [S, 2], of `heights_of`.
    """

    offsets: NDArray[np.float64]
    heights: NDArray[np.float64]

    def bias(self) -> NDArray[np.float64]:
        """The mean offset [Y, 7, 2] over the faces."""
        return np.nanmean(self.offsets, axis=0)

    def found(self) -> NDArray[np.float64]:
        """The share [Y] of faces that the detector found."""
        return np.isfinite(self.offsets[:, :, 0, 0]).mean(0)


def seven_points(landmarks: Tensor) -> Tensor:
    """The detector's five points, and eye centres once more: the middle between the two corners of an eye.

    Args:
        landmarks: [..., 68, D].

    Returns:
        [..., 7, D], in the order of POINTS.
    """
    corners = [landmarks[..., ids, :].mean(-2) for ids in EYE_CORNERS]
    return torch.cat([five_points(landmarks), torch.stack(corners, -2)], -2)


@torch.no_grad()
def source_of(model: MorphableModel, samples: int, seed: int, landmarks: Landmarks | None = None) -> Source:
    """Random neutral faces of a model, with its own landmarks or others on its mesh."""
    drawn = model.sample(samples, torch.Generator().manual_seed(seed))
    vertices, albedo = model.vertices(drawn.shape), model.albedo(drawn.albedo)

    def faces(vertices: Tensor) -> Iterator[Face]:
        for shape, colours in zip(vertices[:, None], albedo[:, None], strict=True):
            yield Face(shape, model.triangles, model.normals(shape), colours)

    points = seven_points((model.landmarks if landmarks is None else landmarks).on(vertices))
    return Source(vertices, points, faces, yawed_cameras(model))


def yawed_cameras(model: MorphableModel) -> Cameras:
    """Cameras [1, Y] around the model's mean face."""
    return Cameras(*(part.transpose(0, 1) for part in frontal_cameras(model, torch.tensor(YAWS), SIZE)))


def ict_sources(folder: Path, samples: int, seed: int) -> tuple[Source, Source]:
    """ICT-FaceKit's faces with their nose tip as filed, and at its foremost point.

    They wear the open model's albedo, having none of their own.
    """
    model = load_morphable_model(f"ict:{folder}", ict_subset="face+eyes", ict_albedo="open")
    return source_of(model, samples, seed), source_of(model, samples, seed, with_foremost_nose(model))


def with_foremost_nose(model: MorphableModel) -> Landmarks:
    """A model's landmarks, the nose tip moved along the midline to the mean face's foremost point.

    That point, the top of a parabola through the foremost vertex and its neighbours, is what anatomy calls
    pronasale when the head is in the Frankfort horizontal. It is kept as a mean of two vertices.
    """
    landmarks, mean = model.landmarks, model.neutral_mean.view(-1, 3)
    tip = landmarks.on(mean[None])[0, NOSE_TIP]
    midline = ((mean - tip).norm(dim=1) < 8) & ((mean[:, 0] - tip[0]).abs() < 0.3)
    ids = midline.nonzero().flatten()
    ids = ids[mean[ids, 1].argsort()]
    middle = int(mean[ids, 2].argmax())
    three = ids[middle - 1 : middle + 2]
    heights, depths = mean[three, 1].double().numpy(), mean[three, 2].double().numpy()
    square, linear, _ = np.polyfit(heights - heights[1], depths, 2)
    top = -linear / (2 * square)
    other = 2 if top > 0 else 0
    share = top / (heights[other] - heights[1])
    vertex_ids, weights = landmarks.vertex_ids.clone(), landmarks.weights.clone()
    vertex_ids[NOSE_TIP] = three[[1, other, 1]]
    weights[NOSE_TIP] = torch.tensor([1 - share, share, 0.0])
    return Landmarks(vertex_ids, weights, landmarks.sources)


def scan_source(folder: Path, target: Tensor, cameras: Cameras) -> Source:
    """The head scan and its mirror image.

    Args:
        folder: of the scan.
        target: [7, 3] points, in mm, on which the scan is placed.
        cameras: [1, Y].
    """
    scan = read_head_scan(folder)
    scale = (target[1] - target[0]).norm() / (scan.points[1] - scan.points[0]).norm()
    sides = torch.tensor([[1.0, 1.0, 1.0], [-1.0, 1.0, 1.0]])
    marks = torch.stack(
        [
            scale * side * scan.points[order]
            for side, order in zip(sides, ([*range(7)], MIRRORED), strict=True)
        ]
    )
    shifts = target.mean(0) - marks.mean(1, keepdim=True)  # [2, 1, 3]

    def faces(vertices: Tensor) -> Iterator[Face]:
        for shape, side in zip(vertices[:, None], sides, strict=True):
            yield Face(shape, scan.triangles, (side * scan.normals)[None], scan.colours[None])

    return Source(scale * sides[:, None] * scan.vertices + shifts, marks + shifts, faces, cameras)


def heights_of(points: Tensor) -> NDArray[np.float64]:
    """How far nose tip and mouth corners lie below the eyes' corners, in eye distances.

    Args:
        points: [S, 7, 3], those of POINTS.

    Returns:
        [S, 2], nose and mouth.
    """
    below = points[:, CORNERS, 1].mean(1, keepdim=True) - points[..., 1]  # [S, 7]
    heights = torch.stack([below[:, NOSE].mean(1), below[:, MOUTH].mean(1)], 1)
    return (heights / (points[:, :1] - points[:, 1:2]).norm(dim=-1)).double().numpy()


def brought_to(heights: NDArray[np.float64], points: Tensor) -> Callable[[Tensor], Tensor]:
    """A smooth monotone change of y that brings the nose and mouth of `points` [7, 3] to `heights` [2].

    The eyes' height stays, and so do x and z.
    """
    interocular = float((points[0] - points[1]).norm())
    eyes, nose, mouth = (float(points[group, 1].mean()) for group in (CORNERS, NOSE, MOUTH))
    old = np.array([mouth, nose, eyes])
    new = np.array([eyes - heights[1] * interocular, eyes - heights[0] * interocular, eyes])
    low, high = old[0] - MOVED_REACH_MM, old[2] + MOVED_REACH_MM
    curve = PchipInterpolator([low, *old, high], [new[0] - MOVED_REACH_MM, *new, new[2] + MOVED_REACH_MM])

    def moved(vertices: Tensor) -> Tensor:
        y = vertices[..., 1].double().numpy()
        inside = np.clip(y, low, high)
        changed = torch.from_numpy(curve(inside) + y - inside).to(vertices)
        return torch.stack([vertices[..., 0], changed, vertices[..., 2]], -1)

    return moved


def measured(source: Source, heights: NDArray[np.float64] | None = None) -> Measured:
    """The detector's offsets on a source's faces, as they are or with their mean brought to `heights` [2]."""
    _, points, faces, cameras = source
    vertices = source.vertices
    if heights is not None:
        move = brought_to(heights, points.mean(0))
        vertices, points = move(vertices), move(points)
    detected = seen(faces(vertices), cameras)[:, :, DETECTED]
    projected = project(Cameras(*(part.expand(len(points), *part.shape[1:]) for part in cameras)), points)
    interocular_mm = (points[:, 0] - points[:, 1]).norm(dim=-1)[:, None]  # [S, 1]
    interocular = interocular_mm * cameras.focal_lengths / projected[:, :, :2, 2].mean(-1)  # [S, Y]
    offsets = (detected - projected[..., :2].double().numpy()) / interocular.numpy()[..., None, None]
    return Measured(offsets, heights_of(points))


@torch.no_grad()
def seen(faces: Iterable[Face], cameras: Cameras) -> NDArray[np.float64]:
    """The detector's five points [S, Y, 5, 2], in pixels; NaN where most looks show it no face."""
    detect = load_detector("yunet")
    points = []
    for face in faces:
        images = render(
            *face,
            cameras,
            studio_lights(cameras),
            (SIZE, SIZE),
            background=torch.full((3, 1, 1), 0.5),
            samples_per_axis=2,
        )
        pictures = (images[0].permute(0, 2, 3, 1) * 255).round().to(torch.uint8).numpy()
        looks = [_looks(detect, np.ascontiguousarray(picture)) for picture in pictures]
        missing = np.full((5, 2), np.nan)
        points.append([np.mean(a, axis=0) if len(a) > len(LOOKS) / 2 else missing for a in looks])
    return np.array(points)


def _looks(detect: Detector, image: NDArray[np.uint8]) -> list[NDArray[np.float64]]:
    """The five points of the surest face in each look that has one, in the image's own pixels."""
    found = []
    for scale, right, down in LOOKS:
        looked_at = cv2.warpAffine(
            image,
            np.array([[scale, 0, right], [0, scale, down]]),
            (round(SIZE * scale) + 32, round(SIZE * scale) + 32),
            flags=cv2.INTER_AREA,
            borderMode=cv2.BORDER_REPLICATE,
        )
        if detections := detect(looked_at):
            best = max(detections, key=lambda each: each.score)
            found.append((np.asarray(best.points) - (right, down)) / scale)
    return found
