import json
from pathlib import Path

import numpy as np
import pytest

from lightning_modules.faces.landmarks.image_landmark_files import read_image_landmarks

POINTS = np.arange(136, dtype=float).reshape(68, 2) / 4


def pts(points: np.ndarray, count: int | None = None) -> str:
    lines = "\n".join(f"{x:.3f} {y:.3f}" for x, y in points)
    return f"version: 1\nn_points:  {len(points) if count is None else count}\n{{\n{lines}\n}}\n"


def test_pts_files_count_pixels_from_one(tmp_path: Path) -> None:
    path = tmp_path / "a.pts"
    path.write_text(pts(POINTS + 1))
    np.testing.assert_allclose(read_image_landmarks(path), POINTS)


def test_ljson_lists_y_before_x(tmp_path: Path) -> None:
    landmarks = {"points": POINTS[:, ::-1].tolist(), "connectivity": []}
    for name, content in (
        ("two", {"version": 2, "landmarks": landmarks}),
        ("three", {"version": 3, "groups": {"LJSON": {"landmarks": landmarks}}}),
        (
            "one",
            {"groups": [{"label": "", "landmarks": [{"point": point} for point in landmarks["points"]]}]},
        ),
    ):
        path = tmp_path / f"{name}.ljson"
        path.write_text(json.dumps(content))
        assert read_image_landmarks(path).tolist() == POINTS.tolist()


def test_json_text_and_numpy_list_x_before_y(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(json.dumps(POINTS.tolist()))
    np.savetxt(tmp_path / "a.txt", POINTS, delimiter=",")
    np.save(tmp_path / "a.npy", POINTS)
    (tmp_path / "a.CSV").write_bytes(b"\xef\xbb\xbfx,y\r\n" + (tmp_path / "a.txt").read_bytes())
    for suffix in ("json", "txt", "npy", "CSV"):
        assert read_image_landmarks(tmp_path / f"a.{suffix}").tolist() == POINTS.tolist()


def test_points_that_are_not_there_are_nan(tmp_path: Path) -> None:
    some = POINTS.tolist()
    some[4] = [None, None]
    (tmp_path / "some.json").write_text(json.dumps(some))
    assert read_image_landmarks(tmp_path / "some.json").isnan().any(1).nonzero().flatten().tolist() == [4]
    np.save(tmp_path / "inner.npy", POINTS[17:])
    inner = read_image_landmarks(tmp_path / "inner.npy")
    assert bool(inner[:17].isnan().all())
    assert inner[17:].tolist() == POINTS[17:].tolist()


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.pts", pts(POINTS[1:]), r"must hold 68 points x y in pixels .* got an array of shape \[67, 2\]"),
        ("a.pts", pts(POINTS, 70), "cannot be read as landmarks .n_points is 70, but 68 points follow"),
        ("a.pts", "1 2\n3 4", "cannot be read as landmarks .no `version: 1 n_points: 68"),
        ("a.pts", pts(POINTS).replace("0.000", "here"), "cannot be read as landmarks"),
        ("a.json", "{}", "cannot be read as landmarks"),
        ("a.json", "[[1, 2, 3]]", r"must hold 68 points .* got an array of shape \[1, 3\]"),
        ("a.pp", "1", "unknown suffix '.pp'"),
        ("a.ljson", '{"groups": [3]}', "cannot be read as landmarks .each of `groups` must hold"),
    ],
)
def test_anything_else_is_refused(tmp_path: Path, name: str, content: str, message: str) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(ValueError, match=message):
        read_image_landmarks(tmp_path / name)


def test_a_missing_file_says_what_it_should_be(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"a\.pts does not exist; expected a landmark file with 68"):
        read_image_landmarks(tmp_path / "a.pts")
