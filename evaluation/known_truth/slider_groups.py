"""The open model's sliders as groups of people."""

import numpy as np

from evaluation.metrics.grouping import Grouping, age_grouping, grouping, tone_grouping
from lightning_modules.faces.open_model.identities import ETHNICITIES, Identities

MIXED, BETWEEN = "mixed", "between"
# An ethnicity's share from which it gives its name; below, a person is mixed.
NAMED_SHARE = 0.6
# Of the gender slider, 0 female to 1 male: what lies between these has no name.
LAST_FEMALE, FIRST_MALE = 1 / 3, 2 / 3


def slider_groupings(people: Identities, cheeks: np.ndarray) -> list[Grouping]:
    """People by ethnicity, gender and age slider, and by the skin tone of their albedo.

    Args:
        people: positions of the sliders of N people.
        cheeks: [N, 3], the albedo of their cheeks, sRGB in [0, 1].
    """
    return [
        grouping("ethnicity slider", ethnicities(people.ethnicity), (*ETHNICITIES, MIXED)),
        grouping("gender slider", genders(people.gender), ("female", "male", BETWEEN)),
        age_grouping("age slider", [f"{years:.6f}" for years in people.age]),
        tone_grouping(cheeks)._replace(label="albedo's skin tone (ITA)"),
    ]


def ethnicities(shares: np.ndarray) -> list[str]:
    """The name of each person's largest share [N, 3], or that they are mixed."""
    return [ETHNICITIES[row.argmax()] if row.max() >= NAMED_SHARE else MIXED for row in shares]


def genders(positions: np.ndarray) -> list[str]:
    """Each slider's side [N], or that it stands between."""
    return [
        "female" if position < LAST_FEMALE else "male" if position > FIRST_MALE else BETWEEN
        for position in positions
    ]
