import json
from pathlib import Path

import numpy as np
import pytest
import torch

from datamodules.alignment.detection import Detection
from evaluation.metrics.marked_mesh import Unscorable
from evaluation.scans import landmarks
from evaluation.scans.landmarks import Marker, carried
from evaluation.shared.mesh_detection import axis_turns, detected_points, unprojected
from lightning_modules.faces.landmarks.ibug import five_points
from lightning_modules.faces.mesh import Mesh
from lightning_modules.faces.mesh_views import DISTANCE_MM, MARGIN
from tests.evaluation.metrics.face_like import face_like
from tests.evaluation.scanned_people import face_like_model

PIXELS = landmarks.PICTURE_PIXELS


def mesh_of(nose_mm: float = 22.0) -> Mesh:
    face = face_like(4.0, nose_mm=nose_mm)
    return Mesh(torch.from_numpy(face.vertices).float(), torch.from_numpy(face.triangles), None)


def five_of_model() -> np.ndarray:
    model = face_like_model()
    return five_points(model.landmarks.on(model.neutral_mean.view(1, -1, 3))[0]).numpy()


def detector_at(points: np.ndarray, *, upright_only: bool = False):  # noqa: ANN201 - a stub
    """Sees the face's points where a camera in front of the mesh's middle shows them."""

    def detect(picture: np.ndarray) -> list[Detection]:
        middle, shown = np.array([0, 0, 0.5 * (points[:, 2].max() - 110)]), MARGIN * 200
        offset = points - middle
        scale = PIXELS * DISTANCE_MM / shown / (DISTANCE_MM - offset[:, 2])
        pixels = (PIXELS - 1) / 2 + scale[:, None] * offset[:, :2] * (1, -1)
        is_upright = picture[: PIXELS // 4].sum() > 0
        return [Detection(np.zeros(4), pixels, 0.9)] if is_upright or not upright_only else []

    return detect


def test_there_are_24_turns_of_the_axes_and_the_first_changes_nothing() -> None:
    turns = list(axis_turns())
    assert torch.equal(turns[0], torch.eye(3))
    assert len({tuple(turn.flatten().tolist()) for turn in turns}) == 24
    assert all(float(torch.linalg.det(turn)) == 1 for turn in turns)


def test_detected_pixels_become_points_of_the_surface() -> None:
    points = detected_points(mesh_of(), detector_at(five_of_model()))
    np.testing.assert_allclose(points[:, :2], five_of_model()[:, :2], atol=4)


def test_a_point_in_a_hole_takes_the_nearest_pixel_and_one_far_away_none() -> None:
    surface = torch.full((20, 20, 3), float("nan"))
    surface[5, 7] = torch.tensor([1.0, 2.0, 3.0])
    np.testing.assert_array_equal(unprojected(surface, np.array([[8.0, 6.0]])), [[1, 2, 3]])
    with pytest.raises(Unscorable, match="no face found: a point that the detector sees does not lie on"):
        unprojected(surface, np.array([[18.0, 18.0]]))
    with pytest.raises(Unscorable, match="no face found: the picture of the mesh is empty"):
        unprojected(surface * torch.nan, np.array([[8.0, 6.0]]))


def test_a_mesh_without_a_face_is_refused() -> None:
    with pytest.raises(Unscorable, match="no face found: the detector sees none"):
        detected_points(mesh_of(), lambda picture: [])


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
