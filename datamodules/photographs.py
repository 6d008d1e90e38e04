"""Unlabelled photographs for training."""

from collections.abc import Sequence
from pathlib import Path
from typing import Unpack

import numpy as np
from torch.utils.data import DataLoader, Subset

from lightning_modules.recognition.network import RecognitionNetwork

from .face_data import FaceBatch, FaceDataModule, FaceOptions
from .images import list_photographs, read_list
from .sampling import StepLoader, StepSampler, first_step_of


class Photographs(FaceDataModule):
    """A folder, or a list, of photographs; a stable part of it is held back for validation.

    Whether a photograph is held back follows from its content alone: adding files never moves another one,
    and copies of one file stay together.

    Args:
        folder: with photographs at any depth, or a text file that names one a line.
        networks: whose features are wanted.
        pattern: glob pattern inside the folder.
        validation_fraction: share that is held back.
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
        seed: int = 0,
        **options: Unpack[FaceOptions],
    ) -> None:
        super().__init__(networks, **options)
        if not 0 <= validation_fraction < 1:
            raise ValueError(f"validation_fraction must be in [0, 1), got {validation_fraction}")
        self.folder, self.pattern = Path(folder), pattern
        self.validation_fraction, self.seed = validation_fraction, seed

    def photographs(self) -> list[Path]:
        """All files of the folder or of the list."""
        if self.folder.is_file():
            return read_list(self.folder)
        return list_photographs(self.folder, self.pattern)

    def setup(self, stage: str | None = None) -> None:
        """Open the cache and split it into `training` and `validation`, indices of `dataset`.

        Raises:
            ValueError: if no face is left to train on.
        """
        super().setup(stage)
        held_back = is_held_back(self.dataset.faces.digest, self.validation_fraction)
        self.training, self.validation = np.flatnonzero(~held_back), np.flatnonzero(held_back)
        if len(self.training) == 0:
            raise ValueError(
                f"no face to train on among the {len(self.dataset.paths)} photographs of {self.folder}; "
                f"the reasons are in {self.failures_file()}"
            )

    def train_dataloader(self) -> StepLoader[FaceBatch]:
        """Batches without end, from the step at which the trainer stands; each process gets its share."""
        trainer = self.trainer
        rank, world_size = (trainer.global_rank, trainer.world_size) if trainer is not None else (0, 1)
        sampler = StepSampler(
            len(self.training), self.batch_size, seed=self.seed, rank=rank, world_size=world_size
        )
        return StepLoader(
            lambda step: self.dataset.batch(self.training[sampler.indices(step)]),
            lambda: first_step_of(self.trainer),
        )

    def val_dataloader(self) -> DataLoader[FaceBatch]:
        """The faces that are held back, in order."""
        return self._in_order(Subset(self.dataset, self.validation.tolist()))


def is_held_back(digests: np.ndarray, fraction: float) -> np.ndarray:
    """Which contents [N] of 32 bytes are held back: those whose hash lies in the first `fraction` of all."""
    leading = digests.view(np.uint8).reshape(-1, 32)[:, :8].copy().view(">u8")[:, 0]
    return leading < np.uint64(fraction * 2**64)
