"""Landmarks as LJSON, the format of landmarker.io and Menpo, in all of its versions, by their labels."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from lightning_modules.faces.landmarks.ibug import GROUPS, NUMBER_OF_LANDMARKS

# iBUG ids that a label names, by the label's letters alone. Menpo's "left" is the viewer's, so its left brow
# is iBUG's first; files that mean the subject's are told by where their points lie.
_MOUTH = tuple(range(48, 68))
_PARTS: dict[str, tuple[tuple[int, ...], tuple[str, ...]]] = {
    "jaw": (tuple(GROUPS["jaw"]), ("chin", "jaw", "jawline", "contour", "facecontour")),
    "first brow": (tuple(GROUPS["right_brow"]), ("leyebrow", "lefteyebrow", "lbrow", "leftbrow")),
    "second brow": (tuple(GROUPS["left_brow"]), ("reyebrow", "righteyebrow", "rbrow", "rightbrow")),
    "nose": (tuple(range(27, 36)), ("nose",)),
    "bridge": (tuple(GROUPS["nose_bridge"]), ("nosebridge", "bridge", "uppernose")),
    "base": (tuple(GROUPS["nose_base"]), ("nosebase", "nostrils", "lowernose")),
    "first eye": (tuple(GROUPS["right_eye"]), ("leye", "lefteye")),
    "second eye": (tuple(GROUPS["left_eye"]), ("reye", "righteye")),
    "mouth": (_MOUTH, ("mouth", "lips")),
    "outer lips": (tuple(GROUPS["outer_lips"]), ("outerlips", "outerlip", "outermouth", "mouthouter")),
    "inner lips": (tuple(GROUPS["inner_lips"]), ("innerlips", "innerlip", "innermouth", "mouthinner")),
}
IDS_OF_LABELS = {label: ids for ids, labels in _PARTS.values() for label in labels}
SIDED = {label for name in _PARTS if name.split()[0] in {"first", "second"} for label in _PARTS[name][1]}
# Lists of 66 and 49 points leave out the inner mouth corners.
MOUTH_WITHOUT_CORNERS = tuple(index for index in _MOUTH if index not in {60, 64})
# Exchanged where a file's left is the subject's.
SIDES = [(GROUPS["right_brow"], GROUPS["left_brow"]), (GROUPS["right_eye"], GROUPS["left_eye"])]


class _Marked(NamedTuple):
    """Points [P][D] of one group of landmarks, and which of them each label names."""

    points: list[list[float | None]]
    labels: list[tuple[str, list[int]]]


def ljson_landmarks(content: Mapping[str, Any], counts: tuple[int, ...]) -> NDArray[np.float64]:
    """The landmarks of an LJSON file, in iBUG's order where its labels name them.

    Version 1 lists labelled groups of points, version 2 all points with masks that labels name, version 3
    several such groups. Labels that are not iBUG's are left out of account: points then keep their order.

    Args:
        content: of the file, parsed.
        counts: of points, by which a group without labels is told from other groups of a file.

    Returns:
        [68, D] in iBUG's order, or [P, D] as listed; D as in the file, NaN where not marked.

    Raises:
        ValueError: if it is no LJSON, its labels contradict each other or iBUG's, or several groups could be
            meant.
    """
    groups = content.get("groups")
    if isinstance(groups, list):
        return _in_order(_version_1(groups))
    if groups is None:
        return _in_order(_version_2(content, "the file"))
    if not isinstance(groups, dict) or not groups:
        raise ValueError("`groups` must be a list (LJSON 1) or name groups of landmarks (LJSON 3)")
    marked = {str(name): _version_2(group, f"the group {name}") for name, group in groups.items()}
    if len(marked) > 1:
        marked = {name: group for name, group in marked.items() if len(group.points) in counts}
    if len(marked) != 1:
        raise ValueError(
            f"one group of landmarks expected, found {', '.join(sorted(map(str, groups)))}; keep the one "
            f"that is meant, of {' or '.join(map(str, counts))} points"
        )
    return _in_order(*marked.values())


def _version_1(groups: list[Any]) -> _Marked:
    points: list[list[float | None]] = []
    labels = []
    for group in groups:
        if not isinstance(group, dict) or not isinstance(group.get("landmarks"), list):
            raise ValueError("each of `groups` must hold `label` and `landmarks`, a list")
        if not all(isinstance(landmark, dict) for landmark in group["landmarks"]):
            raise ValueError("each of `landmarks` must hold `point`")
        found = [landmark.get("point") for landmark in group["landmarks"]]
        labels.append((str(group.get("label", "")), list(range(len(points), len(points) + len(found)))))
        points += _checked(found)
    return _Marked(points, labels)


def _version_2(content: object, where: str) -> _Marked:
    landmarks = content.get("landmarks") if isinstance(content, dict) else None
    if not isinstance(content, dict) or not isinstance(landmarks, dict) or "points" not in landmarks:
        raise ValueError(f"{where} has no `landmarks.points`")
    points = _checked(landmarks["points"])
    labels = content.get("labels") or []
    if not isinstance(labels, list) or not all(isinstance(label, dict) for label in labels):
        raise ValueError(f"`labels` of {where} must be a list of `label` and `mask`")
    return _Marked(points, [_checked_label(label, len(points), where) for label in labels])


def _checked_label(label: Mapping[str, Any], count: int, where: str) -> tuple[str, list[int]]:
    mask = label.get("mask")
    if not isinstance(mask, list) or not all(isinstance(i, int) and 0 <= i < count for i in mask):
        raise ValueError(f"the label {label.get('label')} of {where} must have a `mask` of point numbers")
    return str(label.get("label", "")), mask


def _checked(points: object) -> list[list[float | None]]:
    """Points as a list of lists of as many numbers or nulls each."""
    if not isinstance(points, list) or not all(isinstance(point, list | None) for point in points):
        raise ValueError("points must be lists of coordinates")
    # In place of a point that is not marked some have null, others a list of nulls.
    axes = next((len(point) for point in points if point is not None), 0)
    points = [list[float | None]([None] * axes) if point is None else point for point in points]
    if not all(is_number_or_null(value) for point in points for value in point):
        raise ValueError("coordinates must be numbers or null")
    if len({len(point) for point in points}) > 1:
        raise ValueError("all points must have as many coordinates")
    return points


def is_number_or_null(value: object) -> bool:
    """Whether a value of a JSON file is a number that fits a double, or null."""
    if value is None or isinstance(value, float):
        return True
    return isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2**53


def _in_order(marked: _Marked) -> NDArray[np.float64]:
    if not marked.points:
        raise ValueError("it holds no points")
    points = np.array(marked.points, dtype=np.float64).reshape(len(marked.points), -1)  # null becomes NaN
    labels = [(_letters(label), mask) for label, mask in marked.labels if len(mask) < len(points)]
    if not labels or not all(label in IDS_OF_LABELS for label, _ in labels):
        return points
    landmarks = np.full((NUMBER_OF_LANDMARKS, points.shape[1]), np.nan)
    taken: list[int] = []
    for label, mask in labels:
        ids = IDS_OF_LABELS[label]
        if ids == _MOUTH and len(mask) == len(MOUTH_WITHOUT_CORNERS):
            ids = MOUTH_WITHOUT_CORNERS
        if len(mask) != len(ids):
            raise ValueError(f"the label {label} names {len(mask)} points, iBUG's has {len(ids)}")
        landmarks[list(ids)] = points[mask]
        taken += mask
    if len(set(taken)) < len(taken) or len(taken) < len(points):
        raise ValueError("labels must name each point once")
    sided = any(label in SIDED for label, _ in labels)
    return _sides_exchanged(landmarks) if sided and _are_mirrored(landmarks) else landmarks


def _letters(label: str) -> str:
    return "".join(letter for letter in label.lower() if letter.isalpha())


def _are_mirrored(landmarks: NDArray[np.float64]) -> bool:
    """Whether eyes lie as if left were right: seen from the nose, or in a picture with y down."""
    known = np.logical_and.reduce(np.isfinite(landmarks), axis=1)
    parts = [[*GROUPS["right_eye"]], [*GROUPS["left_eye"]], [48, 54], [30]]
    if not all(known[ids].any() for ids in parts):
        return False  # nothing tells
    right, left, mouth, tip = (landmarks[ids][known[ids]].mean(0) for ids in parts)
    down = mouth - (right + left) / 2
    if landmarks.shape[1] == 3:
        return bool(np.linalg.det(np.stack([left - right, -down, tip - (right + left + mouth) / 3])) < 0)
    if landmarks.shape[1] == 2:  # y before x
        (across_y, across_x), (down_y, down_x) = left - right, down
        return bool(across_x * down_y - across_y * down_x < 0)
    return False


def _sides_exchanged(landmarks: NDArray[np.float64]) -> NDArray[np.float64]:
    exchanged = landmarks.copy()
    for one, other in SIDES:
        exchanged[list(one)], exchanged[list(other)] = landmarks[list(other)], landmarks[list(one)]
    return exchanged
