"""Which part of a scan is scored: a ball about the nose, cut below the forehead by some protocols."""

from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .marked_mesh import (
    INNER_EYE_CORNERS,
    MOUTH_CORNERS,
    NOSE_TIP,
    OUTER_EYE_CORNERS,
    SUBNASALE,
    landmark,
    outer_eye_distance,
)

RegionKind = Literal["nose tip", "nose tip without forehead", "face disc", "four regions"]
# Chosen: the forehead begins so many outer eye distances above the eyes; 27 mm, the brows' upper rim.
FOREHEAD = 0.3
# Known from the code of NoW and of FG2018: the disc's centre lies so far up from subnasale to the bridge.
UP_THE_NOSE = 0.3


class Region(NamedTuple):
    """A ball in the scan's frame, or a part of one.

    Attributes:
        centre: [3].
        radius_mm: of the ball.
        up: [3], a unit vector; None where nothing is cut off.
        highest_mm: how far along `up` from the frame's origin the region reaches.
    """

    centre: NDArray[np.float64]
    radius_mm: float
    up: NDArray[np.float64] | None = None
    highest_mm: float = np.inf

    def contains(self, points: NDArray) -> NDArray[np.bool_]:
        """Whether each of points [P, 3] lies in it; one that is NaN does not."""
        inside = ((points - self.centre) ** 2).sum(1) <= self.radius_mm**2
        return inside if self.up is None else inside & (points @ self.up <= self.highest_mm)


def region_of(kind: RegionKind, landmarks: NDArray, *, radius_mm: float, disc_factor: float) -> Region:
    """The region about a scan's landmarks.

    Args:
        kind: "nose tip": within `radius_mm` of the nose tip; "nose tip without forehead": of these, what lies
            no more than 0.3 outer eye distances above the eyes; "face disc": within `disc_factor` times the
            mean of outer eye distance and nose length (subnasale to the bridge, the middle of the inner eye
            corners) of the point three tenths of the way from subnasale to the bridge.
        landmarks: [68, 3] of the scan, in mm.
        radius_mm: for the first two.
        disc_factor: for the last.

    Raises:
        Unscorable: if a landmark that the region needs is not known.
    """
    if kind == "face disc":
        return _face_disc(landmarks, disc_factor)
    nose_tip = landmark(landmarks, NOSE_TIP, "nose tip")
    if kind == "nose tip":
        return Region(nose_tip, radius_mm)
    eyes = landmark(landmarks, OUTER_EYE_CORNERS, "outer eye corners")
    up = eyes - landmark(landmarks, MOUTH_CORNERS, "mouth corners")
    up /= np.linalg.norm(up)
    return Region(nose_tip, radius_mm, up, float(eyes @ up) + FOREHEAD * outer_eye_distance(landmarks))


def _face_disc(landmarks: NDArray, factor: float) -> Region:
    subnasale = landmark(landmarks, SUBNASALE, "subnasale")
    bridge = landmark(landmarks, INNER_EYE_CORNERS, "inner eye corners")
    landmark(landmarks, OUTER_EYE_CORNERS, "outer eye corners")
    nose_length = np.linalg.norm(bridge - subnasale)
    radius_mm = float(factor * (outer_eye_distance(landmarks) + nose_length) / 2)
    return Region(subnasale + UP_THE_NOSE * (bridge - subnasale), radius_mm)
