import json
from pathlib import Path

import numpy as np
import pytest
import torch

from lightning_modules.faces.landmarks.mesh_landmark_files import (
    landmark_file_beside,
    landmarks_from_file,
    read_landmarks,
    read_marked_points,
)

POINTS = np.arange(204, dtype=float).reshape(68, 3)
IDS = np.arange(68)[::-1]


def write(path: Path, values: np.ndarray | dict) -> Path:
    if isinstance(values, dict):
        path.write_text(json.dumps(values))
    elif path.suffix == ".json":
        path.write_text(json.dumps(values.tolist()))
    elif path.suffix == ".npy":
        np.save(path, values)
    else:
        np.savetxt(path, values, fmt="%g", delimiter=", ", header="68 landmarks")
    return path


@pytest.mark.parametrize("suffix", [".json", ".npy", ".txt"])
def test_vertex_ids_and_points_are_read_from_every_form(tmp_path: Path, suffix: str) -> None:
    ids = read_landmarks(write(tmp_path / f"ids{suffix}", IDS))
    assert ids.dtype == torch.int64
    assert ids.tolist() == IDS.tolist()
    points = read_landmarks(write(tmp_path / f"points{suffix}", POINTS))
    assert points.tolist() == POINTS.tolist()


def test_both_versions_of_ljson_are_read(tmp_path: Path) -> None:
    landmarks = {"points": POINTS.tolist(), "connectivity": []}
    two = write(tmp_path / "two.ljson", {"version": 2, "labels": [], "landmarks": landmarks})
    three = write(
        tmp_path / "three.ljson",
        {"version": 3, "groups": {"LJSON": {"labels": [], "landmarks": landmarks}}},
    )
    assert read_landmarks(two).tolist() == POINTS.tolist()
    assert read_landmarks(three).tolist() == POINTS.tolist()


def test_points_that_nobody_marked_are_nan(tmp_path: Path) -> None:
    points = POINTS.tolist()
    points[4] = [None, None, None]
    path = write(tmp_path / "some.ljson", {"version": 2, "landmarks": {"points": points}})
    assert read_landmarks(path).isnan().any(1).nonzero().flatten().tolist() == [4]
    with pytest.raises(ValueError, match=r"some\.ljson leaves landmarks \[5\] \(iBUG, from 1\) unmarked"):
        landmarks_from_file(path, torch.from_numpy(POINTS))


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.json", "[1, 2, 3]", r"must hold 68 vertex ids or 68 points .* got an array of shape \[3\]"),
        ("a.json", json.dumps([0.5] * 68), "must hold whole numbers where it lists vertex ids"),
        ("a.json", "[[1, 2], [3]]", "cannot be read as landmarks"),
        ("a.json", "{", "cannot be read as landmarks"),
        ("a.json", "{}", "cannot be read as landmarks"),
        ("a.txt", "one two", "cannot be read as landmarks"),
        ("a.npy", "text", "cannot be read as landmarks"),
        ("a.obj", "1", "unknown suffix '.obj'"),
        ("a.json", "null", "cannot be read as landmarks"),
        ("a.json", json.dumps([None] * 68), "must hold whole numbers where it lists vertex ids"),
        ("a.json", json.dumps([1e300] * 68), "must hold whole numbers where it lists vertex ids"),
        ("a.ljson", '{"landmarks": {"points": null}}', "cannot be read as landmarks"),
        ("a.ljson", '{"groups": {"one": {}, "two": {}}}', "the group one has no `landmarks.points`"),
    ],
)
def test_anything_else_is_refused(tmp_path: Path, name: str, content: str, message: str) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(ValueError, match=message):
        read_landmarks(tmp_path / name)


def test_a_missing_file_says_what_it_should_be(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"a\.json does not exist; expected a landmark file with 68"):
        read_landmarks(tmp_path / "a.json")


def test_points_become_the_nearest_vertices(tmp_path: Path) -> None:
    vertices = torch.from_numpy(POINTS).float().flip(0)
    landmarks = landmarks_from_file(write(tmp_path / "a.npy", POINTS + 0.3), vertices)
    assert landmarks.vertex_ids[:, 0].tolist() == IDS.tolist()
    assert landmarks.sources == ("user",) * 68


def test_landmarks_of_another_mesh_are_refused(tmp_path: Path) -> None:
    vertices = torch.from_numpy(POINTS).float()
    with pytest.raises(ValueError, match="names vertices 0 to 67, but the model has 0 to 49"):
        landmarks_from_file(write(tmp_path / "a.npy", IDS), vertices[:50])
    with pytest.raises(ValueError, match=r"landmark 68 lies .* mm from the mesh; give points in mm"):
        landmarks_from_file(write(tmp_path / "b.npy", POINTS * 10), vertices)


