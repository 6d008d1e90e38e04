"""Rendering: time and memory of the id pass and of whole images with their gradient, by size and mesh.

Run from the repository's root: `python -m benchmarks.rendering`. It writes rendering.md beside itself.
"""

import argparse
import json
import re
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from benchmarks.morphable_model import machine
from lightning_modules.faces.landmarks.ibug import five_points
from lightning_modules.faces.loading import load_morphable_model
from lightning_modules.recognition.frame import DLIB_CROP, RENDERED_POINTS
from lightning_modules.rendering import camera
from lightning_modules.rendering.camera import Cameras, align_to_template
from lightning_modules.rendering.pose import cameras_from_poses
from lightning_modules.rendering.renderer import render, visible_triangles
from lightning_modules.rendering.scenes import random_scenes, scene_generators
from lightning_modules.rendering.shading import Lights

RESULTS = Path(__file__).with_suffix(".md")
FACES, VIEWS = 8, 3
SIZES = (64, 112, 150, 160, 224)
MESHES = ("open", "open:2")
ROUNDS = 5
SLOW_SIZES = (64, 112, 160, 224)
# The plain-torch judge asks every pixel about every triangle, for minutes: it is asked about some triangles,
# and its time is multiplied.
TRIANGLE_STEPS = {"pytorch3d": {"open": 1, "open:2": 1}, "torch": {"open": 64, "open:2": 256}}
PEER_SIZE, PEER_ROUNDS = 112, 2
# Bounds: milliseconds of processor time per image, forward and backward.
BOUND_AT = {("open", 112): 6.0, ("open", 150): 10.0}
BOUND_BEYOND_IDS, BOUND_AGAINST_PEER = 20.0, 200.0

PEAK = """
import json, sys
from benchmarks.rendering import case, images_and_gradients, resident_peak
prepared = case(sys.argv[1], int(sys.argv[2]))
images_and_gradients(case(sys.argv[1], 16, faces=1, views=1))()
before = resident_peak(reset=True)
images_and_gradients(prepared)()
print(json.dumps(resident_peak() - before))
"""
# The slow backends' id pass: one image, once, on a part of the triangles.
SLOW = """
import json, sys
from benchmarks.rendering import case, every, ids, once, resident_peak
mesh, size, backend, step = sys.argv[1], int(sys.argv[2]), sys.argv[3], int(sys.argv[4])
one = case(mesh, size, faces=1, views=1)
ids(every(case(mesh, 16, faces=1, views=1), 1000), backend)()
before = resident_peak(reset=True)
cost = once(ids(every(one, step), backend))
print(json.dumps([cost.processor, cost.wall, resident_peak() - before]))
"""


class Case(NamedTuple):
    """A batch of faces on a mesh, seen at a size."""

    vertices: Tensor  # [B, V, 3] mm
    triangles: Tensor
    normals: Tensor
    albedo: Tensor
    cameras: Cameras  # of shape [B, N]
    lights: Lights
    size: tuple[int, int]


class Cost(NamedTuple):
    """Milliseconds per image: of processor time and of wall time."""

    processor: float
    wall: float


def main(argv: list[str] | None = None) -> None:
    """Measures everything, prints it, and writes it into rendering.md."""
    argparse.ArgumentParser(description=__doc__).parse_args(argv)
    before = machine("benchmarks.rendering")
    lines = ["# Rendering", "", before, ""]
    from benchmarks import warp_on_cpu  # here, since it measures this module's cases

    lines += image_table() + peer_table() + growth_table() + triangle_table() + ["", *warp_on_cpu.table()]
    text = "\n".join(lines) + "\n"
    RESULTS.write_text(text)
    print(text)


def case(mesh: str, size: int, *, faces: int = FACES, views: int = VIEWS) -> Case:
    """Random faces of the open model in random scenes, framed as the `dlib` network wants them."""
    model = load_morphable_model(mesh, shape_components=80, albedo_components=80, expression_components=0)
    drawn = model.sample(faces, torch.Generator().manual_seed(0))
    with torch.no_grad():
        vertices, albedo = model(drawn.shape, drawn.albedo)
        normals = model.normals(vertices)
    scenes = random_scenes(scene_generators(0, 0, range(faces)), views)
    cameras = cameras_from_poses(scenes.poses, (size, size))
    template = torch.from_numpy(DLIB_CROP.to_crop(RENDERED_POINTS) * size / DLIB_CROP.size)
    cameras = align_to_template(cameras, five_points(model.landmarks.on(vertices)), template)
    return Case(vertices, model.triangles, normals, albedo, cameras, scenes.lights, (size, size))


