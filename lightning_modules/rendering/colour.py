"""sRGB encoding and decoding (IEC 61966-2-1), with a clamp that lets gradients through, and CIE L*a*b*."""

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


# Linear sRGB to CIE XYZ over its white (D65), as OpenCV has it.
XYZ_OVER_WHITE = (
    (0.412453 / 0.950456, 0.357580 / 0.950456, 0.180423 / 0.950456),
    (0.212671, 0.715160, 0.072169),
    (0.019334 / 1.088754, 0.119193 / 1.088754, 0.950227 / 1.088754),
)


def lab_of_srgb(encoded: Tensor) -> Tensor:
    """CIE L*a*b* (D65, 2 degrees) [..., 3] of sRGB-encoded colours [..., 3], clamped to [0, 1] first.

    The same as `evaluation.metrics.skin_tone.lab`, which needs its colours on the CPU: OpenCV's numbers, as
    factors of tensors, so that nothing is copied to a device.
    """
    red, green, blue = decode_srgb(encoded.clamp(0, 1)).unbind(-1)
    x, y, z = (a * red + b * green + c * blue for a, b, c in XYZ_OVER_WHITE)
    fx, fy, fz = (
        torch.where(v > 0.008856, v.clamp(min=1e-9) ** (1 / 3), 7.787 * v + 16 / 116) for v in (x, y, z)
    )
    lightness = torch.where(y > 0.008856, 116 * fy - 16, 903.3 * y)
    return torch.stack([lightness, 500 * (fx - fy), 200 * (fy - fz)], -1)
