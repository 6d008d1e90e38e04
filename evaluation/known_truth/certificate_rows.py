"""How well a protocol's scores follow true errors: the rows of the validity certificate."""

import numpy as np
import pandas as pd
import torch
from scipy.stats import spearmanr

from evaluation.metrics.paired import bootstrap_interval
from evaluation.reporting.results import Row

SEEN, UNSEEN = "shape_error_mm", "size_error_mm"
PROTOCOL = "known errors"
SIZE = "scale"  # the kind of error that a protocol with a scale cannot see


def protocol_rows(scores: pd.DataFrame, name: str) -> list[Row]:
    """The rows of one protocol, from its scores (see `validity.scores_of`); intervals are over subjects.

    "rank correlation" is with the true error of the shape; "with wrong sizes" takes these in, and a wrong
    size for an error. A bias is against the true error by the protocol's own statistic.
    """
    scored = scores[scores.failure.isna()]
    shapes = scored[scored.kind != SIZE]
    return [
        _mean_row(name, "rank correlation", "", rank_correlations(shapes, SEEN)),
        _mean_row(name, "with wrong sizes", "", rank_correlations(scored, UNSEEN)),
        _mean_row(name, "bias", "mm", biases(shapes)),
        Row(name, PROTOCOL, "spread at equal error", "mm", spread(shapes), n=len(shapes)),
        Row(name, PROTOCOL, "kept", "share", float(shapes.kept_fraction.mean()), n=len(shapes)),
    ]


def rank_correlations(scores: pd.DataFrame, error: str) -> np.ndarray:
    """Spearman's rank correlation [S] of score and true error, one for each subject's reconstructions."""
    return np.array(
        [spearmanr(part.score_mm, part[error]).statistic for _, part in scores.groupby("subject")]
    )


def biases(scores: pd.DataFrame) -> np.ndarray:
    """The mean of score less true error by the same statistic [S], one for each subject."""
    return (scores.score_mm - scores.reference_mm).groupby(scores.subject).mean().to_numpy()


def spread(scores: pd.DataFrame) -> float:
    """How far apart the kinds' mean scores lie at the same true error, averaged over the levels, in mm.

    Reconstructions that are equally wrong; a perfect score would give 0.
    """
    means = scores.groupby(["level_mm", "kind"]).score_mm.mean().unstack()
    return float((means.max(axis=1) - means.min(axis=1)).mean())


def _mean_row(name: str, metric: str, unit: str, values: np.ndarray) -> Row:
    sd = float(np.std(values, ddof=1)) if len(values) > 1 else None
    finite = np.isfinite(values).all() and len(values) > 1
    interval = bootstrap_interval(values, torch.Generator().manual_seed(0)) if finite else None
    return Row(name, PROTOCOL, metric, unit, float(np.mean(values)), sd, interval, n=len(values))
