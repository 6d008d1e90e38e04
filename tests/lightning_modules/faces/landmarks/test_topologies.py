import numpy as np
import pytest

from lightning_modules.faces.landmarks.topologies import TOPOLOGIES, topology_landmarks
from lightning_modules.faces.landmarks.typical_places import TYPICAL_PLACES, mirrored_ids


def mesh(count: int) -> np.ndarray:
    """Vertices at random places, a topology's landmarks where a face has them, in metres."""
    vertices = np.random.default_rng(0).normal(scale=0.1, size=(count, 3))
    for landmark, vertex in TOPOLOGIES[count].ids.items():
        vertices[vertex] = 0.001 * TYPICAL_PLACES[landmark]
    return vertices


@pytest.mark.parametrize("count", sorted(TOPOLOGIES))
def test_a_mesh_is_known_by_its_number_of_vertices_and_the_places_of_its_landmarks(count: int) -> None:
    ids = list(TOPOLOGIES[count].ids)
    points = topology_landmarks(mesh(count))
    assert points is not None
    np.testing.assert_allclose(points[ids], 0.001 * TYPICAL_PLACES[ids])
    assert np.isnan(np.delete(points, ids, 0)).all()
    assert topology_landmarks(mesh(count)[::-1]) is None  # renumbered
    assert topology_landmarks(np.vstack([mesh(count), np.zeros((2, 3))])) is None


def test_a_mirrored_mesh_gets_its_sides_right() -> None:
    points = topology_landmarks(mesh(5_023) * (-1, 1, 1))
    assert points is not None
    np.testing.assert_allclose(points, (0.001 * TYPICAL_PLACES * (-1, 1, 1))[mirrored_ids()])


@pytest.mark.parametrize("count", sorted(TOPOLOGIES))
def test_ids_are_different_vertices_of_the_mesh(count: int) -> None:
    vertices = list(TOPOLOGIES[count].ids.values())
    assert len(set(vertices)) == len(vertices)
    assert min(vertices) >= 0
    assert max(vertices) < count


def test_two_sources_agree_about_parts_of_one_model() -> None:
    # Both cut Basel's mesh and keep its order, so that landmarks of two authors must come in the same order.
    larger, smaller = (np.array(list(TOPOLOGIES[count].ids.values())) for count in (53_215, 35_709))
    np.testing.assert_array_equal(np.argsort(larger), np.argsort(smaller))
