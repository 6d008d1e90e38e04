"""Stage 1: synthetic faces only, the parameter loss only."""

import torch
from lightning import LightningModule
from lightning.pytorch.utilities.types import OptimizerLRSchedulerConfig
from torch import Tensor

from .batches import DrawnFaces
from .distributed import mean_over_processes
from .losses import LossWeights, parameter_loss
from .optimisation import Optimisation
from .prediction import Prediction
from .regressor import Regressor


class Pretraining(LightningModule):
    """Trains the regressor to read coefficients off synthetic faces.

    Genova et al. 2018, section 3.3: shape and albedo are sampled independently; a partial training.

    Args:
        regressor: to be trained, in place.
        weights: w_s and w_t.
        optimisation: of the regressor.
    """

    def __init__(self, regressor: Regressor, weights: LossWeights, optimisation: Optimisation) -> None:
        super().__init__()
        self.regressor, self.weights, self.optimisation = regressor, weights, optimisation

    def training_step(self, batch: DrawnFaces, batch_idx: int) -> Tensor:
        """The parameter loss of synthetic faces."""
        predicted = self.regressor(batch.features)
        loss = parameter_loss(predicted, Prediction(batch.shape, batch.albedo), self.weights)
        value = mean_over_processes(loss)
        self.log("train/loss/parameter", value)
        self.log("train/loss/total", value)
        return loss

    def validation_step(self, batch: DrawnFaces, batch_idx: int) -> None:
        """How much of the coefficients' variance is explained in faces that were not trained on."""
        predicted = self.regressor(batch.features)
        drawn = Prediction(batch.shape, batch.albedo)
        self.log("validation/loss/parameter", parameter_loss(predicted, drawn, self.weights))
        for part in Prediction._fields:
            explained = explained_variance(getattr(predicted, part), getattr(drawn, part))
            self.log(f"validation/explained_{part}", explained.mean())
            self.log(f"validation/explained_{part}_first_ten", explained[:10].mean())

    def configure_optimizers(self) -> OptimizerLRSchedulerConfig:
        """Warm-up, then a cosine."""
        return self.optimisation.configure(self.regressor)


def explained_variance(predicted: Tensor, drawn: Tensor) -> Tensor:
    """R2 of each coefficient [K], from predictions and truths [N, K]: 1 is perfect, 0 is the mean."""
    residual = (predicted - drawn).square().sum(0)
    return 1 - residual / (drawn - drawn.mean(0)).square().sum(0).clamp(min=torch.finfo(drawn.dtype).tiny)
