"""Triangle ids by Warp, on a GPU without a wait for it, as an operation of torch's own.

It also runs on the CPU, where tests hold it against the other backends, and on device `meta`, where only
shapes are. Loading this module starts Warp, which looks for GPUs.
"""

import torch
from torch import Tensor

from .warp_kernels import FARTHEST, MATRIX, VECTOR, array, find_nearest, launch, project

UNCLAIMED = torch.iinfo(torch.int32).max


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


@torch.library.custom_op("morphable_faces::rasterize", mutates_args=())
def _rasterize(
    vertices: Tensor, matrices: Tensor, triangles: Tensor, height: int, width: int, near: float
) -> Tensor:
    images, device = matrices.shape[0] * matrices.shape[1], vertices.device
    nearest = torch.full((images, height, width), FARTHEST, dtype=torch.int64, device=device)
    ids = torch.full((images, height, width), UNCLAIMED, dtype=torch.int32, device=device)
    positions = torch.empty(images, vertices.shape[1], 3, dtype=torch.float64, device=device)
    seen, corners = array(positions, VECTOR), array(triangles)
    cameras = [array(vertices.double(), VECTOR), array(matrices.double(), MATRIX)]
    launch(project, positions.shape[:2], [*cameras, seen], device)
    given = [seen, corners, float(near), array(nearest), array(ids)]
    # The least depth at each pixel, then the least id at that depth.
    for choosing in (False, True):
        launch(find_nearest, (images, len(triangles)), [*given, choosing], device)
    return torch.where(ids == UNCLAIMED, -1, ids)


@_rasterize.register_fake
def _(vertices, matrices, triangles, height, width, near):  # noqa: ANN001, ANN202
    return vertices.new_empty(matrices.shape[0] * matrices.shape[1], height, width, dtype=torch.int32)
