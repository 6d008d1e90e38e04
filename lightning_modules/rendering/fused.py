"""Interpolation and shading as one differentiable operation on the CPU.

Plain torch (`renderer`) makes and re-reads some forty arrays of the covered pixels; this visits each pixel
once forward and once backward. Both compute the same, which the tests hold.
"""

from collections.abc import Iterable

import numpy as np
import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from .compilation import for_each
from .fused_kernels import shade_view, shade_view_backward
from .shading import Lights, Material

GRADIENT_BYTES_AT_ONCE = 2**26  # of per-view vertex gradients, before they are summed over a face's views


def shade(
    vertices: Tensor,
    triangles: Tensor,
    normals: Tensor,
    albedo: Tensor,
    matrices: Tensor,
    eyes: Tensor,
    lights: Lights,
    material: Material,
    ids: Tensor,
    background: Tensor,
    samples_per_axis: int,
) -> Tensor:
    """Images [B N, 3, H, W] of what the triangle ids [B N, H S, W S] see; else as in `renderer.render`.

    Args:
        vertices: [B, V, 3].
        triangles: [T, 3].
        normals: [B, V, 3].
        albedo: [B, V, 3].
        matrices: [B, N, 3, 4], float64, of the cameras with S times the pixels.
        eyes: [B, N, 3].
        lights: of shape [B, N].
        material: specular constant and shininess.
        ids: as above.
        background: [B N, 3, H, W].
        samples_per_axis: S.
    """
    references = lights.reference_distances
    if references is None:
        references = torch.zeros_like(lights.intensities)
    irradiance = lights.colours * lights.intensities[..., None]
    return _Shade.apply(
        vertices.contiguous(),
        normals.contiguous(),
        albedo.contiguous(),
        *(
            part.double().contiguous()
            for part in (matrices, eyes, lights.positions, irradiance, lights.ambient, references)
        ),
        triangles.to(torch.int32).contiguous(),
        ids,
        background,
        (float(material.specular_constant), float(material.shininess), samples_per_axis),
    )


class _Shade(torch.autograd.Function):
    @staticmethod
    def forward(ctx, *arguments):  # noqa: ANN001, ANN002, ANN205
        *tensors, triangles, ids, background, constants = arguments
        images = background.clone(memory_format=torch.contiguous_format)
        kept = images.new_empty(*ids.shape, 3), torch.empty_like(images)  # diffuse colours, slopes
        views, corners = tensors[3].shape[1], triangles.numpy()
        meshes, scenes = tuple(_arrays(tensors[:3])), tuple(_arrays(tensors[3:]))
        results = _arrays((ids, images, *kept))
        for_each(
            lambda m: shade_view(meshes, corners, scenes, constants, *results, *divmod(m, views)), len(images)
        )
        ctx.save_for_backward(*tensors, triangles, ids, *kept)
        ctx.constants = constants
        return images

    @staticmethod
    @once_differentiable
    def backward(ctx, images_gradient):  # noqa: ANN001, ANN205
        *tensors, triangles, ids, diffuses, slopes = ctx.saved_tensors
        batch, views = tensors[3].shape[:2]
        per_vertex = [torch.empty_like(tensor) for tensor in tensors[:3]]
        per_view = [torch.zeros_like(tensor) for tensor in tensors[3:]]
        meshes, scenes = tuple(_arrays(tensors[:3])), tuple(_arrays(tensors[3:]))
        kept = _arrays((ids, diffuses, slopes, images_gradient.contiguous()))
        corners, view_gradients = triangles.numpy(), tuple(_arrays(per_view))
        lights_too = any(ctx.needs_input_grad[5:9])
        faces_at_once = max(1, GRADIENT_BYTES_AT_ONCE // (3 * views * per_vertex[0][0].nbytes))
        for first in range(0, batch, faces_at_once):
            faces = min(faces_at_once, batch - first)
            # Each view adds into arrays of its own, so that the order of additions is fixed.
            sums = [gradient.new_zeros(faces, views, *gradient.shape[1:]) for gradient in per_vertex]
            gradients = tuple(_arrays(sums)), first, view_gradients, lights_too

            def task(m: int, first: int = first, gradients: tuple = gradients) -> None:
                face, view = divmod(m, views)
                shade_view_backward(
                    meshes, corners, scenes, ctx.constants, *kept, *gradients, first + face, view
                )

            for_each(task, faces * views)
            for gradient, part in zip(per_vertex, sums, strict=True):
                torch.sum(part, dim=1, out=gradient[first : first + faces])
        return *per_vertex, *per_view, None, None, None, None


def _arrays(tensors: Iterable[Tensor]) -> list[np.ndarray]:
    return [tensor.detach().numpy() for tensor in tensors]
