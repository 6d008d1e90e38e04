import numpy as np
import pytest

from evaluation.metrics.similarity_transform import IDENTITY, fit_similarity, similarity

POINTS = np.random.default_rng(0).normal(size=(7, 3))
MAP = similarity(scale=2.5, rotation_vector=(0.3, -1.2, 0.4), translation=(1, 2, 3))


def test_a_quarter_turn_about_z_takes_x_to_y_and_then_scales_and_shifts() -> None:
    turn = similarity(scale=2, rotation_vector=(0, 0, np.pi / 2), translation=(0, 0, 5))
    np.testing.assert_allclose(turn.points(np.array([[1.0, 0, 0]])), [[0, 2, 5]], atol=1e-12)
    np.testing.assert_allclose(turn.directions(np.array([[1.0, 0, 0]])), [[0, 1, 0]], atol=1e-12)


def test_the_inverse_takes_points_back() -> None:
    np.testing.assert_allclose(MAP.inverse().points(MAP.points(POINTS)), POINTS, atol=1e-12)


def test_after_applies_the_first_map_first() -> None:
    other = similarity(scale=0.5, rotation_vector=(1, 0, 0), translation=(-4, 0, 1))
    np.testing.assert_allclose(MAP.after(other).points(POINTS), MAP.points(other.points(POINTS)), atol=1e-12)
    np.testing.assert_allclose(MAP.after(IDENTITY).points(POINTS), MAP.points(POINTS))


def test_a_known_similarity_is_recovered() -> None:
    found = fit_similarity(POINTS, MAP.points(POINTS))
    assert found.scale == pytest.approx(2.5)
    np.testing.assert_allclose(found.rotation, MAP.rotation, atol=1e-12)
    np.testing.assert_allclose(found.translation, MAP.translation, atol=1e-12)


def test_without_scale_a_rigid_motion_of_the_same_centre_comes_back() -> None:
    found = fit_similarity(POINTS, MAP.points(POINTS), scaled=False)
    assert found.scale == 1
    np.testing.assert_allclose(found.rotation, MAP.rotation, atol=1e-12)
    np.testing.assert_allclose(found.points(POINTS).mean(0), MAP.points(POINTS).mean(0))


def test_a_reflection_never_wins() -> None:
    mirrored = POINTS * [-1, 1, 1]
    found = fit_similarity(POINTS, mirrored)
    assert np.linalg.det(found.rotation) == pytest.approx(1)
    assert np.abs(found.points(POINTS) - mirrored).max() > 0.1


def test_points_in_a_plane_determine_a_proper_rotation() -> None:
    flat = POINTS * [1, 1, 0]
    found = fit_similarity(flat, MAP.points(flat))
    np.testing.assert_allclose(found.points(flat), MAP.points(flat), atol=1e-12)
    assert np.linalg.det(found.rotation) == pytest.approx(1)


@pytest.mark.parametrize(
    ("points", "message"),
    [
        (POINTS[:2], "at least 3 pairs"),
        (POINTS[:, :2], "at least 3 pairs"),
        (np.outer(np.arange(5.0), [1, 2, 3]), "do not lie on a line"),
    ],
)
def test_what_leaves_the_rotation_open_is_refused(points: np.ndarray, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        fit_similarity(points, points)
