import numpy as np
import pytest

from lightning_modules.faces.landmarks.ljson import ljson_landmarks
from lightning_modules.faces.landmarks.typical_places import TYPICAL_PLACES

COUNTS = (68, 51, 7, 8)
# As landmarker.io's template for iBUG lists them: eyes before brows, and the nose between the brows.
TEMPLATE = {
    "chin": range(17),
    "leye": range(36, 42),
    "reye": range(42, 48),
    "leyebrow": range(17, 22),
    "nose": range(27, 36),
    "reyebrow": range(22, 27),
    "mouth": range(48, 68),
}


def version_1(parts: dict[str, range], points: np.ndarray) -> dict:
    groups = [
        {
            "label": label,
            "landmarks": [{"point": points[index].tolist()} for index in ids],
            "connectivity": [],
        }
        for label, ids in parts.items()
    ]
    return {"version": 1, "groups": groups}


def version_2(parts: dict[str, range], points: np.ndarray) -> dict:
    order = [index for ids in parts.values() for index in ids]
    starts = np.cumsum([0, *map(len, parts.values())]).tolist()
    labels = [
        {"label": label, "mask": list(range(start, start + len(ids)))}
        for (label, ids), start in zip(parts.items(), starts, strict=False)
    ]
    landmarks = {"points": points[order].tolist(), "connectivity": []}
    return {"version": 2, "labels": labels, "landmarks": landmarks}


def version_3(parts: dict[str, range], points: np.ndarray) -> dict:
    two = version_2(parts, points)
    return {"version": 3, "groups": {"LJSON": {"labels": two["labels"], "landmarks": two["landmarks"]}}}


@pytest.mark.parametrize("version", [version_1, version_2, version_3])
def test_labels_put_points_in_their_places_whatever_their_order(version) -> None:  # noqa: ANN001
    content = version(TEMPLATE, TYPICAL_PLACES)
    np.testing.assert_array_equal(ljson_landmarks(content, COUNTS), TYPICAL_PLACES)


def test_a_label_of_all_points_says_nothing_about_their_order() -> None:
    content = version_2(TEMPLATE, TYPICAL_PLACES)
    content["labels"].append({"label": "all", "mask": list(range(68))})
    np.testing.assert_array_equal(ljson_landmarks(content, COUNTS), TYPICAL_PLACES)


@pytest.mark.parametrize("axes", [3, 2])
def test_a_file_whose_left_is_the_subjects_gives_the_same_landmarks(axes: int) -> None:
    points = TYPICAL_PLACES if axes == 3 else TYPICAL_PLACES[:, [1, 0]] * (-1, 1)  # y down, before x
    swapped = {"leye": "reye", "reye": "leye", "leyebrow": "reyebrow", "reyebrow": "leyebrow"}
    parts = {swapped.get(label, label): ids for label, ids in TEMPLATE.items()}
    np.testing.assert_array_equal(ljson_landmarks(version_1(parts, points), COUNTS), points)
    np.testing.assert_array_equal(ljson_landmarks(version_1(TEMPLATE, points), COUNTS), points)


def test_parts_that_are_not_labelled_are_not_known() -> None:
    parts = {"right_eye": range(42, 48), "left-eye": range(36, 42), "Inner Lips": range(60, 68)}
    landmarks = ljson_landmarks(version_2(parts, TYPICAL_PLACES), COUNTS)
    there = [*range(36, 48), *range(60, 68)]
    np.testing.assert_array_equal(landmarks[there], TYPICAL_PLACES[there])
    assert np.isnan(np.delete(landmarks, there, 0)).all()


def test_a_mouth_of_eighteen_points_leaves_out_the_inner_corners() -> None:
    mouth = [index for index in range(48, 68) if index not in {60, 64}]
    content = version_1({"nose": range(27, 36), "mouth": mouth}, TYPICAL_PLACES)
    landmarks = ljson_landmarks(content, COUNTS)
    np.testing.assert_array_equal(landmarks[mouth], TYPICAL_PLACES[mouth])
    assert np.isnan(landmarks[[60, 64]]).all()


