import numpy as np
import pytest
import torch
from scipy import stats

from evaluation.metrics.contrasts import (
    contrast,
    contributions,
    holm,
    paired_p_value,
    shapley_weights,
    smallest_effect,
    smallest_sign_test_p,
)
from evaluation.metrics.paired import Statistic, jackknife_standard_error, mean_statistic
from evaluation.metrics.reporting_protocol import photograph_pairs, score


def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def normal(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape)


# ---------------------------------------------------------------------- power


@pytest.mark.parametrize(("count", "level"), [(3, 0.05), (20, 0.05), (20, 0.001)])
def test_the_smallest_effect_is_found_in_four_of_five_samples(count: int, level: float) -> None:
    samples = normal(40_000, count) + smallest_effect(1 / np.sqrt(count), count, level)
    found = stats.ttest_1samp(samples, 0.0, axis=1).pvalue < level
    assert found.mean() == pytest.approx(0.8, abs=0.01)


def test_a_contrast_knows_what_it_would_see_with_other_people_and_other_seeds() -> None:
    scores = np.stack([np.zeros((3, 50)), normal(3, 50) + np.array([[0.0], [0.2], [0.4]])])
    found = contrast(scores, np.array([-1.0, 1.0]), generator())
    by_person, by_seed = scores[1].mean(0), scores[1].mean(1)
    assert found.standard_error == pytest.approx(by_person.std(ddof=1) / np.sqrt(50))
    assert found.smallest_over_people() == pytest.approx(smallest_effect(found.standard_error, 50, 0.05))
    assert found.smallest_over_people(0.001) > found.smallest_over_people()
    expected = smallest_effect(by_seed.std(ddof=1) / np.sqrt(3), 3, 0.05)
    assert found.smallest_over_seeds == pytest.approx(expected)
    assert contrast(scores[:, :1], np.array([-1.0, 1.0]), generator()).smallest_over_seeds is None


def test_what_rounding_leaves_is_no_spread_from_which_to_foresee_anything() -> None:
    scores = np.stack([normal(3, 50), np.zeros((3, 50))])
    scores[1] = scores[0] + 1e-16
    found = contrast(scores, np.array([-1.0, 1.0]), generator())
    assert found.standard_error == 0
    assert found.smallest_over_people() is None
    assert found.smallest_over_seeds is None


# ---------------------------------------------------------------------- contributions


def test_contributions_to_a_mean_are_the_values() -> None:
    values = normal(7)
    np.testing.assert_allclose(contributions(mean_statistic(values)), values, atol=1e-12)


def test_contributions_have_the_statistic_s_value_and_standard_error() -> None:
    similarity = normal(12, 24)
    pairs = photograph_pairs(normal(24, 24, seed=1))
    for statistic in score(similarity, pairs):
        parts = contributions(statistic)
        assert parts.mean() == pytest.approx(statistic.value, abs=1e-12)
        error = parts.std(ddof=1) / np.sqrt(len(parts))
        assert error == pytest.approx(jackknife_standard_error(statistic.leave_one_out), rel=1e-9)


def test_contributions_of_a_statistic_worked_out_by_hand() -> None:
    # The square of the mean of 1, 2, 6 is 9; without each of them it is 16, 12.25 and 2.25.
    parts = contributions(Statistic(9.0, np.array([16.0, 12.25, 2.25])))
    middle = (16 + 12.25 + 2.25) / 3
    np.testing.assert_allclose(parts, [9 + 2 * (middle - x) for x in (16, 12.25, 2.25)])


# ---------------------------------------------------------------------- contrasts


def test_a_contrast_is_the_difference_of_means_seed_by_seed() -> None:
    scores = normal(3, 2, 50)
    result = contrast(scores, np.array([-1, 0, 1]), generator())
    means = scores.mean(2)
    np.testing.assert_allclose(result.by_seed, means[2] - means[0])
    assert result.value == pytest.approx(float((means[2] - means[0]).mean()))
    assert result.people == 50
    assert result.interval[0] < result.value < result.interval[1]


def test_its_interval_is_that_of_the_paired_mean() -> None:
    scores = normal(2, 1, 400)
    low, high = contrast(scores, np.array([1, -1]), generator(), repeats=20_000).interval
    differences = (scores[0] - scores[1])[0]
    half = 1.96 * differences.std(ddof=1) / 20
    assert (low, high) == pytest.approx((differences.mean() - half, differences.mean() + half), abs=0.01)


def test_intervals_hold_the_truth_as_often_as_they_say_when_people_differ_in_all_seeds_alike() -> None:
    draws = np.random.default_rng(0)
    held = 0
    for _ in range(200):
        person = draws.normal(size=(1, 1, 60))  # a person's difficulty, the same in all seeds
        effect = np.array([0.0, 0.3]).reshape(2, 1, 1) * (1 + person)
        scores = person + effect + 0.1 * draws.normal(size=(2, 3, 60))
        low, high = contrast(scores, np.array([-1, 1]), generator(), repeats=300).interval
        held += low <= 0.3 <= high
    # 95 % of 200 less three standard deviations, and what a percentile interval of 60 values lacks.
    assert held >= 178


