"""The four regions of a scan that REALY measures, by landmarks: an approximation.

Chai et al. 2022 drew them on their scans, and give the drawn regions to those who have the scans. Here they
are regions of the face's plane, about the hulls of landmarks; all margins are chosen, in outer eye distances.
"""

from collections.abc import Iterable
from typing import Literal, NamedTuple, get_args

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import ConvexHull, QhullError

from .marked_mesh import (
    INNER_EYE_CORNERS,
    MOUTH_CORNERS,
    OUTER_EYE_CORNERS,
    Unscorable,
    known,
    landmark,
    outer_eye_distance,
)

FaceRegion = Literal["nose", "mouth", "forehead", "cheek"]
FACE_REGIONS: tuple[FaceRegion, ...] = get_args(FaceRegion)
NOSE, MOUTH, BROWS, EYES = range(27, 36), range(48, 60), range(17, 27), range(36, 48)
LOWER_LIDS, LOWER_LIP = (40, 41, 46, 47), (56, 57, 58)
# Known from their code, of their 85 keypoints those that are among the 68: by which a region is aligned, and
# by which it is deformed. Of the nose they also align two points of the wings, of the cheek two of its own.
MOUTH_KEYPOINTS = (*MOUTH, 60, 64)
ALIGNED_BY: dict[FaceRegion, tuple[int, ...]] = {
    "nose": tuple(NOSE),
    "mouth": MOUTH_KEYPOINTS,
    "forehead": (*EYES, *BROWS),
    "cheek": (*MOUTH_KEYPOINTS, 36, 41, 40, 39, 42, 47, 46, 45, 7, 8, 9),
}
DEFORMED_BY: dict[FaceRegion, tuple[int, ...]] = {
    "nose": tuple(NOSE),
    "mouth": MOUTH_KEYPOINTS,
    "forehead": (*EYES, *BROWS),
    "cheek": (),
}
NOSE_MARGIN, MOUTH_MARGIN, FOREHEAD_MARGIN = 0.08, 0.12, 0.05
FOREHEAD_HEIGHT = 0.35  # above the brows
CHEEK_WIDTH, CHEEK_BELOW_LIP = 0.72, 0.1  # from the middle, and how far below the lower lip
BEHIND_THE_EYES = 0.4  # farther back than the outer eye corners: the sides of the head


class _Plane(NamedTuple):
    """The face's plane: origin, axes (to the subject's left, up, forward) and an outer eye distance."""

    origin: NDArray[np.float64]
    axes: NDArray[np.float64]
    unit_mm: float

    def of(self, points: NDArray) -> NDArray[np.float64]:
        """Points [P, 3] in it, in outer eye distances."""
        return (points - self.origin) @ self.axes.T / self.unit_mm


def in_face_regions(points: NDArray, landmarks: NDArray) -> dict[FaceRegion, NDArray[np.bool_]]:
    """Whether each of points [P, 3] lies in a region, for each of the four; none lies in two.

    Args:
        points: of a scan.
        landmarks: [68, 3] of the scan.

    Raises:
        Unscorable: if too few landmarks of a region are known.
    """
    plane = _plane_of(landmarks)
    places, marks = plane.of(points), plane.of(landmarks)
    left, up, forward = places.T
    brows = _known(marks, BROWS, "brows")
    brows_above = brows + np.array([0, FOREHEAD_HEIGHT])
    lids, lip = _known(marks, LOWER_LIDS, "lower lids"), _known(marks, LOWER_LIP, "lower lip")
    front = forward >= marks[list(OUTER_EYE_CORNERS), 2].mean() - BEHIND_THE_EYES
    nose = front & _about(places, _known(marks, NOSE, "nose"), NOSE_MARGIN)
    mouth = front & ~nose & _about(places, _known(marks, MOUTH, "mouth"), MOUTH_MARGIN)
    upper = np.concatenate([brows, brows_above, _known(marks, EYES, "eyes")])
    forehead = front & ~nose & ~mouth & _about(places, upper, FOREHEAD_MARGIN)
    cheek = front & ~nose & ~mouth & ~forehead & (np.abs(left) <= CHEEK_WIDTH)
    cheek &= (up <= lids[:, 1].mean()) & (up >= lip[:, 1].mean() - CHEEK_BELOW_LIP)
    return {"nose": nose, "mouth": mouth, "forehead": forehead, "cheek": cheek}


def _plane_of(landmarks: NDArray) -> _Plane:
    eyes = landmark(landmarks, (*OUTER_EYE_CORNERS, *INNER_EYE_CORNERS), "eye corners")
    up = eyes - landmark(landmarks, MOUTH_CORNERS, "mouth corners")
    right, left = landmarks[list(OUTER_EYE_CORNERS)]
    across = (left - right) / np.linalg.norm(left - right)
    up = up - (up @ across) * across
    up /= np.linalg.norm(up)
    return _Plane(eyes, np.stack([across, up, np.cross(across, up)]), outer_eye_distance(landmarks))


def _known(marks: NDArray, ids: Iterable[int], name: str) -> NDArray[np.float64]:
    """Those of some landmarks that are known, in the plane: [P, 2]."""
    chosen = marks[list(ids)]
    chosen = chosen[known(chosen), :2]
    if not len(chosen):
        raise Unscorable(f"missing landmarks: none of the {name} of the scan is known")
    return chosen


def _about(places: NDArray, hull: NDArray, margin: float) -> NDArray[np.bool_]:
    """Whether places [P, 3] lie in the hull of points [H, 2] of the plane, its sides moved outward."""
    try:
        sides = ConvexHull(hull).equations  # normals that point outward, and offsets
    except (QhullError, ValueError) as error:
        raise Unscorable(f"missing landmarks: {len(hull)} of a region span no area") from error
    return (places[:, :2] @ sides[:, :2].T + sides[:, 2] <= margin).all(1)
