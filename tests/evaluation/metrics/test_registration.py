import re

import numpy as np
import pytest

from evaluation.metrics import registration
from evaluation.metrics.correspondences import PairingRule
from evaluation.metrics.point_to_plane import (
    LARGEST_LENGTHENING,
    Step,
    geman_mcclure_weights,
    lengthening,
    point_to_plane_step,
)
from evaluation.metrics.registration import Alignment, AlignmentSettings, align
from evaluation.metrics.scan_region import Region
from evaluation.metrics.similarity_transform import IDENTITY, Similarity, similarity
from evaluation.metrics.surface import Surface
from evaluation.metrics.vertex_registration import align_all_vertices
from tests.evaluation.metrics.face_like import face_like

FACE = face_like()
SCAN = Surface(FACE.vertices, FACE.triangles)
REGION = Region(FACE.landmarks[30], 95.0)
FEW = AlignmentSettings(samples=(500, 1500))


def test_one_step_along_a_plane_moves_along_its_normal_only() -> None:
    points = np.array([[0.0, 0, 2], [1, 0, 2], [0, 1, 2], [1, 1, 2]])
    normals = np.tile([0.0, 0, 1], (4, 1))
    step = point_to_plane_step(points, points * [1, 1, 0], normals, np.ones(4), scaled=True)
    np.testing.assert_allclose(step.similarity().points(points), points * [1, 1, 0], atol=1e-9)
    assert step.moved() == pytest.approx(2)


def test_one_step_finds_the_scale_of_a_cube_of_planes() -> None:
    normals = np.vstack([np.eye(3), -np.eye(3)])
    # Planes at distance 2; the points at 1.9 along their normals and somewhere across.
    across = np.roll(normals, 1, axis=1) * 0.3
    step = point_to_plane_step(1.9 * normals + across, 2 * normals, normals, np.ones(6), scaled=True)
    assert step.similarity().scale == pytest.approx(np.exp(0.1 / 1.9), rel=1e-3)
    rigid = point_to_plane_step(1.9 * normals + across, 2 * normals, normals, np.ones(6), scaled=False)
    assert rigid.similarity().scale == 1


def test_a_share_of_a_step_moves_by_that_share() -> None:
    points = np.array([[0.0, 0, 2], [1, 0, 2], [0, 1, 2], [1, 1, 2]])
    normals = np.tile([0.0, 0, 1], (4, 1))
    step = point_to_plane_step(points, points * [1, 1, 0], normals, np.ones(4), scaled=True)
    np.testing.assert_allclose(step.similarity(0.25).points(points), points - [0, 0, 0.5], atol=1e-9)
    assert step.moved(0.25) == pytest.approx(0.5)
    np.testing.assert_allclose(step.similarity(3.0).points(points), points - [0, 0, 6.0], atol=1e-9)


def test_robust_weights_lead_to_the_least_of_geman_and_mcclure_s_cost() -> None:
    residuals, width = np.array([0.0, 0.5, 1.0, 8.0]), 2.0
    cost = [(r**2 / (1 + (r / width) ** 2)) for r in (residuals - 1e-6, residuals + 1e-6)]
    slope = (cost[1] - cost[0]) / 2e-6
    # Of least squares with these weights the slope is 2 w r.
    np.testing.assert_allclose(2 * geman_mcclure_weights(residuals, width) * residuals, slope, atol=1e-6)


def test_a_step_is_bounded() -> None:
    normals = np.vstack([np.eye(3), -np.eye(3)])
    step = point_to_plane_step(normals, 9 * normals, normals, np.ones(6), scaled=True)
    for share in (1.0, 4.0):
        assert step.similarity(share).scale == pytest.approx(np.exp(0.1))
    assert step.similarity(0.5).scale == pytest.approx(np.exp(0.05))