def test_its_test_is_scipy_s_over_people() -> None:
    scores = normal(2, 3, 40)
    differences = (scores[1] - scores[0]).mean(0)
    assert contrast(scores, np.array([-1, 1]), generator()).p_value == pytest.approx(
        stats.ttest_rel(scores[1].mean(0), scores[0].mean(0)).pvalue
    )
    assert paired_p_value(differences) == pytest.approx(stats.ttest_1samp(differences, 0).pvalue)


def test_variants_that_score_the_same_do_not_differ() -> None:
    scores = np.repeat(normal(1, 2, 30), 2, axis=0)
    result = contrast(scores, np.array([1, -1]), generator())
    assert (result.value, result.p_value, result.interval) == (0.0, 1.0, (0.0, 0.0))
    assert result.same_sign == 2


def test_what_rounding_leaves_of_nothing_is_no_difference() -> None:
    scores = 1e-16 * (1 + 0.1 * normal(2, 1, 30))
    scores[1] *= 3
    assert contrast(scores, np.array([-1, 1]), generator()).p_value == 1.0


def test_the_same_difference_for_everybody_is_certain() -> None:
    assert paired_p_value(np.full(5, 0.25)) == 0.0


def test_seeds_that_agree_are_counted() -> None:
    scores = np.zeros((2, 3, 4))
    scores[1, :, :] = np.array([1.0, 2.0, -0.5])[:, None]
    assert contrast(scores, np.array([-1, 1]), generator()).same_sign == 2


@pytest.mark.parametrize("shape", [(2, 3), (3, 2, 4), (2, 0, 4)])
def test_scores_of_another_shape_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"scores must be \[V, S, I\] and weights \[V\], got"):
        contrast(np.zeros(shape), np.array([1, -1]), generator())


# ---------------------------------------------------------------------- many comparisons


def test_holm_by_hand() -> None:
    # In order .01, .02, .03, .04: times 4, 3, 2, 1, and never below the one before.
    np.testing.assert_allclose(holm([0.03, 0.01, 0.04, 0.02]), [0.06, 0.04, 0.06, 0.06])


def test_holm_never_exceeds_one_and_leaves_a_single_one_alone() -> None:
    np.testing.assert_allclose(holm([0.7, 0.9, 0.6]), [1, 1, 1])
    assert holm([0.2]) == [0.2]
    assert len(holm([])) == 0


def test_holm_keeps_false_findings_rare() -> None:
    draws = np.random.default_rng(1).uniform(size=(2000, 12))
    found = np.mean([(holm(row) < 0.05).any() for row in draws])
    assert 0.03 < found < 0.065


@pytest.mark.parametrize(("seeds", "p"), [(1, 1.0), (2, 0.5), (3, 0.25), (6, 1 / 32)])
def test_few_seeds_cannot_settle_anything(seeds: int, p: float) -> None:
    assert smallest_sign_test_p(seeds) == p
    assert stats.binomtest(seeds, seeds).pvalue == pytest.approx(p)


# ---------------------------------------------------------------------- attribution

TWO = [frozenset(), frozenset("a"), frozenset("b"), frozenset("ab")]


def test_shapley_values_of_two_players_by_hand() -> None:
    # With both 10, without a 4, without b 7, without both 3: a adds 6 or 4, b adds 3 or 1.
    values = shapley_weights(TWO, ["a", "b"]) @ np.array([10.0, 4.0, 7.0, 3.0])
    np.testing.assert_allclose(values, [5.0, 2.0])


def test_shapley_values_add_up_and_give_each_its_own_where_effects_add() -> None:
    players = ["a", "b", "c"]
    off = [frozenset(p for p, bit in zip(players, f"{n:03b}", strict=True) if bit == "1") for n in range(8)]
    weights = shapley_weights(off, players)
    scores = normal(8)
    everyone, nobody = off.index(frozenset()), off.index(frozenset(players))
    assert (weights @ scores).sum() == pytest.approx(scores[everyone] - scores[nobody])
    worth = {"a": 3.0, "b": -1.0, "c": 0.0}
    added = np.array([sum(worth[p] for p in players if p not in lacking) for lacking in off])
    np.testing.assert_allclose(weights @ added, list(worth.values()), atol=1e-12)


def test_the_order_of_variants_and_a_player_without_effect_do_not_matter() -> None:
    values = shapley_weights(TWO[::-1], ["b", "a"]) @ np.array([3.0, 7.0, 4.0, 10.0])
    np.testing.assert_allclose(values, [2.0, 5.0])


@pytest.mark.parametrize("off", [TWO[:3], [*TWO, frozenset("a")]])
def test_an_incomplete_design_has_no_shapley_values(off: list[frozenset[str]]) -> None:
    with pytest.raises(ValueError, match="need each of their 4 combinations once"):
        shapley_weights(off, ["a", "b"])
