"""Loading and evaluating morphable models: times, memory, and the cost against bare matrix products.

Run from the repository's root: `python -m benchmarks.morphable_model`. It writes morphable_model.md beside
itself.
"""

import argparse
import datetime
import json
import os
import platform
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import torch
import trimesh

from lightning_modules.faces.loading import load_morphable_model
from lightning_modules.faces.morphable_model import MorphableModel
from lightning_modules.faces.normals import normals_in_torch, vertex_normals

RESULTS = Path(__file__).with_suffix(".md")
BATCH = 24
COMPONENTS = {"shape": 199, "color": 199, "expression": 100}
ROUNDS = 9

# Peak memory is that of a process of its own; time starts when its imports are done.
LOAD = """
import json, re, sys, time
from pathlib import Path
from lightning_modules.faces.loading import load_morphable_model

def peak():
    status = Path("/proc/self/status")
    found = re.search(r"VmHWM:\\s+(\\d+)", status.read_text()) if status.exists() else None
    return int(found[1]) * 1024 if found else float("nan")

before, wall, processor = peak(), time.perf_counter(), time.process_time()
model = load_morphable_model(sys.argv[1], **json.loads(sys.argv[2]))
wall, processor = time.perf_counter() - wall, time.process_time() - processor
coefficients = sum(model.components(part).basis.nbytes for part in ("shape", "albedo", "expression"))
landmarks = model.no_landmarks or ", ".join(sorted(set(model.landmarks.sources)))
print(json.dumps([wall, processor, (peak() - before) / coefficients, landmarks]))
"""


def main(argv: list[str] | None = None) -> None:
    """Measures everything, prints it, and writes it into morphable_model.md."""
    argparse.ArgumentParser(description=__doc__).parse_args(argv)
    lines = ["# Morphable models: loading and evaluation", "", machine("benchmarks.morphable_model"), ""]
    lines += loading_table()
    lines += evaluation_table(load_morphable_model("open"))
    text = "\n".join(lines) + "\n"
    RESULTS.write_text(text)
    print(text)
    print(f"written: {RESULTS.relative_to(Path.cwd()) if RESULTS.is_relative_to(Path.cwd()) else RESULTS}")


def machine(command: str) -> str:
    """One sentence on the command, the processor, the load that others put on it, versions and date."""
    information = Path("/proc/cpuinfo")
    name = platform.machine()
    if information.exists() and (found := re.search(r"model name\s*: (.+)", information.read_text())):
        name = found[1]
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else float("nan")
    return (
        f"`python -m {command}` on {datetime.datetime.now(datetime.UTC):%Y-%m-%d}: "
        f"{os.cpu_count()} cores of {name}, {torch.get_num_threads()} threads, load {load:.1f} before the "
        f"start; torch {torch.__version__}."
    )


def loading_table() -> list[str]:
    """Loading a file of Basel 2017's full size or more, with random bases on a face's mesh."""
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "full.h5"
        size = write_full_size(path)
        cut = {"shape_components": 80, "albedo_components": 80, "expression_components": 64}
        for name, options in (("all 199 / 199 / 100", {}), ("cut to 80 / 80 / 64", cut)):
            command = [sys.executable, "-c", LOAD, f"basel:{path}", json.dumps(options)]
            runs = [json.loads(subprocess.check_output(command)) for _ in range(3)]
            wall, processor, memory = (statistics.median(run[index] for run in runs) for index in range(3))
            rows.append(f"| {name} | {wall:.2f} | {processor:.2f} | {memory:.2f} | {runs[0][3]} |")
    return [
        f"## Loading {size:,} vertices in Basel's layout, hash and landmark transfer included",
        "",
        "(The full model of 2017 has 53,149.)",
        "",
        "| components | wall time, s | processor time, s | peak memory / coefficients | landmarks |",
        "|---|---|---|---|---|",
        *rows,
        "",
    ]


