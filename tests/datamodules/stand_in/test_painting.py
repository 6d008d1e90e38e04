from dataclasses import replace

import numpy as np
import pytest
import torch

from datamodules.stand_in.painting import (
    CLEAREST_EDGE,
    Anchors,
    paint_background,
    paint_occluders,
    paint_place,
    steepest_step,
)
from datamodules.stand_in.ranges import StandInRanges
from lightning_modules.rendering.scenes import noise_backgrounds

SIDE = 200
SKIN = np.array([0.7, 0.5, 0.4])
# A frontal head in the upper middle; the unit, bridge to mouth, is 40 pixels.
POINTS = ((84, 70), (116, 70), (100, 70), (100, 110), (100, 128), (65, 70), (135, 70), (100, 25))
ANCHORS = Anchors(*(np.array(point, float) for point in POINTS))
NOTHING = replace(StandInRanges(), glasses_share=0.0, scarf_share=0.0, hand_share=0.0)
GREY = np.full((SIDE, SIDE, 3), 0.5, np.float32)


def changed_by(**shares: float) -> np.ndarray:
    """Where, over some draws, the occluders change a grey picture."""
    changed = np.zeros((SIDE, SIDE), bool)
    for seed in range(8):
        painted = paint_occluders(
            np.random.default_rng(seed), GREY, ANCHORS, SKIN, replace(NOTHING, **shares)
        )
        assert painted.min() >= 0
        assert painted.max() <= 1
        changed |= (np.abs(painted - GREY) > 0.02).any(-1)
    return changed


def test_backgrounds_are_never_smooth_noise_or_one_colour() -> None:
    generators = [torch.Generator().manual_seed(seed) for seed in range(100)]
    # The smallest picture that a packaged network is shown has the steepest noise.
    training = noise_backgrounds(generators, 1, (112, 112))[:, 0].permute(0, 2, 3, 1).numpy()
    smooth = max(steepest_step(picture) for picture in training)
    assert smooth < CLEAREST_EDGE
    for seed in range(100):
        picture = paint_place(np.random.default_rng(seed), SIDE)
        assert picture.shape == (SIDE, SIDE, 3)
        assert picture.min() >= 0
        assert picture.max() <= 1
        assert steepest_step(picture) > smooth


def test_long_hair_hangs_beside_the_neck() -> None:
    without, haired = (
        paint_background(np.random.default_rng(1), SIDE, ANCHORS, SKIN, hair)
        for hair in (None, np.array([0.1, 0.05, 0.02]))
    )
    assert haired[80, 64].max() < 0.1
    assert (without[5, 5] == haired[5, 5]).all()


def test_without_occluders_the_picture_stays() -> None:
    assert not changed_by().any()


@pytest.mark.parametrize(
    ("name", "covered", "free"),
    [
        ("glasses_share", [(70, 100), (70, 68)], [(110, 100), (30, 100)]),
        ("scarf_share", [(140, 100), (150, 80)], [(110, 100), (70, 100)]),
        ("hand_share", [(118, 145), (118, 55)], [(70, 100), (110, 100)]),
    ],
)
def test_an_occluder_covers_its_place_and_no_other(
    name: str, covered: list[tuple[int, int]], free: list[tuple[int, int]]
) -> None:
    changed = changed_by(**{name: 1.0})
    assert all(changed[place] for place in covered)
    assert not any(changed[place] for place in free)
