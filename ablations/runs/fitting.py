"""Fits one stage: trainer, loggers, checkpoints; continues where an earlier start stopped."""

import logging
import os
import sys
import traceback
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import lightning
from lightning import LightningDataModule, LightningModule, Trainer
from lightning.pytorch.callbacks import Callback, LearningRateMonitor, ModelCheckpoint
from lightning.pytorch.loggers import Logger, TensorBoardLogger
from lightning.pytorch.profilers import AdvancedProfiler, Profiler, SimpleProfiler
from lightning.pytorch.utilities import rank_zero_only

from lightning_modules.callbacks import Guard, ProgressBar, Termination
from lightning_modules.checkpoint_schema import check_resumable
from lightning_modules.checkpoints import (
    AtomicCheckpoints,
    CheckpointAfterLogging,
    FolderMayMove,
    Provenance,
    StepsGoOn,
    check_continues,
    content_of,
    read_checkpoint,
)
from lightning_modules.distributed import buffers_stay, is_first_process
from lightning_modules.moving_average import MovingAverage
from lightning_modules.plain.output_folder import OutputFolder
from lightning_modules.plain.saved_objects import first_line
from lightning_modules.row_log import RowLog

from . import wandb_runs
from .curves import LOGS, curve_rows
from .execution import Execution
from .freed_memory import keep_freed_memory
from .lost_processes import watched
from .settings import Settings

# The file of Lightning's in which all that restores a run from a checkpoint lies.
RESTORER = "checkpoint_connector.py"
SHOWN_STAGE_1 = "stage 1"
# What the renderer says of faces that are beyond it.
UNRENDERABLE = ("lies behind its camera", "NaN or infinite")
CHECKPOINTS, LAST, BEST, FINAL = "checkpoints", "last.ckpt", "best.ckpt", "final.ckpt"
TENSORBOARD, PROFILE_NAME = "tensorboard", "profile"
PROFILE = f"fit-{PROFILE_NAME}.txt"  # as Lightning names it
# Of Lightning, and why a user of ours need not read it.
NOISE = (
    "Checkpoint directory .* exists and is not empty",  # a run that continues
    "The dirpath has changed from",  # --resume from another folder
    "Experiment logs directory .* exists and is not empty",  # what is deleted is done again
    "The '.*_dataloader' does not have many workers",  # features are cached, a batch is one read
    ".isinstance.treespec, LeafSpec.",  # between Lightning 2.6 and torch 2.12
    "GPU available but not used",  # --device says so
    "It is recommended to use .self.log",  # every process validates all photographs
)


def fit(
    module: LightningModule,
    data: LightningDataModule,
    *,
    name: str,
    folder: OutputFolder,
    steps: int,
    images_per_step: int,
    settings: Settings,
    execution: Execution,
    content: dict[str, Any],
    callbacks: Sequence[Callback] = (),
    best_by: str | None = None,
    resume: Path | None = None,
) -> Trainer:
    """Train to the last step; `folder/final.ckpt` then holds the weights that count.

    Args:
        module: to train, in place.
        data: its data, prepared before.
        name: of the stage, as shown.
        folder: of logs and checkpoints.
        steps: to train, counted from the very start.
        images_per_step: for the rate in the progress bar.
        settings: of the run.
        execution: likewise.
        content: what checkpoints keep, see `checkpoint_content`.
        callbacks: further ones.
        best_by: the logged score whose best checkpoint is kept, too.
        resume: a checkpoint to continue from; the folder's last one if not given.

    Raises:
        KeyboardInterrupt: when the run was interrupted; its last checkpoint is whole.
        TrainingFailed: when losses are not finite.
    """
    keep_freed_memory()
    checkpoints = folder.path / CHECKPOINTS
    last = checkpoints / LAST
    start = starting_point(folder.path, resume)
    kept, first_step = {}, 0
    if start is not None:
        checkpoint = read_checkpoint(start)
        check_resumable(checkpoint, str(start))
        kept, first_step = content_of(checkpoint), int(checkpoint["global_step"])
        check_continues(kept, content, str(start))
    if not execution.fast_dev_run:
        names = (LAST,) if best_by is None else (LAST, BEST)
        folder.claims([FINAL, *(f"{CHECKPOINTS}/{name}" for name in names)])
    loggers = _loggers(execution, settings, folder, first_step, kept, content, best_by)
    learning_rate = "--pretraining-learning-rate" if name == SHOWN_STAGE_1 else "--learning-rate"
    guard = Guard(lambda: last if last.is_file() else None, learning_rate=learning_rate)
    unit = "faces" if content["stage"] == 1 else "photographs"
    watching = [
        Termination(),
        StepsGoOn(),
        FolderMayMove(),
        ProgressBar(name, images_per_step, unit=unit, visible=execution.progress),
        guard,
        *([MovingAverage(settings.ema)] if settings.ema else []),
        *([LearningRateMonitor("step")] if loggers else []),
        *callbacks,
        Provenance(content, lambda: wandb_runs.known_by(loggers)),
        *_checkpoints(checkpoints, execution, best_by),
    ]
    trainer = _trainer(folder, steps, settings, execution, loggers, watching)
    with watched(trainer, folder, last, writes=not execution.fast_dev_run):
        with _failures_told(trainer, guard, first_step, last), _restoring(start):
            trainer.fit(module, datamodule=data, ckpt_path=start, weights_only=True)
        if not execution.fast_dev_run:
            trainer.save_checkpoint(folder.path / FINAL, weights_only=False)
    if not execution.fast_dev_run:
        # A run that had nothing left to do has not put its moving average in place.
        module.load_state_dict(read_checkpoint(folder.path / FINAL)["state_dict"])
        wandb_runs.log_checkpoints(loggers, [folder.path / FINAL, checkpoints / BEST])
    return trainer