def test_labels_that_are_not_ibugs_leave_points_in_their_order() -> None:
    content = version_2({"first": range(30), "second": range(30, 68)}, TYPICAL_PLACES)
    np.testing.assert_array_equal(ljson_landmarks(content, COUNTS), TYPICAL_PLACES)


def test_of_several_groups_the_one_of_a_faces_size_counts() -> None:
    content = version_3(TEMPLATE, TYPICAL_PLACES)
    content["groups"]["ears"] = {"landmarks": {"points": [[1, 2, 3]]}}
    np.testing.assert_array_equal(ljson_landmarks(content, COUNTS), TYPICAL_PLACES)
    content["groups"]["again"] = content["groups"]["LJSON"]
    with pytest.raises(ValueError, match="one group of landmarks expected, found LJSON, again, ears; keep"):
        ljson_landmarks(content, COUNTS)


def test_a_point_without_coordinates_is_not_known() -> None:
    content = version_1(TEMPLATE, TYPICAL_PLACES)
    content["groups"][1]["landmarks"][0]["point"] = [None, None, None]
    landmarks = ljson_landmarks(content, COUNTS)
    assert np.isnan(landmarks).any(1).nonzero()[0].tolist() == [36]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({}, "the file has no `landmarks.points`"),
        ({"landmarks": None}, "the file has no `landmarks.points`"),
        ({"landmarks": {"points": None}}, "points must be lists of coordinates"),
        ({"landmarks": {"points": [1, 2]}}, "points must be lists of coordinates"),
        ({"landmarks": {"points": [[1, 2], [3]]}}, "all points must have as many coordinates"),
        ({"landmarks": {"points": [["1", 2]]}}, "coordinates must be numbers or null"),
        ({"landmarks": {"points": [[10**400, 2]]}}, "coordinates must be numbers or null"),
        ({"landmarks": {"points": [[True, 2]]}}, "coordinates must be numbers or null"),
        ({"labels": 3, "landmarks": {"points": [[1, 2]]}}, "`labels` of the file must be a list"),
        (
            {"labels": [{"label": "nose", "mask": [7]}], "landmarks": {"points": [[1, 2]]}},
            "the label nose of the file must have a `mask` of point numbers",
        ),
        ({"groups": 3}, "`groups` must be a list .LJSON 1. or name groups"),
        ({"groups": {}}, "`groups` must be a list .LJSON 1. or name groups"),
        ({"groups": []}, "it holds no points"),
        ({"landmarks": {"points": []}}, "it holds no points"),
        ({"groups": [3]}, "each of `groups` must hold `label` and `landmarks`"),
        ({"groups": [{"label": "nose", "landmarks": [3]}]}, "each of `landmarks` must hold `point`"),
        (
            version_1({"chin": range(17), "leye": range(8)}, TYPICAL_PLACES),
            "the label leye names 8 points, iBUG's has 6",
        ),
    ],
)
def test_what_is_no_ljson_is_refused_with_what_is_missing(content: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ljson_landmarks(content, COUNTS)


def test_labels_that_name_a_point_twice_or_leave_one_out_are_refused() -> None:
    content = version_2(TEMPLATE, TYPICAL_PLACES)
    content["labels"][1]["mask"] = content["labels"][2]["mask"]
    with pytest.raises(ValueError, match="labels must name each point once"):
        ljson_landmarks(content, COUNTS)


def test_null_in_place_of_a_point_is_a_point_that_is_not_known() -> None:
    expected = np.array([[np.nan, np.nan], [1, 2], [3, 4]])
    listed = [None, [1, 2], [3, 4]]
    first = {"version": 1, "groups": [{"label": "PTS", "landmarks": [{"point": point} for point in listed]}]}
    second = {"version": 2, "labels": [], "landmarks": {"points": listed}}
    for content in (first, second):
        np.testing.assert_array_equal(ljson_landmarks(content, (3,)), expected)
