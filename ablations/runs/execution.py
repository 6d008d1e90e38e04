"""How a training run is executed: devices, intervals, folders; and what a run is known by."""

from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, ClassVar, Literal

import torch
from lightning.pytorch.strategies import StrategyRegistry

from ablations.runs.settings import Settings
from ablations.runs.trainer_options import TrainerOptions
from datamodules.long_work.shares import Share
from lightning_modules.dashboard import PROJECT
from lightning_modules.plain.devices import chosen_device, device_numbers
from lightning_modules.plain.number_types import NonNegativeInt, PositiveInt

Rasterizer = Literal["numba", "warp", "pytorch3d", "torch"]
Device = Literal["auto", "cpu", "cuda"]
LoggerName = Literal["csv", "wandb", "tensorboard"]
Precision = Literal["32-true", "16-mixed", "bf16-mixed", "16-true", "bf16-true", "64-true"]


@dataclass(frozen=True)
class Execution:
    """How a run is executed; its result does not depend on it, beyond rounding (see `identity_of`).

    Attributes:
        rasterizer: numba, warp, pytorch3d or torch; chosen by the device if not given.
        device: auto (GPUs where there are any), cpu, or cuda; Apple's mps has no float64, which cameras need.
        devices: processes, one a device: auto (all GPUs; one on the CPU), how many (on the CPU any number),
            or GPUs by their numbers, such as 0,1.
        num_nodes: machines, started by torchrun or SLURM.
        strategy: of Lightning; ddp where there are several processes.
        precision: of Lightning.
        fast_dev_run: a few steps of everything, nothing written but pictures; to try whether it runs.
        profiler: of Lightning: how long each part takes, in fit-profile.txt; none if not given.
        dry_run: print the settings that the options mean, and train nothing.
        loggers: where curves go; csv always does, wandb is offline where there is no network or account.
        wandb: the same as wandb among --loggers.
        wandb_project: the project at Weights & Biases.
        wandb_photographs: send pictures that show photographs there, too; without it renderings alone.
        validation_interval: steps between validations.
        checkpoint_interval: steps between checkpoints: at most so many are lost when a run is killed.
        gradient_norm_interval: steps between measurements of each loss's gradient; 0 never.
        output: folder of the results; runs/run/<digest of the settings> if not given.
        overwrite: delete what was written in the output folder, and start anew.
        resume: a checkpoint to continue from instead of the folder's last one.
        cache_folder: root of all caches; the user's cache folder if not given.
        trust_manifest: rely on the list of photographs that the last start made, and touch none of them.
        shard: prepare this share, such as 3/16, of photographs and features instead of training.
        workers: processes that align photographs; all cores if not given.
        progress: whether to show progress bars.
        trainer: what Lightning's Trainer takes as it is.
    """

    title: ClassVar[str] = "How it is executed"

    rasterizer: Rasterizer | None = None
    device: Device = "auto"
    devices: PositiveInt | str = 1
    num_nodes: PositiveInt = 1
    strategy: str = "auto"
    precision: Precision = "32-true"
    fast_dev_run: bool = False
    dry_run: bool = False
    profiler: Literal["simple", "advanced"] | None = None
    loggers: tuple[LoggerName, ...] = ("csv",)
    wandb: bool = False
    wandb_project: str = PROJECT
    wandb_photographs: bool = False
    validation_interval: PositiveInt = 200
    checkpoint_interval: PositiveInt = 50
    gradient_norm_interval: NonNegativeInt = 100
    output: Path | None = None
    overwrite: bool = False
    resume: Path | None = None
    cache_folder: Path | None = None
    trust_manifest: bool = False
    shard: str | None = None
    workers: NonNegativeInt | None = None
    progress: bool = True
    trainer: TrainerOptions = TrainerOptions()  # noqa: RUF009 - frozen

    def __post_init__(self) -> None:
        """Refuse what cannot be, before any work is done."""
        strategies = ["auto", *StrategyRegistry.available_strategies()]
        if self.strategy not in strategies:
            raise ValueError(f"--strategy must be one of {', '.join(strategies)}; got {self.strategy}")
        if self.strategy.endswith(("_spawn", "_fork", "_notebook")):
            raise ValueError(
                f"--strategy {self.strategy} copies a run into processes that cannot take it; give ddp, "
                "which starts each of them anew"
            )

        if self.share is not None and (str(self.devices) != "1" or self.num_nodes != 1):
            raise ValueError("--shard is the work of one process: leave out --devices and --num-nodes")

    @property
    def share(self) -> Share | None:
        """What `--shard` means.

        Raises:
            ValueError: if it means nothing.
        """
        try:
            return None if self.shard is None else Share.parse(self.shard)
        except ValueError as error:
            raise ValueError(f"--shard: {error}") from error

    @property
    def logs_to(self) -> tuple[LoggerName, ...]:
        """All loggers, each once; the CSV file first, and Weights & Biases where its shorthand is given."""
        return tuple(dict.fromkeys(("csv", *self.loggers, *(("wandb",) if self.wandb else ()))))

    @property
    def device_numbers(self) -> list[int]:
        """The numbers of this machine's devices, one a process.

        Raises:
            ValueError: if they are not here.
        """
        return device_numbers(self.device, self.devices)

    @property
    def processes(self) -> int:
        """How many processes train, on all machines."""
        return len(self.device_numbers) * self.num_nodes

    def own_device(self, *, say: bool = True) -> torch.device:
        """This process's device, named on standard error where it is a GPU."""
        return chosen_device(self.device, numbers=self.device_numbers, say=say)

    @property
    def updates_in_one_pass(self) -> bool:
        """Whether the optimiser is fused; under mixed precision Lightning could not clip gradients."""
        return "mixed" not in self.precision


def identity_of(settings: Settings, execution: Execution) -> dict[str, Any]:
    """What tells a run's result from others': its settings, and how it is executed where that changes it."""
    return settings.as_dict() | unusual_execution(execution)


def unusual_execution(execution: Execution) -> dict[str, Any]:
    """A precision that rounds otherwise and options of the Trainer; nothing where all are as usual."""
    precision = {} if execution.precision == "32-true" else {"precision": execution.precision}
    return precision | execution.trainer.changing_the_result()


def check_options(settings: Settings, execution: Execution) -> None:
    """Refuse what this machine cannot do with a run's resolved settings, before anything is loaded.

    Raises:
        ValueError: naming the option.
        ImportError: naming the package that is not installed.
    """
    check_shares(settings, execution)
    check_device(execution)
    check_loggers(execution)


def check_device(execution: Execution) -> None:
    """Refuse a device that this machine lacks; a study may name one that its jobs will have elsewhere.

    Raises:
        ValueError: naming it.
    """
    chosen_device(execution.device, say=False)


def check_loggers(execution: Execution) -> None:
    """Refuse a logger whose package is not installed.

    Raises:
        ImportError: saying how to install it.
    """
    for name in execution.logs_to:
        if name != "csv" and find_spec(name) is None:
            raise ImportError(f"--loggers {name}: {name} is not installed; pip install -e '.[{name}]'")


def check_shares(settings: Settings, execution: Execution) -> None:
    """Refuse numbers of a step that its processes cannot share evenly.

    Raises:
        ValueError: naming the option.
    """
    processes = execution.processes
    for name in (
        "rendered", "photographs_per_step", "synthetic_per_step", "synthetic_per_pretraining_step",
    ):  # fmt: skip
        if getattr(settings, name) % processes:
            raise ValueError(
                f"--{name.replace('_', '-')} ({getattr(settings, name)}) cannot be shared evenly by "
                f"{processes} processes"
            )
