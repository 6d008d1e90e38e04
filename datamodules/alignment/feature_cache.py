"""A network's features of aligned faces, computed once, in memory-mapped files keyed by content."""

from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from lightning_modules.recognition.network import RecognitionNetwork

from .face_cache import FaceCache
from .face_rows import FaceRows


class FaceFeatures(FaceRows):
    """What one network says of the faces of one cache."""

    what = "Features"

    def __init__(self, cache: FaceCache, network: RecognitionNetwork) -> None:
        layer = getattr(network, "descriptor_layer", None)
        name = "-".join(part for part in (network.name, layer, network.sha256[:16]) if part)
        columns = {
            "features": np.dtype((np.float32, network.feature_width)),
            "descriptors": np.dtype((np.float32, network.embedding_width)),
        }
        super().__init__(cache, f"features/{name}", columns, numbers=tuple(columns))

    def features(self, rows: np.ndarray) -> Tensor:
        """The pooled features [N, feature_width]."""
        return torch.from_numpy(self._files.column("features")[rows])

    def descriptors(self, rows: np.ndarray) -> Tensor:
        """The embeddings [N, embedding_width] before they were brought to unit length."""
        return torch.from_numpy(self._files.column("descriptors")[rows])

    def embeddings(self, rows: np.ndarray) -> Tensor:
        """The unit embeddings [N, embedding_width]."""
        return functional.normalize(self.descriptors(rows), dim=1)

    def _made(self, observer: Any, crops: np.ndarray) -> dict[str, np.ndarray]:  # noqa: ANN401 - the base's
        result = observer.of_photographs(to_images(crops).to(next(observer.buffers()).device))
        return {
            "features": result.features.float().cpu().numpy(),
            "descriptors": result.descriptor.float().cpu().numpy(),
        }


def to_images(crops: np.ndarray) -> Tensor:
    """Crops [B, H, W, 3] in 8 bits as images [B, 3, H, W] in [0, 1]."""
    return torch.from_numpy(crops).permute(0, 3, 1, 2).float() / 255
