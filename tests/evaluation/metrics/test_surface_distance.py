import numpy as np
import pytest

from evaluation.metrics.posed_surface import IntersectionRule, PosedSurface
from evaluation.metrics.scan_region import Region
from evaluation.metrics.similarity_transform import similarity
from evaluation.metrics.surface import Surface
from evaluation.metrics.surface_distance import Distances, Measure, distances, weighted_median
from tests.evaluation.metrics.face_like import face_like

EVERYWHERE = Region(np.zeros(3), 1000.0)
TRIANGLE = np.array([[0, 1, 2]])


def grid(step: float, half: float, z: float = 0.0) -> Surface:
    """A square plane, normals towards z."""
    ticks = np.arange(-half, half + step / 2, step)
    count = len(ticks)
    x, y = np.meshgrid(ticks, ticks)
    corner = (np.arange(count - 1)[:, None] * count + np.arange(count - 1)).ravel()
    triangles = np.concatenate([corner[:, None] + o for o in ([0, 1, count + 1], [0, count + 1, count])])
    return Surface(np.column_stack([x.ravel(), y.ravel(), np.full(count**2, z)]), triangles)


@pytest.mark.parametrize(
    ("measure", "expected"),
    # A plane 2 mm below; its vertices lie 3 mm to the side along x and 6 mm along y: sqrt(9 + 36 + 4) = 7.
    [("point-to-plane", 2.0), ("point-to-triangle", 2.0), ("point-to-point", 7.0)],
)
def test_between_two_planes_only_point_to_point_sees_the_vertices(measure: Measure, expected: float) -> None:
    above = Surface(np.array([[3.0, 6, 2], [3.001, 6, 2], [3, 6.001, 2]]), TRIANGLE)
    below = grid(20.0, 40.0)
    found = distances(PosedSurface(above), PosedSurface(below), EVERYWHERE, measure=measure)
    assert found.values_mm[0] == pytest.approx(expected)


@pytest.mark.parametrize(
    ("measure", "expected"),
    # The edge of a roof whose sides fall with slope 1; the point is 2 beside and 2 above: on the edge the
    # normal is straight up, so the plane is 2 away and the surface sqrt(8).
    [("point-to-plane", 2.0), ("point-to-triangle", np.sqrt(8))],
)
def test_over_a_sharp_ridge_the_plane_is_nearer_than_the_surface(measure: Measure, expected: float) -> None:
    roof = np.array([[-9.0, -9, -9], [-9, 9, -9], [0, -9, 0], [0, 9, 0], [9, -9, -9], [9, 9, -9]])
    roof = Surface(roof, np.array([[0, 2, 1], [2, 3, 1], [2, 4, 3], [4, 5, 3]]))
    # The normal on the ridge's middle is the mean of two mirrored ones.
    point = Surface(np.array([[2.0, 0, 2], [2.001, 0, 2], [2, 0.001, 2]]), TRIANGLE)
    found = distances(
        PosedSurface(point),
        PosedSurface(roof),
        EVERYWHERE,
        measure=measure,
        rule=IntersectionRule(largest_angle_degrees=89),
    )
    closest = roof.closest_points(np.array([[2.0, 0, 2]]))
    np.testing.assert_allclose(closest.points, [[0, 0, 0]], atol=1e-12)
    assert found.values_mm[0] == pytest.approx(expected, rel=1e-3)


def test_a_surface_in_another_unit_is_measured_in_the_common_frame() -> None:
    face = face_like()
    pose = similarity(scale=80, rotation_vector=(0.2, 0, 0), translation=(1, 2, 3))
    small = PosedSurface(Surface(pose.inverse().points(face.vertices), face.triangles), pose)
    plain = PosedSurface(Surface(face.vertices + np.array([0, 0, 2]), face.triangles))
    for measure in ("point-to-plane", "point-to-triangle", "point-to-point"):
        there = distances(plain, small, EVERYWHERE, measure=measure)
        same = distances(
            plain, PosedSurface(Surface(face.vertices, face.triangles)), EVERYWHERE, measure=measure
        )
        np.testing.assert_allclose(there.values_mm, same.values_mm, atol=1e-9)
        assert 1 < there.statistic("mean") < 2.001


