"""Triangle ids on the CPU by a compiled z-buffer."""

import math

import numpy as np
import torch
from torch import Tensor

from .compilation import compiled, for_each

BEYOND_ROUNDING = 1e-6  # pixels by which bounding boxes are widened


@compiled
def _rasterize_image(positions: np.ndarray, triangles: np.ndarray, near: float, ids: np.ndarray) -> None:
    height, width = ids.shape
    depths = np.full((height, width), np.inf)
    count = positions.shape[0]
    x = np.empty(count)
    y = np.empty(count)
    for v in range(count):
        inverse = 1.0 / positions[v, 2]
        x[v] = positions[v, 0] * inverse
        y[v] = positions[v, 1] * inverse
    ids[:] = -1
    for t in range(triangles.shape[0]):
        i, j, k = triangles[t, 0], triangles[t, 1], triangles[t, 2]
        zi, zj, zk = positions[i, 2], positions[j, 2], positions[k, 2]
        nearest = min(zi, zj, zk)
        if nearest > near:
            left = max(0.0, math.ceil(min(x[i], x[j], x[k]) - BEYOND_ROUNDING))
            right = min(width - 1.0, math.floor(max(x[i], x[j], x[k]) + BEYOND_ROUNDING))
            if left > right:
                continue
            top = max(0.0, math.ceil(min(y[i], y[j], y[k]) - BEYOND_ROUNDING))
            bottom = min(height - 1.0, math.floor(max(y[i], y[j], y[k]) + BEYOND_ROUNDING))
            if top > bottom:
                continue
        elif max(zi, zj, zk) > near:
            # It crosses the near plane: its outline may reach anywhere.
            left, right, top, bottom = 0.0, width - 1.0, 0.0, height - 1.0
        else:
            continue
        for row in range(int(top), int(bottom) + 1):
            ri = positions[i, 1] - row * zi
            rj = positions[j, 1] - row * zj
            rk = positions[k, 1] - row * zk
            for column in range(int(left), int(right) + 1):
                ci = positions[i, 0] - column * zi
                cj = positions[j, 0] - column * zj
                ck = positions[k, 0] - column * zk
                wi = cj * rk - ck * rj
                wj = ck * ri - ci * rk
                wk = ci * rj - cj * ri
                area = wi + wj + wk
                inside = (wi >= 0 and wj >= 0 and wk >= 0) or (wi <= 0 and wj <= 0 and wk <= 0)
                if not inside or area == 0:
                    continue
                depth = (wi * zi + wj * zj + wk * zk) / area
                if depth > near and depth < depths[row, column]:
                    depths[row, column] = depth
                    ids[row, column] = t


def rasterize(positions: Tensor, triangles: Tensor, size: tuple[int, int], near: float) -> Tensor:
    """Triangle ids [M, H, W] int32; arguments as in `rasterizer.rasterize`, which has checked them."""
    ids = torch.empty(len(positions), *size, dtype=torch.int32)
    positions_array = positions.detach().double().contiguous().numpy()
    triangles_array = triangles.to(torch.int32).contiguous().numpy()
    ids_array = ids.numpy()
    for_each(
        lambda m: _rasterize_image(positions_array[m], triangles_array, near, ids_array[m]), len(positions)
    )
    return ids