def test_steps_that_grow_shorter_by_a_factor_are_lengthened_to_where_they_lead() -> None:
    first = Step(np.zeros(3), 1.0, np.array([0.0, 0, 0, 8, 4, 0, 0]))
    for ratio in (0.2, 0.5, 0.75):
        step = first._replace(lengths=ratio * first.lengths)
        assert lengthening(step, first) == pytest.approx(1 / (1 - ratio))
    assert lengthening(first._replace(lengths=0.99 * first.lengths), first) == LARGEST_LENGTHENING
    elsewhere = (
        [0, 0, 0, 4, -4, 0, 0],
        [0, 0, 0, -4, -2, 0, 0],
        [0, 0, 0, 9, 5, 0, 0],
        [0, 0, 0, 0, 0, 0, 0],
    )
    for lengths in elsewhere:  # another way, back, longer, nowhere
        assert lengthening(first._replace(lengths=np.array(lengths, float)), first) == 1


def test_lengthened_steps_come_to_the_same_end_in_fewer(monkeypatch: pytest.MonkeyPatch) -> None:
    mesh = Surface(FACE.vertices * (1 + 0.03 * np.sin(FACE.vertices[:, :1] / 60)), FACE.triangles)
    away = similarity(rotation_vector=(0.15, 0.1, 0.05), translation=(6, -4, 3))
    to_the_end = FEW._replace(tolerance_mm=1e-4)
    found = align(SCAN, mesh, away, REGION, to_the_end)
    monkeypatch.setattr(registration, "lengthening", lambda step, previous: 1.0)
    plain = align(SCAN, mesh, away, REGION, to_the_end)
    assert found.iterations < 0.6 * plain.iterations
    apart = found.transform.points(mesh.vertices) - plain.transform.points(mesh.vertices)
    assert float(np.sqrt((apart**2).sum(1).mean())) < 0.05


@pytest.mark.parametrize("direction", [1.0, -1.0])
def test_a_known_similarity_is_recovered_from_15_degrees_20_mm_and_10_percent(direction: float) -> None:
    true = similarity(scale=1 / 80, rotation_vector=(0.4, -0.3, 0.2), translation=(1, 2, 3))
    away = similarity(
        scale=1 + direction * 0.1,
        rotation_vector=direction * np.radians(15) * np.array([0.6, 0.8, 0]),
        translation=direction * 20 * np.array([0.6, 0, 0.8]),
    )
    mesh = Surface(true.points(FACE.vertices), FACE.triangles)
    found = align(SCAN, mesh, away.after(true.inverse()), REGION, FEW)
    assert found.converged
    assert found.failure is None
    apart = found.transform.after(true).points(FACE.vertices) - FACE.vertices
    assert np.linalg.norm(apart, axis=1).max() < 0.01
    assert found.scale == pytest.approx(80, rel=1e-4)
    assert found.kept_fraction > 0.95
    assert not found.flipped


def test_another_topology_of_the_surface_comes_to_lie_on_it() -> None:
    other = face_like(4.0, scattered=True)
    away = similarity(scale=1.05, rotation_vector=(0.1, 0.1, 0), translation=(5, -5, 3))
    found = align(SCAN, Surface(other.vertices, other.triangles), away, REGION, FEW)
    assert found.converged
    apart = found.transform.points(other.vertices) - other.vertices
    assert np.linalg.norm(apart, axis=1).max() < 0.5  # both are polygons of the same curved surface
    assert found.scale == pytest.approx(1, abs=0.002)


def test_without_scale_the_scale_stays_as_it_was() -> None:
    mesh = Surface(1.02 * FACE.vertices, FACE.triangles)
    found = align(SCAN, mesh, IDENTITY, REGION, FEW._replace(scaled=False))
    assert found.converged
    assert found.scale == 1
    assert found.rms_mm > 0.1


def test_a_mesh_turned_inside_out_is_aligned_all_the_same() -> None:
    mesh = Surface(FACE.vertices, FACE.triangles[:, ::-1])
    found = align(SCAN, mesh, similarity(translation=(3, 0, 2)), REGION, FEW)
    assert found.converged
    assert found.flipped


