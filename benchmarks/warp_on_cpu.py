"""Whether one renderer would be enough on the CPU: numba's kernels, Warp's, and Warp's chunked over threads.

    python -m benchmarks.warp_on_cpu

Measures them in turns, in one process, and writes its section of rendering.md.
"""

import argparse
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import NamedTuple

import torch

from benchmarks.morphable_model import machine
from benchmarks.rendering import FACES, RESULTS, VIEWS, Case, Cost, case, once
from lightning_modules.rendering import camera
from lightning_modules.rendering.renderer import Shading, render, visible_triangles

HEADING = "## Warp on the CPU beside numba"
KINDS = (("open", 112), ("open", 224), ("open:2", 112), ("open:2", 224))
ROUNDS = 9
AS_FAST = 1.1  # times numba's time, within what two runs of one thing differ by

Work = Callable[[], object]


class Ways(NamedTuple):
    """One piece of work, done in three ways.

    Attributes:
        numba: by numba's kernels, which hand out images to threads.
        warp: by Warp's, on one thread, as its launches on the CPU are.
        chunked: by Warp's, each thread launching them for its part of the faces.
    """

    numba: Work
    warp: Work
    chunked: Work


def main(argv: list[str] | None = None) -> None:
    """Measure, print, and write the section."""
    argparse.ArgumentParser(description=__doc__).parse_args(argv)
    section = "\n".join(table())
    before, _, _ = RESULTS.read_text(encoding="utf-8").partition(HEADING)
    RESULTS.write_text(f"{before.rstrip()}\n\n{section}\n", encoding="utf-8")
    print(section)


def table() -> list[str]:
    """The section's lines."""
    where, rows, ratios = machine("benchmarks.warp_on_cpu"), [], []
    for mesh, size in KINDS:
        prepared = case(mesh, size)
        for name, ways in (("ids", ids_of(prepared)), ("forward + backward", images_of(prepared))):
            costs = least(ways)
            numba, _, chunked = costs
            ratio = Cost(chunked.processor / numba.processor, chunked.wall / numba.wall)
            ratios.append(ratio)
            cells = [f"{cost.processor:.2f} / {cost.wall:.2f}" for cost in costs]
            cells.append(f"{ratio.processor:.2f} / {ratio.wall:.2f}")
            rows.append(f"| {prepared.vertices.shape[1]:,} | {size} | {name} | {' | '.join(cells)} |")
    return [
        HEADING,
        "",
        where,
        "",
        f"Milliseconds per image, {FACES} faces x {VIEWS} views: processor time / wall time, the least of "
        f"{ROUNDS} rounds in which the three take turns. Chunked: each of torch's threads launches the "
        "kernels for its part of the faces. The ratio is of chunked Warp to numba. Judged by processor time: "
        "where the load was high, wall time is mostly what else the machine did.",
        "",
        "| vertices | pixels | | numba | Warp | Warp, chunked | ratio |",
        "|---|---|---|---|---|---|---|",
        *rows,
        "",
        conclusion(ratios),
    ]


def conclusion(ratios: list[Cost]) -> str:
    """What follows for the default on the CPU."""
    processor, wall = ([getattr(ratio, name) for ratio in ratios] for name in ("processor", "wall"))
    between = (
        f"Chunked over threads, Warp takes {min(processor):.2f} to {max(processor):.2f} times numba's "
        f"processor time and {min(wall):.2f} to {max(wall):.2f} times its wall time"
    )
    if max(processor) <= AS_FAST:
        return f"{between}: it is as fast, and one renderer would be enough."
    return f"{between}: it is not as fast, so numba stays the default on the CPU and Warp is for GPUs."


def ids_of(prepared: Case) -> Ways:
    """The id pass."""

    def run(part: Case, backend: str) -> None:
        matrices = camera.camera_matrices(part.cameras)
        visible_triangles(part.vertices, part.triangles, matrices, part.size, backend=backend)

    return in_three_ways(prepared, run)


def images_of(prepared: Case) -> Ways:
    """Images, and the gradients of vertices, normals and albedo for a given one of the images."""

    def run(part: Case, backend: Shading) -> None:
        inputs = [each.clone().requires_grad_() for each in (part.vertices, part.normals, part.albedo)]
        rendered = render(
            inputs[0], part.triangles, inputs[1], inputs[2], part.cameras, part.lights, part.size,
            backend=backend, shading=backend,
        )  # fmt: skip
        torch.autograd.grad(rendered, inputs, torch.ones_like(rendered))

    return in_three_ways(prepared, run)


def in_three_ways(prepared: Case, run: Callable[[Case, Shading], None]) -> Ways:
    """Work on a batch by each of the renderers."""
    threads = torch.get_num_threads()
    pool = ThreadPoolExecutor(threads)
    parts = [part_of(prepared, slice(number, None, threads)) for number in range(threads)]

    def chunked() -> None:
        for done in [pool.submit(run, part, "warp") for part in parts]:
            done.result()

    return Ways(partial(run, prepared, "numba"), partial(run, prepared, "warp"), chunked)


def part_of(prepared: Case, faces: slice) -> Case:
    """Some of a batch's faces, with all of their views."""
    return prepared._replace(
        vertices=prepared.vertices[faces].contiguous(),
        normals=prepared.normals[faces].contiguous(),
        albedo=prepared.albedo[faces].contiguous(),
        cameras=type(prepared.cameras)(*(part[faces].contiguous() for part in prepared.cameras)),
        lights=prepared.lights.changed(lambda part: part[faces].contiguous()),
    )


def least(ways: Ways) -> list[Cost]:
    """The least processor and wall time of each way, in milliseconds per image, taken in turns."""
    for way in ways:
        way()  # compiles, and warms up
    rounds = [[once(way) for way in ways] for _ in range(ROUNDS)]
    return [
        Cost(*(min(column) / (FACES * VIEWS) for column in zip(*costs, strict=True)))
        for costs in zip(*rounds, strict=True)
    ]


if __name__ == "__main__":
    main()
