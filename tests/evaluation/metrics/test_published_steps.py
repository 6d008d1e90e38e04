"""NoW, FG2018, GANFit and REALY beside the steps of their published code, worked out by other means."""

from dataclasses import replace

import igl
import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import sparse
from scipy.optimize import least_squares
from scipy.spatial import KDTree
from scipy.spatial.transform import Rotation

from evaluation.metrics.face_regions import in_face_regions
from evaluation.metrics.marked_mesh import MarkedMesh
from evaluation.metrics.region_score import UNIT_MM
from evaluation.metrics.scan_protocols import FG2018, GANFIT, NOW, REALY_LIKE, SEVEN_LANDMARKS
from evaluation.metrics.scan_score import score_scan
from tests.evaluation.metrics.face_like import all_landmarks, face_like

OUTER_RIGHT, INNER_RIGHT, INNER_LEFT, OUTER_LEFT, NOSE_BOTTOM = range(5)


def distances_to(points: NDArray, vertices: NDArray, triangles: NDArray) -> NDArray:
    squared = igl.point_mesh_squared_distance(
        np.ascontiguousarray(points), np.ascontiguousarray(vertices), triangles
    )[0]
    return np.sqrt(squared)


def by_seven_points(mesh: NDArray, scan: NDArray) -> tuple[float, NDArray, NDArray]:
    """The similarity of Procrustes analysis: scale, rotation, translation."""
    mesh_mean, scan_mean = mesh.mean(0), scan.mean(0)
    u, s, vt = np.linalg.svd((scan - scan_mean).T @ (mesh - mesh_mean))
    assert np.linalg.det(u @ vt) > 0
    scale = s.sum() / ((mesh - mesh_mean) ** 2).sum()
    return scale, u @ vt, scan_mean - scale * u @ vt @ mesh_mean


def published(scan: MarkedMesh, mesh: MarkedMesh, factor: float, *, refined: bool) -> NDArray:
    """The distances from the vertices of the cropped scan to the mesh, landmarks' order as in their code."""
    order = [36, 39, 42, 45, 33, 48, 54]
    truth, given = scan.landmarks[order], mesh.landmarks[order]
    scale, rotation, translation = by_seven_points(given, truth)
    aligned = scale * mesh.vertices @ rotation.T + translation
    bridge = (truth[INNER_RIGHT] + truth[INNER_LEFT]) / 2
    centre = truth[NOSE_BOTTOM] + 0.3 * (bridge - truth[NOSE_BOTTOM])
    eyes, nose = (
        np.linalg.norm(a - b)
        for a, b in ((truth[OUTER_RIGHT], truth[OUTER_LEFT]), (bridge, truth[NOSE_BOTTOM]))
    )
    cropped = scan.vertices[np.linalg.norm(scan.vertices - centre, axis=1) <= factor * (eyes + nose) / 2]

    def moved(x: NDArray) -> NDArray:
        return x[0] * aligned @ Rotation.from_rotvec(x[1:4]).as_matrix().T + 100 * x[4:]

    if not refined:
        return distances_to(cropped, aligned, mesh.triangles)
    found = least_squares(
        lambda x: distances_to(cropped, moved(x), mesh.triangles), np.eye(7)[0], xtol=1e-10, ftol=1e-12,
        gtol=1e-12, diff_step=1e-6,
    )  # fmt: skip
    return distances_to(cropped, moved(found.x), mesh.triangles)


def pair(number: int) -> tuple[MarkedMesh, MarkedMesh]:
    """A scan, and a reconstruction in another pose and size with errors of its own."""
    chance = np.random.default_rng(number)
    scan = face_like(5.0, nose_mm=20 + number, scattered=True)
    mesh = face_like(6.0, nose_mm=24 - number)
    x, y = mesh.vertices[:, 0], mesh.vertices[:, 1]
    wrong = chance.normal(size=3) * 3
    bent = mesh.vertices.copy()
    bent[:, 2] += wrong[0] * np.cos(x / 30) + wrong[1] * np.sin(y / 40) + wrong[2] * np.exp(-(y**2) / 800)
    noise = chance.normal(size=scan.vertices.shape) * 0.3
    turn = Rotation.from_rotvec(chance.uniform(-0.3, 0.3, 3)).as_matrix()
    size = chance.uniform(0.8, 1.2)
    marks = mesh.landmarks + chance.normal(size=mesh.landmarks.shape)
    return (
        scan._replace(vertices=scan.vertices + noise),
        MarkedMesh(size * bent @ turn.T, mesh.triangles, size * marks @ turn.T),
    )


