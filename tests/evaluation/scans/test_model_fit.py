import numpy as np
import pytest
import torch

from evaluation.metrics.similarity_transform import similarity
from evaluation.metrics.surface import Surface
from evaluation.scans.model_fit import fit_model
from tests.evaluation.metrics.face_like import face_like
from tests.evaluation.scanned_people import face_like_model

POSE = similarity(scale=1.03, rotation_vector=(0.05, -0.08, 0.1), translation=(5.0, -3.0, 8.0))
NEAR = similarity(scale=1.0, rotation_vector=(0.0, 0.0, 0.05), translation=(3.0, 0.0, 6.0))


def test_a_face_of_the_model_is_found_again_in_another_topology_and_pose() -> None:
    face = face_like(3.0, nose_mm=30.0, scattered=True)  # two deviations of the nose's height
    scan = Surface(POSE.points(face.vertices), face.triangles)
    fit = fit_model(scan, face_like_model(), NEAR, POSE.translation)
    assert fit.failure == ""
    assert fit.coefficients[0] == pytest.approx(2.0, abs=0.25)
    assert fit.residual_mm < 0.15
    assert fit.pose.scale == pytest.approx(1.03, abs=0.01)
    on_scan = scan.closest_points(fit.pose.points(fit.vertices))
    assert np.median(on_scan.distances) < 0.1


def test_what_the_model_cannot_make_stays_as_residual() -> None:
    face = face_like(3.0)
    bumps = 1.5 * np.sin(face.vertices[:, 0] / 3) * np.cos(face.vertices[:, 1] / 3)
    bumpy = face.vertices + bumps[:, None] * (0, 0, 1)
    fit = fit_model(Surface(bumpy, face.triangles), face_like_model(), NEAR, np.zeros(3))
    assert fit.residual_mm > 0.3


def test_a_larger_prior_lets_a_face_outside_the_model_bend_the_fit_less() -> None:
    face = face_like(3.0, nose_mm=60.0)  # eight deviations
    scan = Surface(face.vertices, face.triangles)
    weights = (1.0, 1e4, 1e6)
    fits = [fit_model(scan, face_like_model(), NEAR, np.zeros(3), prior_mm2=weight) for weight in weights]
    bent = [float(np.abs(fit.coefficients).max()) for fit in fits]
    assert bent[0] > bent[1] > bent[2]
    assert bent[2] < 0.5


def test_a_surface_that_the_model_does_not_meet_is_no_fit() -> None:
    face = face_like()
    away = Surface(face.vertices + np.array([0, 0, 300.0]), face.triangles)
    fit = fit_model(away, face_like_model(), NEAR, np.zeros(3))
    assert fit.failure == "no fit: 0% of the model's points meet the surface, 35% must"
    assert torch.from_numpy(fit.vertices).shape == (len(face_like_model().shape_mean) // 3, 3)
