"""What all pairs and nearest photographs cost beside the bare products of the same blocks.

    python -m benchmarks.pairs

All pairs of 13,233 embeddings (LFW's number, random unit vectors of as many people and photographs a person),
with 128 and 4096 values, histogram and one exact threshold; the five nearest of 1,000,000 x 128 for each of
13,233 probes. The same float32 products in the same blocks and threads, their output discarded, are measured
in turns with them, in processor time; memory is the process's largest so far, with all that it imported and
the embeddings. Then the Earth Mover's Distance of histograms of few and of many pairs.
Writes benchmarks/pairs.md.
"""

import argparse
import resource
import time
from collections.abc import Callable, Iterator
from datetime import date
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from evaluation.metrics.all_pairs import all_pairs, upper_blocks
from evaluation.metrics.nearest import all_blocks, nearest
from evaluation.metrics.similarity import histogram_distance, pyemd_distance
from evaluation.reporting.provenance import machine

REPORT = Path(__file__).with_suffix(".md")
PHOTOGRAPHS, PEOPLE = 13_233, 5_749
ROUNDS = 5


def main(arguments: list[str] | None = None) -> None:
    """Measure, write the report."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="of each measurement, in turns")
    parser.add_argument("--gallery", type=int, default=1_000_000)
    parser.add_argument("--probes", type=int, default=PHOTOGRAPHS)
    options = parser.parse_args(arguments)
    imported = peak_memory()
    lines = [
        "# All pairs and nearest photographs beside bare products", "",
        "| what | with it, s | bare product, s | ratio (bound 1.5) | peak memory of the process |",
        "|---|---:|---:|---:|---:|",
    ]  # fmt: skip
    identity = np.sort(np.random.default_rng(0).integers(0, PEOPLE, PHOTOGRAPHS))  # as in LFW
    for width in (128, 4096):
        embeddings = unit_vectors(PHOTOGRAPHS, width)
        lines.append(
            row(
                f"all {PHOTOGRAPHS * (PHOTOGRAPHS - 1) // 2:,} pairs, {width} values",
                lambda embeddings=embeddings: all_pairs(embeddings, identity, thresholds=[0.25]),
                lambda embeddings=embeddings: exhaust(upper_blocks(embeddings)),
                options.rounds if width == 128 else 1,
            )
        )
    del embeddings
    gallery, probes = unit_vectors(options.gallery, 128), unit_vectors(options.probes, 128, seed=1)
    lines.append(
        row(
            f"five nearest of {options.gallery:,} x 128, {options.probes:,} probes",
            lambda: nearest(probes, gallery, 5),
            lambda: exhaust(all_blocks(probes, gallery)),
            1,
        )
    )
    lines += ["", *distance_lines()]
    about = machine()
    lines += [
        "",
        f"Processor time, {torch.get_num_threads()} thread(s); all pairs of 128 values: the median of "
        f"{options.rounds} rounds in turns, the others one round. "
        f"Memory: {imported} after the imports alone. "
        f"{date.today()}, {about['processor']}, {about['cores']} cores, torch {torch.__version__}.",
    ]
    REPORT.write_text("\n".join(lines) + "\n", encoding="utf-8")
    print(REPORT.read_text(encoding="utf-8"))


def row(name: str, ours: Callable[[], object], bare: Callable[[], object], rounds: int) -> str:
    """A line of the table; the first call of each, which compiles, is not counted where there are rounds."""
    if rounds > 1:
        ours(), bare()
    times = np.array([[processor_time(work) for work in (ours, bare)] for _ in range(rounds)])
    with_it, alone = np.median(times, axis=0)
    ratio = np.median(times[:, 0] / times[:, 1])
    return f"| {name} | {with_it:.2f} | {alone:.2f} | {ratio:.2f} | {peak_memory()} |"


def processor_time(work: Callable[[], object]) -> float:
    """Seconds of all threads of this process."""
    start = time.process_time()
    work()
    return time.process_time() - start


def exhaust(blocks: Iterator[object]) -> None:
    """Compute and discard."""
    for _ in blocks:
        pass


def unit_vectors(count: int, width: int, seed: int = 0) -> Tensor:
    """Random ones [count, width], made in place."""
    vectors = torch.randn(count, width, generator=torch.Generator().manual_seed(seed))
    return vectors.div_(vectors.norm(dim=1, keepdim=True))


def peak_memory() -> str:
    """Of this process so far."""
    return f"{resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9:.2f} GB"


def distance_lines() -> list[str]:
    """The Earth Mover's Distance after binning: its cost does not know how many pairs were binned."""
    generator = np.random.default_rng(0)
    lines = [
        "| Earth Mover's Distance of two histograms (200 bins) of | exact, ms | pyemd, ms | difference |",
        "|---|---:|---:|---:|",
    ]
    for pairs in (1_000, 100_000_000):
        first, second = (
            generator.multinomial(pairs, np.exp(-(((np.linspace(-1, 1, 200) - mean) / 0.1) ** 2) / 2) / 25.07)
            for mean in (0.1, 0.5)
        )
        exact, emd = histogram_distance(first, second), pyemd_distance(first, second)
        times = [
            1000 * min(processor_time(partial(distance, first, second)) for _ in range(5))
            for distance in (histogram_distance, pyemd_distance)
        ]
        lines.append(f"| {pairs:,} pairs | {times[0]:.2f} | {times[1]:.2f} | {abs(exact - emd):.1e} |")
    return lines


if __name__ == "__main__":
    main()
