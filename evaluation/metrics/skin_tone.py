"""Skin tone: the individual typology angle of a colour, and how well rendered tones follow people's own."""

from typing import Literal, NamedTuple

import cv2
import numpy as np
from scipy.stats import spearmanr

# The project's two thresholds in degrees: people above are light, people below are dark. They are the lower
# bounds of the published classes "intermediate" and "tan".
LIGHT_ABOVE, DARK_BELOW = 28.0, 10.0
# Chardon et al. 1991, with the darkest class split by Del Bino et al. 2006: lower bounds in degrees.
ToneClass = Literal["very light", "light", "intermediate", "tan", "brown", "dark"]
CLASSES: tuple[tuple[ToneClass, float], ...] = (
    ("very light", 55.0),
    ("light", 41.0),
    ("intermediate", 28.0),
    ("tan", 10.0),
    ("brown", -30.0),
)


class ToneAgreement(NamedTuple):
    """How rendered tones follow the people's own.

    Attributes:
        rank_correlation: Spearman's, NaN where one side does not vary.
        light_rendered_dark: share of light people whose rendering is dark, NaN where nobody is light.
        dark_rendered_light: share of dark people whose rendering is light, NaN where nobody is dark.
        light_rendered_dark_count: numerator of that share.
        dark_rendered_light_count: likewise.
        light_count: people who are light.
        dark_count: people who are dark.
        count: of people.
    """

    rank_correlation: float
    light_rendered_dark: float
    dark_rendered_light: float
    light_rendered_dark_count: int
    dark_rendered_light_count: int
    light_count: int
    dark_count: int
    count: int  # type: ignore[assignment]  # takes the place of tuple.count


def lab(srgb: np.ndarray) -> np.ndarray:
    """CIE L*a*b* (D65, 2 degrees) of sRGB-encoded colours [..., 3]; L in [0, 100].

    Colours are clamped to [0, 1] first, as a screen does. Decoded here and converted by OpenCV from linear
    light: its own way from sRGB interpolates in a table and is off by up to 0.15, half a degree of tone.

    Raises:
        ValueError: if the last dimension is not 3, or values are not finite or reach towards 255.
    """
    colours = np.asarray(srgb, np.float32)
    if colours.ndim == 0 or colours.shape[-1] != 3:
        raise ValueError(f"colours must be [..., 3], got {list(colours.shape)}")
    if colours.size == 0:
        return colours.copy()
    if not np.isfinite(colours).all() or colours.max() > 2:
        raise ValueError(f"sRGB colours must lie in [0, 1], got up to {colours.max():g}; divide bytes by 255")
    encoded = colours.clip(0, 1).reshape(1, -1, 3)
    linear = np.where(encoded <= 0.04045, encoded / 12.92, ((encoded + 0.055) / 1.055) ** 2.4)
    return cv2.cvtColor(linear.astype(np.float32), cv2.COLOR_LRGB2LAB).reshape(colours.shape)


def individual_typology_angle(lab: np.ndarray) -> np.ndarray:
    """The angle [...] of colours [..., 3] in degrees: large for light skin, negative for dark.

    Chardon et al. 1991: arctan((L - 50) / b). Ours is atan2, which agrees for b > 0, as skin has, and does
    not jump where b passes 0.
    """
    lab = np.asarray(lab)
    return np.degrees(np.arctan2(lab[..., 0] - 50, lab[..., 2]))


def tone_class(angle: float) -> ToneClass:
    """The published class of an angle in degrees; a bound belongs to the class below it.

    Very light > 55 >= light > 41 >= intermediate > 28 >= tan > 10 >= brown > -30 >= dark.
    """
    return next((name for name, bound in CLASSES if angle > bound), "dark")


def tone_agreement(rendered: np.ndarray, own: np.ndarray) -> ToneAgreement:
    """How the angles [P] of renderings follow those of the people [P].

    Args:
        rendered: degrees, from one photograph of each person.
        own: degrees, such as the median over the person's *other* photographs: a single photograph's
            exposure moves its angle more than people differ.

    Raises:
        ValueError: if lengths differ, there are fewer than three people, or an angle is not finite.
    """
    rendered, own = np.asarray(rendered, np.float64), np.asarray(own, np.float64)
    if rendered.shape != own.shape or rendered.ndim != 1 or len(own) < 3:
        raise ValueError(
            f"expected two angles for each of at least three people, got {list(rendered.shape)} and "
            f"{list(own.shape)}"
        )
    if not (np.isfinite(rendered) & np.isfinite(own)).all():
        raise ValueError("an angle is not finite; leave the person out and count the failure")
    varies = np.ptp(rendered) > 0 and np.ptp(own) > 0
    light, dark = own > LIGHT_ABOVE, own < DARK_BELOW
    light_wrong = int((light & (rendered < DARK_BELOW)).sum())
    dark_wrong = int((dark & (rendered > LIGHT_ABOVE)).sum())
    light_count, dark_count = int(light.sum()), int(dark.sum())
    return ToneAgreement(
        float(spearmanr(rendered, own).statistic) if varies else float("nan"),
        light_wrong / light_count if light_count else float("nan"),
        dark_wrong / dark_count if dark_count else float("nan"),
        light_wrong,
        dark_wrong,
        light_count,
        dark_count,
        len(own),
    )


def agreement_within_people(angles: np.ndarray, identity: np.ndarray) -> tuple[float, int]:
    """Spearman's correlation of the first two angles of each person, and how many people have two.

    It says what an angle from one photograph is worth: exposure moves it. NaN for fewer than three people, or
    where one side does not vary.

    Args:
        angles: [N], degrees.
        identity: [N], the person of each photograph.
    """
    order = np.argsort(identity, kind="stable")
    _, start, count = np.unique(np.asarray(identity)[order], return_index=True, return_counts=True)
    start = start[count > 1]
    first, second = np.asarray(angles)[order[start]], np.asarray(angles)[order[start + 1]]
    if len(start) < 3 or np.ptp(first) == 0 or np.ptp(second) == 0:
        return float("nan"), len(start)
    return float(spearmanr(first, second).statistic), len(start)
