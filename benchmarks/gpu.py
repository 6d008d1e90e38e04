"""What training, rendering and evaluation cost on a GPU; writes benchmarks/gpu.md, with the card's name.

    python -m benchmarks.gpu
    python -m benchmarks.gpu --lfw DIR
    python -m benchmarks.gpu --device cpu --tiny

Measured: how often a step waits for the GPU; images per second of a step of stage 2 beside the recognition
network's own forward and backward pass, in turns in one run, and its memory; steps at the paper's scale, from
the loader that works ahead; the id pass and whole renderings beside PyTorch3D and nvdiffrast where they are
installed; with --lfw, one evaluation from end to end. --tiny tries the code with sizes that mean nothing,
and writes no report.
"""

import argparse
import importlib.util
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from dataclasses import replace
from datetime import date
from pathlib import Path
from statistics import median
from typing import NamedTuple

import torch
from lightning.fabric.utilities import move_data_to_device
from torch import Tensor

from ablations.runs.settings import Settings
from benchmarks.rendering import Case, case
from benchmarks.training import build, floor, floor_images, made_up_batch
from datamodules.sampling import STEPS_AHEAD, StepLoader
from datamodules.training_data import TrainingBatch
from lightning_modules.plain.devices import chosen_device
from lightning_modules.regression import Regression
from lightning_modules.rendering import camera
from lightning_modules.rendering.renderer import render, visible_triangles

REPORT = Path(__file__).with_suffix(".md")
GOAL = 1.15  # a step over its floor
NO_GPU = (
    "this machine has no GPU: benchmarks/gpu.py measures nothing here, and benchmarks/gpu.md is not written; "
    "--device cpu --tiny tries its code"
)


class Sizes(NamedTuple):
    """How much is measured.

    Attributes:
        photographs: rendered in a step.
        views: of each.
        steps: that are timed together.
        turns: of each thing, one after the other.
        pixels: a side of the images of the renderer's tables.
        meshes: of those.
        networks: encoder and identity network, the same in each pair or two.
    """

    photographs: int = 64
    views: int = 3
    steps: int = 10
    turns: int = 5
    pixels: tuple[int, ...] = (112, 224)
    meshes: tuple[str, ...] = ("open", "open:2")
    networks: tuple[tuple[str, str], ...] = (("dlib", "dlib"), ("sface", "sface"), ("dlib-colour", "sface"))


TINY = Sizes(2, 1, 1, 1, (32,), ("open",), (("sface", "sface"),))


def main(argv: list[str] | None = None) -> int:
    """Measure, and write the report; exit status 2 without a GPU."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--device", default="cuda", help="cuda, cuda:N, or cpu with --tiny")
    parser.add_argument("--lfw", type=Path, help="LFW's folder, for an evaluation from end to end")
    parser.add_argument("--tiny", action="store_true", help="try the code, with sizes that mean nothing")
    options = parser.parse_args(argv)
    if options.device.startswith("cuda") and not torch.cuda.is_available():
        print(NO_GPU, file=sys.stderr)
        return 2
    if options.device == "cpu" and not options.tiny:
        parser.error(
            "--device cpu is for --tiny; benchmarks.training and benchmarks.rendering measure the CPU"
        )
    device = chosen_device(options.device)
    sizes = TINY if options.tiny else Sizes()
    lines = [
        "# On a GPU", "",
        f"`python -m benchmarks.gpu` on {date.today()}: {card(device)}; torch {torch.__version__}.", "",
        *step_section(sizes, device), *paper_scale_section(sizes, device), *rendering_section(sizes, device),
    ]  # fmt: skip
    if options.lfw is not None:
        lines += evaluation_section(options.lfw, device)
    text = "\n".join(lines) + "\n"
    if not options.tiny:
        REPORT.write_text(text, encoding="utf-8")
    print(text)
    return 0


def card(device: torch.device) -> str:
    """The device's name and memory."""
    if device.type != "cuda":
        return "the CPU, to try the code: no figure below means anything"
    properties = torch.cuda.get_device_properties(device)
    return f"{properties.name}, {properties.total_memory / 2**30:.0f} GiB, CUDA {torch.version.cuda}"


