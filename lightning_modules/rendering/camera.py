"""Full-perspective cameras: projection, look-at, and landmarks put onto a template.

World: millimetres, right-handed, x to the subject's left, y up, z out of the face. Camera: millimetres, x
right, y down, z forward (depth). Image: pixels, x right, y down, the centre of pixel (row i, column j) at
exactly x = j, y = i, as OpenCV's warps and the recognition networks' landmark templates have it; an image
spans -0.5 to W - 0.5.
"""

import math
from typing import NamedTuple, overload

import torch
from torch import Tensor


class Cameras(NamedTuple):
    """Perspective cameras with square pixels; leading dimensions are the caller's, usually [B, N]."""

    rotations: Tensor  # [..., 3, 3], world to camera
    translations: Tensor  # [..., 3], the world's origin in the camera's frame, mm
    focal_lengths: Tensor  # [...], pixels
    principal_points: Tensor  # [..., 2], x and y, pixels


def look_at(eyes: Tensor, targets: Tensor, up: Tensor) -> tuple[Tensor, Tensor]:
    """Rotations and translations of cameras that stand at `eyes` and look at `targets`.

    Args:
        eyes: [..., 3] world, mm.
        targets: [..., 3] world, mm.
        up: [..., 3] world direction that the image shows upright; any length.

    Returns:
        Rotations [..., 3, 3] from world to camera and translations [..., 3] in mm.

    Raises:
        ValueError: if an eye is at its target, or looks along `up`.
    """
    eyes, targets, up = torch.broadcast_tensors(eyes, targets, up)
    forward = targets - eyes
    right = torch.linalg.cross(forward, up)
    if _any(right.norm(dim=-1) <= 1e-6 * forward.norm(dim=-1) * up.norm(dim=-1)):
        raise ValueError("a camera needs a line of sight that is not zero and not parallel to `up`")
    forward = forward / forward.norm(dim=-1, keepdim=True)
    right = right / right.norm(dim=-1, keepdim=True)
    rotations = torch.stack([right, torch.linalg.cross(forward, right), forward], dim=-2)
    return rotations, -(rotations @ eyes[..., None])[..., 0]


@overload
def focal_length_from_field_of_view(fov_y_degrees: float, height: int) -> float: ...
@overload
def focal_length_from_field_of_view(fov_y_degrees: Tensor, height: int) -> Tensor: ...
def focal_length_from_field_of_view(fov_y_degrees: float | Tensor, height: int) -> float | Tensor:
    """Focal length in pixels of an image `height` pixels high that spans `fov_y_degrees` vertically."""
    if isinstance(fov_y_degrees, Tensor):
        return 0.5 * height / torch.tan(torch.deg2rad(fov_y_degrees) / 2)
    return 0.5 * height / math.tan(math.radians(fov_y_degrees) / 2)


def image_centre(size: tuple[int, int], *, like: Tensor) -> Tensor:
    """Centre (x, y) of an image of `size` (H, W), in pixels, with the dtype and device of `like`."""
    # Filled and not copied from a list: a GPU would be waited for.
    return torch.stack([like.new_full((), (length - 1) / 2) for length in reversed(size)])


def camera_matrices(cameras: Cameras) -> Tensor:
    """Matrices K [R | t] [..., 3, 4] that take world points to homogeneous pixels (x z, y z, z), in float64.

    Float64 because pixel coordinates of a dense mesh need more digits than float32 has (`barycentrics`).
    """
    extrinsics = torch.cat([cameras.rotations, cameras.translations[..., None]], dim=-1).double()
    depth_row = extrinsics[..., 2:3, :]
    image_rows = (
        cameras.focal_lengths.double()[..., None, None] * extrinsics[..., :2, :]
        + cameras.principal_points.double()[..., None] * depth_row
    )
    return torch.cat([image_rows, depth_row], dim=-2)


def centres(cameras: Cameras) -> Tensor:
    """Positions of the cameras in the world, [..., 3] mm."""
    return -(cameras.rotations.mT @ cameras.translations[..., None])[..., 0]


def homogeneous_pixels(matrices: Tensor, vertices: Tensor) -> Tensor:
    """Vertices as homogeneous pixels (x z, y z, z), float64, [B, N, V, 3].

    Args:
        matrices: [B, N, 3, 4], of `camera_matrices`.
        vertices: [B, V, 3] world, mm.
    """
    rotated = vertices.double()[:, None] @ matrices[..., :3].mT  # [B, N, V, 3]
    return rotated + matrices[..., None, :, 3]


