"""Where on the mean face the painted features lie: one number per vertex and feature."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import CubicSpline
from scipy.spatial import cKDTree

from lightning_modules.faces.landmarks.ibug import GROUPS, Landmarks
from lightning_modules.faces.open_model import source_files
from lightning_modules.faces.open_model.ambient_occlusion import visible_sky
from lightning_modules.faces.open_model.head import Head


class Regions(NamedTuple):
    """Masks and coordinates on the mean face, [V] each unless said otherwise; masks lie in [0, 1].

    Attributes:
        positions: [V, 3] mm.
        sky: share of the sky that the vertex sees.
        skin, eyeball, mouth_cavity, eye_cavity: which part it belongs to.
        lips, ears: the vermilion and the outer ears.
        cheeks, nose, under_eyes, caruncle: where blood shows through.
        beard: chin, jaw and moustache.
        lash_distance: mm from the eyeball; infinite off the skin.
        upper_lid: 1 above the eye, 0 below.
        brow_along: 0 at the brow's inner end, 1 at its tail.
        brow_across: mm above the brow's centre line.
        brow_distance: mm from the centre line in depth and beyond its ends.
        gaze_angle: on the eyeballs, radians from the gaze axis; infinite elsewhere.
    """

    positions: NDArray[np.float64]
    sky: NDArray[np.float64]
    skin: NDArray[np.bool_]
    eyeball: NDArray[np.bool_]
    mouth_cavity: NDArray[np.bool_]
    eye_cavity: NDArray[np.bool_]
    lips: NDArray[np.float64]
    ears: NDArray[np.float64]
    cheeks: NDArray[np.float64]
    nose: NDArray[np.float64]
    under_eyes: NDArray[np.float64]
    caruncle: NDArray[np.float64]
    beard: NDArray[np.float64]
    lash_distance: NDArray[np.float64]
    upper_lid: NDArray[np.float64]
    brow_along: NDArray[np.float64]
    brow_across: NDArray[np.float64]
    brow_distance: NDArray[np.float64]
    gaze_angle: NDArray[np.float64]


def find_regions(head: Head, positions: NDArray[np.float64], landmarks: Landmarks) -> Regions:
    """The regions of the mean face `positions` [V, 3] in mm."""
    marks = _marked_points(positions, landmarks)
    skin = head.parts == "head"
    lips = smooth_step(source_files.sample_image(source_files.read_mask("mpfb_lips"), head.uv), 0.2, 0.8)
    ears = source_files.sample_image(source_files.read_mask("mpfb_ears"), head.uv)
    eyeball = head.parts == "eyeball"
    along, across, beyond = _brow_coordinates(positions, marks)
    distance, upper = _lid_coordinates(positions, eyeball, marks)
    return Regions(
        positions=positions,
        sky=visible_sky(positions, head.triangles),
        skin=skin,
        eyeball=eyeball,
        mouth_cavity=head.parts == "mouth_cavity",
        eye_cavity=head.parts == "eye_cavity",
        lips=lips * skin,
        ears=ears * skin,
        cheeks=_both_sides(positions, marks, lambda m: 0.5 * (m[40] + m[31]) + [-16.0, -9.0, -8.0], 17.0),
        nose=_bump(positions, marks[30] + [0.0, 0.0, -8.0], 13.0),
        under_eyes=_both_sides(positions, marks, lambda m: 0.5 * (m[40] + m[41]) + [2.0, -7.0, 0.0], 7.0),
        caruncle=_both_sides(positions, marks, lambda m: m[39] + [-1.2, 0.0, -0.5], 1.8),
        beard=_beard(positions, marks) * (1 - lips) * skin,
        lash_distance=np.where(skin, distance, np.inf),
        upper_lid=upper,
        brow_along=along,
        brow_across=across,
        brow_distance=beyond,
        gaze_angle=_gaze_angle(positions, eyeball),
    )


def smooth_step(values: NDArray, low: float | NDArray, high: float | NDArray) -> NDArray:
    """0 below `low`, 1 above `high`, a cubic between."""
    share = np.clip((values - low) / (high - low), 0, 1)
    return share * share * (3 - 2 * share)


def _marked_points(positions: NDArray, landmarks: Landmarks) -> NDArray:
    corners = positions[landmarks.vertex_ids.numpy()]
    return (corners * landmarks.weights.numpy()[..., None]).sum(1)


def _bump(positions: NDArray, centre: NDArray, radius: float) -> NDArray:
    return np.exp(-0.5 * ((positions - centre) ** 2).sum(1) / radius**2)


MIRROR = np.array([-1.0, 1.0, 1.0])


def _both_sides(
    positions: NDArray, marks: NDArray, centre_of: Callable[[NDArray], NDArray], radius: float
) -> NDArray:
    """A bump on the subject's right side and its mirror image on the left."""
    centre = centre_of(marks)
    return np.maximum(_bump(positions, centre, radius), _bump(positions, centre * MIRROR, radius))


