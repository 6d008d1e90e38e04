"""Interpolation and shading by Warp, on a GPU without a wait for it, as operations of torch's own.

As `warp_rasterizer`, it also runs on the CPU and on device `meta`; loading it starts Warp.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from .colour import clamp_with_gradient, decode_srgb, encode_srgb
from .shading import Lights, Material
from .warp_kernels import MATRIX, VECTOR, array, launch, shading_kernel, vector_of


def shade(
    vertices: Tensor, triangles: Tensor, normals: Tensor, albedo: Tensor, matrices: Tensor, eyes: Tensor,
    lights: Lights, material: Material, ids: Tensor, background: Tensor, samples_per_axis: int,
) -> Tensor:  # fmt: skip
    """Images [B N, 3, H, W] of what the triangle ids [B N, H S, W S] see; arguments as in `fused.shade`."""
    references = lights.reference_distances
    if references is None:
        references = torch.zeros_like(lights.intensities)
    irradiance = lights.colours * lights.intensities[..., None]
    scene = (matrices, eyes, lights.positions, irradiance, lights.ambient, references)
    linear = _shade(
        vertices, normals, albedo, *(part.double() for part in scene), triangles.to(torch.int32), ids,
        float(material.specular_constant), float(material.shininess),
    ).movedim(-1, 1)  # fmt: skip
    covered = (ids >= 0)[:, None]
    if samples_per_axis == 1:
        return torch.where(covered, encode_srgb(clamp_with_gradient(linear)), background)
    behind = decode_srgb(clamp_with_gradient(background))
    behind = behind.repeat_interleave(samples_per_axis, -1).repeat_interleave(samples_per_axis, -2)
    averaged = torch.nn.functional.avg_pool2d(torch.where(covered, linear, behind), samples_per_axis)
    seen = torch.nn.functional.max_pool2d(covered.to(linear), samples_per_axis) > 0
    return torch.where(seen, encode_srgb(clamp_with_gradient(averaged)), background)


@torch.library.custom_op("morphable_faces::shade", mutates_args=())
def _shade(
    vertices: Tensor, normals: Tensor, albedo: Tensor, matrices: Tensor, eyes: Tensor, positions: Tensor,
    irradiance: Tensor, ambient: Tensor, references: Tensor, triangles: Tensor, ids: Tensor, constant: float,
    shininess: float,
) -> Tensor:  # fmt: skip
    linear = vertices.new_zeros(*ids.shape, 3)
    scene = (vertices, normals, albedo, matrices, eyes, positions, irradiance, ambient, references)
    arrays = _arrays(scene, triangles, ids, constant, shininess, linear)
    launch(shading_kernel(vertices.dtype, positions.shape[2]), ids.shape, arrays, vertices.device)
    return linear


@_shade.register_fake
def _(vertices, *rest):  # noqa: ANN001, ANN002, ANN202
    return vertices.new_empty(*rest[9].shape, 3)


@torch.library.custom_op("morphable_faces::shade_backward", mutates_args=())
def _shade_backward(
    gradient: Tensor, vertices: Tensor, normals: Tensor, albedo: Tensor, matrices: Tensor, eyes: Tensor,
    positions: Tensor, irradiance: Tensor, ambient: Tensor, references: Tensor, triangles: Tensor,
    ids: Tensor, constant: float, shininess: float,
) -> list[Tensor]:  # fmt: skip
    scene = (vertices, normals, albedo, matrices, eyes, positions, irradiance, ambient, references)
    gradients = [torch.zeros_like(part, memory_format=torch.contiguous_format) for part in scene]
    linear = torch.empty_like(gradient, memory_format=torch.contiguous_format)
    arrays = _arrays(scene, triangles, ids, constant, shininess, linear)
    adjoints = _arrays(gradients, None, None, constant, shininess, gradient)
    launch(shading_kernel(vertices.dtype, positions.shape[2]), ids.shape, arrays, vertices.device, adjoints)
    return gradients


@_shade_backward.register_fake
def _(gradient, *rest):  # noqa: ANN001, ANN002, ANN202
    return [torch.empty_like(part) for part in rest[:9]]


def _keep(ctx, inputs, output) -> None:  # noqa: ANN001
    *tensors, ctx.constant, ctx.shininess = inputs
    ctx.save_for_backward(*tensors)


def _backward(ctx, gradient):  # noqa: ANN001, ANN202
    found = _shade_backward(gradient, *ctx.saved_tensors, ctx.constant, ctx.shininess)
    return *found, None, None, None, None


_shade.register_autograd(_backward, setup_context=_keep)


def _arrays(
    scene: Sequence[Tensor], triangles: Tensor | None, ids: Tensor | None, constant: float, shininess: float,
    linear: Tensor,
) -> list:  # fmt: skip
    """The kernel's arguments over the tensors' own memory; None where there is no gradient."""
    own = vector_of(scene[0].dtype)
    kinds = (own, own, own, MATRIX, VECTOR, VECTOR, VECTOR, VECTOR, None)
    arrays = [array(part, kind) for part, kind in zip(scene, kinds, strict=True)]
    arrays += [None if part is None else array(part) for part in (triangles, ids)]
    return [*arrays, constant, shininess, array(linear, own)]
