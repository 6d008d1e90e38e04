import numpy as np
import pytest
import trimesh

from evaluation.metrics.surface import Surface, sample_evenly
from evaluation.metrics.triangle_trees import order_along_curve
from tests.evaluation.metrics.face_like import face_like

# A square of two triangles in the plane z = 0, side 2.
SQUARE = np.array([[0.0, 0, 0], [2, 0, 0], [2, 2, 0], [0, 2, 0]])
TWO_TRIANGLES = np.array([[0, 1, 2], [0, 2, 3]])
BACKENDS = ["libigl", "open3d"]


def surface_of_backend(backend: str, vertices: np.ndarray, triangles: np.ndarray) -> Surface:
    if backend == "open3d":
        pytest.importorskip("open3d")
    return Surface(vertices, triangles, backend=backend)


@pytest.mark.parametrize("backend", BACKENDS)
def test_above_a_square_the_closest_point_lies_straight_below(backend: str) -> None:
    found = surface_of_backend(backend, SQUARE, TWO_TRIANGLES).closest_points([[0.5, 1.0, 3.0]])
    np.testing.assert_allclose(found.points, [[0.5, 1, 0]], atol=1e-6)
    np.testing.assert_allclose(found.distances, [3], atol=1e-6)
    np.testing.assert_allclose(found.normals, [[0, 0, 1]])
    assert not found.on_border[0]


@pytest.mark.parametrize("backend", BACKENDS)
def test_beyond_an_edge_or_a_corner_the_closest_point_is_on_the_border(backend: str) -> None:
    surface = surface_of_backend(backend, SQUARE, TWO_TRIANGLES)
    found = surface.closest_points([[1.0, -4, 3], [5, 6, 0], [3, 0.5, 0], [1, 1, 1]])
    np.testing.assert_allclose(found.distances, [5, 5, 1, 1], atol=1e-6)
    assert found.on_border.tolist() == [True, True, True, False]  # the last is on the diagonal


@pytest.mark.parametrize("backend", BACKENDS)
def test_closest_points_agree_with_trimesh(backend: str) -> None:
    face = face_like()
    points = face.vertices[::3] + np.random.default_rng(0).normal(0, 6, (len(face.vertices[::3]), 3))
    found = surface_of_backend(backend, face.vertices, face.triangles).closest_points(points)
    mesh = trimesh.Trimesh(face.vertices, face.triangles, process=False)
    closest, distances, _ = trimesh.proximity.closest_point_naive(mesh, points)
    np.testing.assert_allclose(found.distances, distances, atol=1e-4)
    # Where two points are equally close, either may come back.
    apart = np.linalg.norm(found.points - closest, axis=1)
    assert (apart < 1e-4).mean() > 0.99


def test_vertices_in_the_same_place_are_no_border_and_share_a_normal() -> None:
    loose = SQUARE[TWO_TRIANGLES].reshape(-1, 3)
    surface = Surface(loose, np.arange(6).reshape(2, 3))
    assert not surface.closest_points([[1.0, 1, 1]]).on_border[0]
    assert surface.closest_points([[2.0, 3, 0]]).on_border[0]
    np.testing.assert_allclose(surface.vertex_normals, np.tile([0, 0, 1.0], (6, 1)))
    assert surface.vertex_areas.sum() == pytest.approx(4)
    assert (surface.vertex_areas > 0).sum() == 4


def test_a_normal_is_the_mean_of_its_triangles_by_area() -> None:
    # A ridge along y: one side rises with slope 1 over width 1, the other falls over width 2.
    vertices = np.array([[-1.0, 0, -1], [-1, 1, -1], [0, 0, 0], [0, 1, 0], [2, 0, -2], [2, 1, -2]])
    triangles = np.array([[0, 2, 1], [2, 3, 1], [2, 4, 3], [4, 5, 3]])
    normals = Surface(vertices, triangles).vertex_normals
    # Vertex 3 has areas sqrt(2) / 2 to the left, 2 sqrt(2) / 2 twice to the right.
    np.testing.assert_allclose(normals[3], np.array([-1 + 4, 0, 5]) / np.sqrt(34), atol=1e-12)


