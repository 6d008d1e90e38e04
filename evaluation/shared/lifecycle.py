"""How every evaluation command ends: results, tables, items, figures, the dashboard, the exit status."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from matplotlib.figure import Figure
from pandas import DataFrame
from rich.console import Console

from evaluation.reporting.figures import save_figure
from evaluation.reporting.items import write_items
from evaluation.reporting.results import (
    STARTED,
    Results,
    default_output,
    finished_results,
    mark_started,
    write_results,
)
from evaluation.reporting.tables import Layout, page_of, print_page, say, write_tables
from evaluation.shared.dashboard_run import publish
from evaluation.shared.options import Dashboard, Output
from lightning_modules.plain.manifests import MANIFEST
from lightning_modules.plain.output_folder import OutputFolder
from lightning_modules.plain.writable_places import require_writable_folder

COMPLETE, WITH_FAILURES = 0, 1
# Beside results.json and results.csv, what every command makes; folders of older versions hold these.
TABLES = ("results.md", "results.tex")


class Report(NamedTuple):
    """What a command found.

    Attributes:
        results: the numbers.
        items: tables by file name without suffix, one line an item, also of failed ones.
        figures: by file name without suffix.
    """

    results: Results
    items: Mapping[str, DataFrame] = {}
    figures: Mapping[str, Figure] = {}


def evaluate(
    command: str,
    settings: Mapping[str, Any],
    compute: Callable[[OutputFolder], Report],
    *,
    inputs: Iterable[Path | None],
    output: Output,
    layout: Layout = Layout(),  # noqa: B008 - a tuple does not change
    notice: str = "",
    dashboard: Dashboard | None = None,
    checkpoint: Mapping[str, Any] | None = None,
) -> Results:
    """The command's results: those of its finished folder, or computed now; written, shown and published.

    A folder with unfinished work of the same settings is given to `compute` as it is, which continues there.

    Args:
        command: its name.
        settings: everything that the result depends on.
        compute: called with the output folder.
        inputs: files and folders that the command reads; the output folder must not hold any of them.
        output: the folder, and whether what was written there is deleted and computed anew.
        layout: of the table.
        notice: the first and the last line, where the reader must know something above all.
        dashboard: whether and where results are published, too.
        checkpoint: the content of the one that was scored, whose run they are added to there.
    """
    folder = checked_folder(command, settings, inputs=inputs, output=output)
    say(notice)
    results = finished_before(folder, settings, overwrite=output.overwrite)
    if results is None:
        say(folder.begin(overwrite=output.overwrite, older=TABLES))
        mark_started(folder, settings)
        with nothing_left_of_bad_input(folder):
            report = compute(folder)
        results = report.results
        write_report(report, folder, layout)
    print_page(page_of(results, layout), Console())
    if dashboard is not None and dashboard.wandb:
        say(publish(results, folder, checkpoint, dashboard.wandb_project))
    say(f"written: {folder.path}: {', '.join(written_files(folder.path))}")
    say(notice)
    return results


def checked_folder(
    command: str,
    settings: Mapping[str, Any],
    *,
    inputs: Iterable[Path | None],
    output: Output,
) -> OutputFolder:
    """The output folder, which the command may work in; for the arguments see `evaluate`.

    Raises:
        ValueError: if it holds inputs or the files of others.
    """
    path = default_output(command, settings) if output.output is None else output.output
    folder = OutputFolder(path, command)
    folder.check(inputs, overwrite=output.overwrite)
    return folder


def finished_before(
    folder: OutputFolder, settings: Mapping[str, Any], *, overwrite: bool = False
) -> Results | None:
    """The results of a finished folder; None where work is left, whose files the folder takes.

    Raises:
        ValueError: if the work was another command's or had other settings, or nothing can be written there.
    """
    results = finished_results(folder.path, folder.command, settings, overwrite=overwrite)
    if results is None:
        require_writable_folder(folder.root)
    return results


@contextmanager
def nothing_left_of_bad_input(folder: OutputFolder) -> Iterator[None]:
    """Where work ends before it wrote anything, the folder does not stay claimed by its settings."""
    try:
        yield
    except (ValueError, OSError, ImportError):
        if {path.name for path in folder.path.iterdir()} == {STARTED, MANIFEST}:
            folder.abandon()
        raise


def write_report(report: Report, folder: OutputFolder, layout: Layout) -> None:
    """All files of a report; results.json last, since it says that the work is finished."""
    for name, frame in report.items.items():
        write_items(frame, folder, name)
    for name, figure in report.figures.items():
        save_figure(figure, folder, name)
    write_tables(report.results, folder, layout)
    write_results(report.results, folder)


def written_files(folder: Path) -> list[str]:
    """The names of a finished folder's files."""
    return sorted(
        path.name
        for path in folder.iterdir()
        if path.is_file() and path.name != STARTED and not path.name.startswith(".")
    )


def exit_status(results: Results) -> int:
    """0 for complete results, 1 where items failed."""
    return WITH_FAILURES if results.counts.failed else COMPLETE
