import numpy as np
import pytest

from evaluation.known_truth.wrong_reconstructions import (
    KINDS,
    FaceModel,
    SyntheticPerson,
    face_model,
    make_subject,
    reconstruction,
)
from evaluation.metrics.surface import Surface
from evaluation.metrics.true_error import true_error_mm
from tests.evaluation.face_like_model import face_like_model


@pytest.fixture(scope="module")
def faces() -> FaceModel:
    return face_model(face_like_model())


@pytest.fixture(scope="module")
def subject(faces: FaceModel) -> SyntheticPerson:
    return make_subject(faces, 3)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("error_mm", [0.5, 3.0])
def test_a_reconstruction_is_wrong_by_what_was_asked_for(
    faces: FaceModel, subject: SyntheticPerson, kind: str, error_mm: float
) -> None:
    mesh, vertices = reconstruction(subject, faces, kind, error_mm, seed=1)
    # Its own frame is another, and the true error does not see that.
    for points in (vertices, mesh.vertices):
        found = true_error_mm(points, subject.truth, scaled=kind != "scale")
        assert found == pytest.approx(error_mm, abs=1e-4)
    assert np.abs(mesh.vertices - vertices).max() > 3
    if kind == "scale":
        assert true_error_mm(vertices, subject.truth) < 1e-6


def test_the_scan_is_the_subjects_surface_with_noise_and_other_vertices(
    faces: FaceModel, subject: SyntheticPerson
) -> None:
    assert len(subject.scan.vertices) == len(subject.vertices) + len(faces.triangles)
    truth = Surface(subject.vertices, faces.triangles)
    distances = truth.closest_points(subject.scan.vertices).distances
    assert 0.05 < np.sqrt((distances**2).mean()) < 0.12
    scan = Surface(subject.scan.vertices, subject.scan.triangles)
    assert scan.border_edges.sum() == truth.border_edges.sum()
    marks = np.linalg.norm(subject.scan.landmarks - faces.landmarks(subject.vertices), axis=1)
    assert 0.5 < marks.mean() < 2.5


def test_a_local_error_is_local_and_a_mean_face_error_leads_to_the_mean(
    faces: FaceModel, subject: SyntheticPerson
) -> None:
    size = np.linalg.norm(subject.errors["local"], axis=1)
    assert (size < 0.01 * size.max()).mean() > 0.5
    np.testing.assert_allclose(subject.vertices + subject.errors["mean face"], faces.mean)


def test_the_same_seed_gives_the_same_subject(faces: FaceModel, subject: SyntheticPerson) -> None:
    again, other = make_subject(faces, 3), make_subject(faces, 4)
    assert again.scan.vertices.tobytes() == subject.scan.vertices.tobytes()
    assert np.abs(other.vertices - subject.vertices).max() > 1
