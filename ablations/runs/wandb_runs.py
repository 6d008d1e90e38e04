"""Weights & Biases: one run there for each training run, named so that a dashboard can group them.

A run's group is its variant ("full", "no-loopback"), so grouping by it averages over seeds; its job type is
the stage; its tags are method, preset, photographs and switches. Stage 1, which several runs may share, is a
run of the group "stage 1".
"""

import os
import secrets
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lightning.pytorch.loggers import Logger, WandbLogger
from lightning.pytorch.utilities import rank_zero_only

from evaluation.reporting.results import Results
from lightning_modules.dashboard import writes_offline
from lightning_modules.distributed import is_first_process
from lightning_modules.plain.command_line import BAD, BAD_INPUT
from lightning_modules.plain.interruption import INTERRUPTED

from .curves import CurveRow
from .execution import Execution
from .settings import Settings
from .wandb_files import FIRST_PART, STEP, last_steps, local_runs

FAILED = 1
FULL = "full"  # the variant with nothing switched off
SWITCHES = (
    "identity", "batch_distribution", "loopback", "parameter", "contrast", "tone", "known_tone",
    "multi_view", "pretraining",
)  # fmt: skip
# Of a checkpoint's content, what is shown as configuration beside the settings.
SHOWN = ("morphable_model", "networks", "training_data", "commit")
# How an agent of a sweep tells a run which one it is.
AGENT_S = ("WANDB_SWEEP_ID", "WANDB_RUN_ID", "WANDB_SWEEP_PARAM_PATH")


def variant(settings: Settings) -> str:
    """What is switched off: `full`, or such as `no-loopback+no-multi-view`."""
    off = [f"no-{name.replace('_', '-')}" for name in SWITCHES if not getattr(settings, name)]
    return "+".join(off) or FULL


def tags(settings: Settings, stage: int = 2) -> list[str]:
    """What to filter by, and those that the environment adds (WANDB_TAGS)."""
    added = [tag for tag in os.environ.get("WANDB_TAGS", "").split(",") if tag]
    if stage == 1:
        return [settings.method, settings.preset, settings.encoder, *added]
    kind = settings.photographs.partition(":")[0]
    photographs = kind if kind in ("stand-in", "lfw") else "photographs"
    switches = [] if variant(settings) == FULL else variant(settings).split("+")
    return [settings.method, settings.preset, photographs, settings.encoder, *switches, *added]


class RunAtWandb(WandbLogger):
    """A stage's run at W&B, see `run_logger`; it gets no step of a name twice, and misses none.

    A run that was killed and continues trains the steps since its last checkpoint again, to the same values.

    Args:
        already: the last step of each name that the run, or an earlier part of it, has.
        missing: rows of earlier starts that it may lack.
        best_by: the score of which the best value counts, not the last.
        waits: whether it is written to the disk alone.
        **options: of Lightning's logger.
    """

    def __init__(
        self,
        *,
        already: dict[str, int],
        missing: list[CurveRow],
        best_by: str | None,
        waits: bool,
        **options: Any,  # noqa: ANN401 - of Lightning's
    ) -> None:
        super().__init__(**options)
        self.already, self.missing, self.best_by, self.waits = already, missing, best_by, waits
        self.group = options["group"]

    def begin(self) -> None:
        """Start the run, and log what it lacks of earlier starts."""
        if self.best_by is not None:
            self.experiment.define_metric(self.best_by, step_metric=STEP, summary="max,last")
        for row in self.missing:
            self.log_metrics(row.values, row.step)
            self.already |= {name: row.step for name in row.values if row.step > self.already.get(name, -1)}

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, Any], step: int | None = None) -> None:
        """Log what the run does not have yet."""
        if step is not None:
            metrics = {name: value for name, value in metrics.items() if step > self.already.get(name, -1)}
        if metrics:
            super().log_metrics(metrics, step)

    def known_by(self) -> dict[str, Any]:
        """What a checkpoint keeps of it, for those who continue or score it; nothing if it is nowhere."""
        if getattr(self.experiment, "disabled", False) is True:  # by WANDB_MODE
            return {"wandb_id": None}
        return {"wandb_id": self.version, "wandb_group": self.group, "wandb_offline": self.waits}


