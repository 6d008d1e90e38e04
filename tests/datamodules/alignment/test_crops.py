import cv2
import numpy as np
import pytest

from datamodules.alignment.crops import align, estimate_pose, quality, select_faces
from datamodules.alignment.detection import Detection
from lightning_modules.recognition.frame import (
    CANONICAL_POINTS,
    DLIB_CROP,
    DLIB_TEMPLATE,
    SFACE_CROP,
    WHOLE_FRAME,
)


def photograph(scale: float, angle: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """A smooth random picture, 224 canonical pixels shown at `scale` and turned, and its five points."""
    generator = np.random.default_rng(0)
    canonical = cv2.resize(
        generator.integers(0, 256, (9, 9, 3), np.uint8), (224, 224), interpolation=cv2.INTER_CUBIC
    )
    side = int(224 * scale * 1.5)
    turn = cv2.getRotationMatrix2D((112, 112), angle, scale)
    turn[:, 2] += side / 2 - 112
    points = CANONICAL_POINTS @ turn[:, :2].T + turn[:, 2]
    flags = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    return cv2.warpAffine(canonical, turn, (side, side), flags=flags), points


def reference() -> np.ndarray:
    image, points = photograph(1.0)
    return align(image, points)


@pytest.mark.parametrize(("scale", "angle"), [(1.0, 20), (0.7, -35), (1.6, 10), (2.5, 0), (7.3, 75)])
def test_size_and_rotation_are_undone(scale: float, angle: float) -> None:
    image, points = photograph(scale, angle)
    difference = align(image, points).astype(int) - reference()
    assert np.abs(difference[20:-20, 20:-20]).mean() < 2
    assert np.abs(difference[20:-20, 20:-20]).max() < 16


def test_each_point_lands_on_its_place() -> None:
    image = np.zeros((300, 300, 3), np.uint8)
    points = CANONICAL_POINTS + np.array([31.25, 12.75])
    for channel, point in zip((0, 1, 2), points[:3], strict=True):
        x, y = np.round(point + 0.5).astype(int)
        image[y - 2 : y + 2, x - 2 : x + 2, channel] = 255
    aligned = align(image, points).astype(float)
    y, x = np.mgrid[:224, :224]
    for channel, point in zip((0, 1, 2), CANONICAL_POINTS[:3], strict=True):
        weight = aligned[..., channel] / aligned[..., channel].sum()
        assert np.hypot((weight * x).sum() - point[0], (weight * y).sum() - point[1]) < 1.0


def test_a_mirrored_photograph_is_not_mirrored_back() -> None:
    image, points = photograph(1.0)
    mirrored_points = (points * (-1, 1) + (image.shape[1] - 1, 0))[[1, 0, 2, 4, 3]]
    aligned = align(np.ascontiguousarray(image[:, ::-1]), mirrored_points)
    assert np.abs(aligned.astype(int) - reference()).mean() > 10
    assert (
        np.abs(aligned[:, ::-1].astype(int) - reference()).mean() < 8
    )  # the template is not quite symmetric


def test_fine_stripes_are_averaged_not_aliased() -> None:
    image = np.zeros((1400, 1400, 3), np.uint8)
    image[:, ::2] = 255
    aligned = align(image, 5 * CANONICAL_POINTS + 100)
    assert np.abs(aligned[30:-30, 30:-30].astype(int) - 127).max() < 20


def test_outside_the_photograph_is_black() -> None:
    aligned = align(np.full((120, 120, 3), 200, np.uint8), CANONICAL_POINTS - 60)
    assert aligned[:50].max() == 0
    assert (aligned[100:150, 100:150] == 200).all()


@pytest.mark.parametrize("crop", [DLIB_CROP, SFACE_CROP])
def test_a_networks_crop_can_be_cut_directly(crop: object) -> None:
    image, points = photograph(3.0)
    direct = align(image, points, crop)
    assert direct.shape == (crop.size, crop.size, 3)
    whole = cv2.resize(
        reference()[round(crop.top) : round(crop.bottom), round(crop.left) : round(crop.right)],
        direct.shape[:2],
    )
    assert np.abs(direct.astype(int) - whole).mean() < 4


def test_coinciding_points_are_refused() -> None:
    with pytest.raises(ValueError, match="points to align coincide"):
        align(np.zeros((50, 50, 3), np.uint8), np.full((5, 2), 20.0))


def face(left: float, top: float, side: float) -> Detection:
    return Detection(np.array([left, top, left + side, top + side]), CANONICAL_POINTS, 0.9)


def test_the_largest_the_central_or_all_faces_are_selected() -> None:
    small_central, large, small = face(90, 40, 20), face(0, 0, 50), face(150, 60, 10)
    faces = [small_central, small, large]
    assert select_faces(faces, (100, 200), "largest") == [large]
    assert select_faces(faces, (100, 200), "central") == [small_central]
    assert select_faces(faces, (100, 200), "all") == [large, small_central, small]
    assert select_faces([], (100, 200), "largest") == select_faces([], (100, 200), "central") == []
    with pytest.raises(ValueError, match='must be "largest", "central" or "all", got \'first\''):
        select_faces(faces, (100, 200), "first")  # type: ignore[arg-type]  # on purpose


def rotation(yaw: float, pitch: float, roll: float) -> np.ndarray:
    """x right, y down, z towards the camera."""
    a, b, c = np.radians((yaw, pitch, roll))
    about_y = np.array([[np.cos(a), 0, np.sin(a)], [0, 1, 0], [-np.sin(a), 0, np.cos(a)]])
    about_x = np.array([[1, 0, 0], [0, np.cos(b), -np.sin(b)], [0, np.sin(b), np.cos(b)]])
    about_z = np.array([[np.cos(c), -np.sin(c), 0], [np.sin(c), np.cos(c), 0], [0, 0, 1]])
    return about_z @ about_x @ about_y


@pytest.mark.parametrize(
    ("yaw", "pitch", "roll"), [(0, 0, 0), (30, 0, 0), (-40, 0, 0), (0, 20, 0), (0, 0, 25)]
)
def test_pose_is_recovered_from_projected_points(yaw: float, pitch: float, roll: float) -> None:
    head = np.column_stack([DLIB_TEMPLATE / 0.5306, [0, 0, 0.45, 0.1, 0.1]])
    points = 60 * (head @ rotation(yaw, pitch, roll).T)[:, :2] + 100
    np.testing.assert_allclose(estimate_pose(points), (yaw, pitch, roll), atol=1.0)


def test_a_nose_that_points_to_the_pictures_right_has_positive_yaw() -> None:
    assert estimate_pose(CANONICAL_POINTS + np.array([[0, 0], [0, 0], [9, 0], [0, 0], [0, 0]]))[0] > 5
    assert estimate_pose(CANONICAL_POINTS + np.array([[0, 0], [0, 0], [0, -9], [0, 0], [0, 0]]))[1] > 5


def test_quality_tells_size_sharpness_and_coverage() -> None:
    image, points = photograph(2.0)
    detection = Detection(np.zeros(4), points, 0.8)
    noisy = np.random.default_rng(0).integers(0, 255, (224, 224, 3), np.uint8)
    sharp = quality(detection, image.shape[:2], noisy)
    blurred = quality(detection, image.shape[:2], cv2.GaussianBlur(noisy, (0, 0), 3))
    assert sharp.score == 0.8
    assert sharp.inside == 1.0
    assert sharp.eye_distance == pytest.approx(2 * np.hypot(*(CANONICAL_POINTS[1] - CANONICAL_POINTS[0])))
    assert sharp.sharpness > 10 * blurred.sharpness
    half = quality(Detection(np.zeros(4), CANONICAL_POINTS, 0.8), (224, 112), noisy)
    assert half.inside == pytest.approx(0.5)
    assert WHOLE_FRAME.size == 224