def project(cameras: Cameras, vertices: Tensor) -> Tensor:
    """Pixel coordinates x, y and depth in mm of world points, [B, N, V, 3], in the dtype of `vertices`.

    Args:
        cameras: of shape [B, N].
        vertices: [B, V, 3] world, mm. Points at or behind the camera's plane give meaningless x and y.
    """
    homogeneous = homogeneous_pixels(camera_matrices(cameras), vertices)
    depth = homogeneous[..., 2:]
    return torch.cat([homogeneous[..., :2] / depth, depth], dim=-1).to(vertices.dtype)


def supersampled(matrices: Tensor, samples_per_axis: int) -> Tensor:
    """Camera matrices for images with `samples_per_axis` times as many pixels along each axis."""
    offset = (samples_per_axis - 1) / 2
    image_rows = samples_per_axis * matrices[..., :2, :] + offset * matrices[..., 2:, :]
    return torch.cat([image_rows, matrices[..., 2:, :]], dim=-2)


def align_to_template(cameras: Cameras, landmarks: Tensor, template: Tensor) -> Cameras:
    """Cameras that see given 3-D landmarks at given 2-D points, as nearly as scale, roll and shift allow.

    The least-squares similarity (Umeyama 1991) between the landmarks' projections and the template is folded
    into the cameras: scale into the focal length, roll into the rotation, the rest into the principal point.
    Position and line of sight stay, and thus the perspective; a rendering lies directly in the template's
    frame without being resampled. Differentiable in everything: by the closed form for the plane, since the
    SVD of `rotation_and_scale` has no gradient where singular values are equal.

    Args:
        cameras: of shape [B, N]; their focal lengths, rolls and principal points do not matter.
        landmarks: [B, K, 3] world, mm, K at least 2.
        template: [K, 2], or anything that broadcasts to [B, N, K, 2]: x, y in pixels.

    Raises:
        ValueError: if a landmark is behind a camera, or the projected landmarks coincide.
    """
    if landmarks.dim() != 3 or landmarks.shape[-1] != 3 or landmarks.shape[-2] < 2:
        raise ValueError(f"landmarks must be [B, K, 3] with K at least 2, got {list(landmarks.shape)}")
    if template.shape[-2:] != (landmarks.shape[-2], 2):
        raise ValueError(f"template must be [{landmarks.shape[-2]}, 2], got {list(template.shape)}")
    projected = project(cameras, landmarks)
    if _any(projected[..., 2] <= 0):
        raise ValueError("a landmark lies behind its camera; move the camera away from the face")
    template = template.to(projected)
    points, template_mean = projected[..., :2], template.mean(dim=-2)
    mean = points.mean(dim=-2)
    points, template = points - mean[..., None, :], template - template_mean[..., None, :]
    spread = points.square().sum(dim=(-2, -1))
    if _any(spread <= 0):
        raise ValueError("the projected landmarks coincide, so they fix neither scale nor roll")
    # As complex numbers, the best similarity is sum(conj(p) q) / sum(|p|^2).
    cosine = (points * template).sum(dim=(-2, -1)) / spread
    sine = (points[..., 0] * template[..., 1] - points[..., 1] * template[..., 0]).sum(dim=-1) / spread
    scale = torch.sqrt(cosine.square() + sine.square())
    similarity = torch.stack([cosine, -sine, sine, cosine], dim=-1).unflatten(-1, (2, 2))
    extrinsics = torch.cat([cameras.rotations, cameras.translations[..., None]], dim=-1)
    rolled = (similarity / scale[..., None, None]) @ extrinsics[..., :2, :]  # depth stays
    offset = cameras.principal_points - mean
    return Cameras(
        rotations=torch.cat([rolled[..., :3], cameras.rotations[..., 2:, :]], dim=-2),
        translations=torch.cat([rolled[..., 3], cameras.translations[..., 2:]], dim=-1),
        focal_lengths=scale * cameras.focal_lengths,
        principal_points=(similarity @ offset[..., None])[..., 0] + template_mean,
    )


def _any(conditions: Tensor) -> bool:
    """Whether one holds; not asked of a GPU, which the question would wait for: there results are NaN."""
    return conditions.device.type == "cpu" and bool(conditions.any())
