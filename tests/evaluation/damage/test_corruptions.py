from itertools import pairwise

import cv2
import numpy as np
import pytest

from evaluation.damage.corruptions import (
    CENTRE,
    CONTEXT,
    CORRUPTIONS,
    EYE_DISTANCE,
    FACE_BOX,
    POINTS,
    STRENGTHS,
    Corruption,
    cover_by_a_bar,
    cover_by_a_hand,
    cover_by_patches,
)
from lightning_modules.recognition.frame import CANONICAL_POINTS

SIDE = CONTEXT.size
KINDS = {kind.name: kind for kind in CORRUPTIONS}


@pytest.fixture(scope="module")
def context() -> np.ndarray:
    """A smooth picture of many colours."""
    picture = np.random.default_rng(0).integers(30, 200, (12, 12, 3), np.uint8)
    return cv2.resize(picture, (SIDE, SIDE), interpolation=cv2.INTER_CUBIC)


def damage(name: str, picture: np.ndarray, strength: int, *, seed: int = 0) -> np.ndarray:
    """A picture damaged by a kind at one strength."""
    return KINDS[name].at_all_strengths(picture, (seed,))[strength - 1]


def changed(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Where two pictures differ clearly [S, S]."""
    return (np.abs(first.astype(int) - second).max(-1)) > 12


def test_the_context_is_the_canonical_frame_with_a_margin() -> None:
    np.testing.assert_allclose(POINTS, CANONICAL_POINTS + 48)
    assert SIDE == 320
    assert pytest.approx(54, abs=0.1) == EYE_DISTANCE


@pytest.mark.parametrize("kind", CORRUPTIONS, ids=lambda kind: kind.name)
def test_every_kind_does_more_at_every_strength_and_the_same_each_time(
    kind: Corruption, context: np.ndarray
) -> None:
    before = context.copy()
    damaged = kind.at_all_strengths(context, (0, 1))
    assert len(damaged) == STRENGTHS
    np.testing.assert_array_equal(context, before)
    assert all(image.shape == context.shape and image.dtype == np.uint8 for image in damaged)
    np.testing.assert_array_equal(damaged[2], kind.at_all_strengths(context, (0, 1))[2])
    away = [np.abs(image.astype(float) - context).mean() for image in damaged]
    assert away[0] > 0
    if kind.name == "turned":  # colours that turn away from their place have no order
        return
    assert all(later > 0.98 * earlier for earlier, later in pairwise(away))
    assert away[-1] > 1.5 * away[0]


@pytest.mark.parametrize(("share", "cells"), [(0.05, 4), (0.5, 40)])
def test_patches_cover_their_share_of_the_face_and_nothing_else(
    share: float, cells: int, context: np.ndarray
) -> None:
    mask = (cover_by_patches(context, share, np.random.default_rng(1)) != context).any(-1)
    left, top, right, bottom = (round(float(edge)) for edge in FACE_BOX)
    inside = mask[top:bottom, left:right].mean()
    assert inside == pytest.approx(cells / 80, abs=0.01)
    mask[top:bottom, left:right] = False
    assert not mask.any()


@pytest.mark.parametrize("cover", [cover_by_patches, cover_by_a_bar, cover_by_a_hand])
def test_what_little_covers_is_covered_by_much(cover: object, context: np.ndarray) -> None:
    kind = next(kind for kind in CORRUPTIONS if kind.apply is cover)
    masks = [changed(image, context) for image in kind.at_all_strengths(context, (7,))]
    face = (slice(round(FACE_BOX[1]), round(FACE_BOX[3])), slice(round(FACE_BOX[0]), round(FACE_BOX[2])))
    shares = [mask[face].mean() for mask in masks]
    assert shares == sorted(shares)
    assert shares[-1] > 0.15
    if cover is not cover_by_a_hand:  # its fingers move up
        assert all((later | ~earlier).mean() > 0.995 for earlier, later in pairwise(masks))


def test_the_bar_covers_the_eyes_and_leaves_nose_and_mouth(context: np.ndarray) -> None:
    x, y = POINTS.round().astype(int).T
    mask = changed(damage("bar on the eyes", context, 3), context)
    assert mask[y, x].tolist() == [True, True, False, False, False]


def test_the_hand_has_the_colour_of_the_cheeks(context: np.ndarray) -> None:
    face = np.full_like(context, (200, 140, 110))
    covered = damage("hand", face, 5)[changed(damage("hand", face, 5), face)]
    hue = covered.mean(0) / covered.mean()
    np.testing.assert_allclose(hue, np.array([200, 140, 110]) / 150, atol=0.03)


def test_a_turn_is_about_the_middle_of_the_face_by_its_angle(context: np.ndarray) -> None:
    picture = np.zeros_like(context)
    tip = CENTRE + np.array([60.0, 0.0])
    cv2.circle(picture, tuple(tip.round().astype(int).tolist()), 4, (255, 255, 255), -1)
    rows, columns = np.nonzero(damage("turned", picture, 4).max(-1) > 100)
    arm = np.array([columns.mean(), rows.mean()]) - CENTRE
    assert np.degrees(np.arctan2(*np.abs(arm[::-1]))) == pytest.approx(45, abs=1)
    assert np.hypot(*arm) == pytest.approx(60, abs=1)


def test_colours_are_changed_in_linear_light(context: np.ndarray) -> None:
    grey = np.full_like(context, 128)
    cast = damage("colour cast", grey, 2, seed=3)[0, 0] / 255
    linear = ((cast + 0.055) / 1.055) ** 2.4 / ((128 / 255 + 0.055) / 1.055) ** 2.4
    assert np.log(linear).sum() == pytest.approx(0, abs=0.03)
    assert np.abs(np.log(linear)).max() <= 0.41
    lit = damage("light from one side", grey, 1, seed=3) / 255
    linear = ((lit + 0.055) / 1.055) ** 2.4
    assert linear.min() / linear.max() == pytest.approx(0.5, abs=0.02)


def test_no_colour_is_left_at_the_last_strength(context: np.ndarray) -> None:
    grey = damage("less colour", context, 5)
    assert (np.ptp(grey.astype(int), axis=-1) == 0).all()
    half = damage("less colour", context, 3).astype(float)
    expected = context + 0.6 * (grey.astype(float) - context)
    assert np.abs(half - expected).max() <= 1


def test_a_reduced_face_keeps_only_coarse_detail(context: np.ndarray) -> None:
    noise = np.random.default_rng(0).integers(0, 255, context.shape, np.uint8)
    fine = damage("reduced size", noise, 5)
    assert fine.std() < 0.25 * noise.std()


def test_a_strength_says_what_it_means() -> None:
    assert KINDS["blur"].written(4) == "blur 4 (5 px)"
