"""Interpolation and shading as one differentiable operation on the CPU.

Plain torch (`renderer`) makes and re-reads some forty arrays of the covered pixels; this visits each pixel
once forward and once backward. Both compute the same, which the tests hold.
"""

from collections.abc import Iterable

import numpy as np
import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from .compilation import for_each, vertex_ids
from .fused_kernels import shade_face_backward, shade_view
from .shading import Lights, Material


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
        torch.from_numpy(vertex_ids(triangles)),
        ids,
        background,
        (float(material.specular_constant), float(material.shininess), samples_per_axis),
    )


class _Shade(torch.autograd.Function):
    @staticmethod
    def forward(ctx, *arguments):  # noqa: ANN001, ANN002, ANN205
        *tensors, triangles, ids, background, constants = arguments
        images, slopes = background.new_empty(background.shape), background.new_empty(background.shape)
        views, corners = tensors[3].shape[1], triangles.numpy()
        meshes, scenes = tuple(_arrays(tensors[:3])), tuple(_arrays(tensors[3:]))
        results = _arrays((ids, images.flatten(2), slopes.flatten(2)))
        images_array, behind = _arrays((images, background))

        def task(m: int) -> None:
            images_array[m] = behind[m]
            shade_view(meshes, corners, scenes, constants, *results, *divmod(m, views))

        for_each(task, len(images))
        ctx.save_for_backward(*tensors, triangles, ids, slopes)
        ctx.constants = constants
        return images

    @staticmethod
    @once_differentiable
    def backward(ctx, images_gradient):  # noqa: ANN001, ANN205
        *tensors, triangles, ids, slopes = ctx.saved_tensors
        gradients = [torch.empty_like(mesh) for mesh in tensors[:3]]
        gradients += [torch.zeros_like(scene) for scene in tensors[3:]]
        meshes, scenes = tuple(_arrays(tensors[:3])), tuple(_arrays(tensors[3:]))
        given = _arrays((ids, slopes.flatten(2), images_gradient.contiguous().flatten(2)))
        asked = any(ctx.needs_input_grad[3:5]), any(ctx.needs_input_grad[5:9])  # of cameras, of lights
        made = tuple(_arrays(gradients[:3])), tuple(_arrays(gradients[3:])), asked
        corners = triangles.numpy()
        # A face's views add to the same vertices, so one task takes them in order.
        for_each(
            lambda face: shade_face_backward(meshes, corners, scenes, ctx.constants, *given, *made, face),
            len(tensors[0]),
        )
        return *gradients, None, None, None, None


def _arrays(tensors: Iterable[Tensor]) -> list[np.ndarray]:
    return [tensor.detach().numpy() for tensor in tensors]
