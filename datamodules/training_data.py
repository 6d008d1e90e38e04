"""What one step of stage 2 is trained on: photographs and synthetic faces together."""

from typing import Any, NamedTuple

from lightning import LightningDataModule
from torch.utils.data import DataLoader

from .face_data import FaceBatch
from .photographs import Photographs
from .sampling import StepLoader, first_step_of
from .synthetic_faces import SyntheticBatch, SyntheticFaces


class TrainingBatch(NamedTuple):
    """One process's share of a step.

    Attributes:
        step: counted from 0 over all epochs.
        size: photographs of the step, over all processes.
        first: the place of this share's first photograph among them.
        photographs: this share.
        synthetic: this share, or None where no loss asks for synthetic faces.
    """

    step: int
    size: int
    first: int
    photographs: FaceBatch
    synthetic: SyntheticBatch | None


class TrainingData(LightningDataModule):
    """Photographs with cached features and synthetic faces with known coefficients, step by step.

    Genova et al. 2018, section 3.3: batches mix photographs and synthetic faces.

    Args:
        photographs: unlabelled.
        synthetic: None where no loss asks for them.
        rendered: how many of a step's photographs are rendered, over all processes; checked here because
            every process must render as many.
    """

    def __init__(
        self, photographs: Photographs, synthetic: SyntheticFaces | None, *, rendered: int = 1
    ) -> None:
        super().__init__()
        self.photographs, self.synthetic, self.rendered = photographs, synthetic, rendered
        self._is_prepared = False

    def prepare_data(self) -> None:
        """Align, compute features and render pools; does nothing when it is called again."""
        for part in [] if self._is_prepared else self._parts():
            part.prepare_data()
        self._is_prepared = True

    def setup(self, stage: str | None = None) -> None:
        """Open the caches."""
        for part in self._parts():
            part.setup(stage)  # type: ignore[arg-type]  # Lightning passes None itself

    def batch(self, step: int, *, rank: int = 0, world_size: int = 1) -> TrainingBatch:
        """A process's share of a step."""
        size = self.photographs.batch_size
        return TrainingBatch(
            step,
            size,
            rank * size // world_size,
            self.photographs.batch(step, rank=rank, world_size=world_size),
            None if self.synthetic is None else self.synthetic.batch(step, rank=rank, world_size=world_size),
        )

    def train_dataloader(self) -> StepLoader[TrainingBatch]:
        """Batches without end, from the step at which the trainer stands.

        Raises:
            ValueError: if the photographs that are rendered cannot be spread evenly.
        """
        trainer = self.trainer
        rank, world_size = (0, 1) if trainer is None else (trainer.global_rank, trainer.world_size)
        size = self.photographs.batch_size
        if size % self.rendered or self.rendered % world_size:
            raise ValueError(
                f"{self.rendered} rendered photographs of {size} cannot be spread evenly over {world_size} "
                "processes; take numbers that divide one another"
            )
        return StepLoader(
            lambda step: self.batch(step, rank=rank, world_size=world_size), lambda: first_step_of(trainer)
        )

    def val_dataloader(self) -> DataLoader[FaceBatch]:
        """Held-back photographs with the judge's embeddings; every process validates all of them."""
        return self.photographs.judged_dataloader()

    def state_dict(self) -> dict[str, Any]:
        """Nothing: the order follows from seed and step."""
        return {}

    def _parts(self) -> list[LightningDataModule]:
        return [self.photographs] if self.synthetic is None else [self.photographs, self.synthetic]
