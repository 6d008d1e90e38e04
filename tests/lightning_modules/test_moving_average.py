import copy
from pathlib import Path

import pytest
import torch
from lightning import Trainer
from lightning.pytorch.callbacks import Callback, EMAWeightAveraging
from torch.utils.data import DataLoader

from lightning_modules.moving_average import MovingAverage, follow
from tests.miniatures import small_batch

pytestmark = [
    pytest.mark.filterwarnings("ignore:The '.*_dataloader' does not have many workers"),
    pytest.mark.filterwarnings("ignore:The number of training batches"),
]


def train(build: object, average: Callback, folder: Path, *, batches: int, start: Path | None = None) -> dict:
    """What a checkpoint holds after so many batches."""
    module = build()
    trainer = Trainer(
        max_epochs=1, logger=False, enable_checkpointing=False, enable_progress_bar=False, accelerator="cpu",
        enable_model_summary=False, callbacks=[average], num_sanity_val_steps=0,
    )  # fmt: skip
    loader = DataLoader([small_batch(step=step) for step in range(batches)], batch_size=None)
    validation = DataLoader([small_batch(4).photographs], batch_size=None)
    trainer.fit(module, loader, validation, ckpt_path=start, weights_only=True)
    trainer.save_checkpoint(folder / "end.ckpt")
    return torch.load(folder / "end.ckpt", weights_only=True)


def test_it_keeps_what_lightning_s_keeps_bit_for_bit(build: object, tmp_path: Path) -> None:
    (tmp_path / "theirs").mkdir()
    ours = train(build, MovingAverage(0.8), tmp_path, batches=4)
    theirs = train(build, EMAWeightAveraging(decay=0.8, use_buffers=False), tmp_path / "theirs", batches=4)
    for part in ("state_dict", "current_model_state", "averaging_state"):
        assert ours[part].keys() == theirs[part].keys()
        assert all(torch.equal(value, theirs[part][name]) for name, value in ours[part].items())
    assert ours["callbacks"] == theirs["callbacks"]
    assert int(ours["averaging_state"]["n_averaged"]) == 4
    other = train(build, MovingAverage(0.2), tmp_path, batches=4)["state_dict"]
    assert not torch.equal(
        other["regressor.layers.0.weight"], ours["state_dict"]["regressor.layers.0.weight"]
    )


def test_a_run_that_continues_goes_on_from_the_average(build: object) -> None:
    average = MovingAverage(0.8)
    module = build()
    module._device = torch.device("cpu")
    average.setup(None, module, "fit")
    kept = {"averaging_state": {"n_averaged": torch.tensor(3)}, "current_model_state": module.state_dict()}
    average.on_load_checkpoint(None, module, {"state_dict": copy.deepcopy(module.state_dict())} | kept)
    assert average._begun


def test_an_average_follows_by_the_share_that_does_not_stay() -> None:
    average, current = torch.nn.Linear(1, 1, bias=False), torch.nn.Linear(1, 1, bias=False)
    torch.nn.init.constant_(average.weight, 1.0)
    torch.nn.init.constant_(current.weight, 3.0)
    follow(average, current, 0.75)
    assert float(average.weight.detach()) == 1.5
    follow(average, current, 0.0)
    assert float(average.weight.detach()) == 3.0
