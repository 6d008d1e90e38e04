"""Meshes with landmarks, as scans and reconstructions come to be scored."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

# 0-based iBUG ids. Right and left are the subject's.
NOSE_TIP, SUBNASALE = 30, 33
OUTER_EYE_CORNERS, INNER_EYE_CORNERS = (36, 45), (39, 42)
MOUTH_CORNERS = (48, 54)
LANDMARKS = 68


class Unscorable(ValueError):
    """What is wrong with a scan or a mesh, as "kind: detail". It becomes a failure row, not a number."""


class MarkedMesh(NamedTuple):
    """A triangle mesh with the 68 iBUG landmarks.

    Attributes:
        vertices: [V, 3], a scan's in mm; in any pose.
        triangles: [T, 3] vertex ids.
        landmarks: [68, 3] in the same frame and unit, a row of NaN for each that is not known.
    """

    vertices: NDArray
    triangles: NDArray
    landmarks: NDArray


def checked_mesh(mesh: MarkedMesh, name: str) -> MarkedMesh:
    """The mesh in float64 and int64, its landmarks copied.

    Args:
        mesh: any dtypes, also tensors on the CPU.
        name: what it is called in errors, such as "the scan".

    Raises:
        Unscorable: if it is empty, a vertex that a triangle uses is not finite, or an index is out of range.
        ValueError: if an array has another shape.
    """
    vertices, landmarks = (np.asarray(array, np.float64) for array in (mesh.vertices, mesh.landmarks))
    triangles = np.asarray(mesh.triangles).astype(np.int64)
    expected = [(vertices, "vertices", (len(vertices), 3)), (triangles, "triangles", (len(triangles), 3))]
    for array, part, shape in [*expected, (landmarks, "landmarks", (LANDMARKS, 3))]:
        if array.shape != shape and array.size:
            raise ValueError(f"{part} of {name} must be {list(shape)}, got {list(array.shape)}")
    if not len(vertices) or not len(triangles):
        raise Unscorable(
            f"empty mesh: {name} has {len(vertices)} vertices, {len(triangles)} triangles; export both"
        )
    if triangles.min() < 0 or triangles.max() >= len(vertices):
        raise Unscorable(f"broken mesh: {name} has a triangle of a vertex that is not there")
    if not np.isfinite(vertices[triangles]).all():
        raise Unscorable(f"not finite: {name} has a vertex that is NaN or infinite")
    return MarkedMesh(np.ascontiguousarray(vertices), np.ascontiguousarray(triangles), landmarks.copy())


def known(landmarks: NDArray) -> NDArray[np.bool_]:
    """Which landmarks [68, 3] are known [68]."""
    return np.isfinite(landmarks).all(1)


def landmark(
    landmarks: NDArray, ids: int | tuple[int, ...], name: str, *, of: str = "the scan"
) -> NDArray[np.float64]:
    """The mean [3] of the landmarks with these ids.

    Raises:
        Unscorable: if one of them is not known.
    """
    point = np.atleast_2d(landmarks[np.atleast_1d(ids)]).mean(0)
    if not np.isfinite(point).all():
        raise Unscorable(f"missing landmarks: the {name} of {of}")
    return point


def outer_eye_distance(landmarks: NDArray) -> float:
    """The distance of the outer eye corners; NaN where one is not known."""
    right, left = landmarks[list(OUTER_EYE_CORNERS)]
    return float(np.linalg.norm(right - left))
