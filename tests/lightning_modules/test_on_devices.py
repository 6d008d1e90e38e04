"""Steps and whole fits on a GPU where there is one, and on the CPU always, beside the CPU's own."""

import copy

import pytest
import torch
from lightning import Trainer
from lightning.fabric.utilities import move_data_to_device
from torch.utils.data import DataLoader

from datamodules.sampling import StepLoader, pinned
from lightning_modules.callbacks import Guard, TrainingFailed
from lightning_modules.losses import SUITE_WEIGHTS
from lightning_modules.moving_average import MovingAverage
from lightning_modules.optimisation import Optimisation
from lightning_modules.pretraining import Pretraining
from lightning_modules.regression import Regression
from tests.devices import CUDA, ON_EVERY_DEVICE
from tests.miniatures import small_batch

from .conftest import small_regressor
from .steps import step_of

# Float32 on another device: sums are taken in another order.
VALUE, GRADIENT = 1e-4, 1e-3

pytestmark = pytest.mark.filterwarnings("ignore:The '.*_dataloader' does not have many workers")


def gradient_of(module: torch.nn.Module) -> torch.Tensor:
    return torch.cat([p.grad.flatten() for p in module.parameters() if p.grad is not None]).cpu()


@ON_EVERY_DEVICE
def test_a_step_of_stage_2_is_the_cpu_s(build: object, device: str) -> None:
    module, moved = build(contrast=2.0), build(contrast=2.0)
    moved.teachers = copy.deepcopy(moved.teachers)  # networks are moved in place
    moved.to(device)
    moved.setup("fit")
    expected, loss, _ = step_of(module, small_batch())
    found, own, pictures = step_of(moved, move_data_to_device(small_batch(), torch.device(device)))
    assert pictures.views.device.type == device
    loss.backward()
    own.backward()
    for name, term in expected.items():
        torch.testing.assert_close(found[name].detach().cpu(), term.detach(), rtol=VALUE, atol=1e-6)
    difference = gradient_of(moved.regressor) - gradient_of(module.regressor)
    assert difference.norm() <= GRADIENT * gradient_of(module.regressor).norm()


@ON_EVERY_DEVICE
def test_a_step_of_stage_1_is_the_cpu_s(device: str) -> None:
    gradients = []
    for place in ("cpu", device):
        module = Pretraining(small_regressor(), SUITE_WEIGHTS, Optimisation(1e-3, 0.0, 0, 10)).to(place)
        object.__setattr__(module, "log", lambda *_: None)
        batch = move_data_to_device(small_batch().synthetic, torch.device(place))
        module.training_step(batch, 0).backward()
        gradients.append(gradient_of(module))
    assert (gradients[1] - gradients[0]).norm() <= GRADIENT * gradients[0].norm()


def trained(module: Regression, device: str, *, precision: str = "32-true", steps: int = 6) -> Trainer:
    """After some steps as a run takes them, from a loader that works ahead on a GPU."""
    trainer = Trainer(
        max_steps=steps, max_epochs=-1, logger=False, enable_checkpointing=False, accelerator=device,
        devices=1, enable_progress_bar=False, enable_model_summary=False, num_sanity_val_steps=0,
        precision=precision, val_check_interval=steps, check_val_every_n_epoch=None,
        callbacks=[Guard(lambda: None), MovingAverage(0.9)],
    )  # fmt: skip
    on_gpu = torch.device(device, 0) if device == "cuda" else None
    loader = StepLoader(
        lambda step: small_batch(step=step, scenes=module.draw_scenes(step, 8, 0, 8)),
        lambda: 0,
        ahead=2,
        device=on_gpu,
    )
    trainer.fit(module, loader, DataLoader([small_batch(4).photographs], batch_size=None))
    return trainer


@ON_EVERY_DEVICE
def test_several_steps_train_what_the_cpu_trains(build: object, device: str) -> None:
    module, moved = build(), build()
    moved.teachers = copy.deepcopy(moved.teachers)
    trained(module, "cpu")
    trainer = trained(moved, device)
    assert 0 <= float(trainer.callback_metrics["validation/top1"]) <= 1
    for name, value in module.state_dict().items():
        torch.testing.assert_close(moved.state_dict()[name].cpu(), value, rtol=1e-3, atol=1e-4)


@ON_EVERY_DEVICE
@pytest.mark.parametrize("precision", ["bf16-mixed", "bf16-true", "64-true"])
def test_every_precision_trains(build: object, device: str, precision: str) -> None:
    module = build()
    if device == "cuda":
        module.rounded = {"small": torch.bfloat16}
    before = copy.deepcopy(module.state_dict())
    trained(module, device, precision=precision)
    for name, value in module.state_dict().items():
        assert torch.isfinite(value).all(), name
    changed = "regressor.layers.0.weight"
    assert not torch.equal(module.state_dict()[changed].cpu().float(), before[changed])


@pytest.mark.parametrize("device", [CUDA])
def test_16_mixed_survives_the_scaler_s_first_overflows(build: object, device: str) -> None:
    # At this weight the first scales of 65,536 and below overflow in 16 bits.
    module = build(identity=100.0)
    trainer = trained(module, device, precision="16-mixed", steps=30)
    assert trainer.precision_plugin.scaler.get_scale() < 65_536
    assert all(torch.isfinite(value).all() for value in module.state_dict().values())


@ON_EVERY_DEVICE
def test_a_loss_that_is_not_finite_spoils_no_weight(build: object, device: str) -> None:
    module = build()
    weighted_sum = module.weighted_sum
    module.weighted_sum = lambda losses, step: weighted_sum(
        {name: loss * (float("nan") if step == 2 else 1) for name, loss in losses.items()}, step
    )
    with pytest.raises(TrainingFailed, match="stopped at step 2: the loss became nan"):
        trained(module, device)
    assert all(torch.isfinite(value).all() for value in module.state_dict().values())


@pytest.mark.parametrize("device", [CUDA])
def test_no_step_waits_for_the_gpu(build: object, device: str) -> None:
    # CUDA's own watch, beside what device "meta" shows anywhere: from the second step on, any wait raises.
    module = build(contrast=2.0).to(device)
    module.setup("fit")
    batch = small_batch(scenes=module.draw_scenes(3, 8, 0, 8))
    batch = move_data_to_device(pinned(batch), torch.device(device))
    step_of(module, batch)[1].backward()
    torch.cuda.set_sync_debug_mode("error")
    try:
        step_of(module, batch)[1].backward()
    finally:
        torch.cuda.set_sync_debug_mode("default")
