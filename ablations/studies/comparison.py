"""What a study says: tables as CSV, Markdown, LaTeX and text, results.json, and the report."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from rich.console import Console

from evaluation.reporting.grids import Grid, fitted
from evaluation.reporting.items import write_items
from evaluation.reporting.provenance import provenance
from evaluation.reporting.results import Counts, Results, Row, read_results, write_results
from evaluation.reporting.studies import (
    Comparison,
    Study,
    attribution,
    caveats,
    comparison_frame,
    comparison_grid,
    differences,
    mean_grid,
    means,
    power_sentence,
    seeds_sentence,
)
from evaluation.reporting.tables import Page, latex, markdown, say, screen
from lightning_modules.plain.files import write_whole
from lightning_modules.plain.output_folder import OutputFolder
from lightning_modules.plain.stand_in_label import labelled

from .cell_results import RUN, study_of
from .designs import Cell
from .html_report import write_report

COMMAND = "factorial"
REPORT = "report.html"
MEANS, DIFFERENCES, ATTRIBUTION = TABLES = "means", "differences", "attribution"  # CSV, Markdown, LaTeX, text


def compare(
    output: OutputFolder,
    cells: Sequence[Cell],
    identity: Mapping[str, Any],
    design: str,
    finished: Results | None,
) -> Results:
    """The results of a study's cells, written and shown; those of a finished study are shown alone."""
    folder = output.path
    if finished is not None and not finished.counts.failed:
        show(folder)
        return finished
    study, missing = study_of(folder, cells, design)
    counts = Counts(len(cells), len(cells) - len(missing), _by_reason(missing))
    if study is None:
        results = Results(COMMAND, "no seed of which every cell is finished", identity, counts, [],
                          provenance())  # fmt: skip
    else:
        results = write_comparison(output, study, missing, identity, counts)
    write_results(results, output)
    show(folder)
    return results


def write_comparison(
    folder: OutputFolder,
    study: Study,
    missing: Mapping[str, str],
    identity: Mapping[str, Any],
    counts: Counts,
) -> Results:
    """All files of a study but its results.json, whose content is returned."""
    run = read_results(folder.path / Cell(study.variants[0], study.seeds[0]).name / RUN)
    stand_in = run.stand_in or study.metrics[0].stand_in
    title = labelled(_title(study, run), stand_in)
    changes = differences(study)
    method, worth = attribution(study)
    notes = {
        MEANS: caveats(study, None, missing),
        DIFFERENCES: [
            *caveats(study, len(changes), missing),
            *seeds_sentence(changes),
            power_sentence(changes),
        ],
        ATTRIBUTION: [*caveats(study, len(worth), missing), *seeds_sentence(worth), power_sentence(worth)],
    }
    frames = {
        MEANS: means(study),
        DIFFERENCES: comparison_frame(changes, "variant"),
        ATTRIBUTION: comparison_frame(worth, "switch"),
    }
    grids = {
        MEANS: mean_grid(study, f"{title}: mean ± standard deviation over seeds"),
        DIFFERENCES: comparison_grid(changes, f"{title}: each variant minus full", "Variant"),
        ATTRIBUTION: comparison_grid(worth, f"{title}: {method} of each switch", "Switch"),
    }
    for name, frame in frames.items():
        write_tables(frame, grids[name], notes[name], folder, name)
    sections = [(grids[name], notes[name]) for name in grids]
    write_report(folder.claim(REPORT), title, study, sections, missing)
    rows = [*mean_rows(frames[MEANS]), *comparison_rows(changes, "{} minus full"),
            *comparison_rows(worth, f"{method} of {{}}")]  # fmt: skip
    about: dict[str, Any] = {
        key: run.provenance.get(key) for key in ("departures", "morphable_model", "networks", "training_data")
    }
    return Results(COMMAND, title, identity, counts, rows, provenance(**about), stand_in)


def write_tables(
    frame: pd.DataFrame, grid: Grid, notes: Sequence[str], folder: OutputFolder, name: str
) -> None:
    """One table as CSV, Markdown and LaTeX, and as it stands on the screen."""
    write_items(frame, folder, name)
    page = Page(grid.title, fitted(grid._replace(title="")), notes)
    write_whole(folder.claim(f"{name}.md"), markdown(page))
    write_whole(folder.claim(f"{name}.tex"), latex(page))
    write_whole(folder.claim(f"{name}.txt"), screen(page))


def mean_rows(frame: pd.DataFrame) -> list[Row]:
    """A row for each variant and metric; `sd` is over seeds, `n` counts them."""
    return [
        Row(line.variant, line.source, line.metric, line.unit, line.mean,
            None if pd.isna(line.sd_over_seeds) else line.sd_over_seeds, n=line.seeds)
        for line in frame.itertuples()
    ]  # fmt: skip


def comparison_rows(comparisons: Sequence[Comparison], method: str) -> list[Row]:
    """A row for each comparison with its interval; `n` counts people."""
    return [
        Row(method.format(c.subject), c.metric.source, c.metric.name, c.metric.unit, c.contrast.value,
            interval=c.contrast.interval, n=c.contrast.people)
        for c in comparisons
    ]  # fmt: skip


def show(folder: Path) -> None:
    """Print the tables and name the files."""
    console = Console()
    results = read_results(folder)
    for name in TABLES if results.rows else ():
        files = [folder / f"{name}{suffix}" for suffix in (".txt", ".md")]  # older studies have no .txt
        text = next(file for file in files if file.is_file()).read_text(encoding="utf-8")
        console.print(text, markup=False, highlight=False, soft_wrap=True)
    counts = results.counts
    reasons = "".join(f"; {count} {reason}" for reason, count in counts.failed.items())
    say(f"{counts.used} of {counts.total} cells compared{reasons}")
    names = sorted(file.name for file in folder.iterdir() if file.is_file() and file.name[0] != ".")
    say(f"{folder}: {' '.join(names)}")


def _title(study: Study, run: Results) -> str:
    settings = run.settings
    moments = f"; moments over {settings['photographs_per_step']:,} photographs a step"
    return (
        f"Ablation of {', '.join(name.replace('_', '-') for name in study.switches)} ({study.design} design; "
        f"{run.title.removeprefix(labelled('', stand_in=True))}"
        f"{moments if settings['batch_distribution'] else ''})"
    )


def _by_reason(missing: Mapping[str, str]) -> dict[str, int]:
    reasons: dict[str, int] = {}
    for reason in missing.values():
        reasons[reason] = reasons.get(reason, 0) + 1
    return reasons
