"""What a training step costs beside the recognition network's own forward and backward pass.

    python -m benchmarks.training

Needs no data: features and embeddings are those of synthetic faces. Everything that is compared runs in turns
in one run; ratios are medians over turns. Writes benchmarks/training.md.
"""

import argparse
import json
import os
import resource
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import date
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

if __name__ == "__main__":
    os.environ.setdefault("GOMP_SPINCOUNT", "20000")  # as ablations/run.py does

import numpy as np
import torch
from torch import Tensor, distributed

from ablations.runs.freed_memory import keep_freed_memory
from ablations.runs.settings import Settings
from datamodules.face_data import FaceBatch
from datamodules.long_work.row_files import RowFiles
from datamodules.sampling import step_sampler
from datamodules.synthetic_faces import SyntheticBatch
from datamodules.training_data import TrainingBatch
from lightning_modules.distributed import buffers_stay
from lightning_modules.faces.loading import load_morphable_model
from lightning_modules.faces.morphable_model import MorphableModel
from lightning_modules.losses import SUITE_WEIGHTS
from lightning_modules.optimisation import Optimisation
from lightning_modules.recognition.coloured import Coloured
from lightning_modules.recognition.network import RecognitionNetwork
from lightning_modules.recognition.networks import load_network
from lightning_modules.recognition.rounding import lowest_cosine, multiplies_bfloat16
from lightning_modules.regression import Regression, Rendering
from lightning_modules.regressor import Regressor
from lightning_modules.rendered_faces import render_randomly
from lightning_modules.skin_tone import ToneTarget
from lightning_modules.teachers import Teachers

REPORT = Path(__file__).with_suffix(".md")
TURNS = 24
MILLION = 1_000_000


class Cost(NamedTuple):
    """Seconds of one turn."""

    wall: float
    processor: float


def main(arguments: list[str] | None = None) -> None:
    """Measure, write the report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--pairs",
        default="dlib:dlib,dlib-colour:dlib-colour,sface:sface,dlib:sface",
        help="encoder:identity,...",
    )
    parser.add_argument("--worker", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    keep_freed_memory()  # as `fit` does
    if options.worker:
        worker(*options.worker)
        return
    load = os.getloadavg()[0]
    lines = [
        "# Training", "",
        f"`python -m benchmarks.training` on {date.today()}: {os.cpu_count()} cores, "
        f"{torch.get_num_threads()} threads, load {load:.1f} before the start; torch {torch.__version__}.",
        "",
    ]  # fmt: skip
    lines += step_section([tuple(pair.split(":")) for pair in options.pairs.split(",")])
    lines += rounding_section(("dlib", "sface"))
    lines += process_section()
    lines += memory_section()
    REPORT.write_text("\n".join(lines) + "\n", encoding="utf-8")
    print(REPORT.read_text(encoding="utf-8"))


def build(encoder: str, identity: str, **losses: float) -> Regression:
    """Stage 2 in the standard budget, on the open model."""
    settings = Settings(preset="standard").resolved()
    networks = {name: load_network(name) for name in {encoder, identity}}
    model = load_morphable_model("open")
    counts = model.shape_variance.numel(), model.albedo_variance.numel()
    torch.manual_seed(0)
    return Regression(
        Regressor(networks[encoder].feature_width, *counts, linear_path=settings.linear_path),
        # The judge takes no part in a step.
        Teachers(model, networks[encoder], networks[identity], networks[identity]),
        replace(SUITE_WEIGHTS, **losses),
        Rendering(settings.rendered, settings.views, jitter=settings.jitter),
        Optimisation(1e-5, 0.0, 0, 10_000, fused=True),
        tone=made_up_tone(networks[encoder], model),
        gradient_norm_interval=0,
    )


def made_up_tone(encoder: RecognitionNetwork, model: MorphableModel) -> ToneTarget:
    """A tone target of no photographs."""
    embeddings = torch.nn.functional.normalize(torch.randn(256, encoder.embedding_width), dim=1)
    colours = np.random.default_rng(0).normal((60, 12, 18), (10, 4, 5), (256, 3)).astype(np.float32)
    own = torch.full((256, 3), 0.5) if isinstance(encoder, Coloured) else None
    return ToneTarget.fit(embeddings, colours, model, own)


def made_up_batch(
    module: Regression,
    *,
    rank: int = 0,
    world_size: int = 1,
    step: int = 0,
    settings: Settings | None = None,
) -> TrainingBatch:
    """A step's share with features of no photograph, in the standard budget if no settings are given."""
    settings = Settings(preset="standard").resolved() if settings is None else settings
    generator = torch.Generator().manual_seed(step)
    encoder, identity = module.teachers.encoder, module.teachers.identity_network

    def drawn(count: int, width: int) -> Tensor:
        """This process's share of random values [count, width]."""
        return torch.randn(count, width, generator=generator)[rank * count // world_size :][
            : count // world_size
        ]

    photographs, synthetic = settings.photographs_per_step, settings.synthetic_per_step
    # As colours have to, a coloured encoder's stay below 1.
    features = {encoder.name: drawn(photographs, encoder.feature_width).abs().clamp(max=1)}
    embeddings = {
        network.name: torch.nn.functional.normalize(drawn(photographs, network.embedding_width), dim=1)
        for network in (encoder, identity)
    }
    return TrainingBatch(
        step,
        photographs,
        rank * photographs // world_size,
        FaceBatch(torch.arange(len(features[encoder.name])), features, embeddings),
        SyntheticBatch(
            drawn(synthetic, module.regressor.shape_count),
            drawn(synthetic, module.regressor.albedo_count),
            drawn(synthetic, encoder.feature_width).abs(),
        ),
    )


