import numpy as np
import pytest
import torch

from evaluation.metrics.movement import coefficient_distance, mesh_distance, nearest_is_own, to_the_others


def test_coefficients_are_compared_by_their_root_mean_square() -> None:
    distance = coefficient_distance(torch.tensor([[0.0, 0.0]]), torch.tensor([[3.0, 4.0], [0.0, 0.0]]))
    torch.testing.assert_close(distance, torch.tensor([12.5**0.5, 0.0]))


def test_faces_of_the_prior_lie_about_the_root_of_two_apart() -> None:
    drawn = torch.randn(2, 400, 100, generator=torch.Generator().manual_seed(0))
    assert float(coefficient_distance(*drawn).mean()) == pytest.approx(2**0.5, abs=0.01)


def test_meshes_are_compared_vertex_by_vertex() -> None:
    first = torch.zeros(1, 2, 3)
    second = torch.tensor([[[3.0, 4.0, 0.0], [0.0, 0.0, 1.0]]])
    torch.testing.assert_close(mesh_distance(first, second), torch.tensor([3.0]))


def test_people_are_held_against_all_others() -> None:
    values = torch.tensor([[0.0], [1.0], [5.0]])
    np.testing.assert_allclose(to_the_others(values, coefficient_distance), [3.0, 2.5, 4.5])
    with pytest.raises(ValueError, match="at least two of them, got 1"):
        to_the_others(values[:1], coefficient_distance)


def test_a_face_that_moved_less_than_half_way_is_still_nearest_to_itself() -> None:
    references = torch.tensor([[0.0], [1.0], [5.0]])
    moved = torch.tensor([[0.4], [0.5], [0.6], [4.0]])
    own = torch.tensor([0, 0, 0, 2])
    # The second lies half-way: a tie.
    assert nearest_is_own(moved, references, own).tolist() == [True, False, False, True]
