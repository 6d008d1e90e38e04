"""What one step of stage 2 is trained on: photographs and synthetic faces together."""

from collections.abc import Callable
from typing import Any, NamedTuple

from lightning import LightningDataModule
from torch.utils.data import DataLoader

from lightning_modules.rendering.scenes import DrawnScenes

from .face_data import FaceBatch
from .photographs import Photographs
from .sampling import StepLoader, loader_of
from .synthetic_faces import SyntheticBatch, SyntheticFaces, UnseenFaces


class TrainingBatch(NamedTuple):
    """One process's share of a step.

    Attributes:
        step: counted from 0 over all epochs.
        size: photographs of the step, over all processes.
        first: the place of this share's first photograph among them.
        photographs: this share.
        synthetic: this share, or None where no loss asks for synthetic faces; before they come to a step,
            those of no pool are not rendered yet.
        scenes: in which its photographs are rendered; None leaves them to the step.
    """

    step: int
    size: int
    first: int
    photographs: FaceBatch
    synthetic: SyntheticBatch | UnseenFaces | None
    scenes: DrawnScenes | None = None


class TrainingData(LightningDataModule):
    """Photographs with cached features and synthetic faces with known coefficients, step by step.

    Genova et al. 2018, section 3.3: batches mix photographs and synthetic faces.

    Args:
        photographs: unlabelled.
        synthetic: None where no loss asks for them.
        rendered: how many of a step's photographs are rendered, over all processes; checked here because
            every process must render as many.
        scenes: (step, size, first, count) -> in what `count` photographs of a step of `size` are rendered,
            from the one at place `first` on; None leaves it to the step.
        prepared: whether everything is prepared already.
    """

    def __init__(
        self,
        photographs: Photographs,
        synthetic: SyntheticFaces | None,
        *,
        rendered: int = 1,
        scenes: Callable[[int, int, int, int], DrawnScenes | None] | None = None,
        prepared: bool = False,
    ) -> None:
        super().__init__()
        self.photographs, self.synthetic, self.rendered = photographs, synthetic, rendered
        self.scenes = scenes
        self._is_prepared = prepared

    def prepare_data(self) -> None:
        """Align, compute features and render pools; does nothing when it is called again."""
        for part in [] if self._is_prepared else self._parts():
            part.prepare_data()
        self._is_prepared = True

    def setup(self, stage: str | None = None) -> None:
        """Open the caches."""
        for part in self._parts():
            part.trainer = self.trainer
            part.setup(stage)  # type: ignore[arg-type]  # Lightning passes None itself

    def batch(self, step: int, *, rank: int = 0, world_size: int = 1) -> TrainingBatch:
        """A process's share of a step."""
        return self.on_after_batch_transfer(self.prepared(step, rank=rank, world_size=world_size), 0)

    def prepared(self, step: int, *, rank: int = 0, world_size: int = 1) -> TrainingBatch:
        """The part of `batch` that is made on the CPU, by a worker if there is a GPU."""
        size = self.photographs.batch_size
        first, share = rank * size // world_size, {"rank": rank, "world_size": world_size}
        photographs = self.photographs.batch(step, **share)
        return TrainingBatch(
            step,
            size,
            first,
            photographs,
            None if self.synthetic is None else self.synthetic.prepared(step, **share),
            None if self.scenes is None else self.scenes(step, size, first, len(photographs.index)),
        )

    def on_after_batch_transfer(self, batch: Any, dataloader_idx: int) -> Any:  # noqa: ANN401 - validation's, too
        """Render synthetic faces of no pool, on the device."""
        if isinstance(batch, TrainingBatch) and isinstance(batch.synthetic, UnseenFaces):
            assert self.synthetic is not None
            return batch._replace(synthetic=self.synthetic.complete(batch.synthetic))
        return batch

    def train_dataloader(self) -> StepLoader[TrainingBatch]:
        """Batches without end, from the step at which the trainer stands.

        Raises:
            ValueError: if the photographs that are rendered cannot be spread evenly.
        """
        world_size = 1 if self.trainer is None else self.trainer.world_size
        size = self.photographs.batch_size
        if size % self.rendered or self.rendered % world_size:
            raise ValueError(
                f"{self.rendered} rendered photographs of {size} cannot be spread evenly over {world_size} "
                "processes; take numbers that divide one another"
            )
        return loader_of(self.prepared, self.trainer)

    def val_dataloader(self) -> DataLoader[FaceBatch]:
        """Held-back photographs with the judge's embeddings; every process validates all of them."""
        return self.photographs.judged_dataloader()

    def state_dict(self) -> dict[str, Any]:
        """Nothing: the order follows from seed and step."""
        return {}

    def _parts(self) -> list[LightningDataModule]:
        return [self.photographs] if self.synthetic is None else [self.photographs, self.synthetic]
