"""The paper's figures, quoted beside ours only where data, judge and descriptor are the paper's.

Genova et al. 2018, sections 4.3 and 4.4, Tables 2 and 3 (VGG-Face descriptor).
"""

from typing import NamedTuple

from evaluation.metrics.all_pairs import PairDistributions
from evaluation.metrics.verification import share_below
from evaluation.reporting.results import Row

PAPER, ALL_PAIRS = "Genova et al. 2018", "LFW, all pairs"
# The mean similarity on MoFA-Test, and the shares of LFW's pairs that score below it (one person) and above
# it (two).
SIMILARITY, SAME_BELOW, DIFFERENT_ABOVE = 0.403, 0.227, 0.0004
# Within which a set-up counts as the paper's: points of the first share, factor of the second.
SAME_TOLERANCE, DIFFERENT_FACTOR = 0.02, 2.0
# Of the paper's data sets; of MICC three videos of 53 people.
PHOTOGRAPHS = {"lfw": 13_233, "micc": 159, "mofa": 84}
PEOPLE = {"lfw": 5_749, "micc": 53, "mofa": 78}
# Method: distance to one person and to two people, by data set.
DISTANCES = {
    "MoFA": {"mofa": (0.30, 0.11)},
    "Tran et al.": {"lfw": (0.32, 0.09), "micc": (0.32, 0.09), "mofa": (0.27, 0.14)},
    PAPER: {"lfw": (0.14, 0.26), "micc": (0.09, 0.32), "mofa": (0.09, 0.32)},
    "ground-truth scans": {"micc": (0.03, 0.41)},
}
# Method: top-1 and top-5, by data set.
RETRIEVAL = {
    "MoFA": {"mofa": (0.19, 0.54)},
    "Tran et al.": {"lfw": (0.001, 0.002), "mofa": (0.25, 0.62)},
    PAPER: {"lfw": (0.16, 0.51), "mofa": (0.87, 0.96)},
}


class Calibration(NamedTuple):
    """Whether a judge's set-up is the paper's.

    Attributes:
        reproduced: whether both shares lie within the tolerance.
        sentence: that says so.
        rows: the shares, the paper's beside ours.
    """

    reproduced: bool
    sentence: str
    rows: list[Row]


def calibration(pairs: PairDistributions, judge: str, protocol: str = ALL_PAIRS) -> Calibration:
    """Whether all pairs of LFW give the two shares that the paper quotes.

    Args:
        pairs: with a count above `SIMILARITY`.
        judge: its name.
        protocol: of the rows.
    """
    same = share_below(pairs.same, SIMILARITY)
    different = pairs.different_above[SIMILARITY] / pairs.different_count
    reproduced = abs(same - SAME_BELOW) <= SAME_TOLERANCE and (
        DIFFERENT_ABOVE / DIFFERENT_FACTOR <= different <= DIFFERENT_ABOVE * DIFFERENT_FACTOR
    )
    sentence = (
        f"calibration: {100 * same:.1f} % of one person's pairs below {SIMILARITY} (paper "
        f"{100 * SAME_BELOW:.1f} % ± {100 * SAME_TOLERANCE:.0f}) and {100 * different:.3f} % of two people's "
        f"above (paper {100 * DIFFERENT_ABOVE:.2f} %, factor {DIFFERENT_FACTOR:g}): the paper's set-up is "
        f"{'reproduced' if reproduced else 'NOT reproduced, so nothing is quoted'}"
    )
    one, two = f"one person, below {SIMILARITY}", f"two people, above {SIMILARITY}"
    rows = [
        Row(judge, protocol, one, "share", same, n=len(pairs.same)),
        Row(PAPER, protocol, one, "share", SAME_BELOW, quoted=True),
        Row(judge, protocol, two, "share", different, n=pairs.different_count),
        Row(PAPER, protocol, two, "share", DIFFERENT_ABOVE, quoted=True),
        Row(judge, protocol, "mean, one person", "similarity", float(pairs.same.mean()), n=len(pairs.same)),
        Row(judge, protocol, "mean, two people", "similarity", pairs.different_mean, n=pairs.different_count),
    ]
    return Calibration(reproduced, sentence, rows)


def is_the_papers(kind: str, photographs: int, *, people: int | None = None) -> bool:
    """Whether a data set is the paper's, by its number of photographs, and of people where they matter.

    MoFA-Test's 84 photographs are of 78 people, whom only its user's identities.txt tells apart.
    """
    return PHOTOGRAPHS.get(kind) == photographs and people in (None, PEOPLE.get(kind))


def distance_rows(kind: str, protocol: str) -> list[Row]:
    """Table 2's rows of a data set."""
    return [
        Row(method, protocol, f"EMD to {pairs}", "similarity", value, quoted=True)
        for method, columns in DISTANCES.items()
        for pairs, value in zip(("one person", "two people"), columns.get(kind, ()), strict=False)
    ]


def retrieval_rows(kind: str, protocol: str) -> list[Row]:
    """Table 3's rows of a data set."""
    return [
        Row(method, protocol, f"top-{k}", "share", value, quoted=True)
        for method, columns in RETRIEVAL.items()
        for k, value in zip((1, 5), columns.get(kind, ()), strict=False)
    ]
