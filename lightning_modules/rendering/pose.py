"""Head poses, and the cameras that see them."""

import math
from typing import NamedTuple

import torch
from torch import Tensor

from .camera import Cameras, image_centre
from .ranges import SceneRanges

POSE_DRAWS = 5  # uniform numbers that a pose takes


class Poses(NamedTuple):
    """How heads stand before their cameras; all of one shape, usually [B, N]."""

    yaw_degrees: Tensor  # turned to the subject's left, positive
    pitch_degrees: Tensor  # raised, positive
    roll_degrees: Tensor  # tilted to the subject's left shoulder, positive
    distances: Tensor  # camera to the point that it looks at, mm
    frame_heights: Tensor  # of what the image shows at that distance, mm


def between(low_high: tuple[float, float], uniform: Tensor) -> Tensor:
    """Numbers in [0, 1] stretched onto a range."""
    low, high = low_high
    return low + (high - low) * uniform


def poses_from_uniform(uniform: Tensor, ranges: SceneRanges) -> Poses:
    """Poses within `ranges` from numbers [..., POSE_DRAWS] in [0, 1]."""
    yaw, pitch, roll, distance, frame = uniform.unbind(dim=-1)
    low, high = ranges.distance_mm
    return Poses(
        between(ranges.yaw_degrees, yaw),
        between(ranges.pitch_degrees, pitch),
        between(ranges.roll_degrees, roll),
        torch.exp(between((math.log(low), math.log(high)), distance)),
        between(ranges.frame_height_mm, frame),
    )


def frontal_poses(
    shape: tuple[int, ...], *, distance_mm: float = 1500.0, frame_height_mm: float = 320.0, like: Tensor
) -> Poses:
    """Poses that look straight into the camera, with the dtype and device of `like`."""
    zero = like.new_zeros(shape)
    return Poses(zero, zero, zero, zero + distance_mm, zero + frame_height_mm)


def head_rotations(poses: Poses) -> Tensor:
    """Rotations of the posed heads in a frame that faces them, [..., 3, 3]; yaw first, roll last."""
    angles = torch.deg2rad(torch.stack(poses[:3]))
    (cos_yaw, cos_pitch, cos_roll), (sin_yaw, sin_pitch, sin_roll) = angles.cos(), angles.sin()
    zero, one = torch.zeros_like(cos_yaw), torch.ones_like(cos_yaw)

    def matrix(*entries: Tensor) -> Tensor:
        return torch.stack(entries, dim=-1).unflatten(-1, (3, 3))

    turn = matrix(cos_yaw, zero, sin_yaw, zero, one, zero, -sin_yaw, zero, cos_yaw)
    nod = matrix(one, zero, zero, zero, cos_pitch, sin_pitch, zero, -sin_pitch, cos_pitch)
    tilt = matrix(cos_roll, sin_roll, zero, -sin_roll, cos_roll, zero, zero, zero, one)
    return tilt @ nod @ turn


def head_angles(rotations: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Yaw, pitch and roll in degrees of heads that cameras of these rotations see, each [...].

    The inverse of `cameras_from_poses`. Pitch is within 90 degrees; at exactly that, yaw and roll turn about
    one axis and only their sum counts.

    Args:
        rotations: [..., 3, 3], world to camera.
    """
    heads = facing_cameras(like=rotations) @ rotations
    nose, crown = heads[..., 2, :], heads[..., :, 1]
    yaw = torch.atan2(-nose[..., 0], nose[..., 2])
    pitch = torch.asin(-nose[..., 1].clamp(-1, 1))
    roll = torch.atan2(crown[..., 0], crown[..., 1])
    return torch.rad2deg(yaw), torch.rad2deg(pitch), torch.rad2deg(roll)


def facing_cameras(*, like: Tensor) -> Tensor:
    """From the frame that faces the head (x right, y up, z to the viewer) to the camera's or back, [3, 3]."""
    diagonal = -like.new_ones(3)  # filled and not copied from a list: a GPU would be waited for
    diagonal[:1] = 1
    return torch.diag(diagonal)


def cameras_from_poses(poses: Poses, size: tuple[int, int], *, target: Tensor | None = None) -> Cameras:
    """Cameras that see heads so posed, with `target` in the middle of the image.

    Args:
        poses: of shape [B, N].
        size: (H, W) in pixels.
        target: the point looked at and turned about, world, mm: [3], or [B, 1, 3]; the origin if not given.
    """
    rotations = facing_cameras(like=poses.distances) @ head_rotations(poses)
    translations = torch.nn.functional.pad(poses.distances[..., None], (2, 0))
    if target is not None:
        translations = translations - (rotations @ target.to(rotations)[..., None])[..., 0]
    centre = image_centre(size, like=poses.distances).expand(*poses.distances.shape, 2)
    return Cameras(rotations, translations, size[0] * poses.distances / poses.frame_heights, centre)
