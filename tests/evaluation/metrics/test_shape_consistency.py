import numpy as np
import pytest
import torch

from evaluation.metrics.shape_consistency import RESAMPLES, consistency_of, face_distances


def chance() -> np.random.Generator:
    return np.random.default_rng(0)


def test_distances_are_weighted_means_over_the_vertices_that_count() -> None:
    first = torch.zeros(2, 3, 3)
    second = torch.zeros(1, 3, 3)
    second[0, 0, 2], second[0, 1, 0], second[0, 2] = 4.0, 1.0, 1000.0
    found = face_distances(first, second, torch.tensor([1.0, 3.0, 0.0]))
    np.testing.assert_allclose(found, [[(4 + 3 * 1) / 4]] * 2)


def test_a_place_counts_since_faces_are_not_aligned() -> None:
    faces = torch.randn(1, 5, 3, generator=torch.Generator().manual_seed(0))
    moved = faces + torch.tensor([3.0, 0.0, 4.0])
    np.testing.assert_allclose(face_distances(faces, moved, torch.ones(5)), [[5]], rtol=1e-5)


def test_figures_are_those_counted_by_hand() -> None:
    distances = np.array([[1.0, 4.0, 2.0], [5.0, 3.0, 6.0], [8.0, 7.0, 2.5]])
    found = consistency_of(distances, chance())
    assert found.one_person.value == pytest.approx(6.5 / 3)
    assert found.two_people.value == pytest.approx(32 / 6)
    assert found.ratio.value == pytest.approx(6.5 / 3 / (32 / 6))
    # Pairs of two people that are farther than 1, 3 and 2.5: all, five and five of six.
    assert found.area_under_roc.value == pytest.approx(16 / 18)


def test_ties_count_half() -> None:
    found = consistency_of(np.ones((4, 4)), chance())
    assert found.area_under_roc.value == 0.5
    assert found.ratio.value == 1
    assert found.one_person.interval == found.two_people.interval == (1, 1)


def test_one_face_for_everybody_has_no_ratio_and_tells_nobody_apart() -> None:
    found = consistency_of(np.zeros((4, 4)), chance())
    assert np.isnan(found.ratio.value)
    assert found.area_under_roc.value == 0.5


def test_the_scale_of_all_faces_does_not_move_ratio_and_curve() -> None:
    distances = np.random.default_rng(1).uniform(1, 5, (9, 9))
    found, smaller = (consistency_of(scale * distances, chance()) for scale in (1.0, 0.25))
    assert smaller.ratio.value == pytest.approx(found.ratio.value)
    assert smaller.area_under_roc.value == pytest.approx(found.area_under_roc.value)
    assert smaller.area_under_roc.interval == pytest.approx(found.area_under_roc.interval)
    assert smaller.one_person.value == pytest.approx(found.one_person.value / 4)


def test_intervals_hold_the_truth_about_as_often_as_they_say() -> None:
    # Positions of people on a line, seen twice with an error: distances within and between are then known.
    held, trials = 0, 60
    for trial in range(trials):
        draw = np.random.default_rng(100 + trial)
        people = draw.normal(size=40)
        first, others = people + 0.5 * draw.normal(size=(2, 40))
        low, high = consistency_of(np.abs(first[:, None] - others), draw).one_person.interval
        held += low <= np.sqrt(2 / np.pi) * np.sqrt(0.5) <= high
    assert held >= 0.85 * trials  # 95 % expected; the percentile interval of 40 people is a little short


def test_resampled_people_bring_all_their_pairs() -> None:
    # One person of four is far from everybody: the mean over pairs depends on how often that one is drawn.
    distances = np.ones((4, 4))
    distances[3, :3] = distances[:3, 3] = 9.0
    low, high = consistency_of(distances, chance()).two_people.interval
    assert low == 1
    assert high > 5
    assert RESAMPLES >= 1000


@pytest.mark.parametrize("shape", [(2, 2), (3, 4)])
def test_too_few_people_are_refused(shape: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="of at least 3 people"):
        consistency_of(np.ones(shape), chance())


def test_distances_that_are_not_finite_are_refused() -> None:
    distances = np.ones((3, 3))
    distances[0, 1] = np.nan
    with pytest.raises(ValueError, match="must be finite"):
        consistency_of(distances, chance())