def every(prepared: Case, step: int) -> Case:
    """The case with one triangle in `step`."""
    return prepared._replace(triangles=prepared.triangles[::step])


def ids(prepared: Case, backend: str) -> Callable[[], None]:
    """The id pass alone, as `render` calls it."""
    matrices = camera.camera_matrices(prepared.cameras)
    return lambda: visible_triangles(
        prepared.vertices, prepared.triangles, matrices, prepared.size, backend=backend
    )


def images(prepared: Case) -> Callable[[], None]:
    """Images without a gradient."""

    def run() -> None:
        with torch.no_grad():
            _rendered(prepared, prepared.vertices, prepared.normals, prepared.albedo)

    return run


def images_and_gradients(prepared: Case) -> Callable[[], None]:
    """Images, and the gradients of vertices, normals and albedo for a given one of the images."""
    inputs = [
        each.clone().requires_grad_() for each in (prepared.vertices, prepared.normals, prepared.albedo)
    ]
    upstream = torch.ones(*prepared.lights.ambient.shape[:2], 3, *prepared.size)

    def run() -> None:
        torch.autograd.grad(_rendered(prepared, *inputs), inputs, upstream)

    return run


def _rendered(prepared: Case, vertices: Tensor, normals: Tensor, albedo: Tensor) -> Tensor:
    return render(
        vertices, prepared.triangles, normals, albedo, prepared.cameras, prepared.lights, prepared.size
    )


def covered_share() -> float:
    """Share of pixels that see a face, at 112 pixels."""
    prepared = case("open", 112)
    matrices = camera.camera_matrices(prepared.cameras)
    found = visible_triangles(prepared.vertices, prepared.triangles, matrices, prepared.size)
    return float((found >= 0).float().mean())


def once(run: Callable[[], None]) -> Cost:
    """Milliseconds of one call."""
    wall, processor = time.perf_counter(), time.process_time()
    run()
    return Cost(1e3 * (time.process_time() - processor), 1e3 * (time.perf_counter() - wall))


def cost(run: Callable[[], None], count: int, rounds: int = ROUNDS) -> Cost:
    """Median over rounds, after one that compiles and warms up, divided by `count`."""
    run()
    times = [once(run) for _ in range(rounds)]
    return Cost(*(statistics.median(column) / count for column in zip(*times, strict=True)))


def image_table() -> list[str]:
    """Ids, forward, and forward with backward, by mesh, size and backend."""
    rows = []
    for mesh in MESHES:
        for size in SIZES:
            prepared, count = case(mesh, size), FACES * VIEWS
            id_pass = cost(ids(prepared, "numba"), count)
            forward, both = cost(images(prepared), count), cost(images_and_gradients(prepared), count)
            peak = _measured(PEAK, mesh, str(size))
            vertices = prepared.vertices.shape[1]
            cells = (id_pass, forward, both, both.wall, both.processor - id_pass.processor)
            rows.append(_row(vertices, size, f"numba | {count}", cells, peak, _verdict(mesh, size, cells)))
            for backend, steps in TRIANGLE_STEPS.items() if size in SLOW_SIZES else ():
                processor, wall, peak = _measured(SLOW, mesh, str(size), backend, str(steps[mesh]))
                own = Cost(processor * steps[mesh], wall * steps[mesh])
                cells = (
                    own,
                    Cost(own.processor + forward.processor - id_pass.processor, 0),
                    Cost(own.processor + both.processor - id_pass.processor, 0),
                    own.wall + both.wall - id_pass.wall,
                    both.processor - id_pass.processor,
                )
                timed = "1" if steps[mesh] == 1 else f"1, a triangle in {steps[mesh]}"
                rows.append(_row(vertices, size, f"{backend} | {timed}", cells, peak, ""))
    return [
        f"## Milliseconds per image, {FACES} faces x {VIEWS} views, random scenes",
        "",
        "Processor time, but where wall time is named. Backward: to vertices, normals and albedo; the "
        f"morphable model is not in it. The faces cover {covered_share():.0%} of the pixels.",
        "",
        "The numba backend's rows are medians of whole batches. The others are slow, so their id pass is "
        "timed once on one image, plain torch's on some of the triangles and multiplied (too much for "
        "small images: fixed costs are multiplied too); all that follows the ids is the same "
        "code for every backend, and is taken from the numba row. Peak: above what the "
        "process held before, for numba of a batch forward and backward, for the others of the id pass.",
        "",
        "| vertices | pixels | backend | images timed | ids | forward | forward + backward | the same, wall "
        "| beyond ids | peak MiB | bound |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
        *rows,
        "",
    ]


