"""`--wandb`: an evaluation's numbers and figures go to the run that made the checkpoint."""

import sys
from collections.abc import Mapping
from typing import Any

from evaluation.reporting.cells import measure, subject
from evaluation.reporting.results import Results
from lightning_modules.dashboard import CheckpointRun, add_to_run
from lightning_modules.plain.output_folder import OutputFolder
from lightning_modules.plain.stand_in_label import STAND_IN


def publish(results: Results, folder: OutputFolder, content: Mapping[str, Any] | None, project: str) -> str:
    """A line that says which run got the numbers; figures are the PNG files that lie in the folder itself.

    What lies in the folder's subfolders (pictures that show photographs) is never sent, nor what the command
    did not write.

    Args:
        results: whose rows that are not quoted are sent.
        folder: of the results.
        content: of the checkpoint, which names its run; without one, or offline, a run of its own begins.
        project: of W&B.
    """
    made_by = run_of_checkpoint(content)
    run = add_to_run(
        made_by,
        numbers_of(results),
        folder.written("*.png"),
        folder=folder.claim_tree("wandb").parent,
        tell=lambda sentence: print(sentence, file=sys.stderr),
        name=results.command if not results.stand_in else f"{STAND_IN} {results.command}",
        project=project,
    )
    if made_by is None:
        whose = "of its own: the checkpoint names none"
    elif run == made_by.identifier:
        whose = "that made the checkpoint"
    else:
        whose = f"of its own in the group of {made_by.identifier}, that made the checkpoint"
    return f"added to the Weights & Biases run {run}, {whose}"


def run_of_checkpoint(content: Mapping[str, Any] | None) -> CheckpointRun | None:
    """The run at W&B that a checkpoint's content names, if it names one."""
    if content is None or content.get("wandb_id") is None:
        return None
    return CheckpointRun(content["wandb_id"], content.get("wandb_group"), content.get("wandb_offline", False))


def numbers_of(results: Results) -> dict[str, float]:
    """Every measured value by method, protocol and metric."""
    return {
        f"{subject(row)}/{measure(row)}": row.as_dict()["value"]
        for row in results.rows
        if not row.quoted and row.as_dict()["value"] is not None
    }
