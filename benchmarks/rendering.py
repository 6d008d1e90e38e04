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
from lightning_modules.faces.landmarks import five_points
from lightning_modules.faces.loading import load_morphable_model
from lightning_modules.recognition.frame import DLIB_CROP, RENDERED_POINTS
from lightning_modules.rendering import camera, rasterizer
from lightning_modules.rendering.camera import Cameras, align_to_template
from lightning_modules.rendering.pose import cameras_from_poses
from lightning_modules.rendering.renderer import render
from lightning_modules.rendering.scenes import random_scenes, scene_generators
from lightning_modules.rendering.shading import Lights

RESULTS = Path(__file__).with_suffix(".md")
FACES, VIEWS = 8, 3
SIZES = (64, 112, 150, 160, 224)
MESHES = ("open", "open:2")
ROUNDS = 5
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
    lines += image_table() + peer_table() + growth_table()
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


def ids(prepared: Case, backend: str) -> Callable[[], None]:
    """The id pass alone."""
    matrices = camera.camera_matrices(prepared.cameras)
    positions = camera.homogeneous_pixels(matrices, prepared.vertices).flatten(0, 1)
    return lambda: rasterizer.rasterize(positions, prepared.triangles, prepared.size, backend=backend)


def images(prepared: Case) -> Callable[[], None]:
    """Images without a gradient."""

    def run() -> None:
        with torch.no_grad():
            _rendered(prepared, prepared.vertices, prepared.normals, prepared.albedo)

    return run


def images_and_gradients(prepared: Case) -> Callable[[], None]:
    """Images and the gradients of vertices, normals and albedo."""
    inputs = [
        each.clone().requires_grad_() for each in (prepared.vertices, prepared.normals, prepared.albedo)
    ]

    def run() -> None:
        torch.autograd.grad(_rendered(prepared, *inputs).square().sum(), inputs)

    return run


def _rendered(prepared: Case, vertices: Tensor, normals: Tensor, albedo: Tensor) -> Tensor:
    return render(
        vertices, prepared.triangles, normals, albedo, prepared.cameras, prepared.lights, prepared.size
    )


def covered_share() -> float:
    """Share of pixels that see a face, at 112 pixels."""
    prepared = case("open", 112)
    matrices = camera.camera_matrices(prepared.cameras)
    positions = camera.homogeneous_pixels(matrices, prepared.vertices).flatten(0, 1)
    return float((rasterizer.rasterize(positions, prepared.triangles, prepared.size) >= 0).float().mean())


def cost(run: Callable[[], None], count: int, rounds: int = ROUNDS) -> Cost:
    """Median over rounds, after one that compiles and warms up."""
    run()
    times = []
    for _ in range(rounds):
        wall, processor = time.perf_counter(), time.process_time()
        run()
        times.append((time.process_time() - processor, time.perf_counter() - wall))
    return Cost(*(1e3 * statistics.median(column) / count for column in zip(*times, strict=True)))


def image_table() -> list[str]:
    """Ids, forward, and forward with backward, by mesh and size."""
    rows = []
    for mesh in MESHES:
        for size in SIZES:
            prepared = case(mesh, size)
            count = FACES * VIEWS
            id_pass = cost(ids(prepared, "numba"), count)
            forward, both = cost(images(prepared), count), cost(images_and_gradients(prepared), count)
            command = [sys.executable, "-c", PEAK, mesh, str(size)]
            peak = json.loads(subprocess.check_output(command)) / 2**20
            cells = (
                id_pass.processor,
                forward.processor,
                both.processor,
                both.wall,
                both.processor - id_pass.processor,
            )
            vertices = prepared.vertices.shape[1]
            values = " | ".join(f"{value:.2f}" for value in cells)
            rows.append(f"| {vertices:,} | {size} | {values} | {peak:.0f} | {_verdict(mesh, size, cells)} |")
    return [
        f"## Milliseconds per image, {FACES} faces x {VIEWS} views, numba ids, random scenes",
        "",
        "Processor time, but where wall time is named. Backward: to vertices, normals and albedo; the "
        f"morphable model is not in it. The faces cover {covered_share():.0%} of the pixels.",
        "",
        "| vertices | pixels | ids | forward | forward + backward | the same, wall | beyond ids | peak MiB "
        "| bound |",
        "|---|---|---|---|---|---|---|---|---|",
        *rows,
        "",
    ]


def _verdict(mesh: str, size: int, cells: tuple[float, ...]) -> str:
    if mesh == "open:2":
        return f"beyond ids {BOUND_BEYOND_IDS:.0f}: {_held(cells[4] <= BOUND_BEYOND_IDS)}"
    bound = BOUND_AT.get((mesh, size))
    return "" if bound is None else f"{bound:.0f}: {_held(cells[2] <= bound)}"


def _held(held: bool) -> str:
    return "held" if held else "MISSED"


def peer_table() -> list[str]:
    """The id pass against PyTorch3D's rasterizer on the CPU, alternating."""
    few = case("open", PEER_SIZE, faces=2, views=1)
    ours, theirs = cost(ids(few, "numba"), 2), cost(ids(few, "pytorch3d"), 2, PEER_ROUNDS)
    ratio = theirs.wall / ours.wall
    return [
        f"## Against PyTorch3D on the CPU, {PEER_SIZE} pixels, id pass",
        "",
        "| numba, ms per image | PyTorch3D, ms per image | ratio of wall times | bound |",
        "|---|---|---|---|",
        f"| {ours.wall:.2f} | {theirs.wall:.0f} | {ratio:.0f} | {BOUND_AGAINST_PEER:.0f}: "
        f"{_held(ratio >= BOUND_AGAINST_PEER)} |",
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
    ]


def resident_peak(*, reset: bool = False) -> int:
    """Peak resident memory of this process in bytes since the last reset (Linux only)."""
    if reset:
        Path("/proc/self/clear_refs").write_text("5")
    found = re.search(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text())
    return int(found[1]) * 1024


if __name__ == "__main__":
    main()
