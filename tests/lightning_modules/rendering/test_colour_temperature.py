import pytest
import torch

from lightning_modules.rendering.colour_temperature import (
    INDOOR_KELVIN,
    OUTDOOR_KELVIN,
    daylight_chromaticity,
    linear_colour,
    luminance,
    planckian_chromaticity,
    source_colour,
)


@pytest.mark.parametrize(
    ("kelvin", "x", "y"), [(5003, 0.34567, 0.35850), (6504, 0.31272, 0.32903), (7504, 0.29902, 0.31485)]
)
def test_daylight_has_the_chromaticities_of_d50_d65_and_d75(kelvin: float, x: float, y: float) -> None:
    found = daylight_chromaticity(torch.tensor(kelvin, dtype=torch.float64))
    assert found.tolist() == pytest.approx([x, y], abs=2e-4)


@pytest.mark.parametrize(
    ("kelvin", "x", "y"), [(2000, 0.5267, 0.4133), (2856, 0.44758, 0.40745), (6504, 0.3135, 0.3236)]
)
def test_a_black_body_has_its_chromaticity(kelvin: float, x: float, y: float) -> None:
    # 2856 K is illuminant A.
    found = planckian_chromaticity(torch.tensor(kelvin, dtype=torch.float64))
    assert found.tolist() == pytest.approx([x, y], abs=6e-4)


def test_the_fits_are_continuous_where_their_pieces_meet() -> None:
    for chromaticity, places in (
        (planckian_chromaticity, (2222.0, 4000.0)),
        (daylight_chromaticity, (7000.0,)),
    ):
        for place in places:
            pair = chromaticity(torch.tensor([place, place + 1e-3], dtype=torch.float64))
            torch.testing.assert_close(pair[0], pair[1], atol=3e-4, rtol=0)


def test_d65_is_srgbs_white() -> None:
    white = linear_colour(torch.tensor([0.31272, 0.32903], dtype=torch.float64))
    assert white.tolist() == pytest.approx([1, 1, 1], abs=2e-3)


def test_every_source_has_luminance_one_and_warmer_ones_are_redder() -> None:
    kelvin = torch.tensor(sorted([*INDOOR_KELVIN.values(), 1700.0]))
    colours = source_colour(kelvin, is_daylight=torch.zeros(len(kelvin), dtype=torch.bool))
    torch.testing.assert_close(luminance(colours), torch.ones(len(kelvin)))
    assert (colours >= 0).all()
    red_to_blue = colours[:, 0] / colours[:, 2].clamp(min=1e-3)
    assert (red_to_blue.diff() < 0).all()
    daylight = source_colour(
        torch.tensor(list(OUTDOOR_KELVIN.values())), is_daylight=torch.ones(4, dtype=torch.bool)
    )
    assert ((daylight > 0.7) & (daylight < 1.2)).all()
