"""Triangles of strips and fans, as PLY and GLB hold them."""

import numpy as np
from numpy.typing import NDArray


def strip(ids: NDArray[np.int64]) -> NDArray[np.int64]:
    """Triangles [T, 3] of a strip [N]: every second one turned, those that only steer it left out."""
    if len(ids) < 3:
        return np.zeros((0, 3), np.int64)
    triangles = np.stack([ids[:-2], ids[1:-1], ids[2:]], -1)
    triangles[1::2] = triangles[1::2, [1, 0, 2]]
    first, second, third = triangles.T
    return triangles[(first != second) & (second != third) & (first != third)]


def fan(ids: NDArray[np.int64]) -> NDArray[np.int64]:
    """Triangles [T, 3] of a fan [N] about its first vertex."""
    if len(ids) < 3:
        return np.zeros((0, 3), np.int64)
    return np.stack([np.full(len(ids) - 2, ids[0]), ids[1:-1], ids[2:]], -1)