PICKED = """<!DOCTYPE PickedPoints><PickedPoints>
{points}
</PickedPoints>"""


def test_a_few_picked_points_are_placed_among_the_68(tmp_path: Path) -> None:
    lines = [f'<point x="{i}" y="{i}.5" z="-{i}" active="1" name="{i}"/>' for i in range(8)]
    path = tmp_path / "picked.pp"
    path.write_text(PICKED.format(points="\n".join(lines)))
    points = read_marked_points(path, torch.zeros(3, 3))
    assert points.isfinite().all(1).nonzero().flatten().tolist() == [30, 33, 36, 39, 42, 45, 48, 54]
    assert points[36].tolist() == [0, 0.5, 0]  # picked first: the outer corner of the right eye
    assert points[30].tolist() == [7, 7.5, -7]  # picked last: the tip of the nose


def test_vertex_ids_of_a_mesh_become_its_points(tmp_path: Path) -> None:
    vertices = torch.from_numpy(POINTS)
    marked = read_marked_points(write(tmp_path / "ids.txt", IDS[:51]), vertices)
    assert marked[:17].isnan().all()
    assert marked[17].tolist() == POINTS[IDS[0]].tolist()
    with pytest.raises(ValueError, match="names vertices 17 to 67, but the mesh has 0 to 9"):
        read_marked_points(tmp_path / "ids.txt", vertices[:10])
    with pytest.raises(ValueError, match=r"must hold 68, 51, 7, 8 points .* got an array of shape \[6\]"):
        read_marked_points(write(tmp_path / "six.txt", IDS[:6]), vertices)


def test_damaged_picked_points_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a.pp").write_text("<PickedPoints>")
    with pytest.raises(ValueError, match=r"a\.pp cannot be read as landmarks"):
        read_marked_points(tmp_path / "a.pp", torch.zeros(3, 3))


def test_an_inactive_picked_point_is_not_known_and_the_others_stay(tmp_path: Path) -> None:
    lines = [f'<point x="{i}" y="0" z="0" active="{int(i != 2)}" name="{i}"/>' for i in range(8)]
    path = tmp_path / "picked.pp"
    path.write_text(PICKED.format(points="\n".join(lines)))
    points = read_marked_points(path, torch.zeros(3, 3))
    assert points.isfinite().all(1).nonzero().flatten().tolist() == [30, 33, 36, 39, 45, 48, 54]
    assert points[45].tolist() == [3, 0, 0]


def test_vertex_ids_that_are_not_given_are_not_known(tmp_path: Path) -> None:
    (tmp_path / "ids.json").write_text("[0, 1, null, 3, 4, 5, 6]")
    marked = read_marked_points(tmp_path / "ids.json", torch.from_numpy(POINTS))
    assert marked[42].isnan().all()
    assert marked[45].tolist() == POINTS[3].tolist()
    (tmp_path / "ids.json").write_text(json.dumps([None] * 7))
    with pytest.raises(ValueError, match=r"ids\.json marks no point; mark some, or leave the file out"):
        read_marked_points(tmp_path / "ids.json", torch.from_numpy(POINTS))


def test_a_landmark_file_beside_a_mesh_is_found_by_its_name(tmp_path: Path) -> None:
    mesh = tmp_path / "ann.obj"
    assert landmark_file_beside(mesh) is None
    write(tmp_path / "bob.txt", POINTS)
    assert landmark_file_beside(mesh) is None
    file = write(tmp_path / "ann.txt", POINTS)
    assert landmark_file_beside(mesh) == file
    marked = write(tmp_path / "ann.json", IDS)
    assert landmark_file_beside(mesh) == marked
    capitals = tmp_path / "ann.LJSON"
    capitals.write_text("{}")
    assert landmark_file_beside(mesh) == capitals


def test_coefficients_beside_a_reconstructed_mesh_are_not_taken_for_landmarks(tmp_path: Path) -> None:
    write(tmp_path / "ann.json", {"shape": [0.5], "coefficient_unit": "standard deviations"})
    assert landmark_file_beside(tmp_path / "ann.obj") is None
    (tmp_path / "ann.json").write_text("{ damaged")  # whoever reads it says so
    assert landmark_file_beside(tmp_path / "ann.obj") == tmp_path / "ann.json"
