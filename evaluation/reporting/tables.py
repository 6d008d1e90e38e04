"""Tables of results: on the screen, in Markdown and in LaTeX, from one grid."""

from collections.abc import Sequence
from math import isfinite
from pathlib import Path
from typing import Literal, NamedTuple

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from lightning_modules.plain.output_folder import OutputFolder

from .results import NOT_COMPARED, NOT_MEASURED, Counts, Results, Row, write_whole

Across = Literal["metric", "method"]
_LATEX = str.maketrans(
    {symbol: f"\\{symbol}" for symbol in "&%$#_{}"}
    | {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "±": r"$\pm$"}
    | {"<": r"\textless{}", ">": r"\textgreater{}", "–": "--"}
)


class Grid(NamedTuple):
    """A table of texts.

    Attributes:
        title: of the results.
        columns: headings, without the first column's.
        lines: of each line its label and one cell for each column, empty where nothing was measured.
    """

    title: str
    columns: list[str]
    lines: list[tuple[str, list[str]]]


def grid(results: Results, across: Across = "metric") -> Grid:
    """The rows of results as a table; several protocols or methods keep the order of the rows.

    Args:
        results: to show.
        across: "metric": a column for each metric, a line for each method and protocol; "method": turned.
    """
    cells: dict[tuple[str, str], str] = {}
    for row in results.rows:
        key = (subject(row), measure(row))
        value = written_value(row)
        cells[key] = f"{cells[key]}; {value}" if key in cells else value
    subjects, measures = (list(dict.fromkeys(key[place] for key in cells)) for place in (0, 1))
    if across == "metric":
        lines = [(s, [cells.get((s, m), "") for m in measures]) for s in subjects]
        return Grid(results.title, measures, lines)
    return Grid(results.title, subjects, [(m, [cells.get((s, m), "") for s in subjects]) for m in measures])


def subject(row: Row) -> str:
    """What was scored and how, quoted values marked."""
    return f"{row.method}{' (quoted)' if row.quoted else ''}, {row.protocol}"


def measure(row: Row) -> str:
    """The metric with its unit; shares are written in percent instead."""
    return row.metric if row.unit in {"share", ""} else f"{row.metric} ({row.unit})"


def written_value(row: Row) -> str:
    """A row's value with its spread and interval; where there is none, the reason."""
    if row.as_dict()["value"] is None:
        reason = row.as_dict().get("reason", "no reason given")
        return reason if reason.startswith((NOT_MEASURED, NOT_COMPARED)) else f"failed: {reason}"
    if row.unit == "count":
        return f"{row.value:,.0f}"
    scale, digits, unit = (100, 2, " %") if row.unit == "share" else (1, 3, "")
    text = plain_number(scale * row.value, digits) + unit
    if row.sd is not None and isfinite(row.sd):  # a single item has no deviation
        text += f" ± {plain_number(scale * row.sd, digits)}"
    if row.interval is not None:
        text += " [" + ", ".join(plain_number(scale * bound, digits) for bound in row.interval) + "]"
    return text


def written_counts(counts: Counts, items: str = "items") -> str:
    """How many items were used, and why the others were not."""
    reasons = ", ".join(f"{count:,} {reason}" for reason, count in counts.failed.items())
    return f"{counts.used:,} of {counts.total:,} {items} used; failed: {reasons or 'none'}"


def rich_table(results: Results, across: Across = "metric") -> Table:
    """The table for the screen."""
    content = grid(results, across)
    table = Table("", title=escape(content.title))
    for heading in content.columns:
        table.add_column(escape(heading), justify="right")
    for label, cells in content.lines:
        table.add_row(*map(escape, [label, *cells]))
    return table


def rich_list(results: Results) -> Table:
    """A line for each row, for results of few methods and many protocols."""
    table = Table(title=escape(results.title))
    for heading in ("protocol", "method", "metric"):
        table.add_column(heading)
    table.add_column("value", justify="right")
    last = ""
    for row in results.rows:
        shown = "" if row.protocol == last else row.protocol
        method = f"{row.method} (quoted)" if row.quoted else row.method
        table.add_row(*map(escape, (shown, method, measure(row), written_value(row))))
        last = row.protocol
    return table


def markdown(results: Results, across: Across = "metric", items: str = "items") -> str:
    """Title, table and counts in Markdown."""
    return markdown_of(grid(results, across), [written_counts(results.counts, items)])


def markdown_of(content: Grid, notes: Sequence[str]) -> str:
    """Title, table and a paragraph of notes in Markdown."""
    lines = [["", *content.columns], ["---", *["---:"] * len(content.columns)]]
    lines += [[label, *cells] for label, cells in content.lines]
    table = "\n".join("| " + " | ".join(cell.replace("|", r"\|") for cell in line) + " |" for line in lines)
    return f"**{content.title}**\n\n{table}\n\n{' '.join(notes)}\n"


def latex(results: Results, across: Across = "metric", items: str = "items") -> str:
    """A LaTeX table (package booktabs) with title and counts as its caption."""
    return latex_of(grid(results, across), [f"{written_counts(results.counts, items)}."])


def latex_of(content: Grid, notes: Sequence[str]) -> str:
    """A LaTeX table (package booktabs) with title and notes as its caption."""
    caption = " ".join([f"{content.title}.", *notes])
    lines = [["", *content.columns], *([label, *cells] for label, cells in content.lines)]
    head, *body = (" & ".join(cell.translate(_LATEX) for cell in line) + r" \\" for line in lines)
    return "\n".join(
        [
            r"\begin{table}",
            rf"\caption{{{caption.translate(_LATEX)}}}",
            rf"\begin{{tabular}}{{l{'r' * len(content.columns)}}}",
            r"\toprule",
            head,
            r"\midrule",
            *body,
            r"\bottomrule",
            r"\end{tabular}",
            r"\end{table}",
            "",
        ]
    )


def write_tables(
    results: Results, folder: OutputFolder, across: Across = "metric", items: str = "items"
) -> list[Path]:
    """results.md and results.tex, written beside results.json."""
    return [
        write_whole(folder.claim("results.md"), markdown(results, across, items)),
        write_whole(folder.claim("results.tex"), latex(results, across, items)),
    ]


def print_results(
    results: Results, console: Console, across: Across = "metric", items: str = "items"
) -> None:
    """The table and the counts on the screen."""
    console.print(rich_table(results, across))
    console.print(written_counts(results.counts, items), markup=False, highlight=False, soft_wrap=True)


def plain_number(value: float, digits: int) -> str:
    """With fixed digits; with two significant ones where those would be all zeros."""
    fixed = f"{value:.{digits}f}"
    return f"{value:.2g}" if value != 0 and float(fixed) == 0 else fixed
