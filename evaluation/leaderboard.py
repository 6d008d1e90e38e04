"""Which method is first under which protocol: joins the results of several runs of micc.py.

    python evaluation/leaderboard.py runs/micc/OURS runs/micc/THEIRS

All methods are compared over the subjects that all of them have, with intervals over the same resamples of
people, in one table for each protocol and condition. What cannot stand in one table, such as a stand-in
beside real data, is refused.
"""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
    from lightning_modules.plain.interruption import end_when_interrupted

    end_when_interrupted()

from markupsafe import Markup

from evaluation.reporting.figures import Bar, bar_figure
from evaluation.reporting.page import document
from evaluation.reporting.provenance import provenance
from evaluation.reporting.results import RESULTS, Counts, Results
from evaluation.reporting.tables import Layout, Page, page_of
from evaluation.scans.leaderboard import (
    BEHIND,
    MEAN,
    SUBJECTS,
    JoinedResults,
    blocks,
    change_sentences,
    count_of,
    is_baseline,
    joined,
    missing_sentences,
    rows_of_standing,
    standings,
    unsettled,
)
from evaluation.scans.table_1 import heading_of_place
from evaluation.shared.lifecycle import Report, evaluate, exit_status
from evaluation.shared.options import Output
from lightning_modules.plain.command_line import one_sentence_for_bad_input, parse_settings
from lightning_modules.plain.files import sha256_of_files, write_whole
from lightning_modules.plain.number_types import SeedInt
from lightning_modules.plain.output_folder import OutputFolder
from lightning_modules.plain.stand_in_label import labelled

PAGE = "leaderboard.html"
LAYOUT = Layout(blocks, "scores")
FOOTNOTE = "lines: 95 % intervals over people; pale: baselines"


@dataclass(frozen=True)
class JoinedRuns:
    """What is joined.

    Attributes:
        results: output folders of micc.py, or the results.json files in them; at least two.
        seed: of the resamples of people.
    """

    results: list[Path]
    seed: SeedInt = 0


def main(argv: Sequence[str] | None = None) -> int:
    """Parse, join, report; the exit status is 0, or 1 where a method has no score on a subject."""
    with one_sentence_for_bad_input():
        runs, output = parse_settings(
            (JoinedRuns, Output), argv, program="leaderboard.py", description=str(__doc__), leading="results"
        )
        return exit_status(leaderboard(runs, output))


def leaderboard(runs: JoinedRuns, output: Output) -> Results:
    """Ranks, differences and rank changes of all methods, in results.json, tables and a page."""
    found = joined(runs.results)
    folders = [path.parent if path.name == RESULTS else path for path in runs.results]
    files = [folder / name for folder in folders for name in (RESULTS, SUBJECTS)]
    settings = {
        "results": [str(folder) for folder in folders],
        "content": sha256_of_files(files),
        "seed": runs.seed,
    }
    return evaluate(
        "leaderboard",
        settings,
        lambda folder: report(found, folder, settings),
        inputs=folders,
        output=output,
        layout=LAYOUT,
    )


def report(found: JoinedResults, folder: OutputFolder, settings: dict[str, Any]) -> Report:
    """Everything that the command writes."""
    table = standings(found.scores, seed=settings["seed"])
    first = {standing.condition: standing for standing in reversed(table)}
    rows = [
        row
        for standing in table
        for row in rows_of_standing(standing, found.label, first[standing.condition])
    ]
    total, missing = count_of(found.scores)
    methods = [name for name in dict.fromkeys(found.scores.method) if not is_baseline(name)]
    results = Results(
        "leaderboard",
        labelled(f"{len(methods)} methods against {found.label}: {', '.join(methods)}", found.stand_in),
        settings,
        Counts(
            total,
            total - missing,
            {"no score in its own results": missing} if missing else {},
        ),
        rows,
        provenance(data={"digest": found.digest, "stand_in": found.stand_in}, sources=found.sources),
        found.stand_in,
    )
    sentences = [*missing_sentences(table), *change_sentences(table)]
    for standing in table:
        open_pairs = ", ".join(unsettled(standing))
        if open_pairs:
            sentences.append(f"{standing.condition}, {standing.protocol}, may be chance: {open_pairs}")
    for sentence in sentences:
        print(sentence)
    page = page_of(results, LAYOUT)
    write_whole(folder.claim(PAGE), html(results, page, sentences))
    scores = found.scores.drop(columns="source").rename(columns={"value_mm": "best_mm"})
    return Report(results, {"scores": scores})


def html(results: Results, page: Page, sentences: Sequence[str]) -> str:
    """The page: what a reader asks first, the tables, and for each of them its figure."""
    sections = [("What does not count, rank changes, and what may be chance", document.paragraphs(sentences))]
    sections.append(("Tables", Markup("").join(document.table(grid, "means") for grid in page.grids)))
    drawn = []
    for place in dict.fromkeys(row.protocol for row in results.rows):
        heading = heading_of_place(place)
        bars = [
            Bar(row.method, row.value, row.interval, pale=is_baseline(row.method))
            for row in results.rows
            if row.protocol == place and row.metric == MEAN and row.value is not None
        ]
        if bars and heading is not None:
            title = f"{heading.protocol}, {heading.condition}"
            figure = bar_figure(results.title, {("mean error (mm)", title): bars}, FOOTNOTE)
            drawn.append(document.figure(figure, title))
    sections.append(("Figures", document.figures(drawn)))
    notices = [*page.notes, f"{BEHIND}: the difference of means to the first method, paired over people."]
    return document.document(results.title, notices, sections)


if __name__ == "__main__":
    sys.exit(main())
