"""Faces drawn from the morphable model's prior and rendered: photographs whose coefficients are known."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from lightning import LightningDataModule
from torch import Tensor

from lightning_modules.faces.morphable_model import Coefficients, MorphableModel
from lightning_modules.recognition.frame import Crop
from lightning_modules.recognition.network import RecognitionNetwork

from .sampling import StepLoader, first_step_of, mixed_seed

# Draws the faces of some coefficients straight into a crop, [B, 3, size, size] in [0, 1], face i in the scene
# (camera, lights, background) that seed i gives.
Draw = Callable[[Coefficients, Crop, Sequence[int]], Tensor]
TRAINING, VALIDATION = 0, 1


class SyntheticBatch(NamedTuple):
    """Synthetic faces as the networks see them.

    Attributes:
        shape: [B, Ks], in standard deviations.
        albedo: [B, Kt], likewise.
        features: per network, by its name, [B, feature_width].
        embeddings: per network, by its name, [B, embedding_width], of unit length.
    """

    shape: Tensor
    albedo: Tensor
    features: dict[str, Tensor]
    embeddings: dict[str, Tensor]


class SyntheticFaces(LightningDataModule):
    """Endless fresh neutral faces, drawn and rendered on the model's device while training asks for them.

    Genova et al. 2018, section 3.4: shape and albedo are drawn independently from the prior. Every face and
    its scene follow from (seed, step, sample) alone, so that a step sees the same faces on any number of
    processes, and a resumed run sees what it would have seen.

    Args:
        model: whose prior the faces are drawn from.
        draw: see Draw; random scenes keyed by seeds.
        networks: whose features are wanted; each is shown its own crop.
        batch_size: over all processes.
        seed: of faces and scenes.
        validation_batches: of faces that training never sees.
    """

    def __init__(
        self,
        model: MorphableModel,
        draw: Draw,
        networks: Sequence[RecognitionNetwork] = (),
        *,
        batch_size: int = 64,
        seed: int = 0,
        validation_batches: int = 8,
    ) -> None:
        super().__init__()
        self.model, self.draw, self.networks = model, draw, list(networks)
        self.batch_size, self.seed, self.validation_batches = batch_size, seed, validation_batches

    @torch.no_grad()
    def batch(
        self, step: int, *, rank: int = 0, world_size: int = 1, purpose: int = TRAINING
    ) -> SyntheticBatch:
        """The faces of this process at a step.

        Raises:
            ValueError: if the batch cannot be split evenly over the processes.
        """
        if self.batch_size % world_size:
            raise ValueError(f"the batch of {self.batch_size} cannot be split over {world_size} processes")
        share = self.batch_size // world_size
        samples = range(rank * share, (rank + 1) * share)
        seeds = [mixed_seed(self.seed, purpose, step, sample) for sample in samples]
        coefficients = self.sample(seeds)
        features, embeddings = {}, {}
        for network in self.networks:
            images = self.draw(coefficients, network.crop, seeds)
            features[network.name], embeddings[network.name], _ = network(images, frame="native")
        return SyntheticBatch(coefficients.shape, coefficients.albedo, features, embeddings)

    def sample(self, seeds: Sequence[int]) -> Coefficients:
        """Neutral faces, one a seed, drawn from the prior."""
        drawn = [self.model.sample(1, torch.Generator().manual_seed(seed)) for seed in seeds]
        shape, albedo, expression = (torch.cat(parts) for parts in zip(*drawn, strict=True))
        return Coefficients(shape, albedo, torch.zeros_like(expression))

    def train_dataloader(self) -> StepLoader[SyntheticBatch]:
        """Batches without end, from the step at which the trainer stands; each process draws its share."""
        rank, world_size = self._place()
        return StepLoader(
            lambda step: self.batch(step, rank=rank, world_size=world_size),
            lambda: first_step_of(self.trainer),
        )

    def val_dataloader(self) -> list[SyntheticBatch]:
        """The same faces every time; each process validates its share."""
        rank, world_size = self._place()
        return [
            self.batch(step, rank=rank, world_size=world_size, purpose=VALIDATION)
            for step in range(self.validation_batches)
        ]

    def _place(self) -> tuple[int, int]:
        return (0, 1) if self.trainer is None else (self.trainer.global_rank, self.trainer.world_size)