# ------------------------------------------------------------------ time and memory


def finish(device: torch.device) -> None:
    """Wait until the device has done all its work."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def seconds(run: Callable[[], None], times: int, device: torch.device) -> float:
    """Seconds of one call, over some in a row."""
    finish(device)
    start = time.perf_counter()
    for _ in range(times):
        run()
    finish(device)
    return (time.perf_counter() - start) / times


def in_turns(
    turns: dict[str, Callable[[], None]], sizes: Sizes, device: torch.device
) -> dict[str, list[float]]:
    """Seconds of some things that are done in turns, after one round that compiles."""
    for run in turns.values():
        seconds(run, 1, device)
    spent: dict[str, list[float]] = {name: [] for name in turns}
    for _ in range(sizes.turns):
        for name, run in turns.items():
            spent[name].append(seconds(run, sizes.steps, device))
    return spent


def peak_gibibytes(run: Callable[[], None], device: torch.device) -> float:
    """Most memory of the device that was in use at once; 0 on the CPU, which does not count it."""
    if device.type != "cuda":
        return 0.0
    torch.cuda.reset_peak_memory_stats(device)
    run()
    finish(device)
    return torch.cuda.max_memory_allocated(device) / 2**30


def waits_in(run: Callable[[], None], device: torch.device) -> int:
    """How often the host waited for the device; 0 on the CPU."""
    if device.type != "cuda":
        return 0
    torch.cuda.set_sync_debug_mode("warn")
    try:
        with warnings.catch_warnings(record=True) as found:
            warnings.simplefilter("always")
            run()
    finally:
        torch.cuda.set_sync_debug_mode("default")
    return sum("synchroniz" in str(each.message) for each in found)


# ------------------------------------------------------------------ a training step


def on_device(module: Regression, device: torch.device) -> Regression:
    """As a trainer moves it."""
    module.to(device)
    module._device = device
    module.setup("fit")
    return module


def prepared_step(
    module: Regression, sizes: Sizes, device: torch.device, precision: str
) -> Callable[[], None]:
    """A step with its update, its data on the device as a loader brings it there."""
    batch = made_up_batch(module)
    scenes = module.draw_scenes(0, batch.size, 0, len(batch.photographs.index))
    batch = move_data_to_device(batch._replace(scenes=scenes), device)
    optimiser = module.configure_optimizers()["optimizer"]
    if precision == "bf16-mixed":
        module.rounded = {
            network.name: torch.bfloat16
            for network in (module.teachers.encoder, module.teachers.identity_network)
        }

    def run() -> None:
        optimiser.zero_grad()
        with torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16-mixed"):
            loss = module.training_step(batch, 0)["loss"]
        loss.backward()
        torch.nn.utils.clip_grad_norm_(module.regressor.parameters(), 5.0)
        optimiser.step()

    return run


def step_section(sizes: Sizes, device: torch.device) -> list[str]:
    """A step beside its floor, in both precisions, with its memory and its waits."""
    lines = [
        "## A stage-2 step beside its floor", "",
        f"{sizes.photographs} photographs x {sizes.views} views, standard budget otherwise. The floor is the "
        "networks' forward and backward pass on the same images, in float32. Medians of turns.", "",
        "| encoder | identity network | precision | floor, images/s | step, images/s | step / floor | goal "
        "| peak, GiB | waits |",
        "|---|---|---|---|---|---|---|---|---|",
    ]  # fmt: skip
    count = sizes.photographs * sizes.views
    for encoder, identity in sizes.networks:
        for precision in ("32-true", "bf16-mixed") if device.type == "cuda" else ("32-true",):
            module = build(encoder, identity)
            module.rendering = replace(module.rendering, photographs=sizes.photographs, views=sizes.views)
            images = floor_images(module).to(device)
            step = prepared_step(on_device(module, device), sizes, device, precision)
            spent = in_turns({"floor": lambda: floor(module, images), "step": step}, sizes, device)  # noqa: B023
            ratio = median(s / f for s, f in zip(spent["step"], spent["floor"], strict=True))
            bound = f"{GOAL}: {'held' if ratio <= GOAL else 'MISSED'}" if precision == "32-true" else ""
            bound = bound if device.type == "cuda" else ""
            lines.append(
                f"| {encoder} | {identity} | {precision} | {count / median(spent['floor']):,.0f} | "
                f"{count / median(spent['step']):,.0f} | {ratio:.2f} | {bound} | "
                f"{peak_gibibytes(step, device):.1f} | {waits_in(step, device)} |"
            )
    return [*lines, ""]


def paper_scale_section(sizes: Sizes, device: torch.device) -> list[str]:
    """Steps of the preset `paper-scale` on one device, from the loader that a run has there."""
    settings = Settings(preset="paper-scale").resolved()
    photographs = sizes.photographs if sizes is TINY else settings.rendered
    module = build("dlib-colour", "dlib-colour")
    module.rendering = replace(module.rendering, photographs=photographs, views=settings.views)
    on_device(module, device)
    optimiser = module.configure_optimizers()["optimizer"]

    def batch(step: int) -> TrainingBatch:
        made = made_up_batch(module, step=step, settings=settings)
        return made._replace(scenes=module.draw_scenes(step, made.size, 0, len(made.photographs.index)))

    on_gpu = device.type == "cuda"
    stream = iter(StepLoader(batch, lambda: 0, ahead=STEPS_AHEAD if on_gpu else 0, device=device))

    def run() -> None:
        optimiser.zero_grad()
        module.training_step(move_data_to_device(next(stream), device), 0)["loss"].backward()
        optimiser.step()

    run()
    spent = seconds(run, sizes.steps, device)
    steps, minutes = settings.max_steps, settings.max_steps * spent / 60
    return [
        "## At the paper's scale", "",
        f"{photographs} rendered photographs x {settings.views} views a step, scenes drawn by the loader: "
        f"{1 / spent:.2f} steps/s, {photographs * settings.views / spent:,.0f} images/s, so {minutes:,.0f} "
        f"minutes for the preset's {steps:,} steps on one device (extrapolated; without validation).", "",
    ]  # fmt: skip


# ------------------------------------------------------------------ the renderer


def moved(prepared: Case, device: torch.device) -> Case:
    """A case on a device."""
    return Case(
        *(part.to(device) for part in prepared[:4]),
        camera.Cameras(*(part.to(device) for part in prepared.cameras)),
        prepared.lights.changed(lambda part: part.to(device)),
        prepared.size,
    )


def rendering_section(sizes: Sizes, device: torch.device) -> list[str]:
    """Milliseconds per image of ids and of images with their gradient, by who finds the ids."""
    lines = [
        "## The renderer, milliseconds per image", "",
        f"{sizes.photographs} faces x {sizes.views} views; gradients of vertices, normals, albedo.", "",
        "| vertices | pixels | ids by | ids | images | images and gradients |", "|---|---|---|---|---|---|",
    ]  # fmt: skip
    backends = ["warp", *(["pytorch3d"] if importlib.util.find_spec("pytorch3d") else [])]
    for mesh in sizes.meshes:
        for pixels in sizes.pixels:
            prepared = moved(case(mesh, pixels, faces=sizes.photographs, views=sizes.views), device)
            count = sizes.photographs * sizes.views
            for backend in backends:
                turns = {
                    "ids": ids_of(prepared, backend),
                    "images": images_of(prepared, backend, gradients=False),
                    "both": images_of(prepared, backend, gradients=True),
                }
                spent = in_turns(turns, sizes, device)
                cells = " | ".join(f"{1e3 * median(spent[name]) / count:.3f}" for name in turns)
                lines.append(f"| {prepared.vertices.shape[1]:,} | {pixels} | {backend} | {cells} |")
            if device.type == "cuda" and importlib.util.find_spec("nvdiffrast"):
                spent = in_turns({"ids": ids_by_nvdiffrast(prepared)}, sizes, device)
                own = 1e3 * median(spent["ids"]) / count
                lines.append(f"| {prepared.vertices.shape[1]:,} | {pixels} | nvdiffrast | {own:.3f} | | |")
    missing = [name for name in ("pytorch3d", "nvdiffrast") if importlib.util.find_spec(name) is None]
    note = [f"Not installed, so not measured: {', '.join(missing)}.", ""] if missing else []
    return [*lines, "", *note]


def ids_of(prepared: Case, backend: str) -> Callable[[], None]:
    """The id pass alone."""
    matrices = camera.camera_matrices(prepared.cameras)

    def run() -> None:
        visible_triangles(prepared.vertices, prepared.triangles, matrices, prepared.size, backend=backend)

    return run


def images_of(prepared: Case, backend: str, *, gradients: bool) -> Callable[[], None]:
    """Whole images by a backend's ids, shaded by Warp."""
    leaves = [part.clone().requires_grad_(gradients) for part in (prepared.vertices, *prepared[2:4])]

    def run() -> None:
        vertices, normals, albedo = leaves
        images = render(
            vertices, prepared.triangles, normals, albedo, prepared.cameras, prepared.lights, prepared.size,
            backend=backend, shading="warp",
        )  # fmt: skip
        if gradients:
            torch.autograd.grad(images.sum(), leaves)

    return run


