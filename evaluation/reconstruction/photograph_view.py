"""A photograph as a fitted face is seen in it: which points of the surface it shows, and in which colours."""

import math
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.interpolate import RBFInterpolator
from scipy.ndimage import distance_transform_edt, map_coordinates, maximum_filter
from torch import Tensor

from datamodules.marked_faces import MarkedFace
from evaluation.reconstruction.overlays import cameras_of_part, part_of, square_about
from lightning_modules.faces.landmarks.ibug import NUMBER_OF_LANDMARKS
from lightning_modules.faces.landmarks.pose_fitting import FIVE, JAW
from lightning_modules.rendering.camera import Cameras, camera_matrices, centres, project
from lightning_modules.rendering.renderer import geometry_buffer, interpolate, visible_triangles

LARGEST_PART = 1536  # pixels a side
MARGIN = 1.05  # of the part about the face
COVERED_MM = 2.0  # a point so far behind what the photograph shows there is covered
# Cosines of the angle between surface and line of sight: below the first a point counts as unseen, above
# the second it is seen in full. What is seen at a slant is a smear, and borders on the background.
SLANT, FULL = 0.2, 0.6
# Of the part's side: how far from the face's outline a point is trusted, none and in full. The outline of a
# fitted face is never quite the photograph's, and its ears even less.
OUTLINE, WITHIN = 0.02, 0.07
# Up to so far from the outline, colours that differ so much from the face's median (a distance in sRGB) are
# taken for hair or background, in part and in full. Within, eyes, brows and lips differ.
RIM, ALIKE, FOREIGN = 0.15, 0.3, 0.5
OF_FIVE_POINTS = 2.0  # times as far where they alone place the face
STIFFNESS = 0.05  # of the plate that shifts


class ShownColours(NamedTuple):
    """What a photograph shows of P points: colours [P, 3], sRGB in [0, 1], and how well each is seen [P]."""

    colours: NDArray[np.float64]
    weights: NDArray[np.float64]


class PhotographView(NamedTuple):
    """The square part of a photograph that holds the face.

    Attributes:
        pixels: [S, S, 3], 8 bits.
        trusted: [S, S] from 0 to 1: less near the face's outline, nothing beyond the photograph's edge.
        cameras: of shape [1, 1], of the part.
        depth: [S, S] of the fitted face in mm, infinite where there is none.
        shifts: [V, 2], from where a vertex is projected to where the photograph has it, in pixels.
    """

    pixels: NDArray[np.uint8]
    trusted: NDArray[np.float64]
    cameras: Cameras
    depth: NDArray[np.float64]
    shifts: Tensor


@torch.no_grad()
def view_of(
    face: MarkedFace, cameras: Cameras, projections: NDArray, vertices: Tensor, triangles: Tensor
) -> PhotographView:
    """The view of a fitted face.

    A fit leaves distances between landmarks; between them, where a vertex lies in the photograph is shifted
    smoothly (a thin plate), so that eyes and mouth take the colours of eyes and mouth.

    Args:
        face: its photograph.
        cameras: of shape [1, 1], of the whole photograph.
        projections: [N, 2], the face's landmarks as fitted, in pixels.
        vertices: [V, 3] of the face in the photograph's pose and expression, in mm.
        triangles: [T, 3].
    """
    vertices = vertices.double()[None]
    cameras = Cameras(*(value.double() for value in cameras))
    projected = project(cameras, vertices)[0, 0, :, :2].numpy()
    square = square_about(projected, MARGIN)
    reduction = face.pixels.shape[1] / face.size[1]
    size = min(LARGEST_PART, max(1, math.ceil(square.side * reduction)))
    part = cameras_of_part(cameras, square, size)
    matrices = camera_matrices(part)
    ids = visible_triangles(vertices, triangles, matrices, (size, size))
    buffer = geometry_buffer(vertices, triangles, matrices, ids)
    depths = project(part, vertices)[0, 0, :, 2:]
    depth = torch.full((size, size), torch.inf, dtype=torch.float64)
    depth[buffer.rows, buffer.columns] = interpolate(depths[None], buffer)[:, 0]
    inside = part_of(face._replace(pixels=np.full_like(face.pixels, 255)), square, size)[..., 0] == 255
    shown = np.pad(np.isfinite(depth.numpy()) & inside, 1)  # what is cut off has an outline, too
    distance = distance_transform_edt(shown)[1:-1, 1:-1] / size
    if len(projections) == FIVE:
        distance = distance / OF_FIVE_POINTS
    pixels = part_of(face, square, size)
    trusted = _trusted(distance, pixels)
    shifts = _shifts(projections, face.landmarks, projected) * (size / square.side)
    return PhotographView(pixels, trusted, part, depth.numpy(), torch.from_numpy(shifts))


