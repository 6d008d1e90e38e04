import numpy as np
import pytest

from evaluation.metrics.verification import (
    area_under_curve,
    best_threshold,
    cross_validated_accuracy,
    roc,
    share_below,
    true_accept_rate_at,
)


def test_threshold_lies_in_the_middle_of_the_gap() -> None:
    assert best_threshold(np.array([0.1, 0.3, 0.7, 0.9]), np.array([False, False, True, True])) == 0.5


def test_equal_values_are_never_separated() -> None:
    similarity = np.array([0.5, 0.5, 0.5, 0.9])
    same = np.array([True, False, False, True])
    threshold = best_threshold(similarity, same)
    assert threshold == pytest.approx(0.7)
    assert np.mean((similarity >= threshold) == same) == 0.75


def test_everything_or_nothing_may_be_accepted() -> None:
    assert best_threshold(np.array([0.2, 0.4]), np.array([True, True])) <= 0.2
    assert best_threshold(np.array([0.2, 0.4]), np.array([False, False])) > 0.4


def test_accuracy_by_hand() -> None:
    # Fold 0 is scored at 0.5 (the gap of fold 1): one of its two pairs is wrong. Fold 1 at 0.65: both right.
    similarity = np.array([0.6, 0.7, 0.1, 0.9])
    same = np.array([False, True, False, True])
    accuracy = cross_validated_accuracy(similarity, same, np.array([0, 0, 1, 1]))
    assert accuracy.folds.tolist() == [0.5, 1.0]
    assert accuracy.thresholds == pytest.approx([0.5, 0.65])
    assert accuracy.mean == 0.75
    assert accuracy.standard_error == pytest.approx(0.25)


def test_the_threshold_of_a_fold_never_sees_that_fold() -> None:
    generator = np.random.default_rng(0)
    similarity, same = generator.random(400), generator.random(400) < 0.5
    fold = np.repeat(np.arange(10), 40)
    changed = np.where(fold == 3, 1 - similarity, similarity)
    before, after = (cross_validated_accuracy(s, same, fold) for s in (similarity, changed))
    assert before.thresholds[3] == after.thresholds[3]


def test_roc_by_hand() -> None:
    curve = roc(np.array([0.9, 0.8, 0.8, 0.1]), np.array([True, True, False, False]))
    assert curve.false_accept_rate.tolist() == [0, 0, 0.5, 1]
    assert curve.true_accept_rate.tolist() == [0, 0.5, 1, 1]
    assert area_under_curve(curve) == pytest.approx(0.875)  # of 4 comparisons 3 are right and one is a tie
    assert true_accept_rate_at(curve, 0.0) == 0.5
    assert true_accept_rate_at(curve, 0.5) == 1.0


def test_curve_and_area_agree_with_scikit_learn() -> None:
    metrics = pytest.importorskip("sklearn.metrics")
    generator = np.random.default_rng(1)
    same = generator.random(500) < 0.4
    similarity = np.round(generator.normal(same, 1.0), 1)  # with ties
    curve = roc(similarity, same)
    expected = metrics.roc_curve(same, similarity, drop_intermediate=False)
    np.testing.assert_allclose(curve.false_accept_rate, expected[0])
    np.testing.assert_allclose(curve.true_accept_rate, expected[1])
    assert area_under_curve(curve) == pytest.approx(metrics.roc_auc_score(same, similarity))


def test_share_below_is_strict() -> None:
    assert share_below(np.array([0.1, 0.2, 0.3, 0.4]), 0.3) == 0.5


def test_unusable_pairs_are_refused() -> None:
    same = np.array([True, False])
    with pytest.raises(ValueError, match="1 similarities are not finite; leave failed pairs out"):
        roc(np.array([0.1, np.nan]), same)
    with pytest.raises(ValueError, match="pairs of one person and of two"):
        roc(np.array([0.1, 0.2]), np.array([True, True]))
    with pytest.raises(ValueError, match="at least two folds, got 1"):
        cross_validated_accuracy(np.array([0.1, 0.2]), same, np.zeros(2))
