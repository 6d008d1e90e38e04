"""sRGB encoding and decoding (IEC 61966-2-1), with a clamp that lets gradients through."""

import torch
from torch import Tensor


def clamp_with_gradient(values: Tensor, low: float = 0.0, high: float = 1.0) -> Tensor:
    """Values clamped to [low, high]; the gradient passes as if they were not."""
    return values + (values.clamp(low, high) - values).detach()


def decode_srgb(encoded: Tensor) -> Tensor:
    """Linear light of sRGB-encoded values in [0, 1]."""
    curve = ((encoded.clamp(min=0.04045) + 0.055) / 1.055) ** 2.4
    return torch.where(encoded > 0.04045, curve, encoded / 12.92)


def encode_srgb(linear: Tensor) -> Tensor:
    """Linear light in [0, 1], sRGB-encoded."""
    curve = 1.055 * linear.clamp(min=0.0031308) ** (1 / 2.4) - 0.055
    return torch.where(linear > 0.0031308, curve, 12.92 * linear)
