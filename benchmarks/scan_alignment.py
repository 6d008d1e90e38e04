"""Scan alignment: does ICP find known similarities, what moves a score, and how long does it take.

Run from the repository's root: `python -m benchmarks.scan_alignment --scan DIR`, DIR holding Lee
Perry-Smith's scan. It needs the extra open3d and writes scan_alignment.md beside itself.
"""

import argparse
import os
import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import open3d
import trimesh
from numpy.typing import NDArray

from benchmarks.morphable_model import machine
from benchmarks.scan_disturbances import (
    coarsened_to,
    grown_beyond,
    noisy,
    retriangulated,
    split_to,
    with_hair,
    with_holes,
)
from benchmarks.scanned_heads import model_faces, real_head
from evaluation.metrics.landmark_start import landmark_start
from evaluation.metrics.marked_mesh import NOSE_TIP, MarkedMesh
from evaluation.metrics.registration import Alignment, align
from evaluation.metrics.scan_protocols import PROTOCOLS
from evaluation.metrics.scan_region import Region
from evaluation.metrics.scan_score import PreparedScan, alignment_settings, prepare_scan, score_scan
from evaluation.metrics.similarity_transform import Similarity, fit_similarity, similarity
from evaluation.metrics.surface import Surface
from lightning_modules.plain.files import write_whole
from lightning_modules.plain.output_file import check_new

RESULTS = Path(__file__).with_suffix(".md")
LARGEST_ANGLE_DEGREES, LARGEST_SHIFT_MM, LARGEST_SCALING = 15.0, 20.0, 0.1
FOUND_MM, LEAST_FOUND = 0.01, 0.99
INNER_MM, GROWTH = 50.0, (0.0, 0.15, 0.25, 0.35)
ROUNDS = 5
EXHAUSTIVE = 10  # points that trimesh asks about every triangle: each needs some 50 MB
SECONDS_PER_SCAN, SECONDS_PER_SET = 1.5, 300.0
SUBJECTS, VIDEOS, ROWS_PER_SCAN = 53, 3, 2  # mean face and oracle once a scan
GENOVA = PROTOCOLS["genova"]


