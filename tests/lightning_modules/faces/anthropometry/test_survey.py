import numpy as np
import pytest

from lightning_modules.faces.anthropometry.measures import NAMES
from lightning_modules.faces.anthropometry.survey import (
    CORRELATIONS,
    FINDINGS,
    RECALLED,
    REPORTED,
    SOURCES,
    Finding,
    MeanAndDeviation,
    half_and_half,
)


def test_every_measure_has_a_finding_with_a_source_and_a_certainty() -> None:
    assert set(FINDINGS) == set(NAMES)
    for finding in FINDINGS.values():
        assert finding.source in SOURCES
        assert finding.certainty in {RECALLED, REPORTED}
        assert finding.mixed.deviation > 0


def test_a_mixture_has_the_moments_of_both_groups_together() -> None:
    women, men = np.array([1.0, 3.0]), np.array([6.0, 10.0])
    both = np.concatenate([women, men])
    mixed = half_and_half(
        MeanAndDeviation(women.mean(), women.std()), MeanAndDeviation(men.mean(), men.std())
    )
    assert mixed == pytest.approx((both.mean(), both.std()))


def test_a_finding_of_both_sexes_together_is_taken_as_it_is() -> None:
    assert FINDINGS["mouth width"].mixed == (54.1, 5.4)


def test_a_finding_without_moments_is_refused() -> None:
    with pytest.raises(ValueError, match="needs moments of women and men, or of both together"):
        _ = Finding("MICC marks", REPORTED).mixed


def test_sources_agree_where_two_measures_make_a_third() -> None:
    """The nose and the part below it, from two surveys, are the face from a third within 2 mm."""
    parts = [FINDINGS[name].mixed.mean for name in ("nose length", "nose to chin")]
    assert sum(parts) == pytest.approx(FINDINGS["sellion to chin"].mixed.mean, abs=2)


def test_known_correlations_are_of_known_measures() -> None:
    assert all({known.first, known.second} <= set(NAMES) for known in CORRELATIONS)