@dataclass(frozen=True)
class _Part:
    """Which run a start logs to, as a part of which.

    Attributes:
        identifier: of the run; None lets W&B, or an agent of its, choose one.
        first: identifier of the run that it continues.
        already: the last step of each name that was logged before.
        catches_up: whether what the CSV files hold of earlier starts may be missing.
    """

    identifier: str | None
    first: str | None
    already: dict[str, int]
    catches_up: bool = True


def run_logger(
    execution: Execution,
    settings: Settings,
    folder: Path,
    content: dict[str, Any],
    *,
    kept: Mapping[str, Any],
    rows: list[CurveRow],
    first_step: int = 0,
    best_by: str | None = None,
) -> RunAtWandb:
    """The logger of a stage.

    Args:
        execution: names the project.
        settings: of the run.
        folder: of the run, where the offline files go.
        content: of its checkpoints.
        kept: the content of the checkpoint that is continued; empty where none is.
        rows: of earlier starts, up to that checkpoint.
        first_step: of this start.
        best_by: the score of which the best value counts.
    """
    waits = _writes_offline()
    part = _part(folder, kept, resumed=execution.resume is not None, waits=waits)
    stage = content["stage"]
    group = variant(settings) if stage == 2 else f"stage {stage}"
    own_run = part.first is not None and part.identifier != part.first
    continued = {FIRST_PART: part.first} if own_run else {}
    return RunAtWandb(
        already=part.already,
        missing=rows if part.catches_up else [],
        best_by=best_by,
        waits=waits,
        project=execution.wandb_project,
        save_dir=folder.absolute(),  # W&B's own process may have been started elsewhere
        id=part.identifier,
        resume="allow",
        name=f"{group}, seed {settings.seed}{f', from step {first_step}' if own_run else ''}",
        group=os.environ.get("WANDB_RUN_GROUP") or group,
        job_type=f"stage {stage}",
        tags=tags(settings, stage),
        config={**content["settings"], **{name: content[name] for name in SHOWN if name in content}}
        | continued,
        # Not Lightning's `offline`: it sets WANDB_MODE, which W&B no longer reads by now.
        mode="offline" if waits else None,
    )


def _part(folder: Path, kept: Mapping[str, Any], *, resumed: bool, waits: bool) -> _Part:
    """Which run this start logs to.

    The same as before where every part of it is at W&B's. Offline a run of its own, in the same group: of two
    offline runs with one identifier, the later one could replace the earlier one when they are sent.
    """
    if not is_first_process():
        return _Part(None, None, {})
    here = local_runs(folder)
    given = os.environ.get("WANDB_RUN_ID")
    if given is not None:
        return _Part(None, None, last_steps(run for run in here if run.identifier == given))
    if resumed:
        return _Part(_new_identifier(), None, {})
    if here:
        first = next((run for run in reversed(here) if run.begun), here[0]).first_part
        # One that was killed before anything was written of it does not say what it continues.
        parts = [run for run in here if run.first_part == first or not run.begun]
        own = waits or any(run.waits for run in parts)
        identifier = _new_identifier() if own else parts[-1].identifier
        return _Part(identifier, first, last_steps(parts))
    if kept.get("wandb_id") is not None:
        # Its files lie elsewhere; they end at the checkpoint or behind it.
        own = waits or kept.get("wandb_offline", False)
        return _Part(_new_identifier() if own else kept["wandb_id"], kept["wandb_id"], {}, catches_up=False)
    return _Part(None, None, {})


def _new_identifier() -> str:
    return secrets.token_hex(4)


