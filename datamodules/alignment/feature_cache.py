"""A network's features of aligned faces, computed once, in memory-mapped files keyed by content."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from lightning_modules.recognition.network import RecognitionNetwork

from ..long_work.mapped_columns import Column
from ..long_work.progress import progress_bar
from ..long_work.row_files import RowFiles, places_of
from ..long_work.shared_rows import SharedRows, blocks_of
from ..long_work.shares import Share
from .face_cache import AlignedFaces, FaceCache

# 32 bytes of the photograph's SHA-256 and one for which of its faces.
KEY = np.dtype("S33")
BATCH = 32  # faces that a network sees at once


class FaceKeys:
    """The keys [N] of faces, made when they are taken: millions of them never lie in memory at once."""

    def __init__(self, faces: AlignedFaces) -> None:
        self.arrays = faces.digest, faces.face

    def __len__(self) -> int:
        return len(self.arrays[0])

    def __getitem__(self, chosen: slice | np.ndarray) -> np.ndarray:
        digest, face = (array[chosen] for array in self.arrays)
        content = np.concatenate(
            [digest.view(np.uint8).reshape(-1, 32), face[:, None].astype(np.uint8)], axis=1
        )
        return np.ascontiguousarray(content).view(KEY)[:, 0]


def face_keys(faces: AlignedFaces) -> np.ndarray:
    """The key [N] of each face."""
    return FaceKeys(faces)[:]


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

    def rows(self, keys: Column) -> np.ndarray:
        """The row [N] of each key, -1 where it was not computed yet."""
        return places_of(keys, self._files.column("keys"))

    def features(self, rows: np.ndarray) -> Tensor:
        """The pooled features [N, feature_width]."""
        return torch.from_numpy(self._files.column("features")[rows])

    def descriptors(self, rows: np.ndarray) -> Tensor:
        """The embeddings [N, embedding_width] before they were brought to unit length."""
        return torch.from_numpy(self._files.column("descriptors")[rows])

    def embeddings(self, rows: np.ndarray) -> Tensor:
        """The unit embeddings [N, embedding_width]."""
        return functional.normalize(self.descriptors(rows), dim=1)

    def compute(
        self,
        cache: FaceCache,
        faces: AlignedFaces,
        network: RecognitionNetwork,
        *,
        batch_size: int = BATCH,
        apart: int = 0,
        progress: bool = True,
    ) -> None:
        """Compute and store what is missing of these faces, on the network's device.

        What shares have computed is taken from them. Where nothing is missing, nothing is written.

        Args:
            cache: of the crops.
            faces: whose features are wanted.
            network: that computes them.
            batch_size: faces that it sees at once.
            apart: so many of the first faces are seen in batches of their own.
            progress: whether to show a bar.
        """
        if self.has(faces) and not self._files.damage():
            return
        with self._files.appending() as append:
            shared = self._missing(cache, faces, network, batch_size, apart)
            with progress_bar(f"Features of {network.name}", len(shared.keys), visible=progress) as advance:
                shared.append(append, advance)
        self._files.refresh()
        shared.forget(lambda keys: bool((self.rows(keys) >= 0).all()))

    def compute_share(
        self,
        cache: FaceCache,
        faces: AlignedFaces,
        network: RecognitionNetwork,
        share: Share,
        *,
        batch_size: int = BATCH,
        apart: int = 0,
        progress: bool = True,
    ) -> None:
        """Compute a share of what is missing of these faces; `compute` puts the shares together.

        Where this share was the last of those that need not meet, it does so itself.
        """
        if self.has(faces):
            return
        shared = self._missing(cache, faces, network, batch_size, apart)
        count = len(range(share.number - 1, len(shared.blocks), share.count)) * batch_size
        title = f"Features of {network.name}, share {share.number} of {share.count}"
        with progress_bar(title, count, visible=progress) as advance:
            shared.make_share(share, advance)
        if share.meet is None and self._missing(cache, faces, network, batch_size, apart).is_complete:
            self.compute(cache, faces, network, batch_size=batch_size, apart=apart, progress=progress)

    def has(self, faces: AlignedFaces) -> bool:
        """Whether every one of these faces is here."""
        self._files.refresh()
        return bool((self.rows(FaceKeys(faces)) >= 0).all())

    def _missing(
        self, cache: FaceCache, faces: AlignedFaces, network: RecognitionNetwork, batch_size: int, apart: int
    ) -> SharedRows:
        """What is missing of these faces, each key once, in the order of the photographs."""
        self._files.refresh()
        keys = face_keys(faces)
        _, first = np.unique(keys, return_index=True)
        missing = np.sort(first[self.rows(keys[first]) < 0])
        device = next(network.buffers()).device

        @torch.no_grad()
        def make(blocks: Sequence[range]) -> Iterator[dict[str, np.ndarray]]:
            batches = [missing[block.start : block.stop] for block in blocks]
            for indices, crops in _crops(cache, faces, batches):
                result = network(to_images(crops).to(device))
                yield {
                    "features": result.features.float().cpu().numpy(),
                    "descriptors": result.descriptor.float().cpu().numpy(),
                    "keys": keys[indices],
                }

        before = int(np.searchsorted(missing, apart))
        blocks = blocks_of(before, batch_size) + blocks_of(len(missing) - before, batch_size, first=before)
        return SharedRows(self._files, keys[missing], blocks, make)


def to_images(crops: np.ndarray) -> Tensor:
    """Crops [B, H, W, 3] in 8 bits as images [B, 3, H, W] in [0, 1]."""
    return torch.from_numpy(crops).permute(0, 3, 1, 2).float() / 255


def _crops(
    cache: FaceCache, faces: AlignedFaces, batches: Sequence[np.ndarray]
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Crops of batches of faces, read ahead on a thread while the network computes."""

    def read(batch: np.ndarray) -> np.ndarray:
        return np.stack([cache.read_crop(faces.digest[i].tobytes(), faces.face[i]) for i in batch])

    with ThreadPoolExecutor(1) as pool:
        ahead = pool.submit(read, batches[0]) if len(batches) else None
        for number, batch in enumerate(batches):
            assert ahead is not None
            crops = ahead.result()
            if number + 1 < len(batches):
                ahead = pool.submit(read, batches[number + 1])
            yield batch, crops