def test_triangles_without_area_and_vertices_without_a_triangle_do_not_count() -> None:
    vertices = np.vstack([SQUARE, [[1.0, 1, 5], [np.nan] * 3]])
    surface = Surface(vertices, np.vstack([TWO_TRIANGLES, [[0, 4, 4]]]))
    assert len(surface.triangles) == 2
    assert surface.vertex_areas[4:].tolist() == [0, 0]
    np.testing.assert_allclose(surface.nearest_vertex_distances([[1.0, 1, 5]]), np.sqrt(27))
    np.testing.assert_allclose(surface.closest_points([[1.0, 1, 5]]).distances, 5)


def test_no_points_give_no_closest_points() -> None:
    found = Surface(SQUARE, TWO_TRIANGLES).closest_points(np.zeros((0, 3)))
    assert [len(part) for part in found] == [0, 0, 0, 0]


@pytest.mark.parametrize("backend", BACKENDS)
def test_what_has_no_closest_point_is_refused_before_a_tree_is_asked(backend: str) -> None:
    square = np.array([[0.0, 0, 0], [1, 0, 0], [1, 1, 0]])
    for points in ([[0, np.nan, 0]], [[0, 0, np.inf]], [[1e200, 0, 0]]):
        with pytest.raises(ValueError, match="NaN or infinite"):
            surface_of_backend(backend, square, np.array([[0, 1, 2]])).closest_points(np.array(points))
    for triangles in (np.zeros((0, 3), int), np.array([[0, 1, 1]])):
        flat = surface_of_backend(backend, square, triangles)
        with pytest.raises(ValueError, match="no triangle with an area"):
            flat.closest_points(square)
        assert not flat.vertex_normals.any()


def test_samples_are_even_by_area_whatever_the_density() -> None:
    # The left half of a 2 x 1 rectangle is 200 triangles, the right half is two.
    fine = np.stack(np.meshgrid(np.linspace(0, 1, 11), np.linspace(0, 1, 11)), -1).reshape(-1, 2)
    corner = (np.arange(10)[:, None] * 11 + np.arange(10)).ravel()
    left = np.concatenate([corner[:, None] + offsets for offsets in ([0, 1, 12], [0, 12, 11])])
    flat = np.vstack([fine, [[1, 0], [2, 0], [2, 1], [1, 1]]])
    vertices = np.column_stack([flat, np.zeros(len(flat))])
    triangles = np.vstack([left, TWO_TRIANGLES + len(fine)])
    surface = Surface(vertices, triangles)
    samples = sample_evenly(surface, 1000, np.random.default_rng(0))
    assert (samples.points[:, 0] < 1).sum() == pytest.approx(500, abs=1)
    np.testing.assert_allclose(samples.points.mean(0), [1, 0.5, 0], atol=0.02)
    right = sample_evenly(
        surface, 100, np.random.default_rng(0), inside=(surface.triangles >= len(fine)).all(1)
    )
    assert right.points[:, 0].min() >= 1
    none = sample_evenly(surface, 5, np.random.default_rng(0), inside=np.zeros(len(triangles), bool))
    assert len(none.points) == 0


def test_neighbours_in_space_follow_each_other_along_the_curve() -> None:
    corners = np.array([[0.0, 0, 0], [9, 9, 9], [0.1, 0, 0], [9, 9, 8.9]])
    assert order_along_curve(corners).tolist() == [0, 2, 3, 1]
    assert order_along_curve(np.ones((3, 3))).tolist() == [0, 1, 2]


def test_open3d_is_named_where_it_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "open3d", None)
    with pytest.raises(ImportError, match=r"pip install -e '\.\[open3d\]'"):
        Surface(SQUARE, TWO_TRIANGLES, backend="open3d").closest_points([[0.0, 0, 1]])