def _brow_coordinates(positions: NDArray, marks: NDArray) -> tuple[NDArray, NDArray, NDArray]:
    """Coordinates along and across the nearer brow, and the distance that neither of them measures."""
    right = marks[GROUPS["right_brow"]][::-1]  # inner end first
    folded = positions * np.where(positions[:, :1] > 0, MIRROR, 1.0)
    line = _resampled(right, 101)
    distance, index = cKDTree(line).query(folded)
    nearest = line[index]
    across = folded[:, 1] - nearest[:, 1]
    beyond = np.sqrt(np.maximum(distance**2 - across**2, 0))
    return index / 100.0, across, beyond


def _resampled(points: NDArray, count: int) -> NDArray:
    """Points evenly spaced on a cubic spline through the given ones."""
    length = np.concatenate([[0], np.cumsum(np.linalg.norm(np.diff(points, axis=0), axis=1))])
    return CubicSpline(length / length[-1], points)(np.linspace(0, 1, count))


def _lid_coordinates(positions: NDArray, eyeball: NDArray, marks: NDArray) -> tuple[NDArray, NDArray]:
    distance, _ = cKDTree(positions[eyeball]).query(positions)
    eyes = np.stack([marks[GROUPS["right_eye"]].mean(0), marks[GROUPS["left_eye"]].mean(0)])
    _, nearer = cKDTree(eyes).query(positions)
    return distance, smooth_step(positions[:, 1] - eyes[nearer, 1], -1.0, 1.0)


def _beard(positions: NDArray, marks: NDArray) -> NDArray:
    """Chin, jaw and moustache, fading out towards cheeks, neck and ears."""
    x, y = np.abs(positions[:, 0]), positions[:, 1]
    corner, chin, nose_base = marks[54], marks[8], marks[33]
    cheek_line = np.interp(
        x, [0, corner[0], 45, 62], [nose_base[1] - 3, nose_base[1] - 8, corner[1] - 2, 5.0]
    )
    lower = smooth_step(cheek_line - y, -6.0, 9.0)
    neck = smooth_step(y - (chin[1] - 8.0), -8.0, 6.0)
    jaw = smooth_step(positions[:, 2], -105.0, -75.0)
    return lower * neck * jaw


def _gaze_angle(positions: NDArray, eyeball: NDArray) -> NDArray:
    """Angle from the forward axis through each eyeball's centre, found as a least-squares sphere."""
    angle = np.full(len(positions), np.inf)
    for side in (positions[:, 0] < 0, positions[:, 0] > 0):
        points = positions[eyeball & side]
        system = np.column_stack([2 * points, np.ones(len(points))])
        centre = np.linalg.lstsq(system, (points**2).sum(1), rcond=None)[0][:3]
        rays = points - centre
        angle[eyeball & side] = np.arccos(rays[:, 2] / np.linalg.norm(rays, axis=1))
    return angle
