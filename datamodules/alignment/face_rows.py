"""What somebody says of aligned faces, asked once, in memory-mapped files keyed by content."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import torch

from ..long_work.mapped_columns import Column
from ..long_work.progress import progress_bar
from ..long_work.row_files import RowFiles, places_of
from ..long_work.shared_rows import SharedRows, blocks_of
from ..long_work.shares import Share
from .face_cache import AlignedFaces, FaceCache

# 32 bytes of the photograph's SHA-256 and one for which of its faces.
KEY = np.dtype("S33")
BATCH = 32  # faces that are looked at at once


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


class FaceRows:
    """A row of numbers for each face of one cache, made by one observer: a network, or a landmark detector.

    A subclass names its columns, and asks the observer.
    """

    what = "Rows"

    def __init__(
        self, cache: FaceCache, name: str, columns: dict[str, np.dtype], *, numbers: Sequence[str] = ()
    ) -> None:
        self._files = RowFiles(cache.folder / name, {**columns, "keys": KEY}, numbers=numbers)
        self.folder = self._files.folder

    def _made(self, observer: Any, crops: np.ndarray) -> dict[str, np.ndarray]:  # noqa: ANN401 - a subclass knows
        """The columns of aligned crops [B, H, W, 3] in 8 bits."""
        raise NotImplementedError

    def rows(self, keys: Column) -> np.ndarray:
        """The row [N] of each key, -1 where it was not made yet."""
        return places_of(keys, self._files.column("keys"))

    def compute(
        self,
        cache: FaceCache,
        faces: AlignedFaces,
        observer: Any,  # noqa: ANN401 - a subclass knows
        *,
        batch_size: int = BATCH,
        apart: int = 0,
        progress: bool = True,
    ) -> None:
        """Make and store what is missing of these faces.

        What shares have made is taken from them. Where nothing is missing, nothing is written.

        Args:
            cache: of the crops.
            faces: that are wanted.
            observer: who is asked.
            batch_size: faces that are looked at at once.
            apart: so many of the first faces are seen in batches of their own.
            progress: whether to show a bar.
        """
        if self.has(faces) and not self._files.damage():
            return
        with self._files.appending() as append:
            shared = self._missing(cache, faces, observer, batch_size, apart)
            with progress_bar(
                f"{self.what} of {observer.name}", len(shared.keys), visible=progress
            ) as advance:
                shared.append(append, advance)
        self._files.refresh()
        shared.forget(lambda keys: bool((self.rows(keys) >= 0).all()))

    def compute_share(
        self,
        cache: FaceCache,
        faces: AlignedFaces,
        observer: Any,  # noqa: ANN401 - a subclass knows
        share: Share,
        *,
        batch_size: int = BATCH,
        apart: int = 0,
        progress: bool = True,
    ) -> None:
        """Make a share of what is missing of these faces; `compute` puts the shares together.

        Where this share was the last of those that need not meet, it does so itself.
        """
        if self.has(faces):
            return
        shared = self._missing(cache, faces, observer, batch_size, apart)
        count = len(range(share.number - 1, len(shared.blocks), share.count)) * batch_size
        title = f"{self.what} of {observer.name}, share {share.number} of {share.count}"
        with progress_bar(title, count, visible=progress) as advance:
            shared.make_share(share, advance)
        if share.meet is None and self._missing(cache, faces, observer, batch_size, apart).is_complete:
            self.compute(cache, faces, observer, batch_size=batch_size, apart=apart, progress=progress)

    def has(self, faces: AlignedFaces) -> bool:
        """Whether every one of these faces is here."""
        self._files.refresh()
        return bool((self.rows(FaceKeys(faces)) >= 0).all())

    def _missing(
        self,
        cache: FaceCache,
        faces: AlignedFaces,
        observer: Any,  # noqa: ANN401 - a subclass knows
        batch_size: int,
        apart: int,
    ) -> SharedRows:
        """What is missing of these faces, each key once, in the order of the photographs."""
        self._files.refresh()
        keys = face_keys(faces)
        _, first = np.unique(keys, return_index=True)
        missing = np.sort(first[self.rows(keys[first]) < 0])

        @torch.no_grad()
        def make(blocks: Sequence[range]) -> Iterator[dict[str, np.ndarray]]:
            batches = [missing[block.start : block.stop] for block in blocks]
            for indices, crops in _crops(cache, faces, batches):
                yield {**self._made(observer, crops), "keys": keys[indices]}

        before = int(np.searchsorted(missing, apart))
        blocks = blocks_of(before, batch_size) + blocks_of(len(missing) - before, batch_size, first=before)
        return SharedRows(self._files, keys[missing], blocks, make)


def _crops(
    cache: FaceCache, faces: AlignedFaces, batches: Sequence[np.ndarray]
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Crops of batches of faces, read ahead on a thread while the observer looks."""

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
