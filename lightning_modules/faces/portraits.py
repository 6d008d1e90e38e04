"""Faces as they are shown to people: turned views by one camera, in studio light, on light grey.

What a judge sees is `aligned_rendering.render_frontal`.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from lightning_modules.faces.aligned_rendering import AlignedFrame
from lightning_modules.faces.normals import vertex_normals
from lightning_modules.rendering.camera import Cameras, align_to_template
from lightning_modules.rendering.pose import cameras_from_poses, frontal_poses
from lightning_modules.rendering.renderer import render
from lightning_modules.rendering.shading import Lights

FRONTAL, THREE_QUARTER, PROFILE = 0.0, 40.0, 85.0  # degrees of yaw
DISTANCE_MM = 1_200.0
BACKGROUND = 0.93  # sRGB grey
SHAPE_ONLY_ALBEDO = 0.62  # sRGB grey of meshes without colours
# A head turns about an axis that lies this many distances between the eyes behind them.
AXIS_DEPTH = 1.0


def portraits(
    vertices: Tensor,
    triangles: Tensor,
    albedo: Tensor | None,
    points: Tensor,
    frame: AlignedFrame,
    *,
    yaw_degrees: Sequence[float] = (FRONTAL, THREE_QUARTER, PROFILE),
    samples_per_axis: int = 2,
    backend: str | None = None,
) -> Tensor:
    """Images [B, N, 3, size, size] of meshes of one topology, each seen from N sides, sRGB in [0, 1].

    From the front the five points lie on the frame's template, as in the aligned photograph; the other views
    have the same distance and focal length, so that sizes can be compared.

    Args:
        vertices: [B, V, 3] in mm, x to the subject's left, y up, z forward.
        triangles: [T, 3].
        albedo: [B, V, 3] sRGB-encoded; None shows the shape in grey.
        points: [B, 5, 3], eyes, nose tip and mouth corners of each mesh, see `landmarks.five_points`.
        frame: with one template.
        yaw_degrees: N turns of the head to its own left.
        samples_per_axis: 2 averages 2 x 2 samples in each pixel.
        backend: of the rasterizer.
    """
    if albedo is None:
        albedo = torch.full_like(vertices, SHAPE_ONLY_ALBEDO)
    cameras = turned_cameras(points, frame, yaw_degrees)
    return render(
        vertices,
        triangles,
        vertex_normals(vertices, triangles),
        albedo,
        cameras,
        studio_lights(cameras),
        (frame.size, frame.size),
        background=vertices.new_full((3, 1, 1), BACKGROUND),
        samples_per_axis=samples_per_axis,
        backend=backend,
    )


def turned_cameras(points: Tensor, frame: AlignedFrame, yaw_degrees: Sequence[float]) -> Cameras:
    """Cameras [B, N] that see heads turned about their axis, at the scale that fits the frame frontally."""
    size = (frame.size, frame.size)
    eyes = points[:, :2]
    axis = eyes.mean(1)
    axis[:, 2] -= AXIS_DEPTH * (eyes[:, 1] - eyes[:, 0]).norm(dim=-1)
    poses = frontal_poses((len(points), len(yaw_degrees)), distance_mm=DISTANCE_MM, like=points)
    poses = poses._replace(yaw_degrees=poses.yaw_degrees + points.new_tensor(list(yaw_degrees)))
    straight = frontal_poses((len(points), 1), distance_mm=DISTANCE_MM, like=points)
    frontal = align_to_template(
        cameras_from_poses(straight, size, target=axis[:, None]), points, frame.template
    )
    turned = cameras_from_poses(poses, size, target=axis[:, None])
    # The axis lies on the line of sight: where it falls frontally, there it stays.
    return turned._replace(
        focal_lengths=frontal.focal_lengths.expand_as(turned.focal_lengths),
        principal_points=frontal.principal_points.expand_as(turned.principal_points),
    )


def studio_lights(cameras: Cameras) -> Lights:
    """A key light above the left of each camera [B, N], a weaker fill light on the other side."""
    batch = cameras.focal_lengths.shape
    like = cameras.translations
    offsets = like.new_tensor([[-900.0, -900.0, 0.0], [1100.0, -200.0, 0.0]])  # camera: x right, y down
    positions = offsets - cameras.translations[..., None, :]
    return Lights(
        positions @ cameras.rotations,
        like.new_ones(*batch, 2, 3),
        like.new_tensor([0.62, 0.28]).expand(*batch, 2),
        like.new_full((*batch, 3), 0.22),
    )
