import numpy as np
from numpy.typing import NDArray
from scipy.spatial import Delaunay
from scipy.spatial.transform import Rotation

from evaluation.metrics.nonrigid_icp import Keypoints, deformed


def bowl(curvature: float = 0.05) -> tuple[NDArray, NDArray]:
    """A curved patch of about 8 x 8 with neighbours half a unit apart."""
    x, y = np.meshgrid(np.arange(-4, 4.1, 0.5), np.arange(-4, 4.1, 0.5))
    flat = np.stack([x.ravel(), y.ravel()], 1)
    return np.column_stack([flat, -curvature * (flat**2).sum(1)]), Delaunay(flat).simplices


def test_a_surface_on_its_own_points_stays() -> None:
    points, triangles = bowl()
    np.testing.assert_allclose(deformed(points, triangles, points, None), points, atol=1e-6)
    marks = Keypoints(np.array([0, 8, 40, 144]), points[[0, 8, 40, 144]])
    np.testing.assert_allclose(deformed(points, triangles, points, marks), points, atol=1e-6)


def test_an_affine_change_costs_no_stiffness_and_is_found_by_keypoints() -> None:
    points, triangles = bowl()
    matrix = Rotation.from_rotvec((0.2, 0.1, 0.4)).as_matrix() * (1.2, 0.9, 1.0)
    targets = points @ matrix.T + (0.5, -0.2, 0.3)
    ids = np.array([0, 8, 16, 72, 144, 200, 272, 288])
    moved = deformed(points, triangles, targets, Keypoints(ids, targets[ids]))
    np.testing.assert_allclose(moved, targets, atol=1e-4)


def test_a_smooth_change_is_followed() -> None:
    points, triangles = bowl()
    targets, _ = bowl(curvature=0.06)
    moved = deformed(points, triangles, targets, None)
    before, after = (np.linalg.norm(each - targets, axis=1).mean() for each in (points, moved))
    assert after < 0.2 * before


def test_a_spike_without_a_counterpart_is_not_drawn() -> None:
    points, triangles = bowl()
    spiked = points.copy()
    spiked[144, 2] += 5.0  # in the middle
    moved = deformed(spiked, triangles, points, None)
    assert moved[144, 2] > 4.5


def test_a_vertex_that_nothing_holds_stays() -> None:
    points, triangles = bowl()
    lonely = np.vstack([points, [40.0, 0, 0]])
    moved = deformed(lonely, triangles, points, None)
    np.testing.assert_allclose(moved[-1], lonely[-1], atol=1e-4)
