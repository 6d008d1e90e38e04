"""The first similarity from a mesh to a scan, by their landmarks, and whether their sizes are a face's."""

import numpy as np
from numpy.typing import NDArray

from .marked_mesh import Unscorable, known, outer_eye_distance
from .scan_protocols import ScanProtocol
from .similarity_transform import Similarity, fit_similarity

# Outer eye distance of the scans' published landmarks: 90.5 ± 3.6 mm. These bounds let children in and
# keep metres, centimetres and unit spheres out.
PLAUSIBLE_EYE_DISTANCE_MM = (60.0, 130.0)
# Landmarks that fit worse than this, root mean square, are not of the same points.
LARGEST_LANDMARK_ERROR_MM = 10.0


def landmark_start(
    scan: NDArray, mesh: NDArray, protocol: ScanProtocol, *, global_scale: float | None = None
) -> Similarity:
    """The similarity from the mesh's landmarks [68, 3] to the scan's, over those that both know.

    Its scale is fitted if the protocol's is isotropic; otherwise it is 1, or the global one.

    Raises:
        Unscorable: if fewer than three are known, they lie on a line, do not fit, or the mesh's size is
            implausible.
    """
    ids = np.array(protocol.start)
    ids = ids[known(scan)[ids] & known(mesh)[ids]]
    if len(ids) < 3:
        raise Unscorable(
            f"missing landmarks: scan and mesh share {len(ids)} of the start's, at least 3 are needed"
        )
    unit = 1.0 if global_scale is None or protocol.scaling != "global" else global_scale
    source, target = unit * mesh[ids], scan[ids]
    try:
        start = fit_similarity(source, target, scaled=protocol.scaling == "isotropic")
    except ValueError as error:
        raise Unscorable(f"landmarks do not fit: {error}") from error
    if protocol.scaling != "isotropic":
        check_size(mesh, unit, "the mesh")
    distance = np.sqrt(((start.points(source) - target) ** 2).sum(1).mean())
    if not distance <= LARGEST_LANDMARK_ERROR_MM:
        raise Unscorable(
            f"landmarks do not fit: aligned, mesh's and scan's lie {distance:.0f} mm apart, more than "
            f"{LARGEST_LANDMARK_ERROR_MM:.0f}; are left and right swapped?"
        )
    return start._replace(scale=start.scale * unit)


def check_size(landmarks: NDArray, unit_mm: float, name: str) -> None:
    """Raise an `Unscorable` if a face is no human's: its outer eye distance tells.

    Args:
        landmarks: [68, 3].
        unit_mm: of the landmarks.
        name: such as "the scan".
    """
    low, high = PLAUSIBLE_EYE_DISTANCE_MM
    distance = unit_mm * outer_eye_distance(landmarks)
    if not np.isfinite(distance):
        raise Unscorable(f"missing landmarks: the outer eye corners of {name}, by which its size is judged")
    if not low <= distance <= high:
        raise Unscorable(
            f"implausible size: the outer eye corners of {name} lie {distance:.3g} mm apart, expected "
            f"{low:.0f} to {high:.0f}; check its unit"
        )
