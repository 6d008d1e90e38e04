import pytest
import torch

from evaluation.metrics.skin_tone import lab
from lightning_modules.rendering.colour import clamp_with_gradient, decode_srgb, encode_srgb, lab_of_srgb


def test_srgb_has_its_published_values() -> None:
    encoded = torch.tensor([0.0, 0.04045, 0.5, 1.0], dtype=torch.float64)
    linear = torch.tensor([0.0, 0.0031308, 0.2140411, 1.0], dtype=torch.float64)
    torch.testing.assert_close(decode_srgb(encoded), linear, atol=1e-6, rtol=0)
    torch.testing.assert_close(encode_srgb(linear), encoded, atol=1e-5, rtol=0)


def test_encoding_undoes_decoding() -> None:
    encoded = torch.linspace(0, 1, 257, dtype=torch.float64)
    torch.testing.assert_close(encode_srgb(decode_srgb(encoded)), encoded, atol=1e-7, rtol=0)


def test_the_curves_have_their_derivatives_everywhere() -> None:
    values = torch.tensor([0.0, 0.001, 0.02, 0.3, 0.9], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(decode_srgb, values)
    assert torch.autograd.gradcheck(encode_srgb, values)


def test_the_clamp_lets_the_gradient_through() -> None:
    values = torch.tensor([-0.5, 0.25, 1.5], requires_grad=True)
    clamped = clamp_with_gradient(values)
    assert clamped.tolist() == pytest.approx([0, 0.25, 1])
    clamped.sum().backward()
    assert values.grad.tolist() == [1, 1, 1]


def test_lab_of_tensors_is_that_of_arrays() -> None:
    # OpenCV's cube root is a table: where its linear end begins, a* is off by 0.03.
    colours = torch.rand(20_000, 3, generator=torch.Generator().manual_seed(0)) * 1.2 - 0.1
    found, expected = lab_of_srgb(colours), torch.from_numpy(lab(colours.numpy()))
    assert (found - expected).abs().max() < 0.04
    assert (found - expected).abs().quantile(0.99) < 2e-3
    white = lab_of_srgb(torch.ones(2, 2, 3))
    torch.testing.assert_close(white, torch.tensor([100.0, 0.0, 0.0]).expand(2, 2, 3), atol=1e-3, rtol=0)
