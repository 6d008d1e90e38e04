import json
from pathlib import Path

import numpy as np
import pytest
import torch

from evaluation.metrics.marked_mesh import Unscorable
from evaluation.scans import landmarks
from evaluation.scans.landmarks import Marker, carried
from lightning_modules.faces.mesh import Mesh
from tests.evaluation.metrics.face_like import face_like
from tests.evaluation.scanned_people import face_like_model
from tests.evaluation.seen_faces_of_meshes import detector_at, five_of_model, mesh_of


def test_landmarks_are_found_by_a_detector_and_carried_over_to_other_meshes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(landmarks, "load_detector", lambda name: detector_at(five_of_model()))
    marker = Marker(face_like_model)
    marks = marker.marks(mesh_of(), None)
    assert marks.source == "detected"
    inner = [30, 36, 39, 42, 45, 48, 54]
    expected = face_like(4.0).landmarks[inner]
    np.testing.assert_allclose(marks.points[inner], expected, atol=4)
    other = carried(marks, mesh_of()).on(mesh_of(nose_mm=14.0).vertices[None])[0]
    np.testing.assert_allclose(other[36], marks.points[36], atol=1)
    assert float(other[30, 2]) < marks.points[30, 2] - 5


def test_some_marked_points_are_completed_and_kept_as_they_are(tmp_path: Path) -> None:
    face = face_like(4.0)
    order = (36, 39, 42, 45, 33, 48, 54)
    (tmp_path / "seven.json").write_text(json.dumps((0.1 * face.landmarks[list(order)]).tolist()))
    marks = Marker(face_like_model).marks(mesh_of(), tmp_path / "seven.json", unit="cm")
    assert marks.source == "completed"
    np.testing.assert_allclose(marks.points[list(order)], face.landmarks[list(order)], atol=1e-9)
    np.testing.assert_allclose(marks.points[30], face.landmarks[30], atol=4)


def test_all_marked_points_need_no_model(tmp_path: Path) -> None:
    points = np.random.default_rng(0).normal(size=(68, 3))
    np.save(tmp_path / "all.npy", points)
    marks = Marker(lambda: pytest.fail("not needed")).marks(mesh_of(), tmp_path / "all.npy")
    assert marks.source == "marked"
    np.testing.assert_array_equal(marks.points, points)


def test_a_landmark_file_that_cannot_be_used_fails_with_its_reason(tmp_path: Path) -> None:
    (tmp_path / "bad.json").write_text("[1, 2]")
    with pytest.raises(Unscorable, match=r"unusable landmarks: .*bad\.json must hold"):
        Marker(face_like_model).marks(mesh_of(), tmp_path / "bad.json")


@pytest.mark.parametrize("has_file", [True, False])
def test_a_cloud_of_points_is_an_empty_mesh(tmp_path: Path, has_file: bool) -> None:
    cloud = mesh_of()._replace(triangles=torch.zeros(0, 3, dtype=torch.int64))
    file = tmp_path / "seven.txt"
    np.savetxt(file, np.arange(21.0).reshape(7, 3))
    with pytest.raises(Unscorable, match="empty mesh: the mesh has no triangle with an area"):
        Marker(face_like_model).marks(cloud, file if has_file else None)


def test_what_is_no_face_gets_no_landmarks(tmp_path: Path) -> None:
    ball = torch.nn.functional.normalize(
        torch.randn(400, 3, generator=torch.Generator().manual_seed(0)), dim=1
    )
    triangles = torch.randint(0, 400, (600, 3), generator=torch.Generator().manual_seed(1))
    face = face_like(4.0)
    (tmp_path / "seven.json").write_text(json.dumps(face.landmarks[[36, 39, 42, 45, 33, 48, 54]].tolist()))
    with pytest.raises(Unscorable, match=r"no landmarks: .* of the model's points meet the surface"):
        Marker(face_like_model).marks(Mesh(900 * ball, triangles, None), tmp_path / "seven.json")
