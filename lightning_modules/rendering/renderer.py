"""Deferred shading: triangle ids, then barycentrics, attributes and light on covered pixels only."""

from typing import NamedTuple

import torch
from torch import Tensor

from . import camera, rasterizer
from .barycentrics import barycentrics
from .camera import Cameras
from .colour import clamp_with_gradient, decode_srgb, encode_srgb
from .shading import Lights, Material, phong


class GeometryBuffer(NamedTuple):
    """What the covered pixels of M images see, P of them, in order of image, row and column."""

    triangle_ids: Tensor  # [M, H, W] int32, -1 where nothing is seen
    images: Tensor  # [P] image index of each covered pixel
    rows: Tensor  # [P]
    columns: Tensor  # [P]
    corners: Tensor  # [P, 3] vertex ids
    barycentrics: Tensor  # [P, 3]


def geometry_buffer(
    vertices: Tensor,
    triangles: Tensor,
    matrices: Tensor,
    size: tuple[int, int],
    *,
    near: float = rasterizer.NEAR_MM,
    backend: str | None = None,
) -> GeometryBuffer:
    """Which triangle covers each pixel of B x N images, and its differentiable barycentrics.

    Args:
        vertices: [B, V, 3] world, mm.
        triangles: [T, 3].
        matrices: [B, N, 3, 4] of `camera.camera_matrices`; image b * N + n is view n of face b.
        size: (H, W).
        near: depth of the near plane, mm.
        backend: see `rasterizer.rasterize`.
    """
    positions = camera.homogeneous_pixels(matrices, vertices).flatten(0, 1)  # [M, V, 3]
    ids = rasterizer.rasterize(positions, triangles, size, near=near, backend=backend)
    images, rows, columns = torch.nonzero(ids >= 0, as_tuple=True)
    corners = triangles.long()[ids[images, rows, columns].long()]  # [P, 3]
    flat = images[:, None] * positions.shape[1] + corners
    gathered = positions.flatten(0, 1).index_select(0, flat.flatten()).unflatten(0, (-1, 3))
    weights = barycentrics(gathered, torch.stack([columns, rows], dim=-1))
    return GeometryBuffer(ids, images, rows, columns, corners, weights.to(vertices.dtype))


def interpolate(attributes: Tensor, buffer: GeometryBuffer) -> Tensor:
    """Per-vertex attributes at the covered pixels, [P, D].

    Args:
        attributes: [B, V, D], the same for all views of a face.
        buffer: of B x N images.
    """
    batch, vertex_count, _ = attributes.shape
    faces = buffer.images // (len(buffer.triangle_ids) // batch)
    flat = faces[:, None] * vertex_count + buffer.corners
    gathered = attributes.flatten(0, 1).index_select(0, flat.flatten()).unflatten(0, (-1, 3))
    return (buffer.barycentrics[..., None] * gathered).sum(dim=1)


def render(
    vertices: Tensor,
    triangles: Tensor,
    normals: Tensor,
    albedo: Tensor,
    cameras: Cameras,
    lights: Lights,
    size: tuple[int, int],
    *,
    material: Material | None = None,
    background: Tensor | None = None,
    samples_per_axis: int = 1,
    near: float = rasterizer.NEAR_MM,
    backend: str | None = None,
) -> Tensor:
    """Images of B faces in N views each, [B, N, 3, H, W], sRGB in [0, 1].

    Args:
        vertices: [B, V, 3] world, mm.
        triangles: [T, 3] integer vertex ids.
        normals: [B, V, 3] world, outwards, of any length.
        albedo: [B, V, 3] sRGB-encoded, unclamped.
        cameras: of shape [B, N].
        lights: of shape [B, N].
        size: (H, W).
        material: specular constant and shininess.
        background: sRGB, anything that broadcasts to [B, N, 3, H, W], such as a colour [3, 1, 1]; black if
            not given. It gets no gradient.
        samples_per_axis: 2 averages 2 x 2 samples in each pixel, in linear light.
        near: depth of the near plane, mm.
        backend: of the rasterizer.

    Returns:
        Images with the dtype of `vertices`. Pixels that see nothing are exactly the background.
    """
    material = Material() if material is None else material
    rasterizer.check_size(size)
    batch, views = cameras.focal_lengths.shape
    matrices = camera.supersampled(camera.camera_matrices(cameras), samples_per_axis)
    fine_size = (size[0] * samples_per_axis, size[1] * samples_per_axis)
    buffer = geometry_buffer(vertices, triangles, matrices, fine_size, near=near, backend=backend)
    linear = phong(
        interpolate(vertices, buffer),
        interpolate(normals, buffer),
        interpolate(albedo, buffer),
        camera.centres(cameras).flatten(0, 1)[buffer.images].to(vertices.dtype),
        Lights(*(None if part is None else part.flatten(0, 1)[buffer.images] for part in lights)),
        material,
    )
    if background is None:
        background = vertices.new_zeros(3, 1, 1)
    background = background.detach().to(vertices).expand(batch, views, 3, *size).flatten(0, 1)
    return _resolve(linear, buffer, background, samples_per_axis).unflatten(0, (batch, views))


def _resolve(linear: Tensor, buffer: GeometryBuffer, background: Tensor, samples_per_axis: int) -> Tensor:
    """Average each pixel's samples in linear light, encode, and keep the background where nothing is seen."""
    behind = decode_srgb(background)
    if samples_per_axis > 1:
        behind = behind.repeat_interleave(samples_per_axis, -1).repeat_interleave(samples_per_axis, -2)
    canvas = behind.movedim(1, -1).contiguous()  # [M, H S, W S, 3]
    canvas = canvas.index_put((buffer.images, buffer.rows, buffer.columns), linear)
    averaged = torch.nn.functional.avg_pool2d(canvas.movedim(-1, 1), samples_per_axis)
    seen = (
        torch.nn.functional.max_pool2d((buffer.triangle_ids >= 0).to(linear)[:, None], samples_per_axis) > 0
    )
    return torch.where(seen, encode_srgb(clamp_with_gradient(averaged)), background)
