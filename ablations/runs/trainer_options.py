"""Options that reach Lightning's Trainer as they are: those that checkpoints and resumption hold for."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from types import MappingProxyType
from typing import Any, ClassVar, Literal

from lightning_modules.plain.number_types import PositiveInt

OURS = "use {} instead"
# What a Trainer takes otherwise, and the option of ours that does it, or why nothing does.
REFUSED = {
    "accelerator": OURS.format("--device"),
    "devices": OURS.format("--devices"),
    "num_nodes": OURS.format("--num-nodes"),
    "strategy": OURS.format("--strategy"),
    "precision": OURS.format("--precision"),
    "profiler": OURS.format("--profiler"),
    "logger": OURS.format("--loggers"),
    "fast_dev_run": OURS.format("--fast-dev-run"),
    "gradient_clip_val": OURS.format("--gradient-clip"),
    "max_steps": OURS.format("--max-steps or --pretraining-steps"),
    "val_check_interval": OURS.format("--validation-interval"),
    "limit_val_batches": OURS.format("--validation-fraction"),
    "default_root_dir": OURS.format("--output"),
    "enable_progress_bar": OURS.format("--progress or --no-progress"),
    "enable_checkpointing": "a run always keeps checkpoints; --checkpoint-interval says how often",
    "num_sanity_val_steps": "--fast-dev-run tries a few steps of everything",
    "max_time": "stop the run (Ctrl-C or SIGTERM), and the same command resumes it",
    "enable_model_summary": "Lightning's notices are not shown; results.json names the networks",
    "inference_mode": "validation never needs gradients",
    "barebones": "it would switch off checkpoints and curves",
    "callbacks": "a run makes its own",
    "plugins": "a run makes its own",
    "model_registry": "checkpoints are files in the output folder, and W&B artifacts with --wandb",
    "enable_autolog_hparams": "all settings are in every checkpoint",
    "sync_batchnorm": "no network that is trained has batch normalisation",
    "use_distributed_sampler": "the order of the data is the run's own, by seed and step",
    "reload_dataloaders_every_n_epochs": "the order of the data is the run's own, by seed and step",
    **dict.fromkeys(
        (
            "max_epochs", "min_epochs", "min_steps", "limit_train_batches", "overfit_batches",
            "check_val_every_n_epoch", "limit_test_batches", "limit_predict_batches",
        ),
        "a run counts steps, and has no epochs and no test: use --max-steps and --validation-interval",
    ),
}  # fmt: skip


@dataclass(frozen=True)
class TrainerOptions:
    """What Lightning's Trainer takes as it is.

    Attributes:
        accumulate_grad_batches: batches whose gradients are summed for one step of the optimiser; moments of
            the batch distribution remain those of one batch.
        gradient_clip_algorithm: whether --gradient-clip limits the norm of the whole gradient, or each of its
            values.
        deterministic: use deterministic algorithms alone; an operation without one ends the run.
        benchmark: let cuDNN choose the fastest algorithm by trying them.
        detect_anomaly: find the operation whose gradient is not finite; slow.
        log_every_n_steps: steps between two rows of the curves; 10 if not given.
    """

    title: ClassVar[str] = "Passed through to Lightning's Trainer"
    refused: ClassVar[Mapping[str, str]] = MappingProxyType(REFUSED)

    accumulate_grad_batches: PositiveInt = 1
    gradient_clip_algorithm: Literal["norm", "value"] = "norm"
    deterministic: bool = False
    benchmark: bool = False
    detect_anomaly: bool = False
    log_every_n_steps: PositiveInt | None = None

    def changing_the_result(self) -> dict[str, Any]:
        """Those that are not at their defaults and on which a run's result depends, if only by rounding."""
        usual = TrainerOptions()
        return {
            f"trainer_{name}": value
            for name, value in asdict(self).items()
            if name not in ("detect_anomaly", "log_every_n_steps") and value != getattr(usual, name)
        }
