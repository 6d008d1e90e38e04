"""The colour of the cheeks of aligned photographs."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from lightning_modules.recognition.frame import CHEEKS

from .face_data import FaceDataset
from .progress import progress_bar

AT_ONCE = 64


def cheek_colours(dataset: FaceDataset, indices: Sequence[int] | np.ndarray, *, progress: bool) -> np.ndarray:
    """The median colour [N, 3] of both cheeks of these faces, sRGB in [0, 1].

    The median of each channel leaves out highlights, beards and hair as long as they cover less than half.
    """
    colours = []
    with progress_bar("Colours of cheeks", len(indices), visible=progress) as advance:
        for start in range(0, len(indices), AT_ONCE):
            batch = indices[start : start + AT_ONCE]
            colours.append(median_cheeks(dataset.images(batch)).numpy())
            advance(len(batch))
    return np.concatenate(colours) if colours else np.empty((0, 3), np.float32)


def median_cheeks(images: Tensor) -> Tensor:
    """The median colour [B, 3] of both cheeks in images [B, 3, 224, 224] of the canonical frame."""
    patches = [
        images[:, :, top : bottom + 1, left : right + 1].flatten(2) for left, top, right, bottom in CHEEKS
    ]
    return torch.cat(patches, 2).median(2).values
