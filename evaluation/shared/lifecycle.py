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
from evaluation.reporting.tables import Layout, page_of, print_page, write_tables
from lightning_modules.plain.manifests import MANIFEST
from lightning_modules.plain.output_folder import OutputFolder

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
    output: Path | None,
    overwrite: bool,
    layout: Layout = Layout(),  # noqa: B008 - a tuple does not change
    notice: str = "",
    publish: Callable[[Results, OutputFolder], str] | None = None,
) -> Results:
    """The command's results: those of its finished folder, or computed now; written, shown and published.

    A folder with unfinished work of the same settings is given to `compute` as it is, which continues there.

    Args:
        command: its name.
        settings: everything that the result depends on.
        compute: called with the output folder.
        inputs: files and folders that the command reads; the output folder must not hold any of them.
        output: the folder; runs/<command>/<digest of the settings> if None.
        overwrite: delete what was written there, and compute anew.
        layout: of the table.
        notice: the first and the last line, where the reader must know something above all.
        publish: to the dashboard; returns a line that says where.
    """
    folder = checked_folder(command, settings, inputs=inputs, output=output, overwrite=overwrite)
    console = Console()
    _tell(console, notice)
    results = finished_results(folder.path, command, settings, overwrite=overwrite)
    if results is None:
        _tell(console, folder.begin(overwrite=overwrite, older=TABLES))
        mark_started(folder, settings)
        with nothing_left_of_bad_input(folder):
            report = compute(folder)
        results = report.results
        write_report(report, folder, layout)
    print_page(page_of(results, layout), console)
    if publish is not None:
        _tell(console, publish(results, folder))
    _tell(console, f"written: {folder.path}: {', '.join(written_files(folder.path))}")
    _tell(console, notice)
    return results


def checked_folder(
    command: str,
    settings: Mapping[str, Any],
    *,
    inputs: Iterable[Path | None],
    output: Path | None,
    overwrite: bool,
) -> OutputFolder:
    """The output folder, which the command may work in; for the arguments see `evaluate`.

    Raises:
        ValueError: if it holds inputs or the files of others.
    """
    folder = OutputFolder(default_output(command, settings) if output is None else output, command)
    folder.check(inputs, overwrite=overwrite)
    return folder


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


def _tell(console: Console, sentence: str) -> None:
    if sentence:
        # A terminal would break it within words; a file keeps it in one line.
        console.print(sentence, markup=False, highlight=False, soft_wrap=not console.is_terminal)
