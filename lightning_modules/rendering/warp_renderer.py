"""Rasterization and shading on a GPU, as operations of torch's own: no host waits for it.

Both operations also run on the CPU, where tests hold them against the other backends, and on device `meta`,
where only shapes are: a training step that runs there waits for no result of the GPU.
"""

from collections.abc import Sequence
from contextlib import nullcontext
from functools import cache
from typing import Any

import torch
from torch import Tensor

from .colour import clamp_with_gradient, decode_srgb, encode_srgb
from .shading import Lights, Material

SPACE = "morphable_faces"
MAT34 = (3, 4)


def rasterize_views(
    vertices: Tensor, matrices: Tensor, triangles: Tensor, size: tuple[int, int], near: float
) -> Tensor:
    """Triangle ids [B N, H, W] of vertices [B, V, 3] seen by cameras [B, N, 3, 4]; see `rasterizer`."""
    with torch.no_grad():
        return _rasterize(vertices.detach(), matrices.detach(), triangles.to(torch.int32), *size, near)


def rasterize(positions: Tensor, triangles: Tensor, size: tuple[int, int], near: float) -> Tensor:
    """Triangle ids [M, H, W] int32; arguments as in `rasterizer.rasterize`, which has checked them."""
    # A camera that leaves homogeneous pixels as they are.
    matrix = torch.eye(3, 4, dtype=torch.float64, device=positions.device).expand(len(positions), 1, 3, 4)
    return rasterize_views(positions, matrix, triangles, size, near)


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


@torch.library.custom_op(f"{SPACE}::rasterize", mutates_args=())
def _rasterize(
    vertices: Tensor, matrices: Tensor, triangles: Tensor, height: int, width: int, near: float
) -> Tensor:
    kernels = loaded()
    wp = kernels.wp
    batch, views = matrices.shape[:2]
    images, device = batch * views, vertices.device
    nearest = torch.full((images, height, width), kernels.FARTHEST, dtype=torch.int64, device=device)
    unclaimed = torch.iinfo(torch.int32).max
    ids = torch.full((images, height, width), unclaimed, dtype=torch.int32, device=device)
    positions = torch.empty(images, vertices.shape[1], 3, dtype=torch.float64, device=device)
    with _on(device):
        corners = wp.from_torch(triangles.contiguous())
        seen = wp.from_torch(positions, dtype=wp.vec3d)
        launch(
            kernels.project,
            positions.shape[:2],
            [
                wp.from_torch(vertices.double().contiguous(), dtype=wp.vec3d),
                wp.from_torch(matrices.double().contiguous(), dtype=wp.types.matrix(MAT34, wp.float64)),
                seen,
            ],
            device,
        )
        given = [seen, corners, float(near), wp.from_torch(nearest), wp.from_torch(ids)]
        for kernel in (kernels.find_depths, kernels.find_ids):
            launch(kernel, (images, len(triangles)), given, device)
    return torch.where(ids == unclaimed, -1, ids)


@_rasterize.register_fake
def _(vertices, matrices, triangles, height, width, near):  # noqa: ANN001, ANN202
    return vertices.new_empty(matrices.shape[0] * matrices.shape[1], height, width, dtype=torch.int32)


@torch.library.custom_op(f"{SPACE}::shade", mutates_args=())
def _shade(
    vertices: Tensor, normals: Tensor, albedo: Tensor, matrices: Tensor, eyes: Tensor, positions: Tensor,
    irradiance: Tensor, ambient: Tensor, references: Tensor, triangles: Tensor, ids: Tensor, constant: float,
    shininess: float,
) -> Tensor:  # fmt: skip
    linear = vertices.new_zeros(*ids.shape, 3)
    scene = (vertices, normals, albedo, matrices, eyes, positions, irradiance, ambient, references)
    arrays = _arrays(scene, triangles, ids, constant, shininess, linear)
    launch(_kernel(vertices.dtype, positions.shape[2]), ids.shape, arrays, vertices.device)
    return linear


@_shade.register_fake
def _(vertices, *rest):  # noqa: ANN001, ANN002, ANN202
    return vertices.new_empty(*rest[9].shape, 3)


@torch.library.custom_op(f"{SPACE}::shade_backward", mutates_args=())
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
    launch(_kernel(vertices.dtype, positions.shape[2]), ids.shape, arrays, vertices.device, adjoints)
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


@cache
def loaded():  # noqa: ANN201 - a module
    """The kernels' module, Warp started: at the first use, since that looks for devices."""
    from . import warp_kernels

    warp_kernels.wp.init()
    return warp_kernels


def launch(
    kernel: Any,  # noqa: ANN401 - Warp's
    shape: Sequence[int],
    inputs: list,
    device: torch.device,
    adjoints: list | None = None,
) -> None:
    """Start a kernel on a device, in the order of torch's own work there."""
    kernels = loaded()
    with _on(device):
        kernels.wp.launch(
            kernel, dim=tuple(shape), inputs=inputs, adj_inputs=adjoints or [], adjoint=adjoints is not None,
            device=kernels.wp.device_from_torch(device),
        )  # fmt: skip


def _on(device: torch.device):  # noqa: ANN202 - a context
    """Warp's work in torch's current stream."""
    kernels = loaded()
    if device.type != "cuda":
        return nullcontext()
    return kernels.wp.ScopedStream(kernels.wp.stream_from_torch(torch.cuda.current_stream(device)))


@cache
def _kernel(dtype: torch.dtype, lights: int):  # noqa: ANN202
    kernels = loaded()
    return kernels.shading_kernel(dtype, lights)


def _arrays(
    scene: Sequence[Tensor], triangles: Tensor | None, ids: Tensor | None, constant: float, shininess: float,
    linear: Tensor,
) -> list:  # fmt: skip
    """The kernel's arguments over the tensors' own memory; None where there is no gradient."""
    kernels = loaded()
    wp = kernels.wp
    vec3 = wp.vec3f if scene[0].dtype == torch.float32 else wp.vec3d
    matrix = wp.types.matrix(MAT34, wp.float64)
    kinds = (vec3, vec3, vec3, matrix, wp.vec3d, wp.vec3d, wp.vec3d, wp.vec3d, None)
    arrays = [_array(part, kind) for part, kind in zip(scene, kinds, strict=True)]
    arrays += [None if part is None else _array(part, None) for part in (triangles, ids)]
    return [*arrays, constant, shininess, _array(linear, vec3)]


def _array(tensor: Tensor, kind):  # noqa: ANN001, ANN202
    kernels = loaded()
    wp = kernels.wp
    given = {} if kind is None else {"dtype": kind}
    return wp.from_torch(tensor.detach().contiguous(), requires_grad=False, **given)
