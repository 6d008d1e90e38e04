import numpy as np

from evaluation.known_truth.slider_groups import ethnicities, genders, slider_groupings
from lightning_modules.faces.open_model.identities import Identities


def test_an_ethnicity_gives_its_name_from_a_share_of_six_tenths_on() -> None:
    shares = np.array([[0.7, 0.2, 0.1], [0.1, 0.6, 0.3], [0.0, 0.1, 0.9], [0.5, 0.4, 0.1]])
    assert ethnicities(shares) == ["african", "asian", "caucasian", "mixed"]


def test_the_middle_third_of_the_gender_slider_has_no_name() -> None:
    assert genders(np.array([0.0, 0.3, 0.5, 0.7, 1.0])) == ["female", "female", "between", "male", "male"]


def test_people_are_grouped_by_four_labels() -> None:
    sliders = Identities(
        np.array([[1.0, 0, 0], [0, 0, 1.0]]), np.array([0.1, 0.9]), np.array([20.0, 66.0]),
        np.zeros(2), np.zeros(2), np.zeros((2, 0, 2)),
    )  # fmt: skip
    groups = slider_groupings(sliders, np.array([[0.2, 0.13, 0.1], [0.95, 0.86, 0.8]]))
    assert {each.label: each.names for each in groups} == {
        "ethnicity slider": ("african", "caucasian"),
        "gender slider": ("female", "male"),
        "age slider": ("18 to 29", "60 and over"),
        "albedo's skin tone (ITA)": ("very light > 55", "dark < -30"),
    }
    assert groups[3].group.tolist() == [1, 0]
