"""Which iBUG landmarks a Basel file itself names, and where they lie on its mesh."""

import json
from collections.abc import Sequence

import numpy as np
from scipy.spatial import cKDTree

# Names in the metadata of Basel files that certainly mean an iBUG landmark (0-based). Left out although
# near one: center.chin.tip (the front of the chin, iBUG's lies under it), *.nose.wing.*, *.eye.top and
# *.eyebrow.* (between two of iBUG's points).
BASEL_NAMES = {
    "center.nose.tip": 30,
    "center.nose.attachement_to_philtrum": 33,  # spelt so in the files
    "right.eye.corner_outer": 36,
    "right.eye.corner_inner": 39,
    "left.eye.corner_inner": 42,
    "left.eye.corner_outer": 45,
    "right.lips.corner": 48,
    "right.lips.philtrum_ridge": 50,
    "center.lips.upper.outer": 51,
    "left.lips.philtrum_ridge": 52,
    "left.lips.corner": 54,
    "center.lips.lower.outer": 57,
    "center.lips.upper.inner": 62,
    "center.lips.lower.inner": 66,
}
# Names under which we write those of iBUG's landmarks that Basel has no name for.
IBUG_NAMES = {f"ibug.{index + 1:02d}": index for index in range(68)}

# iBUG landmarks (0-based) on the full 2017 mesh, published vertex ids; no other mesh has this size.
VERTICES_OF_FULL_2017 = 53_149
NOTED_VERTICES_OF_FULL_2017 = {
    30: 8156,
    36: 2602,
    39: 5830,
    42: 10390,
    45: 13481,
    48: 5522,
    54: 10857,
    8: 47846,
}

# Farther from every vertex than this, a landmark was not made for this mesh. Coarse ones have edges of 10 mm.
FARTHEST_MM = 10.0


def parse_landmarks(text: str, is_json: bool) -> dict[str, np.ndarray]:
    """Points by name from a Basel file's metadata.

    Args:
        text: JSON `[{"id": name, "coordinates": [x, y, z]}, …]`, or lines "name visible x y z".
        is_json: which of the two.

    Raises:
        ValueError: if the text has neither form.
    """
    try:
        if is_json:
            return {entry["id"]: _point(entry["coordinates"]) for entry in json.loads(text)}
        rows = [line.split() for line in text.splitlines() if line.strip()]
        return {row[0]: _point(row[2:]) for row in rows if int(row[1])}
    except (KeyError, TypeError, IndexError, ValueError) as error:
        raise ValueError(f"landmark metadata cannot be understood ({error})") from error


def _point(numbers: Sequence[str | float]) -> np.ndarray:
    point = np.array(numbers, dtype=float)
    if point.shape != (3,) or not np.isfinite(point).all():
        raise ValueError(f"{list(numbers)} is not a 3-D point")
    return point


def vertices_of_landmarks(points: dict[str, np.ndarray], meshes: Sequence[np.ndarray]) -> dict[int, int]:
    """Vertex ids by iBUG landmark (0-based), for the names that certainly mean one.

    The landmarks of these files lie on the representer's points, not on the mean, yet not every file has
    both: the mesh whose vertices come closest to all named points decides.

    Args:
        points: every named point of the file.
        meshes: candidates [V, 3] in the points' unit: the representer's points, the mean.
    """
    if not points:
        return {}
    names = BASEL_NAMES | IBUG_NAMES
    queries = [cKDTree(mesh).query(np.stack(list(points.values()))) for mesh in meshes]
    distances, vertices = min(queries, key=lambda query: query[0].mean())
    return {
        names[name]: int(vertex)
        for name, distance, vertex in zip(points, distances, vertices, strict=True)
        if name in names and distance <= FARTHEST_MM
    }