def ids_by_nvdiffrast(prepared: Case) -> Callable[[], None]:
    """Ids of the same images by nvdiffrast; clipping and depth are its own."""
    import nvdiffrast.torch as nvdiffrast  # type: ignore[import-not-found]  # not on PyPI

    context = nvdiffrast.RasterizeCudaContext(prepared.vertices.device)
    clip = clip_coordinates(prepared)
    triangles = prepared.triangles.int()

    def run() -> None:
        nvdiffrast.rasterize(context, clip, triangles, prepared.size)

    return run


def clip_coordinates(prepared: Case, *, near: float = 1.0, far: float = 1e4) -> Tensor:
    """OpenGL's clip coordinates [B N, V, 4] of the vertices, float32."""
    matrices = camera.camera_matrices(prepared.cameras)
    x, y, depth = camera.homogeneous_pixels(matrices, prepared.vertices).flatten(0, 1).unbind(-1)
    height, width = prepared.size
    return torch.stack(
        [
            (2 * x + depth) / width - depth,
            (2 * y + depth) / height - depth,
            (depth * (far + near) - 2 * far * near) / (far - near),
            depth,
        ],
        -1,
    ).float()


# ------------------------------------------------------------------ an evaluation


def evaluation_section(lfw: Path, device: torch.device) -> list[str]:
    """Table 2 on LFW from an empty cache, from end to end."""
    root = Path(__file__).resolve().parent.parent
    with tempfile.TemporaryDirectory() as folder:
        arguments = [
            str(root / "evaluation" / "similarity.py"),
            str(root / "benchmarks" / "checkpoints" / "suite.ckpt"),
            "--data", f"lfw:{lfw}", "--device", str(device), "--cache-folder", folder,
            "--output", f"{folder}/results", "--no-progress",
        ]  # fmt: skip
        start = time.perf_counter()
        ended = subprocess.run([sys.executable, *arguments], check=False, stdout=subprocess.DEVNULL)
        spent = time.perf_counter() - start
    return [
        "## Evaluation of LFW", "",
        f"`similarity.py` from an empty cache: {spent / 60:.1f} minutes, exit status {ended.returncode}.", "",
    ]  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())
