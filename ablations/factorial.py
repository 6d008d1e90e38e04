"""An ablation study: combinations of switches times seeds, each a run.py of its own, then the comparison.

    python ablations/factorial.py --losses batch-distribution loopback multi-view --seeds 3 \
        --photographs DIR --method paper --rendered 64 --data lfw:DIR --output DIR

Takes all options of run.py, too. Each cell trains, and is scored on the people of the reporting protocol and
on stand-in people whose shapes are known. The same command continues a study that was stopped, tries again
what failed, and prints the result of one that is finished.
"""

import json
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import chain
from pathlib import Path
from typing import Any, ClassVar, Literal

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
    from lightning_modules.plain.interruption import end_when_interrupted

    end_when_interrupted()

from ablations.runs.components import check_sources, inputs_of
from ablations.runs.execution import Execution, check_device, check_loggers, identity_of
from ablations.runs.output_folders import alone_in, claim
from ablations.runs.settings import Settings
from ablations.runs.termination import stopped_by_termination
from ablations.studies import cell, cell_results, cell_workers
from ablations.studies.cells_taken_over import can_take_over, check_same_study, take_over
from ablations.studies.comparison import REPORT, TABLES, compare
from ablations.studies.designs import Cell, Design, cells_of
from datamodules.lfw import LFW, lfw_folder
from evaluation.reporting.results import RESULTS, default_output, finished_results, plain
from lightning_modules.plain.command_line import one_sentence_for_bad_input, parse_settings
from lightning_modules.plain.declared_options import as_words
from lightning_modules.plain.files import write_whole
from lightning_modules.plain.number_types import AtLeastThree, NonNegativeInt, PositiveInt
from lightning_modules.plain.output_folder import OutputFolder

COMMAND, JOBS = "factorial", "jobs"
COMPLETE, WITH_FAILURES = 0, 1
# What a study makes for sure: its tables and its cells.
OLDER = (
    REPORT, *(f"{table}.*" for table in TABLES),
    *(f"*/seed-*/{name}" for name in (cell.PLAN, cell.STATE, cell.LOG, cell.LOCK)),
    *(f"*/seed-*/{name}" for name in (cell_results.RUN, cell_results.PEOPLE, cell_results.STAND_IN)),
)  # fmt: skip
ROOT = Path(__file__).resolve().parent.parent
# What a cell starts; a study never imports an evaluation command.
RUN_PROGRAM = ROOT / "ablations" / "run.py"
PEOPLE_PROGRAM = ROOT / "evaluation" / "reporting_people.py"
# Options of run.py that belong to the study as a whole, or to each cell.
NOT_PASSED_ON = frozenset({"seed", "output", "overwrite", "resume", "fast_dev_run", "dry_run", "progress"})


