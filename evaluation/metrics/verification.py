"""Verification: how well a similarity tells pairs of one person from pairs of two."""

from typing import NamedTuple

import numpy as np


class Accuracy(NamedTuple):
    """Accuracy over folds, each scored at the threshold that is best on the other folds.

    Attributes:
        mean: over the folds.
        standard_error: of the mean, from the folds' standard deviation.
        folds: [F], each fold's accuracy.
        thresholds: [F], the similarity from which a pair counts as one person.
    """

    mean: float
    standard_error: float
    folds: np.ndarray
    thresholds: np.ndarray


class Curve(NamedTuple):
    """The receiver operating characteristic, from the strictest threshold to the laxest.

    Attributes:
        false_accept_rate: [P], share of different-person pairs at or above the threshold.
        true_accept_rate: [P], share of same-person pairs at or above it.
        threshold: [P].
    """

    false_accept_rate: np.ndarray
    true_accept_rate: np.ndarray
    threshold: np.ndarray


def cross_validated_accuracy(similarity: np.ndarray, same: np.ndarray, fold: np.ndarray) -> Accuracy:
    """The protocol of Labeled Faces in the Wild: each fold at the threshold that fits the others best.

    Args:
        similarity: [P], larger for one person.
        same: [P], whether the pair shows one person.
        fold: [P], at least two folds.

    Raises:
        ValueError: if there are fewer than two folds, or a value is not finite.
    """
    _check(similarity, same)
    folds = np.unique(fold)
    if len(folds) < 2:
        raise ValueError(f"cross-validation needs at least two folds, got {len(folds)}")
    thresholds = np.array([best_threshold(similarity[fold != f], same[fold != f]) for f in folds])
    accuracies = np.array(
        [
            np.mean((similarity[fold == f] >= threshold) == same[fold == f])
            for f, threshold in zip(folds, thresholds, strict=True)
        ]
    )
    error = accuracies.std(ddof=1) / np.sqrt(len(folds))
    return Accuracy(float(accuracies.mean()), float(error), accuracies, thresholds)


def best_threshold(similarity: np.ndarray, same: np.ndarray) -> float:
    """The threshold with the most correct decisions: the middle of the gap that it may move in.

    Where several gaps are equally good, the one in the middle of them is taken.
    """
    order = np.argsort(similarity, kind="stable")
    values, labels = similarity[order], same[order]
    # Accepting everything from place k on is right about the same pairs there and the different ones before.
    correct = labels.sum() + np.concatenate([[0], np.cumsum(np.where(labels, -1, 1))])
    # No threshold lies between equal values.
    possible = np.concatenate([[True], values[1:] > values[:-1], [True]])
    best = np.flatnonzero(possible & (correct == correct[possible].max()))
    place = best[len(best) // 2]
    if place in (0, len(values)):
        return float(values[0] if place == 0 else np.nextafter(values[-1], np.inf))
    return float((values[place - 1] + values[place]) / 2)


def roc(similarity: np.ndarray, same: np.ndarray) -> Curve:
    """The curve through every distinct similarity, beginning at (0, 0)."""
    _check(similarity, same)
    order = np.argsort(-similarity, kind="stable")
    values, labels = similarity[order], same[order]
    last = np.append(values[1:] != values[:-1], True)
    true_accepts, false_accepts = np.cumsum(labels)[last], np.cumsum(~labels)[last]
    return Curve(
        np.append(0.0, false_accepts / (~same).sum()),
        np.append(0.0, true_accepts / same.sum()),
        np.append(np.inf, values[last]),
    )


def area_under_curve(curve: Curve) -> float:
    """The probability that a same-person pair scores above a different-person one (ties count half)."""
    return float(np.trapezoid(curve.true_accept_rate, curve.false_accept_rate))


def true_accept_rate_at(curve: Curve, false_accept_rate: float) -> float:
    """The largest share of same-person pairs accepted while no more different ones are than this share.

    A step function, without interpolation: with 3,000 different-person pairs, 0.001 allows three.
    """
    allowed = curve.false_accept_rate <= false_accept_rate + 1e-12
    return float(curve.true_accept_rate[allowed].max())


def share_below(values: np.ndarray, threshold: float) -> float:
    """The share of values strictly below a threshold."""
    return float(np.mean(values < threshold))


def _check(similarity: np.ndarray, same: np.ndarray) -> None:
    if not np.isfinite(similarity).all():
        count = (~np.isfinite(similarity)).sum()
        raise ValueError(f"{count} similarities are not finite; leave failed pairs out")
    if same.dtype != bool or same.all() or not same.any():
        raise ValueError("verification needs pairs of one person and of two, labelled by booleans")