def test_the_same_arguments_give_the_same_bits() -> None:
    mesh = Surface(face_like(nose_mm=18).vertices, FACE.triangles)
    first, second = (align(SCAN, mesh, similarity(translation=(3, 0, 2)), REGION, FEW) for _ in range(2))
    assert first.transform.points(FACE.vertices).tobytes() == second.transform.points(FACE.vertices).tobytes()


def test_clutter_before_the_surface_does_not_pull_the_mesh() -> None:
    clutter = FACE.vertices[:300] * [1, 0.3, 1] + [0, 60, 40]
    strands = np.arange(300).reshape(-1, 3)
    scan = Surface(
        np.vstack([FACE.vertices, clutter]), np.vstack([FACE.triangles, strands + len(FACE.vertices)])
    )
    mesh = Surface(FACE.vertices, FACE.triangles)
    found = align(scan, mesh, similarity(translation=(3, 0, 2)), REGION, FEW)
    assert found.converged
    assert np.abs(found.transform.points(FACE.vertices) - FACE.vertices).max() < 0.01


def failed(mesh: np.ndarray, start: Similarity = IDENTITY, **changes: object) -> Alignment:
    found = align(SCAN, Surface(mesh, FACE.triangles), start, REGION, FEW._replace(**changes))
    assert not found.converged
    return found


def test_too_few_iterations_are_a_failure_that_says_how_far_the_last_still_moved() -> None:
    away = similarity(translation=(9, 5, 2))
    found = failed(FACE.vertices, away, most_iterations=1)
    still_mm = re.fullmatch(
        r"no convergence: 1 iterations were not enough, the last still moved the mesh by (\S+) mm",
        found.failure,
    )
    assert still_mm is not None
    assert 1 < float(still_mm[1]) < 12


@pytest.mark.parametrize("method", ["samples", "all vertices"])
def test_200_iterations_that_do_not_converge_give_no_alignment(method: str) -> None:
    """No step is shorter than nothing: nobody's iterations are enough."""
    never = AlignmentSettings(samples=(300,), tolerance_mm=0.0)
    mesh, away = Surface(face_like(nose_mm=18).vertices, FACE.triangles), similarity(translation=(3, 0, 2))
    if method == "samples":
        found = align(SCAN, mesh, away, REGION, never)
    else:
        found = align_all_vertices(SCAN, mesh, away, REGION, settings=never)
    assert (found.converged, found.iterations) == (False, 200)
    assert found.failure.startswith("no convergence: 200 iterations were not enough, the last still moved")


def test_a_mesh_elsewhere_is_a_failure() -> None:
    found = failed(FACE.vertices, similarity(translation=(400, 0, 0)))
    assert found.failure.startswith("too few pairs: 0%")
    assert found.kept_fraction == 0


def test_a_scale_that_collapses_is_a_failure() -> None:
    found = failed(FACE.vertices, similarity(scale=1.3), largest_scaling=1.15)
    assert found.failure.startswith("scale collapse")
    found = failed(FACE.vertices, similarity(scale=0.8), largest_scaling=1.15)
    assert found.failure.startswith("scale explosion")


def test_one_direction_alone_cannot_shrink_the_mesh_to_a_point() -> None:
    # The distances are the scan's: a smaller mesh leaves its points farther away.
    found = align(
        SCAN,
        Surface(FACE.vertices, FACE.triangles),
        similarity(scale=0.9),
        REGION,
        FEW._replace(pairing=PairingRule("scan to mesh")),
    )
    assert found.scale == pytest.approx(1, abs=1e-4)


def test_surfaces_that_stay_far_apart_are_a_failure() -> None:
    found = failed(FACE.vertices * [1.1, 1, 1], largest_median_mm=0.1)
    assert found.failure.startswith("surfaces disagree")


def test_a_mesh_that_travels_away_is_a_failure() -> None:
    small = Region(FACE.landmarks[30], 30.0)
    mesh = Surface(FACE.vertices, FACE.triangles)
    settings = FEW._replace(least_kept=0.0, scaled=False)
    found = align(SCAN, mesh, similarity(translation=(0, 0, 40)), small, settings)
    assert found.failure.startswith("divergence: the mesh travelled")