def _trusted(distance: NDArray[np.float64], pixels: NDArray[np.uint8]) -> NDArray[np.float64]:
    """How far pixels [S, S, 3] at these distances from the face's outline are taken for the face's."""
    inner = ((distance - WITHIN) / (RIM - WITHIN)).clip(0, 1)
    own = pixels[distance > WITHIN] / 255
    median = np.median(own, 0) if len(own) else np.zeros(3)
    difference = np.linalg.norm(pixels / 255 - median, axis=-1)
    alike = ((FOREIGN - difference) / (FOREIGN - ALIKE)).clip(0, 1)
    return ((distance - OUTLINE) / (WITHIN - OUTLINE)).clip(0, 1) * np.maximum(inner, alike)


def _shifts(fitted: NDArray, marked: NDArray, places: NDArray) -> NDArray[np.float64]:
    """From where places [P, 2] are projected to where they are in the photograph, in its pixels."""
    first = JAW if len(marked) == NUMBER_OF_LANDMARKS else 0  # the jaw's slide along it
    known = np.flatnonzero(np.isfinite(marked).all(1))
    known = known[known >= first]
    residuals = marked[known] - fitted[known]
    middle, scale = fitted[known].mean(0), fitted[known].std()
    plate = RBFInterpolator((fitted[known] - middle) / scale, residuals, smoothing=STIFFNESS)
    shifts = plate((places - middle) / scale)
    longest = np.linalg.norm(residuals, axis=1).max()  # a plate tilts without end beyond its points
    length = np.linalg.norm(shifts, axis=1, keepdims=True)
    return shifts * np.minimum(1, longest / np.maximum(length, 1e-9))


@torch.no_grad()
def seen_in(view: PhotographView, points: Tensor, normals: Tensor, shifts: Tensor) -> ShownColours:
    """What the photograph shows of points of the face.

    Args:
        view: of the face.
        points: [P, 3] in mm, on the surface as it was fitted.
        normals: [P, 3], of any length.
        shifts: [P, 2] in pixels, interpolated from the view's.
    """
    points, normals = points.double(), normals.double()
    x, y, depth = project(view.cameras, points[None])[0, 0].unbind(1)
    towards = torch.nn.functional.normalize(centres(view.cameras)[0, 0] - points, dim=1)
    facing = (towards * torch.nn.functional.normalize(normals, dim=1)).sum(1)
    size = len(view.pixels)
    column, row = (value.round().clamp(0, size - 1).long().numpy() for value in (x, y))
    known = np.where(np.isfinite(view.depth), view.depth, -np.inf)
    behind = maximum_filter(known, 3)[row, column]  # a pixel's breadth is granted
    shown = depth.numpy() <= behind + COVERED_MM
    shown &= ((x > -0.5) & (x < size - 0.5) & (y > -0.5) & (y < size - 0.5)).numpy()
    share = ((facing - SLANT) / (FULL - SLANT)).clamp(0, 1)
    weights = (share.square() * (3 - 2 * share)).numpy() * shown * view.trusted[row, column]
    places = (y + shifts[:, 1]).numpy(), (x + shifts[:, 0]).numpy()
    colours = [
        map_coordinates(view.pixels[..., channel], places, np.float64, 1, mode="nearest")
        for channel in range(3)
    ]
    return ShownColours(np.stack(colours, 1) / 255.0, weights)
