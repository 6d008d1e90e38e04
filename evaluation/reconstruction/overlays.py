"""Fitted faces drawn over their photographs (Genova et al. 2018, figure 18)."""

from typing import NamedTuple

import cv2
import numpy as np
import torch
from PIL import Image, ImageDraw
from torch import Tensor

from datamodules.alignment.feature_cache import to_images
from datamodules.marked_faces import MarkedFace
from evaluation.reconstruction.neutral_faces import preview_images
from lightning_modules.contact_sheets import contact_sheet, picture
from lightning_modules.faces.morphable_model import Faces, MorphableModel
from lightning_modules.faces.portraits import FRONTAL, studio_lights
from lightning_modules.rendering.camera import Cameras
from lightning_modules.rendering.renderer import render

GIVEN_INK, FITTED_INK = (20, 220, 60), (250, 60, 40)
MARGIN = 1.9  # side of the square that is shown, in extents of the landmarks
VIEWS = ("landmarks: given, fitted", "fitted face", "expression", "neutral")


class SquareCut(NamedTuple):
    """A square part of a photograph: left and top edge and side, in pixels."""

    left: float
    top: float
    side: float


def square_about(points: np.ndarray, margin: float = MARGIN) -> SquareCut:
    """The square around points [N, 2], its side `margin` times theirs; NaN are left out."""
    low, high = np.nanmin(points, 0), np.nanmax(points, 0)
    side = margin * float((high - low).max())
    left, top = (low + high) / 2 - side / 2
    return SquareCut(float(left), float(top), side)


def part_of(face: MarkedFace, square: SquareCut, size: int) -> np.ndarray:
    """The square of a photograph at size x size pixels [size, size, 3]; black outside the photograph."""
    reduction = face.pixels.shape[1] / face.size[1]
    scale = square.side * reduction / size  # pixels as read for each of the part
    image = face.pixels
    if (factor := int(scale)) > 1:
        image = cv2.resize(image, None, fx=1 / factor, fy=1 / factor, interpolation=cv2.INTER_AREA)
    shrink = np.array([image.shape[1] / face.size[1], image.shape[0] / face.size[0]])
    matrix = np.zeros((2, 3))
    matrix[[0, 1], [0, 1]] = square.side / size * shrink
    # The part's pixel j spans left + [j, j + 1] * side / size.
    matrix[:, 2] = (np.array([square.left, square.top]) + 0.5 * square.side / size + 0.5) * shrink - 0.5
    return cv2.warpAffine(image, matrix, (size, size), flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP)


def cameras_of_part(cameras: Cameras, square: SquareCut, size: int) -> Cameras:
    """The cameras of a photograph for a square part of it at size x size pixels."""
    scale = size / square.side
    corner = cameras.principal_points.new_tensor([square.left, square.top])
    return cameras._replace(
        focal_lengths=cameras.focal_lengths * scale,
        principal_points=(cameras.principal_points - corner) * scale - 0.5,
    )


def to_part(points: np.ndarray, square: SquareCut, size: int) -> np.ndarray:
    """Points [N, 2] of the photograph in pixels of its part."""
    return (points - (square.left, square.top)) * (size / square.side) - 0.5


@torch.no_grad()
def overlay_sheet(
    face: MarkedFace,
    model: MorphableModel,
    cameras: Cameras,
    fitted: Faces,
    neutral: Faces,
    projections: Tensor,
    size: int,
) -> Image.Image:
    """Photograph with landmarks, the fitted face over it, its expression from the front, the neutral face.

    Args:
        face: the photograph.
        model: of the meshes.
        cameras: of shape [1, 1], for the whole photograph.
        fitted: one face with its expression.
        neutral: one face.
        projections: [N, 2], the fitted landmarks.
        size: of each picture.
    """
    square = square_about(face.landmarks)
    part = part_of(face, square, size)
    shown = picture(part, size)
    draw_points(shown, to_part(face.landmarks, square, size), GIVEN_INK)
    draw_points(shown, to_part(projections.cpu().numpy(), square, size), FITTED_INK)
    over = rendered_over(part, model, fitted, cameras_of_part(cameras, square, size))
    both = Faces(*(torch.cat(parts) for parts in zip(fitted, neutral, strict=True)))
    frontal = preview_images(both, model, size, (FRONTAL,))[:, 0]
    pictures = [shown, *(picture(image, size) for image in (over, *frontal))]
    return contact_sheet([pictures], columns=VIEWS)


def rendered_over(part: np.ndarray, model: MorphableModel, face: Faces, cameras: Cameras) -> Tensor:
    """The face [3, size, size] as the cameras see it, over a picture [size, size, 3] in 8 bits."""
    background = to_images(np.ascontiguousarray(part)[None])[:, None].to(face.vertices)
    cameras = Cameras(*(value.to(face.vertices) for value in cameras))
    return render(
        face.vertices,
        model.triangles,
        model.normals(face.vertices),
        face.albedo,
        cameras,
        studio_lights(cameras),
        part.shape[:2],
        background=background,
        samples_per_axis=2,
    )[0, 0]


def draw_points(shown: Image.Image, points: np.ndarray, ink: tuple[int, int, int]) -> None:
    """Dots at points [N, 2]; NaN are left out."""
    pen, radius = ImageDraw.Draw(shown), max(1.0, shown.width / 220)
    for x, y in points[np.isfinite(points).all(1)].tolist():
        pen.ellipse([x - radius, y - radius, x + radius, y + radius], fill=ink)
