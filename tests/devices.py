"""Devices that a test runs on: always the CPU, and a GPU under the mark `gpu` where there is one."""

import pytest
import torch

CUDA = pytest.param(
    "cuda",
    marks=[
        pytest.mark.gpu,
        pytest.mark.skipif(not torch.cuda.is_available(), reason="torch finds no GPU here"),
    ],
)
ON_EVERY_DEVICE = pytest.mark.parametrize("device", ["cpu", CUDA])
