"""What an evaluation against scans costs, and what it says of a checkpoint on the stand-in.

    python -m benchmarks.micc_stand_in CHECKPOINT --subjects 53

Times in this process alone, after the stand-in was made and the videos were looked at (both timed apart):
scoring with empty caches, and scoring again as another method would be, with the mean face's and the oracle's
scores kept. Writes benchmarks/micc_stand_in.md with the command's own table.
"""

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import torch

from evaluation.reporting.provenance import machine
from evaluation.reporting.tables import markdown, page_of
from evaluation.scans.evaluation import ScanEvaluation
from evaluation.scans.options import HeatMapOptions, ScanEvaluationOptions, ScannedPeople
from evaluation.scans.table_1 import LAYOUT
from evaluation.shared.data_places import Place
from evaluation.shared.options import Machine
from evaluation.shared.scored_method import what_is_scored
from lightning_modules.faces.mesh_files.units import read_mesh_in_mm
from lightning_modules.plain.output_file import check_new
from lightning_modules.plain.output_folder import OutputFolder

REPORT = Path(__file__).with_suffix(".md")
BOUND_SECONDS, MICC_SUBJECTS = 300.0, 53


class Cost(NamedTuple):
    """Seconds of the clock and of this process's processor time."""

    wall: float
    processor: float


def main(arguments: list[str] | None = None) -> None:
    """Measure, write the report."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("--subjects", type=int, default=MICC_SUBJECTS)
    parser.add_argument("--cache-folder", type=Path, help="for features and stand-in; the user's by default")
    parser.add_argument("--output", type=Path, default=REPORT)
    options = parser.parse_args(arguments)
    check_new(options.output, but=REPORT)
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as scratch:
        lines = report_lines(options, Path(scratch))
    options.output.write_text("\n".join(lines) + "\n", encoding="utf-8")
    print(options.output.read_text(encoding="utf-8"))


def report_lines(options: argparse.Namespace, scratch: Path) -> list[str]:
    """The report, line by line."""
    # Baselines of this measurement alone, so that the first scoring finds none.
    run = ScanEvaluation(
        what_is_scored(options.checkpoint, None, None), Place("stand-in", None, ""), options_of(options),
        baselines=scratch / "baselines",
    )  # fmt: skip
    costs = {"making the stand-in (0 where it was made before)": timed(lambda: run.subjects)}
    costs["decoding, detection, features (likewise)"] = timed(run.data.prepare_data)
    costs["scoring, empty caches"] = timed(lambda: run.records(OutputFolder(scratch / "first", "micc")))
    costs["scoring, mean face and oracle kept"] = timed(
        lambda: run.records(OutputFolder(scratch / "second", "micc"))
    )
    report = run.report(OutputFolder(scratch / "second", "micc"), {})
    count = len(run.subjects)
    kept = costs["scoring, mean face and oracle kept"].processor
    found = machine()
    first = len(read_mesh_in_mm(run.subjects[0].scans[0].path).mesh.vertices)
    return [
        f"# {report.results.title}", "",
        f"`python -m benchmarks.micc_stand_in {options.checkpoint.name} --subjects {count}`; "
        f"{found['processor']}, {found['cores']} cores, one used. The first scan has {first:,} vertices, "
        f"meshes {run.model.describe()['vertices']:,}.", "",
        "| | wall, s | processor, s | processor, s a subject |", "|---|---:|---:|---:|",
        *(
            f"| {name} | {cost.wall:.1f} | {cost.processor:.1f} | {cost.processor / count:.2f} |"
            for name, cost in costs.items()
        ), "",
        f"One method's rows (three videos, and the random face beside them) for {MICC_SUBJECTS} subjects: "
        f"{kept / count * MICC_SUBJECTS:.0f} s of processor time"
        + ("" if count == MICC_SUBJECTS else f", scaled from {count} subjects")
        + f"; the bound is {BOUND_SECONDS:.0f} s.", "",
        markdown(page_of(report.results, LAYOUT)),
    ]  # fmt: skip


def options_of(options: argparse.Namespace) -> ScanEvaluationOptions:
    """The command's own options with their defaults."""
    return ScanEvaluationOptions(
        scans=ScannedPeople(subjects=options.subjects),
        pictures=HeatMapOptions(heat_maps=0),
        machine=Machine(device="cpu", cache_folder=options.cache_folder, workers=0),
    )


def timed(work: Callable[[], object]) -> Cost:
    """What some work costs."""
    wall, processor = time.perf_counter(), time.process_time()
    work()
    return Cost(time.perf_counter() - wall, time.process_time() - processor)


if __name__ == "__main__":
    main()
