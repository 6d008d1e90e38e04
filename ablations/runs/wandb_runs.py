"""Weights & Biases: one run there for each training run, named so that a dashboard can group them.

A run's group is its variant ("full", "no-loopback"), so grouping by it averages over seeds; its job type is
the stage; its tags are method, preset, photographs and switches.
"""

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lightning.pytorch.loggers import Logger, WandbLogger
from lightning.pytorch.utilities import rank_zero_only

from evaluation.reporting.results import Results
from lightning_modules.dashboard import is_offline

from .execution import Execution
from .settings import Settings

FULL = "full"  # the variant with nothing switched off
SWITCHES = (
    "identity", "batch_distribution", "loopback", "parameter", "contrast", "tone",
    "multi_view", "pretraining",
)  # fmt: skip
# Of a checkpoint's content, what is shown as configuration beside the settings.
SHOWN = ("morphable_model", "networks", "training_data", "commit")


def variant(settings: Settings) -> str:
    """What is switched off: `full`, or such as `no-loopback+no-multi-view`."""
    off = [f"no-{name.replace('_', '-')}" for name in SWITCHES if not getattr(settings, name)]
    return "+".join(off) or FULL


def tags(settings: Settings) -> list[str]:
    """What to filter by, and those that the environment adds (WANDB_TAGS)."""
    kind = settings.photographs.partition(":")[0]
    photographs = kind if kind in ("stand-in", "lfw") else "photographs"
    added = [tag for tag in os.environ.get("WANDB_TAGS", "").split(",") if tag]
    switches = [] if variant(settings) == FULL else variant(settings).split("+")
    return [settings.method, settings.preset, photographs, settings.encoder, *switches, *added]


def run_logger(
    execution: Execution, settings: Settings, folder: Path, content: dict[str, Any], identifier: str | None
) -> WandbLogger:
    """The logger of a stage.

    Args:
        execution: names the project.
        settings: of the run.
        folder: of the run, where the offline files go.
        content: of its checkpoints.
        identifier: of the run that is continued, or None.
    """
    return WandbLogger(
        project=execution.wandb_project,
        save_dir=folder.absolute(),  # W&B's own process may have been started elsewhere
        id=identifier,
        resume="allow",
        name=f"{variant(settings)}, seed {settings.seed}",
        group=os.environ.get("WANDB_RUN_GROUP") or variant(settings),
        job_type=f"stage {content['stage']}",
        tags=tags(settings),
        config={**content["settings"], **{name: content[name] for name in SHOWN if name in content}},
        # Not Lightning's `offline`: it sets WANDB_MODE, which W&B no longer reads by now.
        mode="offline" if _is_offline() else None,
    )


@rank_zero_only
def _is_offline() -> bool:
    return is_offline(lambda sentence: print(sentence, file=sys.stderr))


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
    """A finished run's rows as the table `results`, its `title`, and its `contact_sheet`."""
    for run in _runs(loggers):
        import wandb

        columns: list[str | int] = ["method", "protocol", "metric", "unit", "value", "sd", "n"]
        rows = [[row.as_dict()[str(column)] for column in columns] for row in results.rows]
        run.log({"results": wandb.Table(columns, rows), "contact_sheet": wandb.Image(str(sheet))})
        run.summary["title"] = results.title


def finish() -> None:
    """End this process's run, if there is one, so that the next one gets its own."""
    wandb = sys.modules.get("wandb")
    if wandb is not None and getattr(wandb, "run", None) is not None:
        wandb.finish()


def _runs(loggers: Sequence[Logger]) -> list[Any]:
    return [logger.experiment for logger in loggers if isinstance(logger, WandbLogger)]