def _trainer(
    folder: OutputFolder,
    steps: int,
    settings: Settings,
    execution: Execution,
    loggers: list[Logger],
    callbacks: list[Callback],
) -> Trainer:
    options, numbers = execution.trainer, execution.device_numbers
    device = execution.own_device(say=False)
    return Trainer(
        accelerator=device.type,
        # By their numbers, so that each process has the GPU that its networks are on.
        devices=numbers if device.type == "cuda" else len(numbers),
        num_nodes=execution.num_nodes,
        strategy=_strategy(execution),
        precision=execution.precision,
        max_epochs=-1,
        max_steps=steps,
        # Counted in batches.
        val_check_interval=min(execution.validation_interval, steps) * options.accumulate_grad_batches,
        check_val_every_n_epoch=None,
        num_sanity_val_steps=0,
        log_every_n_steps=min(10, steps) if options.log_every_n_steps is None else options.log_every_n_steps,
        accumulate_grad_batches=options.accumulate_grad_batches,
        gradient_clip_val=settings.gradient_clip or None,
        gradient_clip_algorithm=options.gradient_clip_algorithm,
        deterministic=options.deterministic,
        benchmark=options.benchmark or None,
        detect_anomaly=options.detect_anomaly,
        use_distributed_sampler=False,
        fast_dev_run=3 if execution.fast_dev_run else False,
        profiler=_profiler(execution, folder),
        logger=loggers,
        enable_progress_bar=False,
        enable_model_summary=False,
        plugins=[AtomicCheckpoints()],
        callbacks=callbacks,
    )


@contextmanager
def _failures_told(trainer: Trainer, guard: Guard, first_step: int, last: Path) -> Iterator[None]:
    """Say where a run that is interrupted stopped; a face that cannot be rendered is a failed training."""
    try:
        yield
    except SystemExit as stop:
        # Lightning turns Ctrl-C into an exit of its own.
        where = f"the last checkpoint is {last}" if last.is_file() else "no checkpoint was due yet"
        tell(f"stopped at step {trainer.global_step}; {where}: the same command continues")
        raise KeyboardInterrupt from stop
    except DamagedState:
        raise
    except ValueError as error:
        # What is given was good for a step: now the faces are beyond what can be rendered.
        if trainer.global_step == first_step:
            if any(reason in str(error) for reason in UNRENDERABLE):
                raise ValueError(unusable_start(error)) from error
            raise
        raise guard.failed(trainer, diverged(error)) from error


def diverged(error: ValueError) -> str:
    """What became of a training whose faces the renderer refuses; its advice is for who chose the camera."""
    reason, _, _ = str(error).partition(";")
    return f"training diverged: the faces cannot be rendered any more ({reason})"


def unusable_start(error: ValueError) -> str:
    """What is wrong with a regressor whose faces the renderer refuses before any step."""
    reason, _, _ = str(error).partition(";")
    return (
        f"the faces that training starts from cannot be rendered ({reason}); give a smaller --linear-start "
        "or --last-layer-scale, a lower --pretraining-learning-rate, or another checkpoint"
    )


class DamagedState(ValueError):
    """A checkpoint lacks what a trainer restores from it; the message says which."""


@contextmanager
def _restoring(start: Path | None) -> Iterator[None]:
    """Whatever Lightning makes of a state that lacks what it put there is said as the checkpoint's fault."""
    try:
        yield
    except Exception as error:
        frames = traceback.extract_tb(error.__traceback__)
        if start is None or not any(Path(frame.filename).name == RESTORER for frame in frames):
            raise
        raise DamagedState(
            f"{start} cannot be continued from: the trainer's state in it is damaged ({first_line(error)}); "
            "take another checkpoint, or start anew with --overwrite or another --output"
        ) from error


