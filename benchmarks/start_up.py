"""How long a start takes at the paper's scale, and how much memory: list of photographs and features.

    python -m benchmarks.start_up --photographs 2600000

Makes the caches that preparing so many photographs leaves (the list, the keys of two networks' features; the
features themselves are empty pages of sparse files, the photographs do not exist), and starts on them as
every process of a run does with `--trust-manifest`: list, places of the features, split, digest. Beside it,
what a start without a list costs: 20,000 files that are listed and asked for one by one. Writes
benchmarks/start_up.md.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import NamedTuple

import numpy as np

from datamodules.alignment.crops import Quality
from datamodules.alignment.face_cache import AlignedFaces
from datamodules.alignment.face_rows import face_keys
from datamodules.alignment.feature_cache import FaceFeatures
from datamodules.alignment.photograph_manifest import FileStates, PhotographManifest, PhotographPaths
from datamodules.alignment.records import FaceRecord, FaceRecords, HashedFile, PhotographRecord
from datamodules.long_work.row_files import CHECKED
from datamodules.photographs import Photographs
from evaluation.reporting.provenance import machine
from lightning_modules.recognition.network import RecognitionNetwork
from lightning_modules.recognition.networks import load_network

RESULTS = Path(__file__).with_suffix(".md")
NETWORKS, JUDGE = ("dlib",), "sface"
LISTED = 20_000
SECONDS, GIGABYTES = 30, 1.0
PER_STEP = 64


def main(arguments: Sequence[str] | None = None) -> int:
    """Make the caches, start, write the report; 1 where a bound is missed."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--photographs", type=int, default=2_600_000, help="how many to simulate")
    parser.add_argument("--start", type=Path, help=argparse.SUPPRESS)  # in a process of its own
    options = parser.parse_args(arguments)
    if options.start is not None:
        start(options.start)
        return 0
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        simulate(folder, options.photographs)
        command = [sys.executable, "-m", "benchmarks.start_up", "--start", str(folder)]
        found = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        seconds, clock, *values = map(float, found.splitlines()[-1].split())
        memory = Memory(*values, imports_of_a_run())
        listing = seconds_of_listing(folder / "listed")
    held = seconds <= SECONDS and memory.started <= GIGABYTES
    lines = report(options.photographs, (seconds, clock), memory, listing)
    RESULTS.write_text("\n".join(lines) + "\n", encoding="utf-8")
    print("\n".join(lines))
    return 0 if held else 1


def networks() -> list[RecognitionNetwork]:
    """Those whose features a default run reads."""
    return [load_network(name) for name in NETWORKS]


def photographs_in(folder: Path) -> Photographs:
    """The data module of a run that trusts the list."""
    return Photographs(
        folder / "photographs", networks(), judge=load_network(JUDGE), cache_folder=folder / "cache",
        batch_size=PER_STEP, trusting=True, progress=False,
    )  # fmt: skip


def simulate(folder: Path, count: int) -> None:
    """What preparing `count` photographs with one face each leaves in the cache."""
    photographs = photographs_in(folder)
    chance = np.random.default_rng(0)
    names = (f"{folder}/photographs/{i // 1000:06d}/photograph_{i:09d}.jpg" for i in range(count))
    digests = np.frombuffer(chance.bytes(32 * count), "V32")
    quality = chance.random((count, len(Quality._fields)), np.float32)
    faces = AlignedFaces(np.arange(count), digests, np.zeros(count, np.uint8), quality, [])
    states = FileStates(np.full(count, 100_000), np.full(count, 10**18))
    PhotographManifest(PhotographPaths.of(map(Path, names)), states, faces, "").write(
        photographs.manifest_folder
    )
    with FaceRecords(photographs.cache.records_file):
        pass
    keys = face_keys(faces)
    for network in [*networks(), load_network(JUDGE)]:
        features = FaceFeatures(photographs.cache, network)
        features.folder.mkdir(parents=True)
        chance.permuted(keys).tofile(features.folder / "keys.bin")
        for name, width in (("features", network.feature_width), ("descriptors", network.embedding_width)):
            with (features.folder / f"{name}.bin").open("wb") as file:
                file.truncate(4 * width * count)
        checked(features.folder)


