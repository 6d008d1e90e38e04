from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from lightning import Trainer
from lightning.pytorch.callbacks import Callback
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader

from lightning_modules.callbacks import (
    HISTOGRAM_EDGES,
    MOST_OVERFLOWS,
    PICTURE_PIXELS,
    CoefficientHistograms,
    Guard,
    ImageGrid,
    ProgressBar,
    TrainingFailed,
    shares_in_bins,
)
from lightning_modules.plain.output_folder import OutputFolder
from lightning_modules.regression import Regression
from tests.miniatures import small_batch

pytestmark = [
    pytest.mark.filterwarnings("ignore:The '.*_dataloader' does not have many workers"),
    pytest.mark.filterwarnings("ignore:The number of training batches"),
]


def fit(module: Regression, *callbacks: object, batches: int = 3) -> Trainer:
    loader = DataLoader([small_batch(step=step) for step in range(batches)], batch_size=None)
    validation = DataLoader([small_batch(4).photographs], batch_size=None)
    trainer = Trainer(
        max_epochs=1, logger=False, enable_checkpointing=False, enable_progress_bar=False, accelerator="cpu",
        enable_model_summary=False, callbacks=list(callbacks), num_sanity_val_steps=0, log_every_n_steps=1,
    )  # fmt: skip
    trainer.fit(module, loader, validation)
    return trainer


def test_pictures_show_photograph_views_and_loopback(build: object, tmp_path: Path) -> None:
    def photographs(indices: list[int]) -> Tensor:
        return torch.ones(len(indices), 3, 224, 224) * torch.tensor([1.0, 0.0, 0.0])[:, None, None]

    fit(build(), ImageGrid(photographs, OutputFolder(tmp_path, "run")))
    (file,) = tmp_path.glob("*.png")
    assert file.name == "step_0000003.png"
    with Image.open(file) as picture:
        grid = np.asarray(picture)
    # Two photographs; photograph, two views, loopback, each with its name above.
    top, width = len(grid) - 2 * PICTURE_PIXELS, 4 * PICTURE_PIXELS
    assert grid.shape[1] == width
    assert (grid[top:, :PICTURE_PIXELS] == (255, 0, 0)).all()
    assert grid[top:, PICTURE_PIXELS:].std() > 10
    assert all(column.std() > 10 for column in np.split(grid[:top], 4, 1))


def test_without_loopback_its_column_is_missing(build: object, tmp_path: Path) -> None:
    fit(
        build(loopback=0.0),
        ImageGrid(lambda indices: torch.zeros(len(indices), 3, 224, 224), OutputFolder(tmp_path, "run")),
    )
    (file,) = tmp_path.glob("*.png")
    with Image.open(file) as grid:
        assert grid.width == 3 * 160


def test_histograms_hold_shares_beside_a_normal(build: object, tmp_path: Path) -> None:
    file = tmp_path / "histograms.csv"
    fit(build(), CoefficientHistograms(file))
    table = np.genfromtxt(file, delimiter=",", names=True)
    assert len(table) == len(HISTOGRAM_EDGES) - 1
    for column in ("shape", "albedo", "normal"):
        assert table[column].sum() == pytest.approx(1, abs=1e-4)


def test_what_lies_beyond_goes_into_the_outermost_bins() -> None:
    shares = shares_in_bins(torch.tensor([-9.0, 0.05, 9.0, 9.0]))
    assert (shares[0], shares[-1], shares.sum()) == (0.25, 0.5, 1.0)


def test_a_loss_that_is_not_finite_stops_and_names_itself(build: object) -> None:
    module = build()
    weighted_sum = module.weighted_sum

    def spoilt(losses: dict[str, Tensor], step: int) -> Tensor:
        if step == 1:
            losses = losses | {"identity": losses["identity"] * float("nan")}
        return weighted_sum(losses, step)

    module.weighted_sum = spoilt
    before = {name: value.clone() for name, value in module.state_dict().items()}
    with pytest.raises(
        TrainingFailed,
        match=r"stopped at step 1: the loss became nan \(identity\); the last good checkpoint is here.ckpt",
    ):
        fit(module, Guard(lambda: Path("here.ckpt")))
    assert all(torch.isfinite(value).all() for value in module.state_dict().values())
    assert any(not torch.equal(value, before[name]) for name, value in module.state_dict().items())


def test_an_exploding_loss_stops(build: object) -> None:
    module = build()
    weighted_sum = module.weighted_sum
    module.weighted_sum = lambda losses, step: weighted_sum(
        {name: 1e8 * value for name, value in losses.items()}, step
    )
    with pytest.raises(
        TrainingFailed,
        match=r"stopped at step 0: the loss became .*; no checkpoint was written yet; try a lower --learning",
    ):
        fit(module, Guard(lambda: None))


