"""Antialiased resampling of a box of an image, differentiable, as two matrix products."""

from functools import lru_cache

import torch
from torch import Tensor

from .frame import Crop


def resampling_matrix(size: int, start: float, end: float, length: int) -> Tensor:
    """Weights [length, size] that resample an interval of `size` samples to `length` samples.

    The interval is given by its edges; all samples together span 0 to `size`.

    A triangle filter as wide as the coarser of the two grids: linear interpolation when it enlarges, an
    antialiased average when it reduces. Samples beyond the border repeat the border's.
    """
    step = (end - start) / length
    centres = start + step * (torch.arange(length, dtype=torch.float64) + 0.5)
    radius = max(step, 1.0)
    margin = int(radius) + 1 + max(0, int(-start), int(end - size) + 1)
    positions = torch.arange(-margin, size + margin, dtype=torch.float64) + 0.5
    weights = (1 - (positions - centres[:, None]).abs() / radius).clamp_min(0)
    weights = weights / weights.sum(1, keepdim=True)
    index = torch.arange(-margin, size + margin).clamp(0, size - 1).expand(length, -1)
    return torch.zeros(length, size, dtype=torch.float64).scatter_add_(1, index, weights).float()


@lru_cache(maxsize=64)
def _matrix_on(
    size: int, start: float, end: float, length: int, dtype: torch.dtype, device: torch.device
) -> Tensor:
    """`resampling_matrix`, copied to a device once: a copy in every step would make the host wait for it."""
    with torch.inference_mode(False):  # whose tensors could not be trained through later
        return resampling_matrix(size, start, end, length).to(device, dtype)


def resample(images: Tensor, crop: Crop) -> Tensor:
    """The box of a crop, resampled to the crop's size.

    Rows and columns are resampled by one matrix each: the result and its gradient are the same on every run,
    also on a GPU, where sampling a grid is not.

    Args:
        images: [..., H, W] in the frame that the crop's box refers to.
        crop: box and size.

    Returns:
        [..., size, size], dtype and device of the images, differentiable.
    """
    height, width = images.shape[-2:]
    own = (crop.size, images.dtype, images.device)
    rows = _matrix_on(height, crop.top + 0.5, crop.bottom + 0.5, *own)
    columns = _matrix_on(width, crop.left + 0.5, crop.right + 0.5, *own)
    return rows @ images @ columns.T
