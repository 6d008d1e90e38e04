import pytest
import torch

from lightning_modules.rendering.camera import centres, project
from lightning_modules.rendering.pose import (
    POSE_DRAWS,
    Poses,
    cameras_from_poses,
    frontal_poses,
    head_angles,
    head_rotations,
    poses_from_uniform,
)
from lightning_modules.rendering.ranges import SceneRanges

LIKE = torch.zeros((), dtype=torch.float64)
NOSE, CROWN = [[0.0, 0, 100]], [[0.0, 100, 0]]


def posed(**angles: float) -> Poses:
    poses = frontal_poses((1, 1), distance_mm=1000.0, frame_height_mm=500.0, like=LIKE)
    return poses._replace(
        **{f"{name}_degrees": torch.full((1, 1), angle).double() for name, angle in angles.items()}
    )


def seen(point: list[list[float]], poses: Poses) -> list[float]:
    """x and y relative to the image's centre, in pixels of 5 mm at the target's distance, and depth."""
    pixel = project(cameras_from_poses(poses, (100, 100)), torch.tensor([point], dtype=torch.float64))[
        0, 0, 0
    ]
    return (pixel - pixel.new_tensor([49.5, 49.5, 0])).tolist()


def test_a_frontal_head_looks_into_the_camera() -> None:
    assert seen(NOSE, posed()) == pytest.approx([0, 0, 900])
    # 100 mm up at 1000 mm, where the image shows 500 mm in 100 pixels.
    assert seen(CROWN, posed()) == pytest.approx([0, -20, 1000])


def test_yaw_turns_the_nose_to_the_subjects_left_which_is_the_images_right() -> None:
    x, y, depth = seen(NOSE, posed(yaw=90.0))
    assert (x, y, depth) == pytest.approx((20, 0, 1000))


def test_pitch_raises_the_nose() -> None:
    assert seen(NOSE, posed(pitch=90.0)) == pytest.approx([0, -20, 1000])


def test_roll_tilts_the_crown_to_the_subjects_left() -> None:
    assert seen(CROWN, posed(roll=90.0)) == pytest.approx([20, 0, 1000])


def test_yaw_comes_before_pitch_and_roll() -> None:
    # Turned to the left first, a nod tips neither nose nor left ear; a tilt then lowers the nose.
    assert seen(NOSE, posed(yaw=90.0, pitch=40.0)) == pytest.approx([20, 0, 1000])
    assert seen(NOSE, posed(yaw=90.0, roll=90.0)) == pytest.approx([0, 20, 1000])


def test_rotations_are_proper() -> None:
    rotations = head_rotations(posed(yaw=30.0, pitch=-20.0, roll=10.0))[0, 0]
    torch.testing.assert_close(rotations @ rotations.T, torch.eye(3, dtype=torch.float64))
    assert torch.linalg.det(rotations).item() == pytest.approx(1)


def test_the_target_is_in_the_middle_at_its_distance_in_every_pose() -> None:
    target = torch.tensor([10.0, 20, 30], dtype=torch.float64)
    cameras = cameras_from_poses(posed(yaw=30.0, pitch=-20.0, roll=10.0), (80, 60), target=target)
    pixel = project(cameras, target[None, None])[0, 0, 0]
    torch.testing.assert_close(pixel, torch.tensor([29.5, 39.5, 1000], dtype=torch.float64))
    assert (centres(cameras)[0, 0] - target).norm().item() == pytest.approx(1000)


def test_poses_fill_their_ranges() -> None:
    ranges = SceneRanges()
    low, high = (poses_from_uniform(torch.full((POSE_DRAWS,), end), ranges) for end in (0.0, 1.0))
    for name, index in (("yaw_degrees", 0), ("pitch_degrees", 1), ("roll_degrees", 2), ("distance_mm", 3)):
        assert (low[index].item(), high[index].item()) == pytest.approx(getattr(ranges, name), rel=1e-5)
    assert (low.frame_heights.item(), high.frame_heights.item()) == pytest.approx(ranges.frame_height_mm)


def test_angles_are_those_that_made_the_rotation() -> None:
    uniform = torch.rand(50, POSE_DRAWS, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    ranges = SceneRanges(yaw_degrees=(-170, 170), pitch_degrees=(-85, 85), roll_degrees=(-170, 170))
    poses = poses_from_uniform(uniform, ranges)
    cameras = cameras_from_poses(poses, (100, 100), target=torch.tensor([1.0, 2, 3]))
    for angle, expected in zip(head_angles(cameras.rotations), poses[:3], strict=True):
        torch.testing.assert_close(angle, expected)