def test_a_gradient_that_is_not_finite_stops(build: object) -> None:
    module = build()
    module.regressor.layers[-1].weight.register_hook(lambda gradient: gradient * float("inf"))
    with pytest.raises(TrainingFailed, match="a gradient is not finite"):
        fit(module, Guard(lambda: None))


def test_a_gradient_scaler_s_overflows_pass_until_there_are_too_many_in_a_row(build: object) -> None:
    # What mixed precision in 16 bits does on a GPU: the scaler skips the step and scales less.
    module, guard = build(), Guard(lambda: None)
    scaled = SimpleNamespace(precision_plugin=SimpleNamespace(scaler=object()), global_step=7, loggers=[])
    weight = module.regressor.layers[-1].weight
    for factor, count in ((float("inf"), MOST_OVERFLOWS - 1), (1.0, 1), (float("inf"), MOST_OVERFLOWS - 1)):
        weight.grad = torch.full_like(weight, factor)
        for _ in range(count):
            guard.on_before_optimizer_step(scaled, module, None)
    with pytest.raises(TrainingFailed, match="stopped at step 7: 20 gradients in a row are not finite"):
        guard.on_before_optimizer_step(scaled, module, None)


def spoil_from(module: Regression, step: int, factor: float) -> None:
    """Multiply the identity loss from a step on."""
    weighted_sum = module.weighted_sum

    def spoilt(losses: dict[str, Tensor], number: int) -> Tensor:
        if number >= step:
            losses = losses | {"identity": losses["identity"] * factor}
        return weighted_sum(losses, number)

    module.weighted_sum = spoilt


@pytest.mark.parametrize("factor", [float("nan"), 1e9])
def test_values_that_are_read_a_step_later_spoil_no_weight(build: object, factor: float) -> None:
    # As on a GPU, whose values are looked at when it has long gone on.
    module = build()
    spoil_from(module, 1, factor)
    with pytest.raises(TrainingFailed, match=r"stopped at step 1: the loss became .* \(identity\); no check"):
        fit(module, Guard(lambda: None, at_once=False), batches=4)
    assert module.trainer.global_step == 2  # the step that was wrong has passed
    state = module.optimizers().state_dict()["state"].values()
    assert all(torch.isfinite(part).all() for one in state for part in one.values())
    # What the optimiser was given in that step is nothing: its average is one step's, fallen by beta.
    for parameter, weight in zip(module.regressor.parameters(), module.state_dict().values(), strict=False):
        assert torch.isfinite(weight).all()
        assert float(parameter.grad.abs().max()) == 0


def test_the_last_step_s_values_are_read_before_the_end(build: object) -> None:
    module = build()
    spoil_from(module, 2, float("nan"))
    with pytest.raises(TrainingFailed, match=r"stopped at step 2: the loss became nan"):
        fit(module, Guard(lambda: None, at_once=False), batches=3)


def test_no_checkpoint_is_written_of_a_step_that_was_wrong(build: object, tmp_path: Path) -> None:
    module = build()
    spoil_from(module, 1, float("nan"))

    class Save(Callback):
        """Writes one right after the step."""

        def on_train_batch_end(self, trainer: Trainer, *_: object) -> None:
            trainer.save_checkpoint(tmp_path / f"{trainer.global_step}.ckpt")

    with pytest.raises(TrainingFailed, match="stopped at step 1"):
        fit(module, Guard(lambda: None, at_once=False), Save())
    assert [file.name for file in tmp_path.iterdir()] == ["1.ckpt"]


def test_overflows_that_are_read_later_are_counted_alike(build: object) -> None:
    module, guard = build(), Guard(lambda: None, at_once=False)
    scaled = SimpleNamespace(precision_plugin=SimpleNamespace(scaler=object()), global_step=0, loggers=[])
    weight = module.regressor.layers[-1].weight
    weight.grad = torch.full_like(weight, float("inf"))
    for scaled.global_step in range(MOST_OVERFLOWS):
        guard.on_before_optimizer_step(scaled, module, None)
    assert torch.isinf(weight.grad).all()  # the scaler has to see it
    with pytest.raises(TrainingFailed, match="stopped at step 19: 20 gradients in a row are not finite"):
        guard.on_train_end(scaled, module)


def test_the_bar_shows_stage_losses_and_rate(
    build: object, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    trainer = fit(build(), ProgressBar("stage 2", 2))
    printed = capsys.readouterr().out
    for word in ("stage 2", "photographs/s", "left", "identity", "batch distribution", "loopback", "total"):
        assert word in printed
    assert "\N{HORIZONTAL ELLIPSIS}" not in printed  # nothing is cut
    assert float(trainer.callback_metrics["train/photographs_per_second"]) > 0