def step_section(pairs: list[tuple[str, str]]) -> list[str]:
    """A step against the recognition network alone, with and without loopback."""
    lines = [
        "## A stage-2 step beside its floor", "",
        "The floor is the recognition networks' forward and backward pass on the same rendered images (8 "
        "photographs x 3 views); with two networks, both. Medians of turns taken one after the other.", "",
        "| encoder | identity network | floor, s | step, s | step / floor, wall | step / floor, processor "
        "| bound | loopback off saves | bound |",
        "|---|---|---|---|---|---|---|---|---|",
    ]  # fmt: skip
    for encoder, identity in pairs:
        full, without = build(encoder, identity), build(encoder, identity, loopback=0.0)
        images = floor_images(full)
        turns = {
            "floor": partial(floor, full, images),
            "step": partial(one_step, full),
            "off": partial(one_step, without),
        }
        costs = in_turns(turns)
        wall = median(s.wall / f.wall for s, f in zip(costs["step"], costs["floor"], strict=True))
        work = median(s.processor / f.processor for s, f in zip(costs["step"], costs["floor"], strict=True))
        saved = 1 - median(
            o.processor / s.processor for o, s in zip(costs["off"], costs["step"], strict=True)
        )
        bounded = (encoder, identity) == ("dlib", "dlib")
        lines.append(
            f"| {encoder} | {identity} | {median(c.wall for c in costs['floor']):.3f} | "
            f"{median(c.wall for c in costs['step']):.3f} | {wall:.2f} | {work:.2f} | "
            f"{held(wall, 1.5) if bounded else 'none'} | {100 * saved:.1f} % | "
            f"{held(saved, 0.05) if bounded else 'none'} |"
        )
    return [*lines, ""]