def _writes_offline() -> bool:
    return is_first_process() and writes_offline(lambda sentence: print(sentence, file=sys.stderr))


def _in_a_sweep() -> bool:
    return "WANDB_SWEEP_ID" in os.environ


@contextmanager
def outside_any_sweep() -> Iterator[None]:
    """What begins inside is no run of the sweep whose agent started this process.

    An agent names one run, which W&B would take for the first one that begins. W&B reads the environment
    once, until it is torn down.
    """
    agent_s = {name: os.environ.pop(name) for name in AGENT_S if name in os.environ}
    try:
        if agent_s:
            _tear_down()
        yield
        finish(0)
        if agent_s:
            _tear_down()
    finally:
        os.environ |= agent_s


def _tear_down() -> None:
    wandb = sys.modules.get("wandb")
    if wandb is not None:
        wandb.teardown()


@rank_zero_only
def begin(loggers: Sequence[Logger]) -> None:
    """Start the run at W&B, if there is one."""
    for logger in loggers:
        if isinstance(logger, RunAtWandb):
            logger.begin()


def known_by(loggers: Sequence[Logger]) -> dict[str, Any]:
    """What a checkpoint keeps of the run at W&B."""
    known = [logger.known_by() for logger in loggers if isinstance(logger, RunAtWandb)]
    return known[0] if known else {"wandb_id": None}


@rank_zero_only
def log_checkpoints(loggers: Sequence[Logger], files: Sequence[Path]) -> None:
    """Keep a run's finished weights as the artifact `model-<its id>`; they hold no tensor of ours."""
    for run in _runs(loggers):
        import wandb

        artifact = wandb.Artifact(f"model-{run.id}", type="model")
        for file in files:
            if file.is_file():
                artifact.add_file(str(file), name=file.name)
        run.log_artifact(artifact, aliases=["final"])


@rank_zero_only
def log_results(loggers: Sequence[Logger], results: Results, sheet: Path) -> None:
    """A finished run's rows as the table `results`, its `title`, and its `contact_sheet` if it exists."""
    for run in _runs(loggers):
        import wandb

        columns: list[str | int] = ["method", "protocol", "metric", "unit", "value", "sd", "n"]
        rows = [[row.as_dict()[str(column)] for column in columns] for row in results.rows]
        pictures = {"contact_sheet": wandb.Image(str(sheet))} if sheet.is_file() else {}
        run.log({"results": wandb.Table(columns, rows), **pictures})
        run.summary["title"] = results.title


def lacks_finished_run(folder: Path, content: Mapping[str, Any]) -> bool:
    """Whether W&B must be told of a run that was finished before: an agent asks for it, or none is known."""
    if not is_first_process():
        return False
    return _in_a_sweep() or (content.get("wandb_id") is None and not local_runs(folder))


@contextmanager
def ended_with_exit_status() -> Iterator[None]:
    """Ends this process's run, if there is one: Finished, or Failed with the command's exit status."""
    status = FAILED
    try:
        yield
        status = 0
    except KeyboardInterrupt:
        status = INTERRUPTED
        raise
    except BAD:
        status = BAD_INPUT
        raise
    finally:
        finish(status)


def finish(status: int) -> None:
    """End this process's run, if there is one, so that the next one gets its own."""
    wandb = sys.modules.get("wandb")
    if wandb is not None and getattr(wandb, "run", None) is not None:
        wandb.finish(exit_code=status)


def finish_in_time(status: int, seconds: float = 20.0) -> None:
    """The same in a process that is about to end whatever else it does; W&B gets so long."""
    ending = threading.Thread(target=finish, args=(status,), daemon=True, name="ends-run-at-wandb")
    ending.start()
    ending.join(seconds)


def _runs(loggers: Sequence[Logger]) -> list[Any]:
    return [logger.experiment for logger in loggers if isinstance(logger, WandbLogger)]