@pytest.mark.parametrize("number", range(5))
@pytest.mark.parametrize("protocol", [NOW, FG2018], ids=lambda protocol: protocol.name)
def test_scores_are_those_of_the_published_steps(number: int, protocol: object) -> None:
    scan, mesh = pair(number)
    expected = published(scan, mesh, protocol.disc_factor, refined=protocol.refined)
    score = score_scan(scan, mesh, protocol)
    assert score.failure is None
    found = score.scan_to_mesh.values_mm
    found = found[np.isfinite(found)]
    assert len(found) == len(expected)
    assert score.kept_fraction == 1
    for statistic in (np.median, np.mean, lambda values: np.sqrt((values**2).mean())):
        assert statistic(found) == pytest.approx(statistic(expected), abs=0.005)
    reported = np.median(expected) if protocol is NOW else np.sqrt((expected**2).mean())
    assert score.value_mm == pytest.approx(reported, abs=0.005)


def one_way(points: NDArray, vertices: NDArray, triangles: NDArray) -> tuple[float, int]:
    """GANFit's loop: the mean distance at its end, and how many points it is of."""

    def closest(points: NDArray) -> tuple[float, NDArray]:
        found = igl.point_mesh_squared_distance(
            np.ascontiguousarray(points), np.ascontiguousarray(vertices), triangles
        )
        return float(np.sqrt(found[0]).mean()), found[2]

    (distance, there), before = closest(points), np.inf
    while before - distance > 0.001:
        scale, rotation, translation = by_seven_points(points, there)
        points = scale * points @ rotation.T + translation
        before, (distance, there) = distance, closest(points)
    return distance, len(points)


def within(points: NDArray, centre: NDArray) -> NDArray:
    return points[np.linalg.norm(points - centre, axis=1) <= 95]


@pytest.mark.parametrize("number", range(5))
def test_ganfit_s_score_is_that_of_its_published_steps(number: int) -> None:
    scan, mesh = pair(number)
    known = np.isfinite(scan.landmarks).all(1) & np.isfinite(mesh.landmarks).all(1)
    scale, rotation, translation = by_seven_points(mesh.landmarks[known], scan.landmarks[known])
    vertices, nose_tip = (
        scale * points @ rotation.T + translation for points in (mesh.vertices, mesh.landmarks[[30]])
    )
    there, counted = one_way(within(scan.vertices, scan.landmarks[30]), vertices, mesh.triangles)
    back, of_mesh = one_way(within(vertices, nose_tip), scan.vertices, scan.triangles)
    score = score_scan(scan, mesh, GANFIT)
    assert score.failure is None
    assert (score.scan_to_mesh.counted.sum(), score.mesh_to_scan.counted.sum()) == (counted, of_mesh)
    assert score.value_mm == pytest.approx((there + back) / 2, abs=1e-6)
    assert abs(there - back) > 1e-3  # each has a part of its own


def test_a_mesh_without_a_nose_tip_has_no_ganfit_score() -> None:
    scan, mesh = pair(0)
    marks = mesh.landmarks.copy()
    marks[30] = np.nan
    score = score_scan(scan, mesh._replace(landmarks=marks), GANFIT)
    assert (np.isnan(score.value_mm), score.failure) == (True, "missing landmarks: the nose tip of the mesh")


