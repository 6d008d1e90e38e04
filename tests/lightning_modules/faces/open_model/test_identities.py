import numpy as np
import pytest

from lightning_modules.faces.open_model import identities
from lightning_modules.faces.open_model.calibration import CALIBRATED_SLIDERS
from lightning_modules.faces.open_model.identities import Identities, Slider


@pytest.fixture(scope="module")
def features() -> list[Slider]:
    return identities.sliders()


def person(sliders: list[Slider], draws: np.ndarray | None = None) -> Identities:
    """One Caucasian woman of 25 with every slider at rest."""
    return Identities(
        ethnicity=np.array([[0.0, 0.0, 1.0]]),
        gender=np.zeros(1),
        age=np.array([25.0]),
        muscle=np.zeros(1),
        weight=np.zeros(1),
        features=np.zeros((1, len(sliders), 2)) if draws is None else draws,
    )


def active(shares: dict[tuple[str, str], np.ndarray]) -> dict[str, float]:
    return {name: float(share[0]) for (_, name), share in shares.items() if share[0] != 0}


def test_a_person_at_rest_is_two_targets(features: list[Slider]) -> None:
    shares = identities.target_weights(person(features), features)
    assert active(shares) == {
        "caucasian-female-young": 1.0,
        "universal-female-young-averagemuscle-averageweight": 1.0,
    }


def test_shares_of_faces_and_of_bodies_sum_to_one(features: list[Slider]) -> None:
    people = identities.draw_identities(50, np.random.default_rng(0), features)
    shares = identities.target_weights(people, features)
    for start in (("african", "asian", "caucasian"), ("universal",)):
        total = sum(share for (_, name), share in shares.items() if name.startswith(start))
        np.testing.assert_allclose(total, 1.0)


@pytest.mark.parametrize(
    ("age", "child", "young", "old"), [(18, 0.4, 0.6, 0), (25, 0, 1, 0), (57.5, 0, 0.5, 0.5), (90, 0, 0, 1)]
)
def test_ages_are_blends_of_two_targets(age: float, child: float, young: float, old: float) -> None:
    weights = identities._age_weights(np.array([float(age)]))
    np.testing.assert_allclose([weights[name][0] for name in identities.AGES], [child, young, old])


def test_a_paired_slider_moves_either_target_and_both_sides(features: list[Slider]) -> None:
    index = next(i for i, slider in enumerate(features) if slider.name == "eye-scale")
    draws = np.zeros((1, len(features), 2))
    draws[0, index] = 0.3, -0.2  # the subject's right side, left side
    moved = active(identities.target_weights(person(features, draws), features))
    assert moved["r-eye-scale-incr"] == 0.3
    assert moved["l-eye-scale-decr"] == 0.2
    assert len(moved) == 4


def test_left_and_right_draws_are_nearly_the_same(features: list[Slider]) -> None:
    people = identities.draw_identities(2000, np.random.default_rng(1), features)
    paired = np.array([slider.paired for slider in features])
    right, left = people.features[:, paired, 0].ravel(), people.features[:, paired, 1].ravel()
    # Correlation of c + .12 e and c + .12 e': 1 / (1 + .12 ** 2).
    assert np.corrcoef(right, left)[0, 1] == pytest.approx(1 / (1 + 0.12**2), abs=0.01)


def test_draws_have_the_recipe_s_deviations(features: list[Slider]) -> None:
    people = identities.draw_identities(4000, np.random.default_rng(2), features)
    for index, slider in enumerate(features):
        if slider.paired and abs(slider.mean) + 3 * slider.deviation < identities.LARGEST_SLIDER:
            deviation = people.features[:, index, 0].std()
            assert deviation == pytest.approx(slider.deviation * np.sqrt(1 + 0.12**2), rel=0.08)
        if not slider.paired:
            assert people.features[:, index].min() == 0
    assert people.age.min() >= 18
    assert people.age.max() <= 85


def test_sliders_stand_and_spread_as_they_were_solved(features: list[Slider]) -> None:
    start = identities.sliders(calibrated=False)
    names = [slider.name for slider in start]
    assert all(names.count(name) == 1 for name in identities.SLIDER_MEANS)
    assert set(CALIBRATED_SLIDERS) <= set(names)
    for solved, first in zip(features, start, strict=True):
        place, factor = CALIBRATED_SLIDERS.get(
            solved.name, (identities.SLIDER_MEANS.get(solved.name, 0.0), 1.0)
        )
        assert solved.mean == pytest.approx(place * first.deviation)
        assert solved.deviation == pytest.approx(factor * first.deviation)


def test_the_mean_person_s_sliders_stand_where_the_recipe_puts_them(features: list[Slider]) -> None:
    people = identities.draw_identities(4000, np.random.default_rng(3), features)
    for index, slider in enumerate(features):
        if slider.paired and abs(slider.mean) + 3 * slider.deviation < identities.LARGEST_SLIDER:
            assert people.features[:, index].mean() == pytest.approx(slider.mean, abs=0.025)


def test_no_slider_moves_the_head_or_pushes_the_midline_sideways(features: list[Slider]) -> None:
    targets = {name for slider in features for _, name, _, _ in slider.targets}
    assert not {name for name in targets if name.startswith(("head-trans", "head-angle", "asymm"))}
    assert "nose-trans-in" not in targets
    assert {"r-eye-trans-in", "l-eye-trans-out"} <= targets


def test_every_asymmetry_bends_to_both_sides(features: list[Slider]) -> None:
    asymmetries = [slider for slider in features if slider.name.startswith("asym-")]
    assert len(asymmetries) == 29
    assert all(slider.paired and len(slider.targets) == 2 for slider in asymmetries)


def test_a_blend_is_the_weighted_sum_of_targets(features: list[Slider]) -> None:
    vertices = np.array([297, 133, 732])
    targets = identities.MorphTargets(vertices, 19158)
    key, other = ("nose", "nose-volume-incr"), ("chin", "chin-height-decr")
    blended = targets.blend({key: np.array([0.5, 0.0]), other: np.array([1.0, 2.0])})
    expected = 0.5 * targets.displacement(key) + targets.displacement(other)
    np.testing.assert_allclose(blended[0], expected)
    np.testing.assert_allclose(blended[1], 2 * targets.displacement(other))
