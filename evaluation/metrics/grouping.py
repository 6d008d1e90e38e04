"""Groups of people or photographs by a label: as given, ages in bands, skin tones in classes."""

from collections.abc import Sequence
from math import inf, isfinite
from typing import NamedTuple

import numpy as np

from .skin_tone import individual_typology_angle, lab, tone_class

NO_LABEL = "no label"
# First ages in years that no longer belong to a band.
AGE_BANDS = ((18, "under 18"), (30, "18 to 29"), (45, "30 to 44"), (60, "45 to 59"), (inf, "60 and over"))
SKIN_TONE = "skin tone (ITA)"
TONE_BANDS = {
    "very light": "very light > 55",
    "light": "light 41 to 55",
    "intermediate": "intermediate 28 to 41",
    "tan": "tan 10 to 28",
    "brown": "brown -30 to 10",
    "dark": "dark < -30",
}
# Skin is yellowish in any tone: with less b* a photograph is grey or in coloured light, and its angle means
# nothing.
LEAST_YELLOW = 2.0
# A column with more is no label but a measurement or a name.
MOST_GROUPS = 20


class Grouping(NamedTuple):
    """Items by one label.

    Attributes:
        label: its name, such as sex.
        names: [G], of the groups; NO_LABEL is the last one where an item has none.
        group: [N], the group of each item.
    """

    label: str
    names: tuple[str, ...]
    group: np.ndarray

    @property
    def labelled(self) -> np.ndarray:
        """[G], whether a group is one, and not the rest."""
        return np.array([name != NO_LABEL for name in self.names], bool)


def grouping(label: str, texts: Sequence[str], order: Sequence[str] = ()) -> Grouping:
    """Items by their label [N]; an empty one is none.

    Args:
        label: the label's name.
        texts: one for each item.
        order: of the groups' names; those that it does not name come after it by the alphabet.

    Raises:
        ValueError: if there are more than MOST_GROUPS different labels.
    """
    given = [text.strip() for text in texts]
    different = set(given) - {""}
    if len(different) > MOST_GROUPS:
        example = ", ".join(sorted(different)[:3])
        raise ValueError(
            f"the column {label} has {len(different)} different labels ({example}, ...), at most "
            f"{MOST_GROUPS} can be compared; put them in bands, or leave it out with --group-columns"
        )
    rank = {name: place for place, name in enumerate(order)}
    names = sorted(different, key=lambda name: (rank.get(name, len(rank)), name))
    if "" in given:
        names.append(NO_LABEL)
    place = {name: number for number, name in enumerate(names)}
    group = np.array([place[text or NO_LABEL] for text in given], np.int64)
    return Grouping(label, tuple(names), group)


def age_grouping(label: str, texts: Sequence[str]) -> Grouping:
    """Items by age: numbers of years in AGE_BANDS; anything else is a label as it is."""
    return grouping(label, [_in_band(text.strip()) for text in texts], [name for _, name in AGE_BANDS])


def age_band(years: float) -> str:
    """The band of an age.

    Raises:
        ValueError: if it is no age.
    """
    if not (isfinite(years) and 0 <= years <= 130):
        raise ValueError(f"an age must be from 0 to 130 years, got {years:g}; correct it or leave it empty")
    return next(name for bound, name in AGE_BANDS if years < bound)


def tone_grouping(colours: np.ndarray) -> Grouping:
    """Items by the individual typology angle of their skin's colours [N, 3], sRGB in [0, 1].

    Chardon et al. 1991, Del Bino et al. 2006. Items without a colour (NaN), or with one that is no skin's
    (LEAST_YELLOW), have no label.
    """
    colours = np.asarray(colours, np.float64).reshape(-1, 3)
    is_skin = yellowish(colours)
    angles = individual_typology_angle(lab(np.where(is_skin[:, None], colours, 0.5)))
    texts = [
        TONE_BANDS[tone_class(float(angle))] if skin else ""
        for angle, skin in zip(angles, is_skin, strict=True)
    ]
    return grouping(SKIN_TONE, texts, tuple(TONE_BANDS.values()))


def yellowish(colours: np.ndarray) -> np.ndarray:
    """Whether each of the colours [N, 3], sRGB in [0, 1], is known and has a skin's b*, see LEAST_YELLOW."""
    known = np.isfinite(colours).all(1)
    return known & (lab(np.where(known[:, None], colours, 0.5))[:, 2] >= LEAST_YELLOW)


def _in_band(text: str) -> str:
    try:
        years = float(text)
    except ValueError:
        return text
    return "" if np.isnan(years) else age_band(years)