def rounding_section(networks: tuple[str, ...]) -> list[str]:
    """A step under bf16-mixed with and without rounded networks, and what of them is lost by it."""
    if not multiplies_bfloat16(torch.device("cpu")):
        return []
    lines = [
        "## A step in bfloat16", "",
        "`--precision bf16-mixed` rounds the networks' convolutions where the processor multiplies bfloat16, "
        "as this one does, and where cosines to float32 stay above 0.999. The same step in turns; "
        f"threads: {torch.get_num_threads()}, load: {os.getloadavg()[0]:.1f}, {date.today()}.", "",
        "| network | float32, s | bfloat16, s | ratio, processor | lowest cosine to float32 |",
        "|---|---|---|---|---|",
    ]  # fmt: skip
    for name in networks:
        exact, rounded = build(name, name), build(name, name)
        network = rounded.teachers.identity_network
        rounded.rounded = {network.name: torch.bfloat16}
        cosine = lowest_cosine(network, floor_images(rounded)[:, 0], torch.bfloat16)
        costs = in_turns({"exact": partial(one_step, exact), "rounded": partial(one_step, rounded)})
        ratio = median(
            r.processor / e.processor for r, e in zip(costs["rounded"], costs["exact"], strict=True)
        )
        lines.append(
            f"| {name} | {median(c.wall for c in costs['exact']):.3f} | "
            f"{median(c.wall for c in costs['rounded']):.3f} | {ratio:.2f} | {cosine:.5f} |"
        )
    return [*lines, ""]


def in_turns(turns: dict[str, Callable[[], None]]) -> dict[str, list[Cost]]:
    """The costs of some things that are done in turns, after one round that compiles."""
    costs: dict[str, list[Cost]] = {name: [] for name in turns}
    for turn in range(TURNS + 1):
        for name, run in turns.items():
            wall, processor = time.perf_counter(), time.process_time()
            run()
            if turn:
                costs[name].append(Cost(time.perf_counter() - wall, time.process_time() - processor))
    return costs


def floor_images(module: Regression) -> Tensor:
    """The images that a step renders."""
    with torch.no_grad():
        decoded = module.regressor(made_up_batch(module).photographs.features[module.teachers.encoder.name])
        some = type(decoded)(*(part[: module.rendering.photographs] for part in decoded))
        return render_randomly(
            module.teachers.model, some, module.teachers.crop, views=module.rendering.views, seed=0, step=0,
            samples=range(module.rendering.photographs),
        )  # fmt: skip


def floor(module: Regression, images: Tensor) -> None:
    """Forward and backward of the networks alone, to the images."""
    images = images.detach().requires_grad_()
    seen = module.teachers.see(images)
    (seen.features.square().mean() + sum(each.sum() for each in seen.embeddings)).backward()


def one_step(module: Regression) -> None:
    """Losses, gradients and an update of the weights; data ready in memory."""
    if not hasattr(module, "prepared"):
        module.prepared = (made_up_batch(module), module.configure_optimizers()["optimizer"])
    batch, optimiser = module.prepared
    optimiser.zero_grad()
    module.training_step(batch, 0)["loss"].backward()
    torch.nn.utils.clip_grad_norm_(module.regressor.parameters(), 5.0)
    optimiser.step()


def process_section() -> list[str]:
    """Two DDP processes of one thread beside two independent ones."""
    rates: dict[str, list[float]] = {"independent": [], "ddp": []}
    for _ in range(3):
        for kind in rates:
            rates[kind].append(pair_rate(kind))
    ratio = median(d / i for d, i in zip(rates["ddp"], rates["independent"], strict=True))
    return [
        "## Two processes", "",
        "Rendered images per second of two processes of one thread each, in turns; DDP's two share a step "
        "(12 images each), each independent one takes a step of 12 images of its own.", "",
        "| independent | DDP | ratio | bound |", "|---|---|---|---|",
        f"| {median(rates['independent']):.1f} | {median(rates['ddp']):.1f} | {ratio:.2f} | "
        f"{'at least 0.9: held' if ratio >= 0.9 else 'at least 0.9: MISSED'} |", "",
    ]  # fmt: skip