def write_full_size(path: Path) -> int:
    """The open model's mean, once refined, a little larger than Basel 2017, with random bases."""
    model = load_morphable_model("open", shape_components=0, albedo_components=0, expression_components=0)
    vertices, triangles = trimesh.remesh.subdivide(
        model.neutral_mean.reshape(-1, 3).numpy(), model.triangles.numpy()
    )
    random = np.random.default_rng(0)
    with h5py.File(path, "w") as file:
        for part, count in COMPONENTS.items():
            mean = {"shape": vertices.ravel(), "color": np.full(vertices.size, 0.5)}.get(
                part, 0 * vertices.ravel()
            )
            file[f"{part}/model/mean"] = mean.astype(np.float32)
            basis = file.create_dataset(f"{part}/model/pcaBasis", (vertices.size, count), np.float32)
            for start in range(0, vertices.size, 8192):
                rows = min(8192, vertices.size - start)
                basis[start : start + rows] = random.standard_normal((rows, count), np.float32) / 400
            file[f"{part}/model/pcaVariance"] = np.linspace(100, 1, count, dtype=np.float32)
            file[f"{part}/representer/points"] = vertices.T.astype(np.float32)
            file[f"{part}/representer/cells"] = triangles.T.astype(np.int32)
    return len(vertices)


def evaluation_table(model: MorphableModel) -> list[str]:
    """A batch of faces against the bare products, and vertex normals against torch, in the same rounds."""
    drawn = model.sample(BATCH, torch.Generator().manual_seed(0))
    bases = [model.shape_basis, model.albedo_basis, model.expression_basis]
    given = [coefficients.clone().requires_grad_() for coefficients in drawn]
    vertices = model.vertices(drawn.shape).requires_grad_()
    gradient = torch.randn(vertices.shape, generator=torch.Generator().manual_seed(1))
    flat = gradient.flatten(1)

    def bare() -> list[torch.Tensor]:
        return [coefficients @ basis.T for coefficients, basis in zip(drawn, bases, strict=True)]

    def bare_backward() -> None:
        bare()
        for basis in bases:
            flat @ basis

    def with_gradient() -> None:
        faces = model(given[0], given[1], given[2])
        torch.autograd.grad([faces.vertices, faces.albedo], given, [gradient, gradient])

    def without_gradient(function: Callable, *arguments: torch.Tensor) -> Callable[[], object]:
        return lambda: torch.no_grad()(function)(*arguments)

    def normals(function: Callable) -> Callable[[], object]:
        return lambda: torch.autograd.grad(function(vertices, model.triangles), vertices, gradient)

    pairs = {
        "faces, forward | bare products": (without_gradient(model, *drawn), bare),
        "faces, forward and backward | bare products": (with_gradient, bare_backward),
        "normals, forward | in torch": (
            without_gradient(vertex_normals, vertices, model.triangles),
            without_gradient(normals_in_torch, vertices, model.triangles),
        ),
        "normals, forward and backward | in torch": (normals(vertex_normals), normals(normals_in_torch)),
    }
    sizes = " + ".join(str(basis.shape[1]) for basis in bases)
    lines = [
        f"## A batch of {BATCH} on the open model: {vertices.shape[1]:,} vertices, {sizes} components",
        "",
        "| what | against | ms of processor time | against's ms | ratio |",
        "|---|---|---|---|---|",
    ]
    for names, (ours, other) in pairs.items():
        one, two = alternating(ours, other)
        lines.append(f"| {names} | {1000 * one:.1f} | {1000 * two:.1f} | {one / two:.2f} |")
    return [*lines, "", f"Medians of {ROUNDS} rounds that alternate between the two."]


def alternating(one: Callable[[], object], other: Callable[[], object]) -> tuple[float, float]:
    """Median processor time in seconds of each, measured in turns so that both meet the same machine."""
    times: tuple[list[float], list[float]] = ([], [])
    for function in (one, other):
        function()
    for _ in range(ROUNDS):
        for function, record in zip((one, other), times, strict=True):
            start = time.process_time()
            function()
            record.append(time.process_time() - start)
    return statistics.median(times[0]), statistics.median(times[1])


if __name__ == "__main__":
    main()
