from dataclasses import replace

import numpy as np
import pytest

from datamodules.stand_in.camera import photographed
from datamodules.stand_in.ranges import StandInRanges

SIDE = 64
PERFECT = replace(
    StandInRanges(),
    defocus_pixels=(0.0, 0.0),
    motion_share=0.0,
    colour_cast=(0.0, 0.0),
    brightness=(1.0, 1.0),
    gamma=(1.0, 1.0),
    vignette=(0.0, 0.0),
    noise_levels=(0.0, 0.0),
    side_pixels=(SIDE, SIDE),
    jpeg_quality=(80.0, 80.0),
)


def taken(picture: np.ndarray, seed: int = 0, **changes: object) -> np.ndarray:
    pixels, quality = photographed(np.random.default_rng(seed), picture, replace(PERFECT, **changes))
    assert quality == 80
    assert pixels.dtype == np.uint8
    return pixels


@pytest.fixture
def picture() -> np.ndarray:
    return np.random.default_rng(0).integers(10, 120, (SIDE, SIDE, 3)).astype(np.float32) / 255


def test_a_perfect_camera_changes_nothing(picture: np.ndarray) -> None:
    np.testing.assert_array_equal(taken(picture), (255 * picture).round())


def test_colour_and_brightness_multiply(picture: np.ndarray) -> None:
    cast = taken(picture, colour_cast=(np.log(1.5), np.log(1.5)), brightness=(0.8, 0.8))
    np.testing.assert_allclose(cast, 255 * picture * 1.2, atol=0.6)


def test_gamma_is_the_exponent_of_the_levels(picture: np.ndarray) -> None:
    np.testing.assert_allclose(taken(picture, gamma=(0.5, 0.5)), 255 * picture**0.5, atol=0.6)


def test_a_vignette_darkens_the_corners_and_not_the_middle() -> None:
    pixels = taken(
        np.full((SIDE + 1, SIDE + 1, 3), 0.4, np.float32), vignette=(0.5, 0.5), side_pixels=(65, 65)
    )
    assert pixels[32, 32].tolist() == [102] * 3
    assert pixels[0, 0].tolist() == [51] * 3


@pytest.mark.parametrize("changes", [{"defocus_pixels": (1.5, 1.5)}, {"motion_share": 1.0}])
def test_blur_spreads_a_point_and_keeps_its_light(changes: dict[str, object]) -> None:
    point = np.zeros((SIDE, SIDE, 3), np.float32)
    point[20:22, 30:32] = 1.0
    for seed in range(5):
        pixels = taken(point, seed, **changes)
        assert pixels.max() < 230
        assert pixels.sum() == pytest.approx(255 * point.sum(), rel=0.05)


def test_noise_has_the_strength_asked_for() -> None:
    grey = np.full((200, 200, 3), 0.5, np.float32)
    pixels = taken(grey, noise_levels=(5.0, 5.0), side_pixels=(200, 200))
    assert pixels.std() == pytest.approx(5.0, rel=0.1)


def test_pictures_are_resized() -> None:
    assert taken(np.zeros((SIDE, SIDE, 3), np.float32), side_pixels=(40, 40)).shape == (40, 40, 3)