def pair_rate(kind: str) -> float:
    """Images per second of both processes together."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "NUMBA_NUM_THREADS": "1"}
    processes = [
        subprocess.Popen(
            [sys.executable, "-m", "benchmarks.training", "--worker", kind, str(rank), str(port)],
            stdout=subprocess.PIPE, text=True, env=environment,
        )
        for rank in range(2)
    ]  # fmt: skip
    return sum(json.loads(process.communicate()[0].splitlines()[-1]) for process in processes)


def worker(kind: str, rank: str, port: str, steps: int = 15) -> None:
    """One of two processes; prints its images per second."""
    torch.set_num_threads(1)
    store = distributed.TCPStore("127.0.0.1", int(port), 2, rank == "0")
    module = build("dlib", "dlib")
    # An independent process takes the first share: the contrast looks among its own photographs only.
    batch = made_up_batch(module, rank=int(rank) if kind == "ddp" else 0, world_size=2)
    step: Any = Step(module)
    if kind == "ddp":
        distributed.init_process_group("gloo", store=store, rank=int(rank), world_size=2)
        step = torch.nn.parallel.DistributedDataParallel(step, gradient_as_bucket_view=True, **buffers_stay())
    optimiser = module.configure_optimizers()["optimizer"]
    for number in range(steps + 3):
        if number == 3:
            meet(store, "start")
            start = time.perf_counter()
        optimiser.zero_grad()
        step(batch).backward()
        optimiser.step()
    images = module.rendering.photographs // 2 * module.rendering.views * steps
    print(json.dumps(images / (time.perf_counter() - start)))
    meet(store, "end")
    if kind == "ddp":
        # After the group its end could wait for ever: it joins gloo's threads and keeps the interpreter.
        del step
        distributed.destroy_process_group()


def meet(store: distributed.TCPStore, place: str) -> None:
    """Wait until both processes are there."""
    store.set(f"{place} {store.add(place, 1)}", "here")
    store.wait([f"{place} 1", f"{place} 2"])


class Step(torch.nn.Module):
    """A step as the forward pass that DDP expects."""

    def __init__(self, module: Regression) -> None:
        super().__init__()
        self.module = module

    def forward(self, batch: TrainingBatch) -> Tensor:
        """The sum of the losses."""
        return self.module.training_step(batch, 0)["loss"]


def memory_section() -> list[str]:
    """Resident memory while batches are read from features of a thousand and of a million photographs."""
    growth = {count: resident_growth(count) for count in (1000, MILLION)}
    return [
        "## Memory", "",
        "Resident memory that reading 200 batches of 256 photographs' features (dlib's width) adds; "
        "file pages that the system may drop at any time are not counted.", "",
        "| photographs | MiB |", "|---|---|",
        *(f"| {count:,} | {mebibytes:.1f} |" for count, mebibytes in growth.items()), "",
        f"Peak of this benchmark: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:,.0f} MiB.",
    ]  # fmt: skip


def resident_growth(count: int) -> float:
    """Anonymous memory in MiB that is added, order and batches included."""
    with tempfile.TemporaryDirectory() as folder:
        files = RowFiles(Path(folder), {"features": np.dtype((np.float32, 256))})
        with files.appending() as append:
            for start in range(0, count, 50_000):
                append(features=np.zeros((min(50_000, count - start), 256), np.float32))
        before = anonymous_memory()
        sampler = step_sampler(count, 256, seed=0, rank=0, world_size=1)
        for step in range(200):
            torch.from_numpy(files.column("features")[sampler.indices(step)])
        return anonymous_memory() - before


def anonymous_memory() -> float:
    """In MiB, of this process."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("RssAnon"):
            return int(line.split()[1]) / 1024
    raise RuntimeError("this system does not tell a process's anonymous memory")


def held(value: float, bound: float) -> str:
    """Whether a value is at most its bound."""
    return f"{bound:g}: {'held' if value <= bound else 'MISSED'}"


if __name__ == "__main__":
    main()
