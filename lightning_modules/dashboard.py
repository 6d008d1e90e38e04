"""Weights & Biases: with an account, or to the disk alone."""

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

PROJECT = "unsupervised-morphable-faces"
EVALUATION = "evaluation"  # the job type of a run of its own
OFFLINE = ("offline", "dryrun")  # values of WANDB_MODE


def writes_offline(tell: Callable[[str], object]) -> bool:
    """Whether W&B writes to the disk alone: the environment says so, or it has to (see `is_offline`)."""
    return os.environ.get("WANDB_MODE") in OFFLINE or is_offline(tell)


def is_offline(tell: Callable[[str], object]) -> bool:
    """Whether W&B has to write to the disk alone: without an account it would ask for one, and wait.

    Args:
        tell: says so.

    Raises:
        ImportError: if W&B is not installed.
    """
    wandb = _wandb()
    if os.environ.get("WANDB_MODE") is not None or wandb.login(prompt=False, verify=False):
        return False
    tell("no Weights & Biases account is known here: logging offline; `wandb login`, then `wandb sync`")
    return True


class CheckpointRun(NamedTuple):
    """The run at W&B that made a checkpoint, as the checkpoint names it.

    Attributes:
        identifier: of the run.
        group: of its variant.
        waits: whether it was written to the disk alone.
    """

    identifier: str
    group: str | None = None
    waits: bool = False


def add_to_run(
    made_by: CheckpointRun | None,
    numbers: Mapping[str, float],
    pictures: Sequence[Path],
    *,
    folder: Path,
    tell: Callable[[str], object],
    name: str,
    project: str = PROJECT,
) -> str:
    """The id of the run that numbers and pictures were added to.

    It is the run that made the checkpoint where that one is at W&B's and W&B can be reached. Offline it is a
    run of its own in the same group: of two offline runs with one id, the later could replace the earlier
    when they are sent.

    Args:
        made_by: the run that made a checkpoint; None begins a run without a group.
        numbers: by name; they become the run's summary.
        pictures: PNG files, logged by their name without suffix.
        folder: for what W&B writes.
        tell: says where W&B is offline.
        name: of a new run, and prefix of all that is logged.
        project: of W&B.

    Raises:
        ImportError: if W&B is not installed.
    """
    wandb = _wandb()
    offline = writes_offline(tell)
    if made_by is None:
        options: dict[str, Any] = {"name": name, "job_type": EVALUATION}
    elif offline or made_by.waits:
        options = {
            "name": f"{name} of {made_by.identifier}",
            "job_type": EVALUATION,
            "group": os.environ.get("WANDB_RUN_GROUP") or made_by.group or made_by.identifier,
            "config": {"checkpoint_of": made_by.identifier},
        }
    else:
        options = {"id": made_by.identifier, "resume": "allow"}
    folder.mkdir(parents=True, exist_ok=True)
    mode = "offline" if offline else None
    with wandb.init(project=project, dir=folder, mode=mode, **options) as run:
        run.log({f"{name}/{picture.stem}": wandb.Image(str(picture)) for picture in pictures})
        run.summary.update({f"{name}/{key}": value for key, value in numbers.items()})
        return run.id


def _wandb() -> ModuleType:
    try:
        import wandb
    except ImportError as error:
        raise ImportError("--wandb needs Weights & Biases: pip install -e '.[wandb]'") from error
    return wandb