def check_final(folder: Path, settings: Mapping[str, Any]) -> None:
    """Refuse a finished folder whose final checkpoint was cut off, changed or exchanged since.

    Where there is none any more, standard error says so.

    Args:
        folder: of the run.
        settings: of its results.

    Raises:
        ValueError: in one sentence.
    """
    final = folder / FINAL
    if not os.path.lexists(final):
        tell(f"{final} is missing by now; --overwrite trains it anew")
        return
    try:
        content = content_of(read_checkpoint(final))
        # Stage 1 alone has the checkpoint of a folder that runs share, with settings of its own.
        if settings.get("stage") != "1" and content["settings"] != settings:
            raise ValueError(f"{final} is of a run with other settings")
    except (ValueError, OSError) as error:
        raise ValueError(f"{folder} was finished, but {error}; --overwrite trains it anew") from error


def starting_point(folder: Path, resume: Path | None) -> Path | None:
    """The checkpoint from which a stage continues: the one asked for, or the folder's last one, if any."""
    if resume is not None:
        return resume
    last = folder / CHECKPOINTS / LAST
    return last if last.is_file() else None


@contextmanager
def without_noise() -> Iterator[None]:
    """Lightning's advice and notices are left out; what the user can act on is ours to say."""
    loggers = [logging.getLogger(f"lightning.{part}") for part in ("pytorch", "fabric")]
    levels = [logger.level for logger in loggers]
    with warnings.catch_warnings():
        for message in NOISE:
            warnings.filterwarnings("ignore", message)
        for logger in loggers:
            logger.setLevel(logging.WARNING)
        try:
            yield
        finally:
            for logger, level in zip(loggers, levels, strict=True):
                logger.setLevel(level)


@rank_zero_only
def tell(sentence: str) -> None:
    """Print to the user, once however many processes there are."""
    print(sentence, file=sys.stderr)


def seed(settings: Settings) -> None:
    """Seed what initialises weights; everything else is keyed by (seed, step, sample)."""
    lightning.seed_everything(settings.seed, verbose=False)


def _loggers(
    execution: Execution,
    settings: Settings,
    folder: OutputFolder,
    first_step: int,
    kept: dict[str, Any],
    content: dict[str, Any],
    best_by: str | None,
) -> list[Logger]:
    if execution.fast_dev_run:
        return []
    # A file for each start, named by its first step: what is done again does not overwrite what was.
    # Every row is written at once: those before a checkpoint are never logged again.
    version = f"from_step_{first_step:07d}"
    folder.claims([f"{LOGS}/{version}/{name}" for name in ("metrics.csv", "hparams.yaml")])
    loggers: list[Logger] = [RowLog(folder.path, name=LOGS, version=version, flush_logs_every_n_steps=1)]
    if "tensorboard" in execution.logs_to:
        # What is done again after the last checkpoint replaces what an earlier start logged of it.
        purge: dict[str, Any] = {"purge_step": first_step} if first_step else {}
        loggers.append(TensorBoardLogger(folder.claim_tree(TENSORBOARD), name="", version="", **purge))
    if "wandb" in execution.logs_to:
        folder.claim_tree("wandb")
        earlier = curve_rows(folder.path, until=first_step) if is_first_process() else []
        loggers.append(
            wandb_runs.run_logger(
                execution, settings, folder.path, content,
                kept=kept, rows=earlier, first_step=first_step, best_by=best_by,
            )
        )  # fmt: skip
        wandb_runs.begin(loggers)
    return loggers


def _profiler(execution: Execution, folder: OutputFolder) -> Profiler | None:
    """Writes fit-profile.txt into the folder; what Lightning's own prints is among its notices."""
    if execution.profiler is None:
        return None
    kind = {"simple": SimpleProfiler, "advanced": AdvancedProfiler}[execution.profiler]
    count = len(execution.device_numbers)
    processes = range(count) if count > 1 else ()
    folder.claims([PROFILE, *(f"fit-{PROFILE_NAME}-{number}.txt" for number in processes)])
    return kind(folder.path, PROFILE_NAME)


def _strategy(execution: Execution) -> Any:  # noqa: ANN401 - a name or a strategy
    if execution.strategy not in ("auto", "ddp") or execution.processes == 1:
        return execution.strategy
    from lightning.pytorch.strategies import DDPStrategy

    return DDPStrategy(**buffers_stay(), gradient_as_bucket_view=True)


def _checkpoints(folder: Path, execution: Execution, best_by: str | None) -> list[ModelCheckpoint]:
    if execution.fast_dev_run:
        return []
    last = CheckpointAfterLogging(
        folder,
        filename="last",
        every_n_train_steps=execution.checkpoint_interval,
        save_top_k=1,
        enable_version_counter=False,
    )
    if best_by is None:
        return [last]
    best = ModelCheckpoint(
        folder, filename="best", monitor=best_by, mode="max", save_top_k=1, enable_version_counter=False
    )
    return [last, best]
