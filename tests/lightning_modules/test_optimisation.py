from pathlib import Path

import pytest
import torch

from lightning_modules.optimisation import Optimisation


def test_the_rate_rises_then_falls_along_a_cosine() -> None:
    schedule = Optimisation(1.0, 0.0, warmup_steps=4, steps=14)
    rates = [schedule.rate_at(step) for step in range(15)]
    assert rates[:4] == pytest.approx([0.2, 0.4, 0.6, 0.8])
    assert (rates[4], rates[9], rates[14]) == pytest.approx((1.0, 0.5, 0.0))
    assert schedule.rate_at(100) == 0


def test_biases_are_not_regularised() -> None:
    layer = torch.nn.Linear(3, 2)
    configured = Optimisation(0.1, 0.5, 0, 10).configure(layer)
    decay = {
        id(p): group["weight_decay"]
        for group in configured["optimizer"].param_groups
        for p in group["params"]
    }
    assert (decay[id(layer.weight)], decay[id(layer.bias)]) == (0.5, 0.0)


def test_one_pass_updates_as_several_do() -> None:
    layers = [torch.nn.Linear(3, 2), torch.nn.Linear(3, 2)]
    layers[1].load_state_dict(layers[0].state_dict())
    for layer, fused in zip(layers, (False, True), strict=True):
        optimiser = Optimisation(0.1, 0.5, 0, 10, fused=fused).configure(layer)["optimizer"]
        for step in range(3):
            layer.weight.grad = torch.full_like(layer.weight, 1.0 + step)
            layer.bias.grad = torch.full_like(layer.bias, -2.0)
            optimiser.step()
    torch.testing.assert_close(layers[1].weight, layers[0].weight)
    torch.testing.assert_close(layers[1].bias, layers[0].bias)


def test_one_pass_continues_bit_for_bit_from_its_saved_state(tmp_path: Path) -> None:
    layer, continued = torch.nn.Linear(3, 2), torch.nn.Linear(3, 2)
    optimisation = Optimisation(0.1, 0.5, 0, 10, fused=True)

    def steps(layer: torch.nn.Linear, optimiser: torch.optim.Optimizer, numbers: range) -> None:
        for number in numbers:
            layer.weight.grad = torch.sin(number + torch.arange(6.0)).view(2, 3)
            layer.bias.grad = torch.cos(number + torch.arange(2.0))
            optimiser.step()

    optimiser, later = (optimisation.configure(each)["optimizer"] for each in (layer, continued))
    steps(layer, optimiser, range(3))
    torch.save((layer.state_dict(), optimiser.state_dict()), tmp_path / "saved")
    steps(layer, optimiser, range(3, 6))
    weights, state = torch.load(tmp_path / "saved", weights_only=True)
    continued.load_state_dict(weights)
    later.load_state_dict(state)
    steps(continued, later, range(3, 6))
    assert torch.equal(continued.weight, layer.weight)
    assert torch.equal(continued.bias, layer.bias)


def test_a_penalty_in_the_loss_is_adam_s_of_half_the_squares() -> None:
    layers = [torch.nn.Linear(3, 2), torch.nn.Linear(3, 2)]
    layers[1].load_state_dict(layers[0].state_dict())
    penalised, plain = (
        Optimisation(0.1, decay, 0, 10, decoupled=False).configure(layer)["optimizer"]
        for layer, decay in zip(layers, (0.5, 0.0), strict=True)
    )
    for step in range(3):
        for layer in layers:
            layer.zero_grad()
            (layer.weight.sum() * (1 + step) - 2 * layer.bias.sum()).backward()
        (0.5 * layers[1].weight.square().sum() / 2).backward()
        penalised.step()
        plain.step()
    torch.testing.assert_close(layers[1].weight, layers[0].weight)
    torch.testing.assert_close(layers[1].bias, layers[0].bias)


def test_weights_without_a_gradient_shrink_towards_zero() -> None:
    layer = torch.nn.Linear(3, 2, bias=False)
    before = layer.weight.detach().clone()
    optimiser = Optimisation(0.1, 0.5, 0, 10).configure(layer)["optimizer"]
    layer.weight.grad = torch.zeros_like(layer.weight)
    optimiser.step()
    torch.testing.assert_close(layer.weight.detach(), before * (1 - 0.1 * 0.5))
