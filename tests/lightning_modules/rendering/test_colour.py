import pytest
import torch

from lightning_modules.rendering.colour import clamp_with_gradient, decode_srgb, encode_srgb


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
