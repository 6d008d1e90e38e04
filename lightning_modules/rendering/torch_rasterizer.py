"""Triangle ids by asking every pixel about every triangle: slow and obvious, the others' judge."""

import torch
from torch import Tensor

TRIANGLES_AT_ONCE = 256


def rasterize(positions: Tensor, triangles: Tensor, size: tuple[int, int], near: float) -> Tensor:
    """Triangle ids [M, H, W] int32; arguments as in `rasterizer.rasterize`, which has checked them."""
    return torch.stack(
        [_rasterize_image(image, triangles, size, near) for image in positions.detach().double()]
    )


def _rasterize_image(positions: Tensor, triangles: Tensor, size: tuple[int, int], near: float) -> Tensor:
    height, width = size
    rows = torch.arange(height, device=positions.device)[:, None]
    columns = torch.arange(width, device=positions.device)[None, :]
    ids = torch.full(size, -1, dtype=torch.int32, device=positions.device)
    depths = torch.full(size, torch.inf, dtype=torch.float64, device=positions.device)
    for start in range(0, len(triangles), TRIANGLES_AT_ONCE):
        corners = positions[triangles[start : start + TRIANGLES_AT_ONCE].long()]  # [C, 3, 3]
        x, y, z = corners[..., None, None].unbind(dim=2)  # each [C, 3, 1, 1]
        x, y = x - columns * z, y - rows * z  # relative to every pixel, times depth: [C, 3, H, W]
        weights = x.roll(-1, 1) * y.roll(-2, 1) - x.roll(-2, 1) * y.roll(-1, 1)  # [C, 3, H, W]
        area = weights[:, 0] + weights[:, 1] + weights[:, 2]
        inside = ((weights >= 0).all(dim=1) | (weights <= 0).all(dim=1)) & (area != 0)
        depth = (weights[:, 0] * z[:, 0] + weights[:, 1] * z[:, 1] + weights[:, 2] * z[:, 2]) / area
        nearest, first = depth.where(inside & (depth > near), torch.inf).min(dim=0)
        closer = nearest < depths
        ids = torch.where(closer, (start + first).to(torch.int32), ids)
        depths = torch.where(closer, nearest, depths)
    return ids