def checked(folder: Path) -> None:
    """What a start leaves that has read all features and found them right."""
    states = {file.stem: file.stat() for file in folder.glob("*.bin")}
    for file in folder.glob("*.bin"):
        os.utime(file, ns=(10**18, 10**18))
    found = {name: [state.st_size, 10**18] for name, state in states.items()}
    (folder / CHECKED).write_text(json.dumps({"states": found, "at_ns": time.time_ns()}))


class Memory(NamedTuple):
    """The most memory that a process had by a time, in GB.

    Attributes:
        imported: once all was imported that a start needs.
        loaded: once the networks were loaded, too.
        started: at the end of the start.
        run: another process, once it has imported `ablations/run.py`.
    """

    imported: float
    loaded: float
    started: float
    run: float


def start(folder: Path) -> None:
    """Start as every process does; print processor seconds, seconds, and memory before, between and after."""
    imported = peak()
    photographs = photographs_in(folder)
    loaded = peak()
    began, computed = time.perf_counter(), time.process_time()
    photographs.prepare_data()
    photographs.setup()
    photographs.provenance()
    print(time.process_time() - computed, time.perf_counter() - began, imported, loaded, peak())


def imports_of_a_run() -> float:
    """The memory that a process of `ablations/run.py` takes before it does anything."""
    command = [sys.executable, "-c", "import ablations.run, benchmarks.start_up as it; print(it.peak())"]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def peak() -> float:
    """The most memory that this process had, in GB."""
    (line,) = (line for line in Path("/proc/self/status").read_text().splitlines() if "VmHWM" in line)
    return int(line.split()[1]) * 1024 / 1e9


def seconds_of_listing(folder: Path) -> float:
    """What listing LISTED files and asking for the record of each takes, in seconds a file."""
    files = [folder / f"{i // 1000:03d}" / f"{i:06d}.jpg" for i in range(LISTED)]
    for file in files:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()
    photographs = Photographs(folder, cache_folder=folder.parent / "another", progress=False)
    with FaceRecords(photographs.cache.records_file) as records:
        states = [(file, file.stat(), bytes([*i.to_bytes(4), *[0] * 28])) for i, file in enumerate(files)]
        face = FaceRecord(np.zeros((5, 2)), Quality(*np.zeros(len(Quality._fields))))
        records.add(
            (HashedFile(str(file), state.st_size, state.st_mtime_ns, key) for file, state, key in states),
            (PhotographRecord(key, 1, 1, None, [face]) for *_, key in states),
        )
    began = time.process_time()
    photographs.cache.align(photographs.photographs(), workers=0, progress=False)
    return (time.process_time() - began) / LISTED


def report(count: int, times: tuple[float, float], memory: Memory, listing: float) -> list[str]:
    """The lines of the Markdown file."""
    (seconds, clock), gigabytes = times, memory.started

    def judged(value: float, bound: float) -> str:
        return "held" if value <= bound else "MISSED"

    return [
        "# A start at the paper's scale",
        "",
        f"`python -m benchmarks.start_up --photographs {count}`, {date.today()}, {machine()}.",
        "",
        f"{count:,} simulated photographs: their list and keys are real, pictures and features are not.",
        f"Networks: {' '.join(NETWORKS)} and {JUDGE}. One process, judged by its processor time.",
        "",
        "| | here | at most | |",
        "|---|---|---|---|",
        f"| start with `--trust-manifest` | {seconds:.1f} s | {SECONDS} s | {judged(seconds, SECONDS)} |",
        f"| by the clock | {clock:.1f} s | | |",
        f"| memory, at most | {gigabytes:.2f} GB | {GIGABYTES:.2f} GB | {judged(gigabytes, GIGABYTES)} |",
        f"| of which imports, mostly Lightning's and PyTorch's | {memory.imported:.2f} GB | | |",
        f"| of which the networks, while they are loaded | {memory.loaded - memory.imported:.2f} GB | | |",
        "",
        "Memory is what the process had mapped (VmHWM), pages of libraries included that processes of one",
        f"machine share. A process of `ablations/run.py`, which also trains, imports {memory.run:.2f} GB.",
        "",
        f"Without a list, {1000 * listing:.2f} ms a photograph ({LISTED:,} files on a local disk): "
        f"{count * listing / 60:.0f} minutes for as many.",
    ]


if __name__ == "__main__":
    sys.exit(main())
