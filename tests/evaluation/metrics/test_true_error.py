import numpy as np
import pytest

from evaluation.metrics.scan_region import Region
from evaluation.metrics.similarity_transform import fit_similarity, similarity
from evaluation.metrics.true_error import Truth, true_error_mm, truth_of
from tests.evaluation.metrics.face_like import face_like

FACE = face_like()
TRUTH = truth_of(FACE.vertices, FACE.triangles, Region(FACE.landmarks[30], 95.0))


def test_a_similarity_of_the_truth_has_no_error_and_a_wrong_size_has_one() -> None:
    moved = similarity(scale=1.02, rotation_vector=(0.1, 0.2, 0), translation=(5, 6, 7)).points(FACE.vertices)
    assert true_error_mm(moved, TRUTH) < 1e-9
    offsets = FACE.vertices - np.average(FACE.vertices, axis=0, weights=TRUTH.weights)
    size = np.sqrt(np.average((offsets**2).sum(1), weights=TRUTH.weights))
    assert true_error_mm(moved, TRUTH, scaled=False) == pytest.approx(0.02 * size)


def test_statistics_of_one_displaced_vertex_of_four_by_hand() -> None:
    # Equal weights; the displacement is so far from all others' symmetry that the alignment hardly moves.
    square = np.array([[0.0, 0, 0], [1000, 0, 0], [1000, 1000, 0], [0, 1000, 0], [500, 500, 900]])
    truth = Truth(square, np.array([1.0, 1, 1, 1, 0]))
    wrong = square.copy()
    wrong[4] += 50  # has no weight
    assert true_error_mm(wrong, truth) < 1e-9
    # Corners alternately 1 up and 1 down: no similarity takes that out.
    wrong[:4, 2] += [1, -1, 1, -1]
    assert true_error_mm(wrong, truth) == pytest.approx(1, abs=1e-4)
    assert true_error_mm(wrong, truth, statistic="mean") == pytest.approx(1, abs=1e-4)
    assert true_error_mm(wrong, truth, statistic="median") == pytest.approx(1, abs=1e-4)


def test_only_the_region_counts() -> None:
    wrong = FACE.vertices.copy()
    wrong[TRUTH.weights == 0] += 30
    assert (TRUTH.weights == 0).any()
    assert true_error_mm(wrong, TRUTH) < 1e-9


def test_a_slide_along_the_surface_is_an_error() -> None:
    slide = 2 * np.cos(FACE.vertices[:, :1] / 15) * [0, 1, 0]
    assert true_error_mm(FACE.vertices + slide, TRUTH) > 1


def test_weights_make_a_fit_ignore_points() -> None:
    points = np.random.default_rng(0).normal(size=(6, 3))
    known = similarity(scale=2, rotation_vector=(0.3, 0, 0.1), translation=(1, 0, 0))
    target = known.points(points)
    target[5] += 9
    found = fit_similarity(points, target, weights=np.array([1.0, 2, 1, 1, 3, 0]))
    np.testing.assert_allclose(found.points(points[:5]), target[:5], atol=1e-12)
