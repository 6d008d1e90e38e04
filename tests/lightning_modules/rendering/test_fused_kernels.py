import numpy as np
import pytest
import torch

from lightning_modules.rendering import fused_kernels
from lightning_modules.rendering.colour import clamp_with_gradient, decode_srgb, encode_srgb


@pytest.mark.parametrize(("dtype", "allowed"), [(np.float32, 2e-6), (np.float64, 1e-14)])
@pytest.mark.parametrize(
    ("kernel", "judge"), [(fused_kernels._decode, decode_srgb), (fused_kernels._encode, encode_srgb)]
)
def test_srgb_curves_and_their_slopes_are_exact_to_rounding(
    kernel: object, judge: object, dtype: type, allowed: float
) -> None:
    # Measured for float32, relative: 1.0e-6 at most, most of it from the threshold's subtraction.
    values = np.linspace(1e-6, 1, 200_001).astype(dtype)
    found, slopes = np.empty_like(values), np.empty_like(values)
    kernel(values, found, slopes)
    exact = torch.from_numpy(values).double().requires_grad_()
    expected = judge(exact)
    (expected_slopes,) = torch.autograd.grad(expected.sum(), exact)
    np.testing.assert_allclose(found, expected.detach().numpy(), rtol=allowed)
    np.testing.assert_allclose(slopes, expected_slopes.numpy(), rtol=allowed)


@pytest.mark.parametrize(
    ("kernel", "judge"), [(fused_kernels._decode, decode_srgb), (fused_kernels._encode, encode_srgb)]
)
def test_values_outside_the_range_are_clamped_and_keep_the_slope_of_its_end(
    kernel: object, judge: object
) -> None:
    values = np.array([-0.5, 0.0, 1.0, 1.5])
    found, slopes = np.empty_like(values), np.empty_like(values)
    kernel(values, found, slopes)
    exact = torch.from_numpy(values).requires_grad_()
    expected = judge(clamp_with_gradient(exact))
    (expected_slopes,) = torch.autograd.grad(expected.sum(), exact)
    np.testing.assert_allclose(found, expected.detach().numpy(), atol=1e-14)
    np.testing.assert_allclose(slopes, expected_slopes.numpy())