def test_points_over_a_border_beyond_10_mm_or_facing_away_do_not_count() -> None:
    below = grid(2.0, 10.0)
    places = np.array([[0.0, 0, 5], [0, 0, 9], [0, 0, 11], [12, 0, 1]])
    for place, counts in zip(places, (True, True, False, False), strict=True):
        point = Surface(place + np.array([[0, 0, 0], [0.01, 0, 0], [0, 0.01, 0]]), TRIANGLE)
        found = distances(PosedSurface(point), PosedSurface(below), EVERYWHERE, measure="point-to-plane")
        assert found.counted[0] == counts
        assert np.isnan(found.values_mm[0]) != counts
    turned = Surface(np.array([[0.0, 0, 5], [0, 0.01, 5], [0.01, 0, 5]]), TRIANGLE)
    away = distances(PosedSurface(turned), PosedSurface(below), EVERYWHERE, measure="point-to-plane")
    assert not away.counted.any()
    assert away.kept_fraction == 0
    assert np.isnan(away.statistic("mean"))
    flipped = PosedSurface(turned, flipped=True)
    assert distances(flipped, PosedSurface(below), EVERYWHERE, measure="point-to-plane").counted.all()


def test_only_the_region_counts_and_the_kept_fraction_is_of_its_area() -> None:
    # Of a plane of 41 x 41 within 10 mm in x of the origin the other plane covers the half with x > 0.
    half = grid(1.0, 20.0)
    other = Surface(half.vertices + np.array([20.5, 0, 1]), half.triangles)
    region = Region(np.zeros(3), 10.0)
    found = distances(PosedSurface(half), PosedSurface(other), region, measure="point-to-triangle")
    assert found.kept_fraction == pytest.approx(0.5, abs=0.05)
    assert found.counted.sum() == (region.contains(half.vertices) & (half.vertices[:, 0] > 0.5)).sum()
    np.testing.assert_allclose(found.values_mm[found.counted], 1)
    nowhere = Region(np.array([0, 0, 500.0]), 10.0)
    assert (
        distances(PosedSurface(half), PosedSurface(other), nowhere, measure="point-to-plane").kept_fraction
        == 0
    )


def test_weighting_by_area_does_not_depend_on_where_a_mesh_is_dense() -> None:
    # z = 1 for x < 0, where triangles are small, and z = 3 for x > 10.
    fine, coarse = grid(0.5, 5.0, z=1.0), grid(5.0, 5.0, z=3.0)
    vertices = np.vstack([fine.vertices - np.array([5, 0, 0]), coarse.vertices + np.array([15, 0, 0])])
    both = Surface(vertices, np.vstack([fine.triangles, coarse.triangles + len(fine.vertices)]))
    options = {"measure": "point-to-triangle"}
    below = PosedSurface(grid(50.0, 50.0))
    by_area = distances(PosedSurface(both), below, EVERYWHERE, **options)
    by_vertex = distances(PosedSurface(both), below, EVERYWHERE, weighting="vertex", **options)
    assert by_area.statistic("mean") == pytest.approx(2)
    assert by_area.statistic("rmse") == pytest.approx(np.sqrt(5))
    assert by_vertex.statistic("mean") == pytest.approx((441 * 1 + 9 * 3) / 450)
    assert by_vertex.statistic("median") == pytest.approx(1)


def test_statistics_by_hand() -> None:
    found = Distances(np.array([1.0, np.nan, 2, 5]), np.array([2.0, 0, 1, 1]), 0.75)
    assert found.statistic("mean") == pytest.approx((2 + 2 + 5) / 4)
    assert found.statistic("rmse") == pytest.approx(np.sqrt((2 + 4 + 25) / 4))
    assert found.statistic("median") == pytest.approx(1.5)
    assert weighted_median(np.array([3.0, 1, 2]), np.ones(3)) == 2
    assert weighted_median(np.array([3.0, 1]), np.array([3.0, 1])) == 3
    assert weighted_median(np.array([4.0]), np.ones(1)) == 4
