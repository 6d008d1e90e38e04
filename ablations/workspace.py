"""The dashboard of a project at W&B: variants side by side, losses, gradients, coefficients, pictures.

    python ablations/workspace.py workspace.json
    python ablations/workspace.py workspace.json --save --entity NAME

Writes the workspace as JSON, without an account; with --save it becomes a saved view of the project, too.
"""

import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
    from lightning_modules.plain.interruption import end_when_interrupted

    end_when_interrupted()

from ablations.runs.wandb_files import STEP
from lightning_modules.dashboard import PROJECT
from lightning_modules.plain.command_line import one_sentence_for_bad_input, parse_settings
from lightning_modules.plain.files import write_whole
from lightning_modules.plain.json_content import read_json
from lightning_modules.plain.output_file import check_new
from lightning_modules.plain.writable_places import require_writable_file

LOSSES = ("identity", "batch_distribution", "loopback", "parameter", "contrast", "tone", "known_tone")
SCORES = ("judge_similarity", "training_similarity", "fooling_gap", "top1")
OF_COEFFICIENTS = ("mean_error", "variance_error", "beyond_three_deviations")
MEDIA = ("contact_sheet", "pictures")
OF_STAGE_1 = ("explained_shape", "explained_albedo")
# By which an earlier file of this command is known.
DOCUMENT = {
    "type": "object",
    "required": ["entity", "project", "displayName", "spec"],
    "properties": {"spec": {"type": "object", "required": ["section"]}},
}


@dataclass(frozen=True)
class Workspace:
    """What is written, and where to.

    Attributes:
        output: the JSON file.
        entity: the account or team that the project belongs to.
        project: whose runs are shown.
        name: of the saved view.
        save: make it a saved view of the project, which needs an account.
        overwrite: replace the file where workspace.py wrote it.
    """

    output: Path
    entity: str = ""
    project: str = PROJECT
    name: str = "Ablation: variants side by side"
    save: bool = False
    overwrite: bool = False


def main(argv: Sequence[str] | None = None) -> int:
    """Parse, write, save where that is requested; the exit status is 0."""
    with one_sentence_for_bad_input():
        (given,) = parse_settings(
            (Workspace,), argv, program="workspace.py", description=str(__doc__), leading="output"
        )
        if given.save and not given.entity:
            raise ValueError("--save needs --entity, the account or team that the project belongs to")
        check_output(given.output, overwrite=given.overwrite)
        workspace = workspace_of(given)
        # The package has no public way to JSON; this is what it sends.
        write_whole(given.output, workspace._to_model().model_dump_json(by_alias=True, indent=2) + "\n")
        print(f"written: {given.output}")
        if given.save:
            workspace.save()
            print(f"saved: {workspace.url}")
    return 0


def check_output(file: Path, *, overwrite: bool) -> None:
    """Refuse to write in the place of anything but an earlier workspace, and of that without `overwrite`.

    Raises:
        ValueError: naming the file.
    """
    if not overwrite:
        check_new(file)
    elif os.path.lexists(file) and not is_workspace(file):
        raise ValueError(f"{file} was not written by workspace.py; move it away, or name another file")
    else:
        require_writable_file(file)


def is_workspace(file: Path) -> bool:
    """Whether a file is what this command writes."""
    if file.is_symlink() or not file.is_file():
        return False
    try:
        read_json(file, DOCUMENT)
    except ValueError:
        return False
    return True


def workspace_of(given: Workspace) -> Any:  # noqa: ANN401 - of an optional package
    """Runs of both stages by their variant, the mean over seeds with its standard error.

    Raises:
        ImportError: if wandb-workspaces is not installed.
    """
    w = _packages()
    return w.Workspace(
        entity=given.entity,
        project=given.project,
        name=given.name,
        sections=[w.Section(name=name, panels=panels, is_open=True) for name, panels in _sections(w)],
        settings=w.WorkspaceSettings(x_axis=STEP, max_runs=30),
        runset_settings=w.RunsetSettings(
            filters=w.And(w.Metric("JobType").isin(["stage 1", "stage 2"])),
            groupby=[w.Metric("Group")],
            pinned_columns=["summary:validation/judge_similarity.max", "config:seed"],
        ),
    )


def _sections(w: SimpleNamespace) -> list[tuple[str, list[Any]]]:
    def curve(title: str, name: str, **options: Any) -> Any:  # noqa: ANN401 - of an optional package
        return w.LinePlot(
            title=title, x=STEP, y=[name], groupby_aggfunc="mean", groupby_rangefunc="stderr", **options
        )

    def curves(prefix: str, names: Sequence[str], **options: Any) -> list[Any]:  # noqa: ANN401 - as above
        return [curve(name.replace("_", " "), f"{prefix}/{name}", **options) for name in names]

    best = w.BarPlot(title="best judge similarity", metrics=["validation/judge_similarity.max"])
    shares = [curve(f"histogram of {part}", f"coefficients/{part}") for part in ("shape", "albedo", "normal")]
    media = [w.MediaBrowser(title=name.replace("_", " "), media_keys=[name]) for name in MEDIA]
    return [
        ("Variants side by side", [best, *curves("validation", SCORES)]),
        ("Losses", curves("train/loss", (*LOSSES, "total"), log_y=True)),
        ("Gradient norms", curves("train/gradient_norm", LOSSES, log_y=True)),
        ("Coefficients", [*shares, *curves("validation", OF_COEFFICIENTS)]),
        ("Pictures", media),
        ("Stage 1", curves("validation", OF_STAGE_1)),
    ]


def _packages() -> SimpleNamespace:
    try:
        from wandb_workspaces.reports.v2 import BarPlot, LinePlot, MediaBrowser
        from wandb_workspaces.workspaces import (
            And,
            Metric,
            RunsetSettings,
            Section,
            Workspace,
            WorkspaceSettings,
        )
    except ImportError as error:
        raise ImportError("workspace.py needs wandb-workspaces: pip install -e '.[workspace]'") from error
    return SimpleNamespace(
        And=And,
        BarPlot=BarPlot, LinePlot=LinePlot, MediaBrowser=MediaBrowser, Metric=Metric, Section=Section,
        RunsetSettings=RunsetSettings, Workspace=Workspace, WorkspaceSettings=WorkspaceSettings,
    )  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())