@dataclass(frozen=True)
class Plan:
    """What a study is made of, and how it is executed.

    Attributes:
        losses: switches of run.py that are turned on and off, such as batch-distribution loopback multi-view.
        design: full (every combination), one-out (all on, and each off by itself), or paper (one-out of the
            paper's three).
        seeds: of each variant, counted from --seed on.
        data: people to score on, lfw:DIR, or stand-in.
        people: so many of them.
        known_people: so many stand-in people, whose true shapes are known; 0 leaves geometry out.
        cells_from: the output folder of another study with the same options, finished or not; cells that are
            finished there are copied, not trained again. Such as the one-out design's, for the full one.
        jobs: cells at a time on this machine.
        gpus: in place of --jobs: one cell at a time on each of these, such as 0 1.
        cluster: slurm hands the cells to SLURM through submitit; local tries that out on this machine. If
            not given, cells run here, as --jobs or --gpus say.
        cluster_options: of submitit, such as slurm_partition=gpu timeout_min=600 gpus_per_node=1.
    """

    title: ClassVar[str] = "The study"

    losses: list[str] = field(default_factory=list)
    design: Design = "full"
    seeds: PositiveInt = 3
    data: str = "stand-in"
    people: AtLeastThree = 300
    known_people: NonNegativeInt = 100
    cells_from: Path | None = None
    jobs: PositiveInt = 1
    gpus: list[str] = field(default_factory=list)
    cluster: Literal["slurm", "local"] | None = None
    cluster_options: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Refuse what cannot be."""
        if self.cluster is not None and (self.gpus or self.jobs > 1):
            raise ValueError("--cluster shares out cells by itself; leave --jobs and --gpus out")


def main(argv: Sequence[str] | None = None) -> int:
    """Parse, work through the cells, compare; 0, 1 with failed cells, 2 for bad input, 130 interrupted."""
    with one_sentence_for_bad_input(), stopped_by_termination():
        plan, settings, execution = parse_settings(
            (Plan, Settings, Execution), argv, program="factorial.py", description=str(__doc__)
        )
        return study(plan, settings, execution)


def study(plan: Plan, settings: Settings, execution: Execution) -> int:
    """The exit status of a study; its results lie in its folder then."""
    refuse_what_is_not_a_study_s(execution)
    cells = cells_of(plan.design, plan.losses, range(settings.seed, settings.seed + plan.seeds))
    # Refuses what cannot be before any work.
    resolved = [of_cell(one, settings).resolved() for one in cells]
    identity = plain(
        {
            "design": plan.design,
            "cells": [one.name for one in cells],
            "data": plan.data,
            "people": plan.people,
            "known_people": plan.known_people,
            "run": {**identity_of(resolved[0], execution), "seed": None},
        }
    )
    output = OutputFolder(execution.output or default_output(COMMAND, identity), COMMAND)
    folder = output.path
    if finished_results(folder, COMMAND, identity, overwrite=execution.overwrite) is None:
        check_before_training(plan, settings, execution)
        if resolved[0].warning:
            print(resolved[0].warning, file=sys.stderr)
    if not execution.dry_run:
        inputs = chain([folder_of(plan.data), plan.cells_from], inputs_of(settings, execution))
        output.check(inputs, overwrite=execution.overwrite)
    if plan.cells_from is not None:
        check_same_study(plan.cells_from, COMMAND, identity)
    if execution.dry_run:
        print_plan(folder, cells, plan, settings, execution)
        return COMPLETE
    with alone_in(folder, "factorial.py"):
        return work(output, cells, identity, plan, settings, execution)


def refuse_what_is_not_a_study_s(execution: Execution) -> None:
    """Options of a single run that mean nothing here.

    Raises:
        ValueError: naming the option.
    """
    for name in ("resume", "fast_dev_run"):
        if getattr(execution, name):
            raise ValueError(f"--{name.replace('_', '-')} is of a single run; give it to run.py")


def check_before_training(plan: Plan, settings: Settings, execution: Execution) -> None:
    """Refuse what its cells would only find out one after another, or after training.

    Raises:
        FileNotFoundError: if photographs, people or a morphable model are not there.
        ValueError: if a name is not known, a list is none, or this machine lacks the device.
    """
    check_sources(settings, execution)
    check_loggers(execution)
    if plan.cluster is None and not execution.dry_run:
        check_device(execution)
    people = folder_of(plan.data)
    if people is not None:
        LFW(people).photographs()
        LFW(people).development_people()


def folder_of(data: str) -> Path | None:
    """The folder of --data; None of the stand-in.

    Raises:
        ValueError: if it is of a kind that the people's command does not take.
    """
    kind, colon, place = data.partition(":")
    if data == "stand-in":
        return None
    if colon and kind != "lfw" and not Path(data).exists():
        raise ValueError(f"--data {data} is not known; give lfw:DIR or stand-in")
    return lfw_folder(place) if colon and kind == "lfw" else Path(data).expanduser()


def of_cell(one: Cell, settings: Settings) -> Settings:
    """What a cell trains with; a number of views is of those that have several."""
    changes: dict[str, Any] = {"seed": one.seed, **dict.fromkeys(one.off, False)}
    if "multi_view" in one.off:
        changes["views"] = None
    return replace(settings, **changes)


def work(
    output: OutputFolder,
    cells: Sequence[Cell],
    identity: dict[str, Any],
    plan: Plan,
    settings: Settings,
    execution: Execution,
) -> int:
    """Start what is not finished, then compare; prints how far it is."""
    folder = output.path
    finished = finished_results(folder, COMMAND, identity, overwrite=execution.overwrite)
    if finished is None or finished.counts.failed:
        claim(output, identity, overwrite=execution.overwrite, older=OLDER)
        if plan.cells_from is not None:
            for name in take_over(plan.cells_from, cells, output):
                print(f"{name} taken over from {plan.cells_from}", flush=True)
        unfinished = []
        for one in cells:
            if cell_results.why_missing(folder / one.name) is not None:
                write_plan(
                    output.below(one.name), steps_of(one, folder / one.name, plan, settings, execution)
                )
                unfinished.append(folder / one.name)
        start(unfinished, output, len(cells), plan, execution)
    results = compare(output, cells, identity, plan.design, finished)
    return WITH_FAILURES if results.counts.failed else COMPLETE


def start(
    unfinished: Sequence[Path], output: OutputFolder, total: int, plan: Plan, execution: Execution
) -> None:
    """Work through the cells that are not finished."""
    folder = output.path
    if "wandb" in execution.logs_to:
        # Every cell carries the study's name, to filter by.
        own = [tag for tag in os.environ.get("WANDB_TAGS", "").split(",") if tag]
        os.environ["WANDB_TAGS"] = ",".join(dict.fromkeys([*own, folder.absolute().name]))
    left = len(unfinished)

    def ended(one: Path) -> None:
        nonlocal left
        left -= 1
        state = cell.read_state(one)
        seconds = sum(state.get("seconds", {}).values())
        reason = f": {state['reason']}" if "reason" in state else ""
        became = f"{state.get('state', 'did not start')} after {duration(seconds)}{reason}"
        name, remaining = one.relative_to(folder), estimate(folder, left, at_once(plan))
        print(f"{total - left} of {total}: {name} {became}; {remaining}", flush=True)

    if plan.cluster is None:
        cell_workers.run_here(unfinished, plan.jobs, plan.gpus, ended)
    else:
        given = dict(option.split("=", 1) for option in plan.cluster_options)
        options = {name: int(value) if value.isdigit() else value for name, value in given.items()}
        cell_workers.run_on_cluster(unfinished, plan.cluster, options, output.claim_tree(JOBS), ended)


def steps_of(
    one: Cell, folder: Path, plan: Plan, settings: Settings, execution: Execution
) -> list[dict[str, Any]]:
    """The commands of a cell, each as a user would type it, and the file that says that it is finished."""
    checkpoint = folder / cell_results.RUN / "final.ckpt"
    common = [f"--device={execution.device}"]
    if execution.cache_folder is not None:
        common.append(f"--cache-folder={execution.cache_folder}")
    if execution.workers is not None:
        common.append(f"--workers={execution.workers}")
    if "wandb" in execution.logs_to:
        common += ["--wandb", f"--wandb-project={execution.wandb_project}"]
    evaluations = [(cell_results.PEOPLE, plan.data, plan.people)]
    if plan.known_people and plan.data != "stand-in":
        evaluations.append((cell_results.STAND_IN, "stand-in", plan.known_people))
    shared = replace(settings, views=of_cell(one, settings).views)
    given = (as_words(options, leave_out=NOT_PASSED_ON) for options in (shared, execution))
    train = [*chain(*given), "--no-progress", *one.options]
    steps = [step(RUN_PROGRAM, [*train, f"--output={folder / cell_results.RUN}"], cell_results.RUN)]
    for name, data, people in evaluations:
        options = [f"--data={data}", f"--people={people}", *common, f"--output={folder / name}"]
        steps.append(step(PEOPLE_PROGRAM, [str(checkpoint), *options], name))
    return steps


def step(program: Path, options: Sequence[str], name: str) -> dict[str, Any]:
    """One command of a cell."""
    return {"name": name, "command": [sys.executable, str(program), *options], "results": f"{name}/{RESULTS}"}


def write_plan(output: OutputFolder, steps: Sequence[dict[str, Any]]) -> None:
    """Write it where cell.py reads it; what an earlier start said of a failure is forgotten."""
    output.claims([cell.PLAN, cell.STATE, cell.LOG, cell.LOCK])
    for each in steps:
        output.claim_output(each["name"])
    folder = output.path
    write_whole(folder / cell.PLAN, json.dumps({"steps": list(steps)}, indent=2) + "\n")
    state = cell.read_state(folder)
    if state:
        cell.write_state(folder, cell.INTERRUPTED, state.get("seconds", {}))


def print_plan(
    folder: Path, cells: Sequence[Cell], plan: Plan, settings: Settings, execution: Execution
) -> None:
    """List the cells, the commands of those that are left, and how long they may take."""
    left = 0
    for one in cells:
        reason = cell_results.why_missing(folder / one.name)
        there = plan.cells_from is not None and can_take_over(plan.cells_from, one, folder)
        taken = f"to be taken over from {plan.cells_from}"
        print(f"{one.name}: {taken if there else 'finished' if reason is None else reason}")
        if reason is not None and not there:
            left += 1
            for each in steps_of(one, folder / one.name, plan, settings, execution):
                print(f"  {' '.join(each['command'])}")
    print(f"{len(cells)} cells, {left} of them left; {estimate(folder, left, at_once(plan))}")


def at_once(plan: Plan) -> int | None:
    """How many cells run at a time; None where a cluster decides."""
    return None if plan.cluster is not None else len(plan.gpus) or plan.jobs


def estimate(folder: Path, left: int, at_a_time: int | None) -> str:
    """How long the cells that are left may take, by those that are finished."""
    if left == 0:
        return "none is left"
    taken = []
    for file in sorted(folder.glob(f"*/*/{cell.STATE}")):
        state = cell.read_state(file.parent)
        if state.get("state") == cell.FINISHED:
            taken.append(sum(state["seconds"].values()))
    if not taken:
        return "how long they take is known when the first one is finished"
    each = sorted(taken)[len(taken) // 2]
    if at_a_time is None:
        return f"a cell takes about {duration(each)}"
    return f"about {duration(-(-left // at_a_time) * each)} left, by the {len(taken)} that are finished"


def duration(seconds: float) -> str:
    """In words that fit the size."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 100 else f"{minutes // 60} h {minutes % 60} min"


if __name__ == "__main__":
    sys.exit(main())
