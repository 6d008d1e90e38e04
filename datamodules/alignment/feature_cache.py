"""A network's features of aligned faces, computed once, in memory-mapped files keyed by content."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from lightning_modules.recognition.network import RecognitionNetwork

from ..long_work.progress import progress_bar
from ..long_work.row_files import RowFiles
from .face_cache import AlignedFaces, FaceCache

# 32 bytes of the photograph's SHA-256 and one for which of its faces.
KEY = np.dtype("S33")


def face_keys(faces: AlignedFaces) -> np.ndarray:
    """The key [N] of each face."""
    content = np.concatenate(
        [faces.digest.view(np.uint8).reshape(-1, 32), faces.face[:, None].astype(np.uint8)], axis=1
    )
    return np.ascontiguousarray(content).view(KEY)[:, 0]


class FaceFeatures:
    """What one network says of the faces of one cache, in row files keyed by content."""

    def __init__(self, cache: FaceCache, network: RecognitionNetwork) -> None:
        layer = getattr(network, "descriptor_layer", None)
        name = "-".join(part for part in (network.name, layer, network.sha256[:16]) if part)
        self._files = RowFiles(
            cache.folder / "features" / name,
            {
                "features": np.dtype((np.float32, network.feature_width)),
                "descriptors": np.dtype((np.float32, network.embedding_width)),
                "keys": KEY,
            },
            numbers=("features", "descriptors"),
        )
        self.folder = self._files.folder

    def rows(self, keys: np.ndarray) -> np.ndarray:
        """The row [N] of each key, -1 where it was not computed yet."""
        known = np.array(self._files.column("keys"))
        if len(known) == 0:
            return np.full(len(keys), -1)
        # The shorter list is sorted: a few faces of millions are found without sorting the millions.
        if len(keys) < len(known):
            wanted, which = np.unique(keys, return_inverse=True)
            place = np.searchsorted(wanted, known).clip(max=max(len(wanted) - 1, 0))
            found = np.flatnonzero(wanted[place] == known) if len(wanted) else np.zeros(0, np.int64)
            rows = np.full(len(wanted), -1)
            rows[place[found]] = found
            return rows[which]
        order = np.argsort(known)
        known = known[order]
        place = np.searchsorted(known, keys).clip(max=len(known) - 1)
        return np.where(known[place] == keys, order[place], -1)

    def features(self, rows: np.ndarray) -> Tensor:
        """The pooled features [N, feature_width]."""
        return torch.from_numpy(self._files.column("features")[rows])

    def descriptors(self, rows: np.ndarray) -> Tensor:
        """The embeddings [N, embedding_width] before they were brought to unit length."""
        return torch.from_numpy(self._files.column("descriptors")[rows])

    def embeddings(self, rows: np.ndarray) -> Tensor:
        """The unit embeddings [N, embedding_width]."""
        return functional.normalize(self.descriptors(rows), dim=1)

    @torch.no_grad()
    def compute(
        self,
        cache: FaceCache,
        faces: AlignedFaces,
        network: RecognitionNetwork,
        *,
        batch_size: int = 32,
        progress: bool = True,
    ) -> None:
        """Compute and store what is missing of these faces, on the network's device.

        Where nothing is missing, nothing is written.
        """
        self._files.refresh()
        if (self.rows(face_keys(faces)) >= 0).all() and not self._files.damage():
            return
        with self._files.appending() as append:
            keys = face_keys(faces)
            # Each key once, in the order of the photographs.
            _, first = np.unique(keys, return_index=True)
            missing = np.sort(first[self.rows(keys[first]) < 0])
            device = next(network.buffers()).device
            with progress_bar(f"Features of {network.name}", len(missing), visible=progress) as advance:
                for indices, crops in _crops(cache, faces, missing, batch_size):
                    result = network(to_images(crops).to(device))
                    append(
                        features=result.features.float().cpu().numpy(),
                        descriptors=result.descriptor.float().cpu().numpy(),
                        keys=keys[indices],
                    )
                    advance(len(indices))


def to_images(crops: np.ndarray) -> Tensor:
    """Crops [B, H, W, 3] in 8 bits as images [B, 3, H, W] in [0, 1]."""
    return torch.from_numpy(crops).permute(0, 3, 1, 2).float() / 255


def _crops(
    cache: FaceCache, faces: AlignedFaces, indices: np.ndarray, batch_size: int
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Batches of crops, read ahead on a thread while the network computes."""

    def read(start: int) -> np.ndarray:
        batch = indices[start : start + batch_size]
        return np.stack([cache.read_crop(faces.digest[i].tobytes(), faces.face[i]) for i in batch])

    starts = range(0, len(indices), batch_size)
    with ThreadPoolExecutor(1) as pool:
        ahead = pool.submit(read, 0) if len(starts) else None
        for start in starts:
            assert ahead is not None
            crops = ahead.result()
            if start + batch_size < len(indices):
                ahead = pool.submit(read, start + batch_size)
            yield indices[start : start + batch_size], crops
