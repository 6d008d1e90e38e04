"""How a training run is executed: devices, intervals, folders; and what a run is known by."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from lightning.pytorch.strategies import StrategyRegistry

from ablations.runs import option_ranges
from ablations.runs.option_ranges import check_numbers
from ablations.runs.settings import Settings
from lightning_modules.plain.devices import chosen_device

Rasterizer = Literal["numba", "warp", "pytorch3d", "torch"]
Device = Literal["auto", "cpu", "cuda"]
Precision = Literal["32-true", "16-mixed", "bf16-mixed", "16-true", "bf16-true", "64-true"]


@dataclass(frozen=True)
class Execution:
    """How a run is executed; its result does not depend on it, beyond rounding (see `identity_of`).

    Attributes:
        rasterizer: numba, warp, pytorch3d or torch; chosen by the device if not given.
        device: auto (GPUs where there are any), cpu, or cuda; Apple's mps has no float64, which cameras need.
        devices: processes, one a device (on the CPU any number).
        num_nodes: machines, started by torchrun or SLURM.
        strategy: of Lightning; ddp where there are several processes.
        precision: of Lightning.
        fast_dev_run: a few steps of everything, nothing written but pictures; to try whether it runs.
        profiler: simple or advanced, of Lightning: how long each part takes, in fit-profile.txt.
        wandb: log to Weights & Biases, too; offline where there is no network or account.
        wandb_project: its project.
        validation_interval: steps between validations.
        checkpoint_interval: steps between checkpoints: at most so many are lost when a run is killed.
        gradient_norm_interval: steps between measurements of each loss's gradient; 0 never.
        output: folder of the results; runs/run/<digest of the settings> if not given.
        overwrite: delete what was written in the output folder, and start anew.
        resume: a checkpoint to continue from instead of the folder's last one.
        cache_folder: root of all caches; the user's cache folder by default.
        workers: processes that align photographs; all cores if not given.
        progress: whether to show progress bars.
    """

    rasterizer: Rasterizer | None = None
    device: Device = "auto"
    devices: int = 1
    num_nodes: int = 1
    strategy: str = "auto"
    precision: Precision = "32-true"
    fast_dev_run: bool = False
    profiler: Literal["simple", "advanced"] | None = None
    wandb: bool = False
    wandb_project: str = "unsupervised-morphable-faces"
    validation_interval: int = 200
    checkpoint_interval: int = 50
    gradient_norm_interval: int = 100
    output: Path | None = None
    overwrite: bool = False
    resume: Path | None = None
    cache_folder: Path | None = None
    workers: int | None = None
    progress: bool = True

    def __post_init__(self) -> None:
        """Refuse what cannot be, before any work is done."""
        check_numbers(self, option_ranges.EXECUTION)
        strategies = ["auto", *StrategyRegistry.available_strategies()]
        if self.strategy not in strategies:
            raise ValueError(f"--strategy must be one of {', '.join(strategies)}; got {self.strategy}")

    @property
    def updates_in_one_pass(self) -> bool:
        """Whether the optimiser is fused; under mixed precision Lightning could not clip gradients."""
        return "mixed" not in self.precision


def identity_of(settings: Settings, execution: Execution) -> dict[str, Any]:
    """What tells a run's result from others': its settings, and a precision that rounds otherwise."""
    return settings.as_dict() | unusual_precision(execution)


def unusual_precision(execution: Execution) -> dict[str, str]:
    """The precision by its name; nothing for the usual one."""
    return {} if execution.precision == "32-true" else {"precision": execution.precision}


def check_device(execution: Execution) -> None:
    """Refuse a device that this machine lacks; a study may name one that its jobs will have elsewhere.

    Raises:
        ValueError: naming it.
    """
    chosen_device(execution.device, say=False)


def check_shares(settings: Settings, execution: Execution) -> None:
    """Refuse numbers of a step that its processes cannot share evenly.

    Raises:
        ValueError: naming the option.
    """
    processes = execution.devices * execution.num_nodes
    for name in (
        "rendered", "photographs_per_step", "synthetic_per_step", "synthetic_per_pretraining_step",
    ):  # fmt: skip
        if getattr(settings, name) % processes:
            raise ValueError(
                f"--{name.replace('_', '-')} ({getattr(settings, name)}) cannot be shared evenly by "
                f"{processes} processes"
            )
