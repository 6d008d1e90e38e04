import pytest
import torch
from lightning import Trainer
from torch.utils.data import DataLoader

from lightning_modules.losses import SUITE_WEIGHTS
from lightning_modules.optimisation import Optimisation
from lightning_modules.pretraining import Pretraining, explained_variance
from tests.miniatures import small_batch

from .conftest import small_regressor


def test_explained_variance_by_hand() -> None:
    drawn = torch.tensor([[1.0, 1.0], [-1.0, -1.0]])
    predicted = torch.tensor([[1.0, 0.0], [-1.0, 0.0]])
    assert explained_variance(predicted, drawn).tolist() == [1.0, 0.0]


@pytest.mark.filterwarnings("ignore:The 'train_dataloader' does not have many workers")
@pytest.mark.filterwarnings("ignore:The 'val_dataloader' does not have many workers")
def test_stage_1_learns_to_read_coefficients() -> None:
    batch = small_batch(64).synthetic
    # Features that hold the coefficients.
    batch = batch._replace(features=torch.cat([batch.shape, batch.albedo, torch.zeros(64, 13)], 1))
    module = Pretraining(small_regressor(), SUITE_WEIGHTS, Optimisation(1e-2, 0.0, 5, 300))
    trainer = Trainer(
        max_epochs=300, logger=False, enable_checkpointing=False, enable_progress_bar=False,
        enable_model_summary=False, accelerator="cpu",
    )  # fmt: skip
    loader = DataLoader([batch], batch_size=None)
    trainer.fit(module, loader, loader)
    assert float(trainer.callback_metrics["validation/explained_shape"]) > 0.8
    assert float(trainer.callback_metrics["validation/loss/parameter"]) == pytest.approx(
        float(trainer.callback_metrics["train/loss/parameter"]), abs=0.05
    )
