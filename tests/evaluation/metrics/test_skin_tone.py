import numpy as np
import pytest
from scipy import stats

from evaluation.metrics.skin_tone import (
    agreement_within_people,
    individual_typology_angle,
    lab,
    tone_agreement,
    tone_class,
)


def lab_by_definition(srgb: np.ndarray) -> np.ndarray:
    """CIE 15 and IEC 61966-2-1, white point D65."""
    linear = np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)
    to_xyz = np.array(
        [
            [0.4124564, 0.3575761, 0.1804375],
            [0.2126729, 0.7151522, 0.0721750],
            [0.0193339, 0.1191920, 0.9503041],
        ]
    )
    relative = linear @ to_xyz.T / to_xyz.sum(1)
    cube = np.where(relative > (6 / 29) ** 3, np.cbrt(relative), relative / (3 * (6 / 29) ** 2) + 4 / 29)
    x, y, z = np.moveaxis(cube, -1, 0)
    return np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], -1)


def test_white_black_and_grey_by_hand() -> None:
    grey = lab(np.array([[1.0, 1.0, 1.0], [0.0, 0.0, 0.0], [0.4663266] * 3]))
    # L of 18.42 % of white's luminance is 50.
    np.testing.assert_allclose(grey, [[100, 0, 0], [0, 0, 0], [50, 0, 0]], atol=0.01)


def test_lab_agrees_with_its_definition_in_any_shape() -> None:
    colours = np.random.default_rng(0).random((2, 5, 3))
    # The matrices are published to seven digits, their white points to four.
    np.testing.assert_allclose(lab(colours), lab_by_definition(colours), atol=0.01)
    assert lab(colours[0, 0]).shape == (3,)
    assert lab(np.empty((0, 3))).shape == (0, 3)


def test_colours_outside_the_screen_are_clamped() -> None:
    np.testing.assert_array_equal(lab(np.array([1.3, -0.2, 0.5])), lab(np.array([1.0, 0.0, 0.5])))


def test_angles_by_hand() -> None:
    angles = individual_typology_angle(np.array([[60.0, 9, 10], [50, 9, 10], [40, 9, 10], [70, 9, 0]]))
    assert angles == pytest.approx([45, 0, -45, 90])


def test_classes_by_their_bounds() -> None:
    names = ["very light", "light", "intermediate", "tan", "brown", "dark"]
    assert [tone_class(angle) for angle in (56, 50, 41, 28, 10, -30)] == names


def test_agreement_by_hand() -> None:
    own = np.array([40.0, 50, 60, 30, 5, -20, 0, 20])
    rendered = np.array([35.0, 5, 60, 20, 30, -10, 20, 0])
    agreement = tone_agreement(rendered, own)
    assert (agreement.light_count, agreement.dark_count, agreement.count) == (4, 3, 8)
    assert (agreement.light_rendered_dark_count, agreement.dark_rendered_light_count) == (1, 1)
    assert agreement.light_rendered_dark == 1 / 4
    assert agreement.dark_rendered_light == pytest.approx(1 / 3)
    assert agreement.rank_correlation == pytest.approx(stats.spearmanr(own, rendered).statistic)


def test_order_alone_counts_for_the_rank_correlation() -> None:
    own = np.array([10.0, 20, 40])
    assert tone_agreement(own**3, own).rank_correlation == pytest.approx(1)
    assert tone_agreement(-own, own).rank_correlation == pytest.approx(-1)


def test_what_has_no_value_is_nan_and_not_zero() -> None:
    agreement = tone_agreement(np.full(3, 20.0), np.array([12.0, 15, 20]))
    assert np.isnan(agreement.rank_correlation)
    assert np.isnan(agreement.light_rendered_dark)
    assert np.isnan(agreement.dark_rendered_light)


def test_unusable_input_is_refused() -> None:
    with pytest.raises(ValueError, match=r"colours must be \[..., 3\], got \[4\]"):
        lab(np.ones(4))
    with pytest.raises(ValueError, match="got up to 200; divide bytes by 255"):
        lab(np.array([200.0, 100, 50]))
    with pytest.raises(ValueError, match="an angle is not finite"):
        tone_agreement(np.array([1.0, 2, np.nan]), np.ones(3))
    with pytest.raises(ValueError, match=r"at least three people, got \[2\] and \[2\]"):
        tone_agreement(np.ones(2), np.ones(2))


def test_two_photographs_of_each_person_are_held_against_each_other() -> None:
    angles = np.array([10.0, 99.0, 20, 11, 5, 21, 6, -40, 12])
    identity = np.array([0, 3, 1, 0, 2, 1, 2, 0, 0])
    assert agreement_within_people(angles, identity) == (pytest.approx(1.0), 3)
    angles[3], angles[6] = angles[6], angles[3]
    assert agreement_within_people(angles, identity)[0] == pytest.approx(0.5)


@pytest.mark.parametrize("identity", [[0, 0, 1, 1], [0, 1, 2, 3]])
def test_two_people_and_people_with_one_photograph_do_not_agree_or_disagree(identity: list[int]) -> None:
    assert np.isnan(agreement_within_people(np.arange(4.0), np.array(identity))[0])
