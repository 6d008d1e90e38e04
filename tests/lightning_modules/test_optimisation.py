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


def test_weights_without_a_gradient_shrink_towards_zero() -> None:
    layer = torch.nn.Linear(3, 2, bias=False)
    before = layer.weight.detach().clone()
    optimiser = Optimisation(0.1, 0.5, 0, 10).configure(layer)["optimizer"]
    layer.weight.grad = torch.zeros_like(layer.weight)
    optimiser.step()
    torch.testing.assert_close(layer.weight.detach(), before * (1 - 0.1 * 0.5))
