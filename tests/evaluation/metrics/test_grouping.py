import numpy as np
import pytest

from evaluation.metrics.grouping import (
    LEAST_YELLOW,
    NO_LABEL,
    TONE_BANDS,
    age_band,
    age_grouping,
    grouping,
    tone_grouping,
)
from evaluation.metrics.skin_tone import CLASSES, lab


def test_items_without_a_label_are_the_last_group() -> None:
    groups = grouping("sex", ["male", "", "female ", "male", " "])
    assert groups.names == ("female", "male", NO_LABEL)
    assert groups.group.tolist() == [1, 2, 0, 1, 2]
    assert groups.labelled.tolist() == [True, True, False]


def test_there_is_no_rest_where_everybody_has_a_label() -> None:
    assert grouping("sex", ["b", "a"]).names == ("a", "b")


def test_a_given_order_comes_first_and_the_others_by_the_alphabet() -> None:
    assert grouping("x", ["z", "low", "high", "a"], ["low", "high"]).names == ("low", "high", "a", "z")


def test_a_column_of_many_different_labels_is_none() -> None:
    with pytest.raises(ValueError, match="the column height has 21 different labels \\(100, 101, 102, "):
        grouping("height", [str(100 + number) for number in range(21)])


@pytest.mark.parametrize(
    ("years", "band"),
    [
        (0, "under 18"), (17.9, "under 18"), (18, "18 to 29"), (29.9, "18 to 29"), (30, "30 to 44"),
        (45, "45 to 59"), (59.5, "45 to 59"), (60, "60 and over"), (130, "60 and over"),
    ],
)  # fmt: skip
def test_a_band_begins_with_its_first_year(years: float, band: str) -> None:
    assert age_band(years) == band


@pytest.mark.parametrize("years", [-1, 131, float("inf")])
def test_what_is_no_age_is_refused(years: float) -> None:
    with pytest.raises(ValueError, match="an age must be from 0 to 130 years"):
        age_band(years)


def test_ages_are_put_in_bands_in_their_order_and_words_stay() -> None:
    groups = age_grouping("age", ["70", "5", "", "adult", "33.5", "nan"])
    assert groups.names == ("under 18", "30 to 44", "60 and over", "adult", NO_LABEL)
    assert groups.group.tolist() == [2, 0, 4, 3, 1, 4]


def test_skin_tones_are_in_their_published_bands() -> None:
    colours = np.array([[0.95, 0.86, 0.8], [0.8, 0.65, 0.55], [0.55, 0.42, 0.33], [0.2, 0.13, 0.1]])
    groups = tone_grouping(colours)
    values = lab(colours)
    angles = np.degrees(np.arctan((values[:, 0] - 50) / values[:, 2]))
    bounds = {"very light > 55": (55, 90), "light 41 to 55": (41, 55), "intermediate 28 to 41": (28, 41),
              "tan 10 to 28": (10, 28), "brown -30 to 10": (-30, 10), "dark < -30": (-90, -30)}  # fmt: skip
    assert set(bounds) == set(TONE_BANDS.values())
    for group, angle in zip(groups.group, angles, strict=True):
        low, high = bounds[groups.names[group]]
        assert low < angle <= high
    assert len(groups.names) == 4


def test_every_published_class_has_a_band() -> None:
    assert list(TONE_BANDS) == [*(name for name, _ in CLASSES), "dark"]


def test_grey_photographs_and_missing_colours_have_no_tone() -> None:
    groups = tone_grouping(np.array([[0.5, 0.5, 0.5], [0.3, 0.4, 0.6], [np.nan] * 3, [0.7, 0.5, 0.4]]))
    assert groups.names[-1] == NO_LABEL
    assert groups.group.tolist() == [1, 1, 1, 0]
    assert lab(np.array([0.5, 0.5, 0.5]))[2] < LEAST_YELLOW
