import numpy as np
import pytest

from evaluation.metrics import region_score
from evaluation.metrics.marked_mesh import MarkedMesh
from evaluation.metrics.scan_protocols import REALY_LIKE
from evaluation.metrics.scan_score import score_scan
from evaluation.metrics.similarity_transform import similarity
from tests.evaluation.metrics.face_like import all_landmarks, face_like

SCAN = face_like(4.0, scattered=True)._replace(landmarks=all_landmarks())


def mesh(nose_mm: float = 22.0, *, scale: float = 1.0) -> MarkedMesh:
    face = face_like(3.0, nose_mm=nose_mm)
    pose = similarity(scale=scale, rotation_vector=(0.1, 0.2, -0.1), translation=(3, 4, 5))
    return face._replace(vertices=pose.points(face.vertices), landmarks=pose.points(all_landmarks(nose_mm)))


def test_the_score_is_the_mean_of_four_regions_in_mm() -> None:
    score = score_scan(SCAN, mesh(26.0), REALY_LIKE)
    assert score.failure is None
    assert set(score.regions_mm) == {"nose", "mouth", "forehead", "cheek"}
    assert score.value_mm == pytest.approx(np.mean(list(score.regions_mm.values())))
    assert score.scan_to_mesh.statistic("mean") == pytest.approx(score.value_mm)
    assert score.regions_mm["nose"] > score_scan(SCAN, mesh(), REALY_LIKE).regions_mm["nose"] + 0.3


def test_unit_and_frame_do_not_matter() -> None:
    first, second = (score_scan(SCAN, mesh(24.0, scale=scale), REALY_LIKE) for scale in (1.0, 0.001))
    assert first.value_mm == pytest.approx(second.value_mm, abs=1e-4)


def test_too_few_landmarks_and_holes_are_reasons() -> None:
    marks = SCAN.landmarks.copy()
    marks[[27, 28, 29, 32, 34, 35]] = np.nan
    score = score_scan(SCAN._replace(landmarks=marks), mesh(), REALY_LIKE)
    assert score.failure == "missing landmarks: of the nose scan and mesh share 3, at least 4 are needed"
    at_the_mouth = np.linalg.norm(SCAN.vertices[:, :2] - (0, -30), axis=1) < 45
    holed = SCAN._replace(triangles=SCAN.triangles[~at_the_mouth[SCAN.triangles].any(1)])
    score = score_scan(holed, mesh(), REALY_LIKE)
    assert score.failure.startswith("missing region: the scan has ")
    assert "in the mouth" in score.failure


def test_thinning_a_dense_scan_changes_little(monkeypatch: pytest.MonkeyPatch) -> None:
    dense = face_like(1.5, scattered=True)._replace(landmarks=all_landmarks())
    whole = score_scan(dense, mesh(26.0), REALY_LIKE)
    monkeypatch.setattr(region_score, "MOST_VERTICES", 1200)
    thinned = score_scan(dense, mesh(26.0), REALY_LIKE)
    counted = thinned.scan_to_mesh.counted.sum()
    assert 4 * 300 < counted < 4 * 1200
    assert counted < whole.scan_to_mesh.counted.sum()
    for region, value in whole.regions_mm.items():
        assert thinned.regions_mm[region] == pytest.approx(value, abs=0.05)
    # Every vertex of a region has a colour in pictures.
    known = [np.isfinite(score.scan_to_mesh.values_mm) for score in (whole, thinned)]
    np.testing.assert_array_equal(*known)
