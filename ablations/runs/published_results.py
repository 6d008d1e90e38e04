"""A run's results at W&B: of one that has just been trained, and of one that was finished before."""

from pathlib import Path

from evaluation.reporting.results import Results
from lightning_modules.checkpoints import content_of, read_checkpoint
from lightning_modules.plain.output_folder import OutputFolder

from . import run_report, wandb_runs
from .curves import curve_rows
from .execution import Execution
from .fitting import FINAL, tell
from .settings import Settings

BEST_BY = "validation/judge_similarity"  # whose best checkpoint is kept


def publish_finished(
    results: Results, settings: Settings, execution: Execution, folder: OutputFolder
) -> None:
    """Log a finished run's curves and results where W&B lacks them, as in a sweep that is repeated."""
    if "wandb" not in execution.logs_to:
        return
    content = {"stage": 1 if settings.stage == "1" else 2, "settings": results.settings}
    if (folder.path / FINAL).is_file():
        content = content_of(read_checkpoint(folder.path / FINAL))
    if not wandb_runs.lacks_finished_run(folder.path, content):
        return
    folder.claim_tree("wandb")
    logger = wandb_runs.run_logger(
        execution, settings, folder.path, content, kept={}, rows=curve_rows(folder.path),
        best_by=BEST_BY if content["stage"] == 2 else None,
    )  # fmt: skip
    wandb_runs.begin([logger])
    wandb_runs.log_results([logger], results, sheet_to_send(folder.path, execution, results))
    tell(f"its results are logged to the Weights & Biases run {logger.version}")


def sheet_to_send(folder: Path, execution: Execution, results: Results) -> Path:
    """The contact sheet that W&B may have: with photographs if those are renderings, or on request."""
    whole = results.stand_in or execution.wandb_photographs
    return folder / (run_report.SHEET if whole else run_report.SHEET_OF_RENDERINGS)