def _measured(script: str, *arguments: str):  # noqa: ANN202 - a number or a list
    """What a script prints as JSON in a process of its own."""
    return json.loads(subprocess.check_output([sys.executable, "-c", script, *arguments]))


def _row(vertices: int, size: int, label: str, cells: tuple, peak: int, verdict: str) -> str:
    numbers = [cell.processor if isinstance(cell, Cost) else cell for cell in cells]
    values = " | ".join(f"{number:.2f}" if number < 100 else f"{number:,.0f}" for number in numbers)
    return f"| {vertices:,} | {size} | {label} | {values} | {peak / 2**20:.0f} | {verdict} |"


def _verdict(mesh: str, size: int, cells: tuple) -> str:
    if mesh == "open:2":
        return f"beyond ids {BOUND_BEYOND_IDS:.0f}: {_held(cells[4] <= BOUND_BEYOND_IDS)}"
    bound = BOUND_AT.get((mesh, size))
    return "" if bound is None else f"{bound:.0f}: {_held(cells[2].processor <= bound)}"


def _held(held: bool) -> str:
    return "held" if held else "MISSED"


def peer_table() -> list[str]:
    """The id pass against PyTorch3D's rasterizer on the CPU."""
    few = case("open", PEER_SIZE, faces=2, views=1)
    ours, theirs = cost(ids(few, "numba"), 2), cost(ids(few, "pytorch3d"), 2, PEER_ROUNDS)
    ratios = Cost(theirs.processor / ours.processor, theirs.wall / ours.wall)
    return [
        f"## Against PyTorch3D on the CPU, {PEER_SIZE} pixels, id pass",
        "",
        "| | numba, ms per image | PyTorch3D, ms per image | ratio | bound |",
        "|---|---|---|---|---|",
        f"| processor time | {ours.processor:.2f} | {theirs.processor:,.0f} | {ratios.processor:.0f} "
        f"| {BOUND_AGAINST_PEER:.0f}: {_held(ratios.processor >= BOUND_AGAINST_PEER)} |",
        f"| wall time | {ours.wall:.2f} | {theirs.wall:,.0f} | {ratios.wall:.0f} "
        f"| {BOUND_AGAINST_PEER:.0f}: {_held(ratios.wall >= BOUND_AGAINST_PEER)} |",
        "",
    ]


def growth_table() -> list[str]:
    """Whole cost by the number of images."""
    rows = []
    for faces in (2, 8, 32):
        both = cost(images_and_gradients(case("open", 112, faces=faces)), faces * VIEWS)
        rows.append(f"| {faces * VIEWS} | {both.processor:.2f} |")
    return [
        "## Growth with images, 112 pixels",
        "",
        "| images | forward + backward, ms of processor time per image |",
        "|---|---|",
        *rows,
        "",
    ]


def triangle_table() -> list[str]:
    """Whole cost by the number of triangles: the dense mesh, and parts of it."""
    rows, dense = [], case("open:2", 112)
    for step in (8, 4, 2, 1):
        part = every(dense, step)
        id_pass, both = (
            cost(ids(part, "numba"), FACES * VIEWS),
            cost(images_and_gradients(part), FACES * VIEWS),
        )
        rows.append(f"| {len(part.triangles):,} | {id_pass.processor:.2f} | {both.processor:.2f} |")
    return [
        "## Growth with triangles, 112 pixels, every n-th triangle of the dense mesh",
        "",
        "| triangles | ids, ms of processor time per image | forward + backward |",
        "|---|---|---|",
        *rows,
    ]


def resident_peak(*, reset: bool = False) -> int:
    """Peak resident memory of this process in bytes since the last reset (Linux only)."""
    if reset:
        Path("/proc/self/clear_refs").write_text("5")
    found = re.search(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text())
    return int(found[1]) * 1024


if __name__ == "__main__":
    main()
