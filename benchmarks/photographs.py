"""How long all of LFW takes from files to features, with empty caches and with full ones.

    python -m benchmarks.photographs --data DIR

Detects, aligns and computes the features of `dlib` and `sface` in a fresh process with an empty cache, then
again in another one, and writes wall time, CPU time and peak memory to benchmarks/photographs.md. CPU time is
what can be compared where the machine is shared.

    python -m benchmarks.photographs --data DIR --photographs DIR --sheet FILE

Draws instead, to be looked at, the aligned crops of forty faces of LFW and of forty photographs of another
folder, taken evenly. The picture shows people and must stay with whoever has the photographs.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import threading
import time
from datetime import date
from pathlib import Path
from typing import Any

from lightning_modules.plain.output_file import check_new

REPORT = Path(__file__).with_suffix(".md")
NETWORKS = ("dlib", "sface")
SHEET_FACES, SHEET_COLUMNS, SHEET_SIDE = 40, 10, 112  # of each data set; pixels of a crop


def main(arguments: list[str] | None = None) -> None:
    """Run both passes as processes and write the report."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True, help="LFW's folder")
    parser.add_argument("--photographs", type=Path, help="another folder, for the sheet")
    parser.add_argument("--sheet", type=Path, help="picture of aligned crops (shows people: never publish)")
    parser.add_argument("--pass-in", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    check_new(options.sheet)
    if options.sheet is not None:
        draw_sheet(options.data, options.photographs, options.sheet)
        return
    if options.pass_in is not None:
        print(json.dumps(one_pass(options.data, options.pass_in)))
        return
    with tempfile.TemporaryDirectory() as cache:
        passes = [measured(options.data, Path(cache)) for _ in range(2)]
        size = sum(file.stat().st_size for file in Path(cache).rglob("*") if file.is_file())
    REPORT.write_text(report(passes, size), encoding="utf-8")
    print(REPORT.read_text(encoding="utf-8"))


def one_pass(data: Path, cache: Path) -> dict[str, Any]:
    """Prepare LFW, read everything once, and say what it took."""
    from datamodules.lfw import LFW
    from lightning_modules.recognition.networks import load_network

    start = time.perf_counter()
    faces = LFW(data, [load_network(name) for name in NETWORKS], cache_folder=cache, progress=False)
    seconds = {"loading networks": time.perf_counter() - start}
    faces.prepare_data()
    seconds["aligning and computing features"] = time.perf_counter() - start - sum(seconds.values())
    faces.setup()
    checksum = sum(
        float(batch.embeddings[name].sum()) for batch in faces.test_dataloader() for name in NETWORKS
    )
    seconds["reading all features"] = time.perf_counter() - start - sum(seconds.values())
    return {"photographs": len(faces.dataset.paths), "faces": len(faces.dataset), "seconds": seconds,
            "checksum": checksum}  # fmt: skip


def draw_sheet(data: Path, photographs: Path | None, file: Path) -> None:
    """Draw the aligned crops of LFW's faces, then those of another folder, in rows of SHEET_COLUMNS."""
    # Imported here: the processes that align import this module, and shall not load torch.
    from datamodules.lfw import LFW
    from datamodules.photographs import Photographs
    from lightning_modules.contact_sheets import contact_sheet, picture
    from lightning_modules.plain.even_choice import evenly_chosen

    tiles = []
    for faces in [LFW(data), *([] if photographs is None else [Photographs(photographs)])]:
        faces.prepare_data()
        faces.setup()
        chosen = evenly_chosen(len(faces.dataset), SHEET_FACES)
        tiles += [picture(image, SHEET_SIDE) for image in faces.dataset.images(chosen)]
    rows = [tiles[start : start + SHEET_COLUMNS] for start in range(0, len(tiles), SHEET_COLUMNS)]
    contact_sheet(rows, columns=SHEET_COLUMNS * [""]).save(file)
    print(f"written: {file}; it shows people, keep it with the photographs")


def measured(data: Path, cache: Path) -> dict[str, Any]:
    """A pass in a process of its own, with its wall time, CPU time and the peak memory of its whole tree."""
    before, start = os.times(), time.perf_counter()
    command = [sys.executable, "-m", "benchmarks.photographs", "--data", str(data), "--pass-in", str(cache)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    peak, done = [0], threading.Event()

    def watch() -> None:
        while not done.wait(0.5):
            peak[0] = max(peak[0], memory_of_tree(process.pid))

    watcher = threading.Thread(target=watch)
    watcher.start()
    output = process.communicate()[0]
    done.set()
    watcher.join()
    if process.returncode:
        raise RuntimeError(f"the measured process ended with status {process.returncode}")
    after = os.times()
    cpu = after.children_user + after.children_system - before.children_user - before.children_system
    return json.loads(output) | {"wall": time.perf_counter() - start, "cpu": cpu, "memory": peak[0]}


def memory_of_tree(pid: int) -> int:
    """Proportional memory, in bytes, of a process and its children (Linux; shared pages count once)."""
    total = 0
    try:
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                total = 1024 * int(line.split()[1])
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except OSError:
        return total
    return total + sum(memory_of_tree(int(child)) for child in children)


def report(passes: list[dict[str, Any]], cache_size: int) -> str:
    """The Markdown file."""
    first, second = passes
    lines = [
        "# From photographs to features",
        "",
        "`python -m benchmarks.photographs --data LFW`: detection (YuNet), alignment, quality, crops and the "
        f"features of {' and '.join(NETWORKS)} for all {first['photographs']:,} photographs of LFW "
        f"({first['faces']:,} faces).",
        "",
        "| pass | wall time | CPU time | CPU time a photograph | peak memory |",
        "|---|---|---|---|---|",
        *(line(name, each) for name, each in (("empty cache", first), ("full cache", second))),
        "",
        f"Load average {os.getloadavg()[0]:.1f} at the end: above the count of cores, the machine was shared "
        "and wall time says little.",
        f"The cache takes {cache_size / 2**20:,.0f} MiB. Both passes read the same features: "
        f"{'yes' if first['checksum'] == second['checksum'] else 'NO'}.",
        "",
        f"{date.today()}, {platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}.",
        "",
    ]
    return "\n".join(lines)


def line(name: str, result: dict[str, Any]) -> str:
    """A row of the table."""
    each = 1000 * result["cpu"] / result["photographs"]
    return (
        f"| {name} | {result['wall']:.0f} s | {result['cpu']:.0f} s | {each:.1f} ms "
        f"| {result['memory'] / 2**20:.0f} MiB |"
    )


if __name__ == "__main__":
    main()
