"""Options that evaluation commands share, and the settings that follow from options."""

from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, Self

from lightning_modules.dashboard import PROJECT
from lightning_modules.plain.devices import chosen_device
from lightning_modules.plain.number_types import NonNegativeInt

# Metadata of a field that no result depends on.
NO_SETTING = {"setting": False}


@dataclass(frozen=True)
class Output:
    """Where results go; they do not depend on it.

    Attributes:
        output: folder of the results; runs/<command>/<digest of the settings> if not given.
        overwrite: compute anew although the output folder is finished.
    """

    output: Path | None = None
    overwrite: bool = False


@dataclass(frozen=True)
class Machine:
    """What a command works with; its results do not depend on it.

    Attributes:
        device: auto (a GPU where there is one), cpu, cuda, or cuda:1.
        cache_folder: root of all caches; the user's cache folder if not given.
        workers: processes; all cores if not given.
        progress: whether to show progress bars.
    """

    device: str = "auto"
    cache_folder: Path | None = None
    workers: NonNegativeInt | None = None
    progress: bool = True

    def resolved(self) -> Self:
        """The same with the device that is meant.

        Raises:
            ValueError: if there is no such device here.
        """
        return replace(self, device=str(chosen_device(self.device)))


@dataclass(frozen=True)
class Dashboard:
    """Whether results also go to Weights & Biases.

    Attributes:
        wandb: add numbers and figures to the run that made the checkpoint at Weights & Biases; offline they
            are a run of their own in its group.
        wandb_project: its project.
    """

    wandb: bool = False
    wandb_project: str = PROJECT


def settings_of_options(*options: Any) -> dict[str, Any]:  # noqa: ANN401 - dataclasses have no common type
    """What results depend on: every field of these dataclasses but those that are marked NO_SETTING."""
    return {
        field.name: getattr(some, field.name)
        for some in options
        for field in fields(some)
        if field.metadata.get("setting", True)
    }
