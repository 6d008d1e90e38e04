"""The colour of the cheeks of aligned photographs and of footage."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from lightning_modules.recognition.frame import CHEEKS

from .alignment.crops import Selection, align, select_faces
from .alignment.detection import DetectorName, load_detector
from .alignment.feature_cache import to_images
from .alignment.footage import FootageError, read_frames
from .face_data import FaceDataset
from .long_work.progress import progress_bar

AT_ONCE = 64
FRAMES = 8  # of footage


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


def footage_cheek_colour(
    path: Path, *, detector: DetectorName = "yunet", faces: Selection = "largest"
) -> np.ndarray:
    """The median colour [3] of the cheeks over FRAMES frames of a video or folder, sRGB in [0, 1].

    NaN where it cannot be read, or no frame shows a face.

    Args:
        path: of the footage.
        detector: finds the faces.
        faces: which of a frame's faces is used.
    """
    detect, crops = load_detector(detector), []
    try:
        for frame in read_frames(path, FRAMES):
            pixels = frame.pixels
            if pixels is not None:
                chosen = select_faces(detect(pixels), pixels.shape[:2], faces)
                crops += [align(pixels, face.points) for face in chosen[:1]]
    except (FootageError, OSError):
        crops = []
    if not crops:
        return np.full(3, np.nan, np.float32)
    return np.median(median_cheeks(to_images(np.stack(crops))).numpy(), 0)


def median_cheeks(images: Tensor) -> Tensor:
    """The median colour [B, 3] of both cheeks in images [B, 3, 224, 224] of the canonical frame."""
    patches = [
        images[:, :, top : bottom + 1, left : right + 1].flatten(2) for left, top, right, bottom in CHEEKS
    ]
    return torch.cat(patches, 2).median(2).values