def test_the_right_crop_and_every_vertex_matter() -> None:
    scan, mesh = pair(1)
    expected = np.median(published(scan, mesh, NOW.disc_factor, refined=True))
    dropping = score_scan(scan, mesh, replace(NOW, counted="intersection"))
    sampled = score_scan(scan, mesh, replace(NOW, alignment="point-to-plane"))
    assert abs(dropping.value_mm - expected) > 1e-4 or dropping.kept_fraction < 1
    assert abs(sampled.value_mm - expected) > 1e-3


def test_a_vertex_far_from_the_mesh_counts() -> None:
    scan, mesh = pair(2)
    part = mesh.triangles[(mesh.vertices[mesh.triangles].mean(1)[:, 1] > 0)]
    upper = mesh._replace(triangles=part)
    score = score_scan(scan, upper, FG2018)
    expected = published(scan, upper, FG2018.disc_factor, refined=False)
    assert score.failure is None
    assert score.value_mm == pytest.approx(np.sqrt((expected**2).mean()), abs=1e-6)


def test_the_seven_landmarks_are_corners_of_eyes_and_mouth_and_subnasale() -> None:
    assert SEVEN_LANDMARKS == (36, 39, 42, 45, 33, 48, 54)


# ---------------------------------------------------------------------- REALY


def closest_on(points: NDArray, vertices: NDArray, triangles: NDArray) -> NDArray:
    return igl.point_mesh_squared_distance(
        np.ascontiguousarray(points), np.ascontiguousarray(vertices), triangles
    )[2]


def realy_pair(number: int) -> tuple[MarkedMesh, MarkedMesh]:
    scan, mesh = pair(number)
    turn_and_size = by_seven_points(face_like(6.0, nose_mm=24 - number).landmarks[[36, 42, 33, 48]],
                                    mesh.landmarks[[36, 42, 33, 48]])  # fmt: skip
    scale, rotation, translation = turn_and_size
    marks = scale * all_landmarks(24 - number) @ rotation.T + translation
    chance = np.random.default_rng(100 + number)
    return (
        scan._replace(landmarks=all_landmarks(20 + number)),
        mesh._replace(landmarks=marks + chance.normal(size=marks.shape)),
    )


KEYPOINTS = {
    "forehead": [*range(36, 48), *range(17, 27)],
    "mouth": [*range(48, 61), 64],
    "nose": list(range(27, 36)),
    "cheek": [*range(48, 61), 64, 36, 41, 40, 39, 42, 47, 46, 45, 7, 8, 9],
}


def rigid(source: NDArray, target: NDArray) -> tuple[NDArray, NDArray]:
    means = source.mean(0), target.mean(0)
    u, _, vt = np.linalg.svd((target - means[1]).T @ (source - means[0]))
    assert np.linalg.det(u @ vt) > 0
    return u @ vt, means[1] - u @ vt @ means[0]


def stepwise(
    vertices: NDArray, triangles: NDArray, targets: NDArray, marks: tuple[NDArray, NDArray] | None
) -> NDArray:
    """The non-rigid steps, with the whole least-squares matrix and keypoints' rows written out."""
    count, tree, moved = len(vertices), KDTree(targets), vertices.copy()
    edges = sorted({tuple(sorted((t[i], t[i - 1]))) for t in triangles.tolist() for i in range(3)})
    arcs = sparse.lil_matrix((len(edges), count))
    for row, (one, two) in enumerate(edges):
        arcs[row, one], arcs[row, two] = 1, -1

    def solved(parts: list, goals: list) -> NDArray:
        whole, wanted = sparse.vstack(parts).tocsc(), np.vstack(goals)
        return sparse.linalg.spsolve((whole.T @ whole).tocsc(), whole.T @ wanted)

    def placed() -> sparse.csr_matrix:
        rows = [sparse.csr_matrix(np.r_[point, 1.0][None]) for point in moved]
        return sparse.block_diag(rows).tocsr()

    stiff, nothing = sparse.kron(arcs, np.eye(4)), np.zeros((4 * len(edges), 3))
    before, now, steps = np.zeros((4 * count, 3)), np.ones((4 * count, 3)), 0
    stages = [50 * np.exp(-0.5 * level) for level in range(3)]
    if marks is not None:
        weight = np.zeros(count)
        weight[marks[0]] = 50
        goal = np.zeros((count, 3))
        goal[marks[0]] = marks[1]
        keyed = sparse.kron(arcs, np.diag([2.0, 2, 3, 2]))
        before, now = (
            now,
            solved([150 * keyed, sparse.diags(weight) @ placed()], [nothing, weight[:, None] * goal]),
        )
        moved, steps = placed() @ now, 1
    for level, alpha in enumerate(stages):
        taken = 0
        while np.linalg.norm(now - before) > 0.5**level and (marks is None or taken <= 10):
            distance, nearest = tree.query(moved)
            counts = (distance < max(2 * distance.mean(), 1)).astype(float)
            goal = targets[nearest].copy()
            parts = [alpha * stiff, sparse.diags(counts) @ placed()]
            goals = [nothing, counts[:, None] * goal]
            if marks is not None:
                weight = np.zeros(count)
                weight[marks[0]] = 5 * np.exp(-0.9 * steps)
                goal = goal.copy()
                goal[marks[0]] = marks[1]
                parts.append(sparse.diags(weight) @ placed())
                goals.append(weight[:, None] * goal)
            before, now = now, solved(parts, goals)
            moved, steps, taken = placed() @ now, steps + 1, taken + 1
    return moved


