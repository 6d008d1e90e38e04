"""Fits one stage: trainer, loggers, checkpoints; continues where an earlier start stopped."""

import logging
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import lightning
from lightning import LightningDataModule, LightningModule, Trainer
from lightning.pytorch.callbacks import Callback, EMAWeightAveraging, LearningRateMonitor, ModelCheckpoint
from lightning.pytorch.loggers import Logger, TensorBoardLogger, WandbLogger
from lightning.pytorch.profilers import AdvancedProfiler, Profiler, SimpleProfiler
from lightning.pytorch.utilities import rank_zero_only

from lightning_modules.callbacks import Guard, ProgressBar, Termination, TrainingFailed
from lightning_modules.checkpoint_schema import check_training_state
from lightning_modules.checkpoints import (
    KEY,
    AtomicCheckpoints,
    CheckpointAfterLogging,
    Provenance,
    check_continues,
    read_checkpoint,
)
from lightning_modules.distributed import buffers_stay
from lightning_modules.plain.devices import chosen_device
from lightning_modules.plain.output_folder import OutputFolder
from lightning_modules.row_log import RowLog

from . import wandb_runs
from .execution import Execution
from .freed_memory import keep_freed_memory
from .settings import Settings

CHECKPOINTS, LAST, BEST, FINAL = "checkpoints", "last.ckpt", "best.ckpt", "final.ckpt"
LOGS, TENSORBOARD, PROFILE_NAME = "logs", "tensorboard", "profile"
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
        try:
            checkpoint = read_checkpoint(start)
        except ValueError as error:
            advice = "start anew with --overwrite, or give another by --resume"
            raise ValueError(f"{error}; {advice}") from error
        kept, first_step = checkpoint[KEY], checkpoint["global_step"]
        check_continues(kept, content, str(start))
        check_training_state(checkpoint, module, str(start))
    if not execution.fast_dev_run:
        names = (LAST,) if best_by is None else (LAST, BEST)
        folder.claims([FINAL, *(f"{CHECKPOINTS}/{name}" for name in names)])
    loggers = _loggers(execution, settings, folder, first_step, kept, content)
    identifier = next((logger for logger in loggers if isinstance(logger, WandbLogger)), None)
    guard = Guard(lambda: last if last.is_file() else None)
    unit = "faces" if content["stage"] == 1 else "photographs"
    watching = [
        Termination(),
        ProgressBar(name, images_per_step, unit=unit, visible=execution.progress),
        guard,
        *([EMAWeightAveraging(decay=settings.ema, use_buffers=False)] if settings.ema else []),
        *([LearningRateMonitor("step")] if loggers else []),
        *callbacks,
        Provenance(content, lambda: {"wandb_id": None if identifier is None else identifier.version}),
        *_checkpoints(checkpoints, execution, best_by),
    ]
    trainer = _trainer(folder, steps, settings, execution, loggers, watching)
    with _damage_told(guard, start), _failures_told(trainer, guard, first_step, last):
        trainer.fit(module, datamodule=data, ckpt_path=start, weights_only=True)
    if not execution.fast_dev_run:
        trainer.save_checkpoint(folder.path / FINAL, weights_only=False)
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
    options = execution.trainer
    return Trainer(
        accelerator=chosen_device(execution.device, say=False).type,
        devices=execution.devices,
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
    except ValueError as error:
        # What is given was good for a step: now the faces are beyond what can be rendered.
        if trainer.global_step == first_step:
            raise
        raise guard.failed(trainer, diverged(error)) from error


def diverged(error: ValueError) -> str:
    """What became of a training whose faces the renderer refuses; its advice is for who chose the camera."""
    reason, _, _ = str(error).partition(";")
    return f"training diverged: the faces cannot be rendered any more ({reason})"


@contextmanager
def diverged_told() -> Iterator[None]:
    """Say of faces that the last step left beyond what can be rendered that training diverged."""
    try:
        yield
    except ValueError as error:
        advice = "try a lower --learning-rate with another --output"
        raise TrainingFailed(f"{diverged(error)}; {advice}") from error


@contextmanager
def _damage_told(guard: Guard, start: Path | None) -> Iterator[None]:
    """Say of a checkpoint that Lightning cannot restore that it is its training state that is damaged."""
    try:
        yield
    except (LookupError, TypeError, AttributeError, RuntimeError, AssertionError) as error:
        if start is None or guard.began:
            raise
        reason = f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
        raise ValueError(
            f"{start} cannot be continued from ({reason}); "
            "give another checkpoint, or start anew with --overwrite or another --output"
        ) from error


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
        loggers.append(wandb_runs.run_logger(execution, settings, folder.path, content, kept.get("wandb_id")))
    return loggers


def _profiler(execution: Execution, folder: OutputFolder) -> Profiler | None:
    """Writes fit-profile.txt into the folder; what Lightning's own prints is among its notices."""
    if execution.profiler is None:
        return None
    kind = {"simple": SimpleProfiler, "advanced": AdvancedProfiler}[execution.profiler]
    processes = range(execution.devices) if execution.devices > 1 else ()
    folder.claims([PROFILE, *(f"fit-{PROFILE_NAME}-{number}.txt" for number in processes)])
    return kind(folder.path, PROFILE_NAME)


def _strategy(execution: Execution) -> Any:  # noqa: ANN401 - a name or a strategy
    if execution.strategy not in ("auto", "ddp") or execution.devices * execution.num_nodes == 1:
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
