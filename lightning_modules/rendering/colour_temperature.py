"""Colours of common light sources from their correlated colour temperature."""

import torch
from torch import Tensor

# Correlated colour temperatures in kelvin of the CIE's standard illuminants (CIE 15:2018, Colorimetry:
# standard illuminants A and D65, its other daylight illuminants, its fluorescent and its white-LED
# illuminants). The paper says "common indoor and outdoor sources" and does not list them.
INDOOR_KELVIN = {
    "incandescent (A)": 2856.0,
    "warm white LED (LED-B1)": 2733.0,
    "soft white LED (LED-B2)": 2998.0,
    "narrow-band fluorescent (FL11)": 4000.0,
    "neutral white LED (LED-B3)": 4103.0,
    "cool white fluorescent (FL2)": 4230.0,
    "daylight LED (LED-B4)": 5109.0,
    "daylight fluorescent (FL7)": 6500.0,
}
OUTDOOR_KELVIN = {
    "horizon light (D50)": 5003.0,
    "mid-morning daylight (D55)": 5503.0,
    "noon daylight (D65)": 6504.0,
    "north sky daylight (D75)": 7504.0,
}
DAYLIGHT_WHITE_KELVIN = 6504.0  # sRGB's white, D65

# IEC 61966-2-1: linear sRGB to CIE XYZ.
SRGB_TO_XYZ = (
    (0.4124564, 0.3575761, 0.1804375),
    (0.2126729, 0.7151522, 0.0721750),
    (0.0193339, 0.1191920, 0.9503041),
)
XYZ_TO_SRGB = torch.linalg.inv(torch.tensor(SRGB_TO_XYZ, dtype=torch.float64))


def _polynomial(x: Tensor, *coefficients: float) -> Tensor:
    """Value at x of a polynomial, its highest power first."""
    value = coefficients[0] * x + coefficients[1]
    for coefficient in coefficients[2:]:
        value = value * x + coefficient
    return value


def planckian_chromaticity(kelvin: Tensor) -> Tensor:
    """CIE 1931 x, y of a black body, [..., 2], by the fit of Kim et al. (US patent 7024034), 1667-25000 K."""
    t = 1e3 / kelvin
    cool = _polynomial(t, -3.0258469, 2.1070379, 0.2226347, 0.240390)
    warm = _polynomial(t, -0.2661239, -0.2343589, 0.8776956, 0.179910)
    x = torch.where(kelvin > 4000, cool, warm)
    y_cool = _polynomial(x, 3.0817580, -5.87338670, 3.75112997, -0.37001483)
    y_warm = _polynomial(x, -0.9549476, -1.37418593, 2.09137015, -0.16748867)
    y_candle = _polynomial(x, -1.1063814, -1.34811020, 2.18555832, -0.20219683)
    y = torch.where(kelvin > 4000, y_cool, torch.where(kelvin > 2222, y_warm, y_candle))
    return torch.stack([x, y], dim=-1)


def daylight_chromaticity(kelvin: Tensor) -> Tensor:
    """CIE 1931 x, y of daylight, [..., 2], by the formula for D illuminants of CIE 15:2018, 4000-25000 K."""
    t = 1e3 / kelvin
    cool = _polynomial(t, -2.0064, 1.9018, 0.24748, 0.237040)
    warm = _polynomial(t, -4.6070, 2.9678, 0.09911, 0.244063)
    x = torch.where(kelvin > 7000, cool, warm)
    return torch.stack([x, _polynomial(x, -3.0, 2.870, -0.275)], dim=-1)


def linear_colour(chromaticity: Tensor) -> Tensor:
    """Linear sRGB of a chromaticity [..., 2] at luminance 1, [..., 3], cut at zero outside the gamut."""
    x, y = chromaticity.unbind(dim=-1)
    xyz = torch.stack([x / y, torch.ones_like(x), (1 - x - y) / y], dim=-1)
    colour = (xyz @ XYZ_TO_SRGB.to(xyz).T).clamp(min=0)
    return colour / luminance(colour)[..., None]


def luminance(colour: Tensor) -> Tensor:
    """Luminance of linear sRGB [..., 3]."""
    return colour @ colour.new_tensor(SRGB_TO_XYZ[1])


def source_colour(kelvin: Tensor, *, is_daylight: Tensor) -> Tensor:
    """Linear sRGB at luminance 1, [..., 3], of daylight where `is_daylight`, of a black body elsewhere.

    Args:
        kelvin: [...], 1667 to 25000; daylight from 4000.
        is_daylight: [...] of bool.
    """
    daylight = daylight_chromaticity(kelvin.clamp(min=4000.0))
    return linear_colour(torch.where(is_daylight[..., None], daylight, planckian_chromaticity(kelvin)))
