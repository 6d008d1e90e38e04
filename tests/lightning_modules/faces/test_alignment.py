import numpy as np
import pytest
import torch
from scipy.spatial import cKDTree

from lightning_modules.faces.alignment import (
    SampledSurface,
    SimilarityOfFaces,
    closest_point_alignment,
    refined,
    similarity_between,
    smooth_warp,
    surface_of,
    trusted_distance,
)
from lightning_modules.faces.surfaces import closest_on_surface

QUARTER_TURN = np.array([[0.0, -1, 0], [1, 0, 0], [0, 0, 1]])


def test_a_similarity_is_recovered_from_its_points() -> None:
    source = np.random.default_rng(0).normal(size=(10, 3))
    truth = SimilarityOfFaces(2.0, QUARTER_TURN, np.array([1.0, 2, 3]))
    found = similarity_between(source, truth.of(source))
    assert found.scale == pytest.approx(2)
    np.testing.assert_allclose(found.rotation, QUARTER_TURN, atol=1e-12)
    np.testing.assert_allclose(found.translation, [1, 2, 3], atol=1e-12)


def test_one_similarity_after_another_is_one_similarity() -> None:
    points = np.random.default_rng(0).normal(size=(5, 3))
    one = SimilarityOfFaces(2.0, QUARTER_TURN, np.array([1.0, 2, 3]))
    other = SimilarityOfFaces(0.5, np.roll(np.eye(3), 1, 0), np.array([-4.0, 0, 1]))
    np.testing.assert_allclose(one.then(other).of(points), other.of(one.of(points)))


def test_a_mirror_image_is_never_taken_for_a_turn() -> None:
    source = np.random.default_rng(0).normal(size=(10, 3))
    assert np.linalg.det(similarity_between(source, source * [-1, 1, 1]).rotation) == pytest.approx(1)


def test_closest_points_recover_a_small_motion_although_a_fifth_is_missing() -> None:
    random = np.random.default_rng(0)
    directions = random.normal(size=(4000, 3))
    target = directions / np.linalg.norm(directions, axis=1, keepdims=True) * [60, 90, 75]
    truth = SimilarityOfFaces(
        1.05, np.linalg.qr(np.eye(3) + 0.05)[0] * np.array([-1, -1, -1]), np.array([2.0, -3, 1])
    )
    if np.linalg.det(truth.rotation) < 0:
        truth = truth._replace(rotation=-truth.rotation)
    source = (target - truth.translation) @ truth.rotation / truth.scale
    start = SimilarityOfFaces(1.0, truth.rotation, np.zeros(3))
    normals = target / np.array([60, 90, 75]) ** 2
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    kept = target[:, 1] > -50
    found = closest_point_alignment(
        source, SampledSurface(target[kept], normals[kept], cKDTree(target[kept])), start
    )
    np.testing.assert_allclose(found.of(source), target, atol=0.5)


def test_a_smooth_warp_goes_through_its_points_and_moves_the_rest_little() -> None:
    source = np.array([[0.0, 0, 0], [10, 0, 0], [0, 10, 0], [0, 0, 10], [10, 10, 10]])
    target = source.copy()
    target[4, 0] += 1
    np.testing.assert_allclose(smooth_warp(source, source, target), target, atol=1e-9)
    middle = smooth_warp(np.array([[5.0, 5, 5]]), source, target) - 5
    assert 0 < middle[0, 0] < 1
    np.testing.assert_array_equal(smooth_warp(source, source[:3], target[:3] + 1), source)


def test_a_smooth_warp_takes_points_of_one_place_to_the_mean_of_their_targets() -> None:
    source = np.array([[0.0, 0, 0], [10, 0, 0], [0, 10, 0], [0, 0, 10], [0, 0, 10 + 1e-12]])
    target = source + np.array([[0.0], [0], [0], [1], [3]])
    moved = smooth_warp(source, source, target)
    np.testing.assert_allclose(moved[:3], source[:3], atol=1e-6)
    np.testing.assert_allclose(moved[3:], [[2, 2, 12]] * 2, atol=1e-6)


def test_the_trusted_distance_leaves_the_largest_fifth_out() -> None:
    assert trusted_distance(np.array([3.0] * 8 + [1000, 1000])) == pytest.approx(3)


def test_refining_halves_edges_until_they_are_short_enough() -> None:
    square = np.array([[0.0, 0, 0], [8, 0, 0], [8, 8, 0], [0, 8, 0]])
    triangles = np.array([[0, 1, 2], [0, 2, 3]])
    assert len(refined(square, triangles, 100)[0]) == 4
    assert len(refined(square, triangles, 5)[0]) == 9
    assert len(refined(square, triangles, 2.5)[0]) == 25
    np.testing.assert_allclose(surface_of(*refined(square, triangles, 5)).normals, [[0, 0, 1]] * 9)
    assert len(refined(square, triangles[:0], 1)[1]) == 0


def test_the_closest_point_of_a_triangle_is_found_over_inside_edge_and_corner() -> None:
    vertices = torch.tensor([[0.0, 0, 0], [4, 0, 0], [0, 4, 0], [9, 9, 9]])
    triangles = torch.tensor([[0, 1, 2], [3, 3, 3]])
    points = torch.tensor([[1.0, 1, 5], [2, -3, 0], [-1, -1, 0]])
    found = closest_on_surface(points, vertices, triangles)
    assert found.distances.tolist() == pytest.approx([5, 3, 2**0.5])
    on_mesh = (vertices[found.vertex_ids] * found.weights[..., None]).sum(1)
    torch.testing.assert_close(on_mesh, torch.tensor([[1.0, 1, 0], [2, 0, 0], [0, 0, 0]]))
