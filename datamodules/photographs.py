"""Unlabelled photographs for training."""

from collections.abc import Sequence
from pathlib import Path
from typing import Unpack

import numpy as np
from torch.utils.data import DataLoader, Subset

from lightning_modules.recognition.network import RecognitionNetwork

from .alignment.face_cache import AlignedFaces
from .alignment.feature_cache import FaceFeatures
from .alignment.images import list_photographs, read_list
from .face_data import FaceBatch, FaceDataModule, FaceDataset, FaceOptions
from .sampling import StepLoader, loader_of, step_sampler

CENTRE_PHOTOGRAPHS = 1000  # by which a judge's centre is estimated


class Photographs(FaceDataModule):
    """A folder, or a list, of photographs; a stable part of it is held back for validation.

    Whether a photograph is held back follows from its content alone: adding files never moves another one,
    and copies of one file stay together.

    Args:
        folder: with photographs at any depth, or a text file that names one a line.
        networks: whose features are wanted.
        pattern: glob pattern inside the folder.
        validation_fraction: share that is held back.
        judge: another network, whose embeddings are wanted of `judged` photographs that are held back, to
            score by, and of CENTRE_PHOTOGRAPHS to train on, for its centre.
        judged: at most so many.
        seed: of the training order.
        **options: see FaceOptions.
    """

    def __init__(
        self,
        folder: Path,
        networks: Sequence[RecognitionNetwork] = (),
        *,
        pattern: str = "**/*",
        validation_fraction: float = 0.05,
        judge: RecognitionNetwork | None = None,
        judged: int = 128,
        seed: int = 0,
        **options: Unpack[FaceOptions],
    ) -> None:
        super().__init__(networks, **options)
        if not 0 <= validation_fraction < 1:
            raise ValueError(f"validation_fraction must be in [0, 1), got {validation_fraction}")
        self.folder, self.pattern = Path(folder), pattern
        self.validation_fraction, self.seed = validation_fraction, seed
        self.judge, self.judged = judge, judged

    def photographs(self) -> list[Path]:
        """All files of the folder or of the list."""
        if self.folder.is_file():
            return read_list(self.folder)
        return list_photographs(self.folder, self.pattern)

    def prepare_data(self) -> None:
        """Align and compute features once; the judge's only where they are used."""
        super().prepare_data()
        if self.judge is not None:
            faces = self._large_enough(self.cache.table(self.photographs()))
            for chosen in self._judged_faces(faces):
                FaceFeatures(self.cache, self.judge).compute(
                    self.cache, faces.subset(chosen), self.judge, progress=self.progress
                )

    def setup(self, stage: str | None = None) -> None:
        """Open the cache and split it into `training` and `validation`, indices of `dataset`.

        Raises:
            ValueError: if no face is left to train on.
        """
        super().setup(stage)
        held_back = is_held_back(self.dataset.faces.digest, self.validation_fraction)
        self.training, self.validation = np.flatnonzero(~held_back), np.flatnonzero(held_back)
        if self.judge is not None:
            everyone = [*self.networks, self.judge]
            self.judged_validation, self.judged_training = (
                FaceDataset(self.cache, self.dataset.paths, self.dataset.faces.subset(chosen), everyone)
                for chosen in self._judged_faces(self.dataset.faces)
            )
        if len(self.training) == 0:
            raise ValueError(
                f"no face to train on among the {len(self.dataset.paths)} photographs of {self.folder}; "
                f"the reasons are in {self.failures_file()}"
            )

    def batch(self, step: int, *, rank: int = 0, world_size: int = 1) -> FaceBatch:
        """A process's share of the photographs of a step."""
        sampler = step_sampler(
            len(self.training), self.batch_size, seed=self.seed, rank=rank, world_size=world_size
        )
        return self.dataset.batch(self.training[sampler.indices(step)])

    def train_dataloader(self) -> StepLoader[FaceBatch]:
        """Batches without end, from the step at which the trainer stands; each process gets its share."""
        return loader_of(self.batch, self.trainer)

    def val_dataloader(self) -> DataLoader[FaceBatch]:
        """The faces that are held back, in order."""
        return self._in_order(Subset(self.dataset, self.validation.tolist()))

    def judged_dataloader(self) -> DataLoader[FaceBatch]:
        """The faces that are held back to score by, with the judge's embeddings."""
        return self._in_order(self.judged_validation)

    def _judged_faces(self, faces: AlignedFaces) -> tuple[np.ndarray, np.ndarray]:
        """Which faces the judge sees: to score by, and for its centre; first by content, not by name."""
        held_back = is_held_back(faces.digest, self.validation_fraction)
        by_content = np.argsort(faces.digest.view("S32"), kind="stable")
        return (
            by_content[held_back[by_content]][: self.judged],
            by_content[~held_back[by_content]][:CENTRE_PHOTOGRAPHS],
        )


def is_held_back(digests: np.ndarray, fraction: float) -> np.ndarray:
    """Which contents [N] of 32 bytes are held back: those whose hash lies in the first `fraction` of all."""
    leading = digests.view(np.uint8).reshape(-1, 32)[:, :8].copy().view(">u8")[:, 0]
    return leading < np.uint64(fraction * 2**64)
