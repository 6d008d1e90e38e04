import numpy as np
import pytest

from lightning_modules.recognition import frame
from lightning_modules.recognition.frame import (
    CANONICAL_POINTS,
    DLIB_CROP,
    FACENET_CROP,
    FIVE_OF_68,
    SFACE_CROP,
    SFACE_TEMPLATE,
    VGGFACE_CROP,
    Crop,
    chip_points,
    similarity_transform,
)


def apply(matrix: np.ndarray, points: np.ndarray) -> np.ndarray:
    return points @ matrix[:, :2].T + matrix[:, 2]


def test_similarity_recovers_rotation_scale_and_translation() -> None:
    angle, scale, translation = 0.4, 1.7, np.array([12.0, -3.0])
    rotation = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    target = scale * CANONICAL_POINTS @ rotation.T + translation
    np.testing.assert_allclose(
        apply(similarity_transform(CANONICAL_POINTS, target), CANONICAL_POINTS), target
    )


def test_similarity_never_mirrors() -> None:
    mirrored = CANONICAL_POINTS * (-1, 1)
    assert np.linalg.det(similarity_transform(mirrored, CANONICAL_POINTS)[:, :2]) > 0


def test_coinciding_points_are_refused() -> None:
    with pytest.raises(ValueError, match="points to align coincide"):
        similarity_transform(np.ones((5, 2)), CANONICAL_POINTS)


def test_the_canonical_frame_holds_the_crop_of_every_network() -> None:
    for crop in (DLIB_CROP, SFACE_CROP, FACENET_CROP, VGGFACE_CROP):
        assert min(crop.left, crop.top) >= -0.5
        assert max(crop.right, crop.bottom) <= frame.CANONICAL_SIZE - 0.5


def test_crops_put_the_five_points_where_their_networks_expect_them() -> None:
    np.testing.assert_allclose(DLIB_CROP.to_crop(CANONICAL_POINTS), chip_points(150, 0.25))
    # SFace's template has slightly other proportions than dlib's: its nose lies higher.
    assert np.abs(SFACE_CROP.to_crop(CANONICAL_POINTS) - SFACE_TEMPLATE).max() < 3


def test_a_crop_maps_its_corners_to_the_corners_of_its_image() -> None:
    crop = Crop(10, 20.0, 30.0, 40.0, 70.0)
    corners = np.array([(20.0, 30.0), (40.0, 70.0)])
    np.testing.assert_allclose(crop.to_crop(corners), [(-0.5, -0.5), (9.5, 9.5)])


def test_the_five_points_are_taken_from_the_68_landmarks() -> None:
    landmarks = np.random.default_rng(0).random((68, 3))
    five = FIVE_OF_68 @ landmarks
    np.testing.assert_allclose(five[0], landmarks[36:42].mean(0))
    np.testing.assert_allclose(five[1], landmarks[42:48].mean(0))
    np.testing.assert_allclose(five[2:], landmarks[[30, 48, 54]])
