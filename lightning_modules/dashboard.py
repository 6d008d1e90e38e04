"""Weights & Biases: with an account, or to the disk alone."""

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import ModuleType

PROJECT = "unsupervised-morphable-faces"


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


def add_to_run(
    identifier: str | None,
    numbers: Mapping[str, float],
    pictures: Sequence[Path],
    *,
    folder: Path,
    tell: Callable[[str], object],
    name: str,
    project: str = PROJECT,
) -> str:
    """The id of the run that numbers and pictures were added to.

    Args:
        identifier: of the run that made a checkpoint; None begins a run of its own.
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
    mode = "offline" if is_offline(tell) else None
    new = {} if identifier is not None else {"name": name}
    folder.mkdir(parents=True, exist_ok=True)
    with wandb.init(
        project=project, id=identifier, resume="allow", dir=folder, mode=mode, **new
    ) as run:  # fmt: skip
        run.log({f"{name}/{picture.stem}": wandb.Image(str(picture)) for picture in pictures})
        run.summary.update({f"{name}/{key}": value for key, value in numbers.items()})
        return run.id


def _wandb() -> ModuleType:
    try:
        import wandb
    except ImportError as error:
        raise ImportError("--wandb needs Weights & Biases: pip install -e '.[wandb]'") from error
    return wandb
