"""What the stages need of a batch, whoever made it: `datamodules` makes them."""

from collections.abc import Mapping
from typing import Protocol

from torch import Tensor

from .rendering.scenes import DrawnScenes


class PhotographsOfStep(Protocol):
    """Photographs by what the frozen networks said of them, computed once before training."""

    @property
    def index(self) -> Tensor:
        """[B], which photographs of the data set."""

    @property
    def features(self) -> Mapping[str, Tensor]:
        """By the network's name [B, D]: what the regressor reads."""

    @property
    def embeddings(self) -> Mapping[str, Tensor]:
        """By the network's name [B, E], of unit length."""

    @property
    def landmarks(self) -> Tensor | None:
        """[B, 68, 2] in pixels, NaN where a detector saw none; None where the landmark loss is off."""


class DrawnFaces(Protocol):
    """Synthetic faces: drawn from the prior, rendered and encoded, so that their coefficients are known."""

    @property
    def features(self) -> Tensor:
        """[B, D], the encoder's."""

    @property
    def shape(self) -> Tensor:
        """[B, Ks], in standard deviations."""

    @property
    def albedo(self) -> Tensor:
        """[B, Kt], in standard deviations."""


class StepBatch(Protocol):
    """One process's share of a step of stage 2."""

    @property
    def step(self) -> int:
        """Counted from 0 over all epochs: random scenes are keyed by it."""

    @property
    def size(self) -> int:
        """Photographs of the step, over all processes."""

    @property
    def first(self) -> int:
        """The place of this share's first photograph among them."""

    @property
    def photographs(self) -> PhotographsOfStep:
        """This share."""

    @property
    def scenes(self) -> DrawnScenes | None:
        """In which its photographs are rendered, drawn ahead; None has the step draw them."""

    @property
    def synthetic(self) -> DrawnFaces | None:
        """This share; None where no loss of theirs is on."""