def main(argv: Sequence[str] | None = None) -> None:
    """Measures everything, prints it, and writes it into scan_alignment.md."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scan", type=Path, required=True, help="folder of Lee Perry-Smith's scan")
    parser.add_argument("--trials", type=int, default=100, help="random starts of each surface")
    parser.add_argument("--output", type=Path, default=RESULTS)
    options = parser.parse_args(argv)
    check_new(options.output, but=RESULTS)
    heading = machine("benchmarks.scan_alignment --scan DIR")
    real, (mean, *faces) = real_head(options.scan), model_faces(3)
    lines = ["# Scan alignment", "", heading, ""]
    lines += recovery_table({"real head": real} | _named(faces), options.trials)
    lines += beyond_table(faces, mean)
    lines += disturbance_table(real, split_to(faces[0], len(real.vertices)), mean)
    with OneCore():
        lines += speed_table(real, mean)
    text = "\n".join(lines) + "\n"
    write_whole(options.output, text)
    print(text)


def _named(faces: Sequence[MarkedMesh]) -> dict[str, MarkedMesh]:
    return {f"model face {number}": face for number, face in enumerate(faces, 1)}


class OneCore:
    """One core for what runs inside, where the system can do that."""

    def __enter__(self) -> None:
        self._before = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else None
        if self._before is not None:
            os.sched_setaffinity(0, {min(self._before)})

    def __exit__(self, *_: object) -> None:
        if self._before is not None:
            os.sched_setaffinity(0, self._before)


# ---------------------------------------------------------------------- known similarities


class Trial(NamedTuple):
    """One start.

    Attributes:
        error_mm: the farthest that a vertex of the region ends from where it belongs.
        alignment: see there.
    """

    error_mm: float
    alignment: Alignment


def random_start(centre: NDArray, generator: np.random.Generator, *, at_limits: bool) -> Similarity:
    """A turn, a shift and a scaling about the centre: even up to the limits, or at the limits."""
    axis, direction = (each / np.linalg.norm(each) for each in generator.normal(size=(2, 3)))
    size = np.ones(3) if at_limits else generator.random(3)
    sign = generator.choice([-1, 1])
    turn = np.radians(LARGEST_ANGLE_DEGREES) * size[0] * axis
    away = similarity(scale=1 + sign * LARGEST_SCALING * size[2], rotation_vector=turn)
    shift = centre - away.points(centre[None])[0] + LARGEST_SHIFT_MM * size[1] * direction
    return away._replace(translation=shift)


def recover(mesh: MarkedMesh, count: int, *, at_limits: bool, seed: int = 0) -> list[Trial]:
    """Trials of aligning a copy of a surface, in another frame and unit, to itself."""
    generator = np.random.default_rng(seed)
    scan, region = prepare_scan(mesh), Region(mesh.landmarks[NOSE_TIP], GENOVA.radius_mm)
    known = similarity(scale=1 / 80, rotation_vector=generator.normal(size=3), translation=(1, 2, 3))
    copy = Surface(known.points(mesh.vertices), mesh.triangles)
    inside = region.contains(mesh.vertices)
    trials = []
    for _ in range(count):
        start = random_start(region.centre, generator, at_limits=at_limits).after(known.inverse())
        found = align(scan.surface, copy, start, region, alignment_settings(GENOVA))
        apart = found.transform.points(copy.vertices[inside]) - mesh.vertices[inside]
        trials.append(Trial(float(np.linalg.norm(apart, axis=1).max()), found))
    return trials


def recovery_table(surfaces: dict[str, MarkedMesh], count: int) -> list[str]:
    """How many starts each surface comes back from."""
    rows = []
    for name, mesh in surfaces.items():
        for where in ("even up to the limits", "at the limits"):
            trials = recover(mesh, count, at_limits=where == "at the limits")
            found = [t for t in trials if t.error_mm < FOUND_MM and t.alignment.converged]
            wrong = [t for t in trials if t.error_mm >= FOUND_MM and t.alignment.converged]
            held = "held" if len(found) >= LEAST_FOUND * count and not wrong else "missed"
            worst = max((t.error_mm for t in found), default=np.nan)
            steps = statistics.median(t.alignment.iterations for t in trials)
            rows.append(
                f"| {name} | {len(mesh.vertices):,} | {where} | {len(found)} of {count} | "
                f"{count - len(found) - len(wrong)} | {len(wrong)} | {worst:.1g} | {steps:.0f} | {held} |"
            )
    return [
        "## Known similarities of a noise-free copy",
        "",
        f"Starts of up to {LARGEST_ANGLE_DEGREES:.0f} degrees, {LARGEST_SHIFT_MM:.0f} mm and "
        f"{LARGEST_SCALING:.0%}, about the nose tip. Found: converged, and every vertex within 95 mm of "
        f"the nose tip less than {FOUND_MM} mm from its place. Bound: {LEAST_FOUND:.0%}, "
        "and the rest reported as failed.",
        "",
        "| surface | vertices | starts | found | reported as failed | wrong, not reported | farthest vertex "
        "of those found, mm | steps, median | bound |",
        "|---|---|---|---|---|---|---|---|---|",
        *rows,
        "",
    ]


# ---------------------------------------------------------------------- what lies beyond the face


def inner_errors(scan: MarkedMesh, mesh: MarkedMesh, kernels: Sequence[float | None]) -> list[float]:
    """How far a mesh of the scan's topology ends from the scan within 50 mm, mean in mm.

    First where the best similarity of these vertices takes it, then by ICP with each width of the kernel.
    """
    nose_tip = scan.landmarks[NOSE_TIP]
    inside = Region(nose_tip, INNER_MM).contains(scan.vertices)
    surfaces = prepare_scan(scan).surface, Surface(mesh.vertices, mesh.triangles)
    start = landmark_start(scan.landmarks, mesh.landmarks, GENOVA)
    poses = [fit_similarity(mesh.vertices[inside], scan.vertices[inside])]
    for kernel in kernels:
        settings = alignment_settings(GENOVA)._replace(kernel_deviations=kernel)
        poses.append(align(*surfaces, start, Region(nose_tip, GENOVA.radius_mm), settings).transform)
    apart = [pose.points(mesh.vertices[inside]) - scan.vertices[inside] for pose in poses]
    return [float(np.linalg.norm(each, axis=1).mean()) for each in apart]


def beyond_table(faces: Sequence[MarkedMesh], mesh: MarkedMesh) -> list[str]:
    """How far what lies beyond the face draws the face off its place, with and without a robust kernel."""
    kernels = None, alignment_settings(GENOVA).kernel_deviations
    rows = []
    for share in GROWTH:
        errors = [inner_errors(grown_beyond(face, share), mesh, kernels) for face in faces]
        cells = " | ".join(f"{value:.2f}" for value in np.mean(errors, 0))
        rows.append(f"| {share:.0%} | {cells} |")
    return [
        "## What lies beyond the face",
        "",
        f"The mean face against {len(faces)} model faces whose heads grow from 60 mm about the nose tip on, "
        "up to a share at 95 mm, as scans of whole heads differ from a model there. How far the mesh's "
        f"vertices end from the scan's within {INNER_MM:.0f} mm, mean in mm, when `genova`'s 95 mm are "
        "aligned.",
        "",
        f"| grown by | the best similarity of these vertices | least squares | robust kernel of {kernels[1]} "
        "deviations (ours) |",
        "|---|---|---|---|",
        *rows,
        "",
    ]


# ---------------------------------------------------------------------- what moves a score


def disturbance_table(real: MarkedMesh, model: MarkedMesh, mesh: MarkedMesh) -> list[str]:
    """The scores of the mean face against two scans, and how far disturbances move them."""
    undisturbed = _scores(real, model, mesh)
    rows = [_cells("as they are", undisturbed, None)]
    for name, change in scan_changes().items():
        rows.append(_cells(f"scan: {name}", _scores(change(real), change(model), mesh), undisturbed))
    for name, change in mesh_changes().items():
        rows.append(_cells(f"mesh: {name}", _scores(real, model, change(mesh)), undisturbed))
    return [
        "## What moves a score",
        "",
        "The open model's mean face against the real head and against another of its faces, in mm; "
        "below the first row the change. The real head has no mark at the subnasale, which `now` and "
        "`fg2018` need.",
        "",
        "| | real head, genova | " + " | ".join(f"model face, {name}" for name in PROTOCOLS) + " |",
        "|---" * (len(PROTOCOLS) + 2) + "|",
        *rows,
        "",
    ]


def scan_changes() -> dict[str, Callable[[MarkedMesh], MarkedMesh]]:
    """The disturbances of a scan of 50,000 vertices."""
    return {
        "noise of 0.1 mm": lambda scan: noisy(scan, 0.1, np.random.default_rng(1)),
        "noise of 0.3 mm": lambda scan: noisy(scan, 0.3, np.random.default_rng(1)),
        "10 holes of 8 mm radius": lambda scan: with_holes(scan, 10, 8.0, np.random.default_rng(2)),
        "40 strands of hair": lambda scan: with_hair(scan, 40, np.random.default_rng(3)),
        "10 times denser": lambda scan: split_to(scan, 10 * len(scan.vertices)),
        "10 times coarser": lambda scan: coarsened_to(scan, len(scan.vertices) // 10),
        "other triangles": retriangulated,
    }


def mesh_changes() -> dict[str, Callable[[MarkedMesh], MarkedMesh]]:
    """The disturbances of a mesh of 15,000 vertices."""
    return {
        "10 times denser": lambda mesh: split_to(mesh, 10 * len(mesh.vertices)),
        "10 times coarser": lambda mesh: coarsened_to(mesh, len(mesh.vertices) // 10),
        "other triangles": retriangulated,
    }


def _scores(real: MarkedMesh, model: MarkedMesh, mesh: MarkedMesh) -> list[float]:
    scores = [score_scan(real, mesh, GENOVA)]
    prepared = prepare_scan(model)
    scores += [score_scan(prepared, mesh, protocol) for protocol in PROTOCOLS.values()]
    return [score.value_mm for score in scores]


def _cells(name: str, values: list[float], reference: list[float] | None) -> str:
    if reference is None:
        cells = [f"{value:.3f}" for value in values]
    else:
        cells = [f"{value - before:+.3f}" for value, before in zip(values, reference, strict=True)]
    return f"| {name} | " + " | ".join(cells) + " |"


# ---------------------------------------------------------------------- speed


def seconds(run: Callable[[], object]) -> float:
    """Processor time of one call."""
    start = time.process_time()
    run()
    return time.process_time() - start


def in_turns(runs: dict[str, Callable[[], object]], rounds: int = ROUNDS) -> dict[str, float]:
    """The median processor time of each, measured in alternating turns after one that warms up."""
    times = [{name: seconds(run) for name, run in runs.items()} for _ in range(rounds + 1)]
    return {name: statistics.median(each[name] for each in times[1:]) for name in runs}


def speed_table(scan: MarkedMesh, mesh: MarkedMesh) -> list[str]:
    """One scan against one mesh, the same closest points by others, and Open3D's own ICP."""
    prepared = prepare_scan(scan)
    points = np.random.default_rng(0).normal(0, 2, scan.vertices.shape) + scan.vertices
    points = points[Region(scan.landmarks[NOSE_TIP], 95).contains(points)]
    few = points[:: len(points) // EXHAUSTIVE][:EXHAUSTIVE]
    times = in_turns(
        {
            "scan": lambda: _prepared(scan),
            "score": lambda: score_scan(prepared, mesh, GENOVA),
            "libigl": lambda: Surface(scan.vertices, scan.triangles).closest_points(points),
            "open3d": lambda: Surface(scan.vertices, scan.triangles, backend="open3d").closest_points(points),
            "trimesh": lambda: trimesh.proximity.closest_point_naive(_trimesh(scan), few),
            "rigid": lambda: open3d_icp(prepared, mesh, scaled=False),
            "scaled": lambda: open3d_icp(prepared, mesh, scaled=True),
        }
    )
    total = times["scan"] + times["score"]
    whole = SUBJECTS * times["scan"] + SUBJECTS * (VIDEOS + ROWS_PER_SCAN) * times["score"]
    verdicts = [
        "held" if value < bound else "missed"
        for value, bound in ((total, SECONDS_PER_SCAN), (whole, SECONDS_PER_SET))
    ]
    count = len(points)
    return [
        "## Seconds of processor time, on one core",
        "",
        f"The real head's {len(scan.vertices):,} vertices against the mean face's {len(mesh.vertices):,}. "
        f"Medians of {ROUNDS} alternating turns; closest points include the tree.",
        "",
        "| what | seconds | bound |",
        "|---|---|---|",
        f"| prepare the scan, once for all meshes and protocols | {times['scan']:.2f} | |",
        f"| score one mesh, `genova` | {times['score']:.2f} | |",
        f"| both | {total:.2f} | {SECONDS_PER_SCAN}: {verdicts[0]} |",
        f"| {SUBJECTS} scans, each with {VIDEOS} videos' meshes, mean face and oracle (multiplied) | "
        f"{whole:.0f} | {SECONDS_PER_SET:.0f}: {verdicts[1]} |",
        f"| closest points of {count:,}, libigl (ours, with normals and borders) | {times['libigl']:.2f} | |",
        f"| the same, Open3D's RaycastingScene (ours, likewise) | {times['open3d']:.2f} | |",
        f"| the same, trimesh's exhaustive search (of {len(few)}, multiplied) | "
        f"{times['trimesh'] * count / len(few):.0f} | |",
        f"| Open3D's ICP, point to plane, six parameters, one direction | {times['rigid']:.2f} | |",
        f"| Open3D's ICP, point to point, seven parameters, one direction | {times['scaled']:.2f} | |",
    ]


def open3d_icp(scan: PreparedScan, mesh: MarkedMesh, *, scaled: bool) -> object:
    """Open3D's own ICP of the mesh's vertices to the scan's, from the same landmarks."""
    pipelines = open3d.pipelines.registration
    start = landmark_start(scan.landmarks, mesh.landmarks, GENOVA)
    matrix = np.eye(4)
    matrix[:3, :3], matrix[:3, 3] = start.scale * start.rotation, start.translation
    used = np.unique(scan.surface.triangles)
    target = _cloud(scan.surface.vertices[used])
    target.normals = open3d.utility.Vector3dVector(scan.surface.vertex_normals[used])
    method = (
        pipelines.TransformationEstimationPointToPoint(True)
        if scaled
        else pipelines.TransformationEstimationPointToPlane()
    )
    criteria = pipelines.ICPConvergenceCriteria(1e-6, 1e-6, 100)
    return pipelines.registration_icp(_cloud(mesh.vertices), target, 10.0, matrix, method, criteria)


def _prepared(scan: MarkedMesh) -> PreparedScan:
    """Prepared in full: what is computed at first use, too."""
    prepared = prepare_scan(scan)
    prepared.surface.closest_points(scan.vertices[:1])
    return prepared


def _cloud(points: NDArray) -> open3d.geometry.PointCloud:
    return open3d.geometry.PointCloud(open3d.utility.Vector3dVector(points))


def _trimesh(mesh: MarkedMesh) -> trimesh.Trimesh:
    return trimesh.Trimesh(mesh.vertices, mesh.triangles, process=False)


if __name__ == "__main__":
    main()
