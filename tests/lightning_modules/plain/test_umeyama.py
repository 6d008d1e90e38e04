import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from lightning_modules.plain.umeyama import rotation_and_scale


def fitted(source: np.ndarray, target: np.ndarray) -> tuple[np.ndarray, float, np.ndarray]:
    source, target = source - source.mean(0), target - target.mean(0)
    return rotation_and_scale(target.T @ source / len(source), (source**2).sum(1).mean())


@pytest.mark.parametrize("dimension", [2, 3])
def test_a_turn_and_a_scale_are_recovered_in_the_plane_and_in_space(dimension: int) -> None:
    turn = Rotation.from_euler("z", 40, degrees=True).as_matrix()[:dimension, :dimension]
    source = np.random.default_rng(0).normal(size=(9, dimension))
    rotation, scale, _ = fitted(source, 1.7 * source @ turn.T + 3)
    np.testing.assert_allclose(rotation, turn, atol=1e-12)
    assert scale == pytest.approx(1.7)


def test_rotations_are_scipys() -> None:
    random = np.random.default_rng(1)
    source, target = random.normal(size=(2, 12, 3))
    source, target = source - source.mean(0), target - target.mean(0)
    expected = Rotation.align_vectors(target, source)[0].as_matrix()
    np.testing.assert_allclose(fitted(source, target)[0], expected, atol=1e-9)


@pytest.mark.parametrize("dimension", [2, 3])
def test_a_mirror_image_is_never_taken_for_a_turn(dimension: int) -> None:
    source = np.random.default_rng(2).normal(size=(9, dimension))
    mirrored = source * np.where(np.arange(dimension) == 0, -1, 1)
    rotation, scale, _ = fitted(source, mirrored)
    assert np.linalg.det(rotation) == pytest.approx(1)
    assert scale < 1


def test_points_on_a_line_have_one_singular_value() -> None:
    line = np.arange(5.0)[:, None] * [1.0, 2, 2]
    spread = fitted(line, line)[2]
    assert spread[1] < 1e-12 * spread[0]
