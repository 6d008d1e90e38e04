"""The moving average of weights, without a wait for the GPU."""

from typing import Any

import torch
from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import EMAWeightAveraging
from torch import nn


class MovingAverage(EMAWeightAveraging):
    """Lightning's, which reads a counter on the device three times a step; this remembers on the host.

    Args:
        decay: share of the average that is kept at every step.
    """

    def __init__(self, decay: float) -> None:
        super().__init__(decay=decay, use_buffers=False)
        self.decay, self._begun = decay, False

    @property
    def state_key(self) -> str:
        """Lightning's own, under which older checkpoints keep it."""
        return EMAWeightAveraging.__qualname__

    def on_train_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,  # noqa: ANN401 - the hook's
        batch: Any,  # noqa: ANN401
        batch_idx: int,
    ) -> None:
        """Follow the weights, if the optimiser has changed them."""
        if trainer.global_step > self._latest_update_step:
            assert self._average_model is not None
            follow(self._average_model.module, pl_module, self.decay if self._begun else 0.0)
            self._average_model.n_averaged += 1
            self._begun, self._latest_update_step = True, trainer.global_step

    def on_load_checkpoint(
        self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Go on from the average that a checkpoint holds."""
        super().on_load_checkpoint(trainer, pl_module, checkpoint)
        self._begun = self._average_model is not None and bool(self._average_model.n_averaged > 0)


@torch.no_grad()
def follow(average: nn.Module, current: nn.Module, decay: float) -> None:
    """Move an average of weights towards the current ones, in place; buffers become the current ones.

    Args:
        average: of the same structure.
        current: the module that is trained.
        decay: share of the average that stays; 0 takes the current weights.
    """
    for own, new in zip(average.parameters(), current.parameters(), strict=True):
        own.copy_(decay * own + (1 - decay) * new if decay else new)
    for kept, latest in zip(average.buffers(), current.buffers(), strict=True):
        kept.copy_(latest)
