"""Where a face has its 68 landmarks, and which of a list of points cannot lie there."""

import numpy as np
from numpy.typing import NDArray

from lightning_modules.faces.alignment import similarity_between
from lightning_modules.faces.landmarks.ibug import GROUPS, NUMBER_OF_LANDMARKS

# The mean face of the open model's recipe 4, mm, x to the subject's left, y up, z forward, rounded.
# fmt: off
TYPICAL_PLACES = np.array([
    (-64, 36, -85), (-64, 13, -88), (-62, -10, -91), (-55, -32, -87), (-47, -47, -77), (-38, -57, -65),
    (-26, -63, -54), (-13, -67, -40), (0, -68, -37), (13, -67, -40), (26, -63, -54), (38, -57, -65),
    (47, -47, -77), (55, -32, -87), (62, -10, -91), (64, 13, -88), (64, 36, -85), (-51, 53, -41),
    (-42, 56, -31), (-31, 57, -23), (-23, 55, -20), (-11, 51, -18), (11, 51, -18), (23, 55, -20),
    (31, 57, -23), (42, 56, -31), (51, 53, -41), (0, 35, -19), (0, 20, -11), (0, 10, -4), (0, 1, 0),
    (-15, -6, -20), (-9, -6, -16), (0, -10, -13), (9, -6, -16), (15, -6, -20), (-44, 36, -37),
    (-33, 42, -33), (-25, 41, -32), (-15, 35, -31), (-25, 31, -33), (-33, 31, -34), (15, 35, -31),
    (25, 41, -32), (33, 42, -33), (44, 36, -37), (33, 31, -34), (25, 31, -33), (-21, -28, -26),
    (-14, -21, -16), (-7, -19, -12), (0, -20, -11), (7, -19, -12), (14, -21, -16), (21, -28, -26),
    (14, -37, -21), (9, -38, -18), (0, -39, -17), (-9, -38, -18), (-14, -37, -21), (-20, -28, -27),
    (-8, -27, -18), (0, -28, -17), (8, -27, -18), (20, -28, -27), (7, -28, -19), (0, -28, -18),
    (-7, -28, -19),
], dtype=np.float64)
# fmt: on
# After a similarity, recipe 5's mean lies within 6 mm of these places, 400 random neutral faces of it within
# 14 mm (jaw: 18), with random expressions within 19 mm (lower lip and chin: 27); hand marks of MICC and
# ICT-FaceKit's own within 9 mm (jaw: 19). What lies farther off was marked elsewhere, or is another landmark.
FARTHEST_MM = np.full(NUMBER_OF_LANDMARKS, 20.0)
FARTHEST_MM[[*GROUPS["jaw"], *range(55, 60), *range(65, 68)]] = 30.0
# With fewer points, a similarity follows a wrong one.
FEWEST_TO_NAME_ONE = 6
FEWEST = 4
SHARE_OF_RIGHT_ONES = 0.75  # where fewer are right, the list is another one
# Points this flat against their extent lie on a line, and leave a rotation open.
FLAT = 1e-3


def mirrored_ids() -> NDArray[np.int64]:
    """[68], for each landmark the one on the face's other side."""
    ids = np.arange(NUMBER_OF_LANDMARKS)
    for first, second, count in _MIRRORED_RUNS:
        for step in range(count):
            ids[first + step], ids[second - step] = second - step, first + step
    return ids


# Runs of landmarks and where the run in the other direction begins on the other side.
_MIRRORED_RUNS = (
    (0, 16, 8), (17, 26, 5), (31, 35, 2), (36, 45, 4), (40, 47, 2), (48, 54, 3), (58, 56, 1), (59, 55, 1),
    (60, 64, 2), (67, 65, 1),
)  # fmt: skip


def misplaced(points: NDArray[np.float64]) -> str:
    """Why points cannot be a face's landmarks, in one sentence's half; empty if they can.

    Args:
        points: [68, 3], in any pose and unit, NaN where not known. Fewer than four are believed.
    """
    ids = np.flatnonzero(np.isfinite(points).all(1))
    if len(ids) < FEWEST or _excess(points, ids).max() <= 0:
        return ""
    if np.isinf(_distances(points, ids)).any():
        return "they lie on a line, or all in one place"
    mirrored = np.full_like(points, np.nan)
    mirrored[mirrored_ids()[ids]] = points[ids]
    if _excess(mirrored, mirrored_ids()[ids]).max() <= 0:
        return "left and right are swapped; list the subject's right side first"
    if _excess(points * (-1, 1, 1), ids).max() <= 0:
        return "they fit a mirrored face; mirror mesh and landmarks, or mark it anew"
    others = _without_the_worst(points, ids)
    if len(others):
        wrong = [index for index in ids if index not in others]
        names = ", ".join(str(index + 1) for index in wrong)
        distance = _distances(points, others)[wrong].max()
        return (
            f"landmark {names} (iBUG, from 1) lies {distance:.0f} mm from where a face has it, by the "
            "others; mark it again, or leave it out (null)"
        )
    off = _distances(points, ids)[ids].max()
    return f"they do not lie as a face's do: {off:.0f} mm off after a similarity; are they in iBUG's order?"


def _without_the_worst(points: NDArray[np.float64], ids: NDArray[np.int64]) -> NDArray[np.int64]:
    """The ids that are left once the fewest are taken out, one by one, so that all fit; none if too many."""
    fewest = max(FEWEST_TO_NAME_ONE - 1, int(np.ceil(SHARE_OF_RIGHT_ONES * len(ids))))
    while len(ids) > fewest:
        ids = min((ids[ids != i] for i in ids), key=lambda others: _squares(points, others))
        if _excess(points, ids).max() <= 0:
            return ids
    return ids[:0]


def _distances(points: NDArray[np.float64], ids: NDArray[np.int64]) -> NDArray[np.float64]:
    """[68], of all points from their typical places, mm of a typical face, after a similarity by some."""
    spread = np.linalg.svd(points[ids] - points[ids].mean(0), compute_uv=False)
    if not spread[1] > FLAT * spread[0]:
        return np.full(len(points), np.inf)
    moved = similarity_between(points[ids], TYPICAL_PLACES[ids]).of(points)
    return np.linalg.norm(moved - TYPICAL_PLACES, axis=1)


def _squares(points: NDArray[np.float64], ids: NDArray[np.int64]) -> float:
    """The mean squared distance of some points by which the similarity is fitted."""
    return float((_distances(points, ids)[ids] ** 2).mean())


def _excess(points: NDArray[np.float64], ids: NDArray[np.int64]) -> NDArray[np.float64]:
    """By how much the distances of some points are too large, mm."""
    return _distances(points, ids)[ids] - FARTHEST_MM[ids]
