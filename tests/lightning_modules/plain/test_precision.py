import numpy as np
import pytest
import torch

from lightning_modules.plain.precision import constant, without_autocast


def test_a_constant_is_copied_to_a_device_once() -> None:
    values = np.array([[1.0, 2.0], [3.0, 4.0]])
    first = constant(values, torch.device("cpu"))
    assert first.tolist() == values.tolist()
    assert first.dtype == torch.float64
    values[0, 0] = 9  # what it was made from is not shared
    assert first[0, 0] == 1
    assert constant(np.array([[1.0, 2.0], [3.0, 4.0]]), torch.device("cpu")) is first
    assert constant(np.array([1.0, 2.0, 3.0, 4.0]), torch.device("cpu")).shape == (4,)
    assert constant(values, torch.device("meta")).is_meta


def test_a_constant_that_inference_asked_for_first_can_be_trained_through() -> None:
    with torch.inference_mode():
        weights = constant(np.array([0.25, 0.75]), torch.device("cpu"))
    leaf = torch.ones(2, dtype=torch.float64, requires_grad=True)
    (leaf * weights).sum().backward()
    assert leaf.grad.tolist() == [0.25, 0.75]


@pytest.mark.parametrize("device", ["cpu", "meta"])
def test_autocast_is_off_inside_also_where_a_device_has_none(device: str) -> None:
    values = torch.ones(2, 2, device=device)
    with torch.autocast("cpu", dtype=torch.bfloat16), without_autocast(values.device):
        assert (values @ values).dtype == torch.float32
