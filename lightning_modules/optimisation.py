"""The optimiser of both stages."""

import math
from dataclasses import dataclass
from typing import Any

from lightning.pytorch.utilities.types import LRSchedulerConfigType, OptimizerLRSchedulerConfig
from torch import nn
from torch.optim import Adam, AdamW
from torch.optim.lr_scheduler import LambdaLR


@dataclass(frozen=True)
class Optimisation:
    """How weights are updated. The paper states none of it: all values are ours.

    Attributes:
        learning_rate: at its highest.
        weight_decay: the paper's "weights regularised towards zero".
        warmup_steps: over which the learning rate rises linearly.
        steps: after which it has fallen to zero along a cosine.
        fused: update all weights in one pass over memory, in a quarter of the time. Lightning clips no
            gradient then where the precision is mixed.
        decoupled: whether `weight_decay` is the share by which a step shrinks weights, times the learning
            rate (AdamW), or half of it a factor on their squares in the loss (Adam).
    """

    learning_rate: float
    weight_decay: float
    warmup_steps: int
    steps: int
    fused: bool = False
    decoupled: bool = True

    def rate_at(self, step: int) -> float:
        """Share of the learning rate at a step."""
        if step < self.warmup_steps:
            return (step + 1) / (self.warmup_steps + 1)
        progress = (step - self.warmup_steps) / max(1, self.steps - self.warmup_steps)
        return 0.5 * (1 + math.cos(math.pi * min(1.0, progress)))

    def configure(self, module: nn.Module) -> OptimizerLRSchedulerConfig:
        """Optimiser and schedule in Lightning's form; biases are not regularised."""
        matrices = [parameter for parameter in module.parameters() if parameter.ndim > 1]
        vectors = [parameter for parameter in module.parameters() if parameter.ndim <= 1]
        groups: list[dict[str, Any]] = [{"params": matrices}, {"params": vectors, "weight_decay": 0.0}]
        kind = AdamW if self.decoupled else Adam
        optimiser = kind(
            groups, lr=self.learning_rate, weight_decay=self.weight_decay, fused=self.fused or None
        )
        schedule = LambdaLR(optimiser, self.rate_at)
        return OptimizerLRSchedulerConfig(
            optimizer=optimiser, lr_scheduler=LRSchedulerConfigType(scheduler=schedule, interval="step")
        )
