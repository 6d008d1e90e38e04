"""What surveys of adults found: means and deviations of the measures, with their sources.

Where a survey gives women and men, they are mixed half and half: the mean of the means, and a deviation that
holds the difference of the sexes too. Sources differ in where they put a point: of each measure, the one was
taken whose points are the landmarks'. Farkas' inner corners of the eyes, for example, lie 3 mm nearer to each
other than those that are marked on MICC's scans.

Head breadth is left out: it is measured above the ears, where most models are cut. The
correlation is as somebody reported it of ANSUR II, and was not computed from its data.
"""

from typing import NamedTuple

from lightning_modules.faces.anthropometry.measures import NAMES

ANSUR = "ANSUR II"
NIOSH = "NIOSH 2003"
FARKAS = "Farkas 1994"
MICC = "MICC marks"

SOURCES = {
    ANSUR: "Gordon et al. 2014, 2012 Anthropometric Survey of U.S. Army Personnel (NATICK/TR-15/007), "
    "1,986 women and 4,082 men; public domain",
    NIOSH: "Zhuang and Bradtmiller 2005, Head-and-face anthropometric survey of U.S. respirator users, "
    "J. Occup. Environ. Hyg. 2(11), 3,997 people, weighted to the U.S. population; public domain",
    FARKAS: "Farkas 1994, Anthropometry of the Head and Face, second edition: North American white adults of "
    "19 to 25 years",
    MICC: "68 marks on the 105 frontal scans of MICC's 53 people, published with GANFit; women and men as "
    "they come",
}
# How sure the numbers are. `reported`: given with this project's definition of the measure, by
# somebody who had the data. `recalled`: written down from memory of the published table, not copied from it.
REPORTED, RECALLED = "reported", "recalled"


class MeanAndDeviation(NamedTuple):
    """Mean and standard deviation in mm."""

    mean: float
    deviation: float


class Finding(NamedTuple):
    """What a survey found for a measure.

    Attributes:
        source: a key of `SOURCES`.
        certainty: `reported` or `recalled`.
        women, men: None where the source gives both together.
        together: None where the source gives women and men.
        note: what a reader must know of this number.
    """

    source: str
    certainty: str
    women: MeanAndDeviation | None = None
    men: MeanAndDeviation | None = None
    together: MeanAndDeviation | None = None
    note: str = ""

    @property
    def mixed(self) -> MeanAndDeviation:
        """The moments of as many women as men."""
        if self.women is None or self.men is None:
            if self.together is None:
                raise ValueError("a finding needs moments of women and men, or of both together")
            return self.together
        return half_and_half(self.women, self.men)


def half_and_half(first: MeanAndDeviation, second: MeanAndDeviation) -> MeanAndDeviation:
    """MeanAndDeviation of a mixture of two groups of the same size."""
    within = 0.5 * (first.deviation**2 + second.deviation**2)
    between = (0.5 * (first.mean - second.mean)) ** 2
    return MeanAndDeviation(0.5 * (first.mean + second.mean), (within + between) ** 0.5)


def _by_sex(source: str, women: tuple[float, float], men: tuple[float, float]) -> Finding:
    return Finding(source, RECALLED, MeanAndDeviation(*women), MeanAndDeviation(*men))


def _together(mean: float, deviation: float, note: str = "") -> Finding:
    return Finding(MICC, REPORTED, together=MeanAndDeviation(mean, deviation), note=note)


FINDINGS: dict[str, Finding] = {
    "mouth width": _together(54.1, 5.4),
    "inner eye corners": _together(35.8, 2.9),
    "outer eye corners": _together(90.5, 3.6),
    "between pupils": _by_sex(ANSUR, (61.7, 3.6), (64.0, 3.4)),
    "eye opening": _by_sex(FARKAS, (10.9, 1.2), (10.8, 0.9)),
    "eyes to mouth": _together(69.2, 4.3),
    "eyes to chin": _together(113.8, 7.3),
    "sellion to chin": _by_sex(ANSUR, (112.7, 6.1), (122.2, 6.6)),
    "nose length": _by_sex(NIOSH, (48.2, 3.8), (52.0, 4.1)),
    "nose protrusion": _by_sex(NIOSH, (19.8, 2.7), (21.1, 2.7)),
    "nose width": _together(
        24.7, 2.3, "between the marks at the alar base; the deviation is not known, and taken as 9 %"
    ),
    "nose to chin": _by_sex(FARKAS, (64.3, 4.0), (72.6, 4.5)),
    "nose to lips' line": _by_sex(FARKAS, (20.1, 2.0), (22.3, 2.1)),
    "lips' line to chin": _by_sex(FARKAS, (43.4, 3.1), (50.7, 4.0)),
    "upper lip's red": _by_sex(FARKAS, (8.7, 1.3), (8.0, 1.4)),
    "lower lip's red": _by_sex(FARKAS, (9.4, 1.5), (9.3, 1.6)),
    "face breadth": _by_sex(ANSUR, (133.1, 5.5), (142.0, 6.6)),
    "jaw breadth": _by_sex(NIOSH, (110.1, 8.9), (120.4, 10.4)),
}


class Correlation(NamedTuple):
    """A survey's correlation of two measures over women and men together."""

    first: str
    second: str
    value: float
    source: str


CORRELATIONS = (Correlation("face breadth", "sellion to chin", 0.46, REPORTED),)

assert tuple(sorted(FINDINGS)) == tuple(sorted(NAMES))
