"""Triangle ids by PyTorch3D, on the CPU or a GPU."""

import torch
from torch import Tensor

SMALLEST_DEPTH = 1e-6  # in place of zero, where a projection does not exist and the near plane cuts anyway


def rasterize(positions: Tensor, triangles: Tensor, size: tuple[int, int], near: float) -> Tensor:
    """Triangle ids [M, H, W] int32; arguments as in `rasterizer.rasterize`, which has checked them.

    PyTorch3D works in float32 and skips triangles smaller than 1e-8 of its square units, so ids may differ
    from the other backends' at edges.
    """
    from pytorch3d.renderer.mesh import rasterize_meshes
    from pytorch3d.structures import Meshes

    vertices = normalized_device_coordinates(positions, size)
    meshes = Meshes(vertices, triangles.long().expand(len(positions), -1, -1))
    found, *_ = rasterize_meshes(
        meshes,
        image_size=size,
        faces_per_pixel=1,
        perspective_correct=True,
        z_clip_value=near,  # also drops what lies wholly nearer
    )
    ids = found[..., 0]  # packed over the batch
    return torch.where(ids >= 0, ids % len(triangles), -1).to(torch.int32)


def normalized_device_coordinates(positions: Tensor, size: tuple[int, int]) -> Tensor:
    """PyTorch3D's coordinates of homogeneous pixels [M, V, 3]: x left, y up, depth; short side spans 2."""
    height, width = size
    depth = positions[..., 2:]
    depth = depth.where(depth.abs() > SMALLEST_DEPTH, SMALLEST_DEPTH)
    pixels = positions[..., :2] / depth
    centre = pixels.new_tensor([(width - 1) / 2, (height - 1) / 2])
    return torch.cat([(centre - pixels) * (2 / min(size)), depth], dim=-1).float()