def published_regions(scan: MarkedMesh, mesh: MarkedMesh) -> dict[str, float]:
    """REALY's mean distances by region in mm, in a frame in which a unit is UNIT_MM."""
    seven = [36, 39, 42, 45, 33, 48, 54]
    truth, scan_vertices = scan.landmarks / UNIT_MM, scan.vertices / UNIT_MM
    given = mesh.landmarks
    rotation, _ = rigid(given[seven], truth[seven])
    spread = (given[seven] - given[seven].mean(0)) @ rotation.T
    scale = np.abs(truth[seven] - truth[seven].mean(0)).sum() / np.abs(spread).sum()
    shift = (truth[seven] - scale * given[seven] @ rotation.T).mean(0)
    start, marks = (scale * points @ rotation.T + shift for points in (mesh.vertices, given))
    errors = {}
    for name, inside in in_face_regions(scan.vertices, scan.landmarks).items():
        kept = scan.triangles[inside[scan.triangles].all(1)]
        ids = np.unique(kept)
        region, triangles = scan_vertices[ids], np.searchsorted(ids, kept)
        keys = KEYPOINTS[name]
        repeats = int(len(region) / len(keys) / (4 if name == "cheek" else 1))
        aligned, own, last = start.copy(), marks.copy(), 0.0
        for step in range(101):
            source = np.vstack([closest_on(region, aligned, mesh.triangles), *[own[keys]] * repeats])
            target = np.vstack([region, *[truth[keys]] * repeats])
            turn, move = rigid(source, target)
            error = ((source @ turn.T + move - target) ** 2).sum(1).mean()
            if abs(error - last) < 1e-6 or step == 100:
                break
            aligned, own, last = aligned @ turn.T + move, own @ turn.T + move, error
        pairs = None
        if name != "cheek":
            pairs = KDTree(region).query(truth[keys])[1], own[keys]
        deformed = stepwise(region, triangles, closest_on(region, aligned, mesh.triangles), pairs)
        there = closest_on(deformed, aligned, mesh.triangles)
        errors[name] = UNIT_MM * np.linalg.norm(there - region, axis=1).mean()
    return errors


@pytest.mark.parametrize("number", range(5))
def test_regions_score_as_by_realys_published_steps(number: int) -> None:
    scan, mesh = realy_pair(number)
    score = score_scan(scan, mesh, REALY_LIKE)
    assert score.failure is None
    expected = published_regions(scan, mesh)
    assert list(score.regions_mm) == ["nose", "mouth", "forehead", "cheek"]
    for name, value in expected.items():
        assert score.regions_mm[name] == pytest.approx(value, abs=0.005), name
    assert score.value_mm == pytest.approx(np.mean(list(expected.values())), abs=0.005)
