"""Tables of results: on the screen, in Markdown and in LaTeX, from the same grids."""

from collections.abc import Callable, Iterator, Sequence
from io import StringIO
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from rich.console import Console
from rich.text import Text

from lightning_modules.plain.files import write_whole
from lightning_modules.plain.output_folder import OutputFolder

from .blocks import Block, blocks_by_protocol
from .cells import ABSENT, QUOTED, reason_of
from .grids import SCREEN_WIDTH, Grid, grids_of, screen_lines
from .items import write_items
from .results import NOT_MEASURED, Counts, Results, Row

if TYPE_CHECKING:
    from pandas import DataFrame

TABLE = "results"  # results.md, results.tex and results.csv
_LATEX = str.maketrans(
    {symbol: f"\\{symbol}" for symbol in "&%$#_{}"}
    | {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "±": r"$\pm$"}
    | {"<": r"\textless{}", ">": r"\textgreater{}", "|": r"\textbar{}", "–": "--", QUOTED: r"$\dagger$"}
    | {"°": r"$^\circ$", "²": r"$^{2}$"}
    | {power: f"$^{{{digit}}}$" for digit, power in enumerate("⁰¹²³⁴⁵⁶⁷⁸⁹")}
)


class Layout(NamedTuple):
    """How a command's tables look.

    Attributes:
        blocks: places the rows of the results.
        items: what the command's items are called.
        spread: what the number behind ± is.
    """

    blocks: Callable[[Results], Sequence[Block]] = blocks_by_protocol
    items: str = "items"
    spread: str = "standard deviation"


class Page(NamedTuple):
    """All tables of a command.

    Attributes:
        title: of the results.
        grids: the tables, each narrow enough for a screen.
        notes: how all of them are read, and how many items they are made of.
        details: what else was measured, and where it is.
    """

    title: str
    grids: Sequence[Grid]
    notes: Sequence[str]
    details: str = ""


def page_of(results: Results, layout: Layout) -> Page:
    """The tables of results, and below them how they are read and what else was measured."""
    blocks = [block for block in layout.blocks(results) if block.lines]
    shown = [row for block in blocks for row in block.rows]
    grids = [grid for block in blocks for grid in grids_of(block)]
    notes = [*_legend(shown, layout), f"{written_counts(results.counts, layout.items)}."]
    return Page(results.title, grids, notes, _details(results, shown))


def _legend(shown: Sequence[Row], layout: Layout) -> Iterator[str]:
    signs = []
    if any(row.sd is not None for row in shown):
        signs.append(f"± {layout.spread}")
    if any(row.interval is not None for row in shown):
        signs.append("[ ] 95 % interval")
    if any(reason_of(row) == NOT_MEASURED for row in shown):
        signs.append(f"{ABSENT} {NOT_MEASURED}")
    if signs:
        yield "; ".join(signs) + "."
    quoted = dict.fromkeys(row.method for row in shown if row.quoted)
    if quoted:
        yield f"{QUOTED} quoted from the literature, not measured here: {'; '.join(quoted).rstrip('.')}."


def _details(results: Results, shown: Sequence[Row]) -> str:
    named = {_first_words(row) for row in shown}
    others = [name for name in dict.fromkeys(map(_first_words, results.rows)) if name not in named]
    return f"{TABLE}.csv also has: {', '.join(others)}." if others else ""


def _first_words(row: Row) -> str:
    """A metric without what is said of it behind a comma, such as a group."""
    return row.metric.partition(", ")[0]


def written_counts(counts: Counts, items: str = "items") -> str:
    """How many items were used, and why the others were not."""
    reasons = ", ".join(f"{count:,} {reason}" for reason, count in counts.failed.items())
    return f"{counts.used:,} of {counts.total:,} {items} used; failed: {reasons or 'none'}"


# ---------------------------------------------------------------------- screen


def print_page(page: Page, console: Console) -> None:
    """The tables on the screen; nothing is cut off, long texts are wrapped at blanks."""
    console.print(Text(page.title, style="bold"))
    for grid in page.grids:
        console.print()
        print_grid(grid, console)
    console.print()
    for note in filter(None, (*page.notes, page.details)):
        console.print(Text(note))


def screen(page: Page) -> str:
    """The tables as they stand on a screen of `SCREEN_WIDTH` columns."""
    stream = StringIO()
    print_page(page, Console(file=stream, width=SCREEN_WIDTH))
    return "\n".join(line.rstrip() for line in stream.getvalue().splitlines()) + "\n"


def print_grid(grid: Grid, console: Console) -> None:
    """One table on the screen, its footnotes below."""
    if grid.title:
        console.print(Text(grid.title, style="italic"))
    for line in screen_lines(grid):
        console.print(Text(line, no_wrap=True), soft_wrap=True)
    for note in grid.notes:
        console.print(Text(note))


# ---------------------------------------------------------------------- files


def markdown(page: Page) -> str:
    """Title, tables and notes in Markdown."""
    tables = [_titled(grid) + "".join(f"\n{note}\n" for note in grid.notes) for grid in page.grids]
    return "\n".join(
        [f"**{page.title}**\n", *tables, *(f"{note}\n" for note in (*page.notes, page.details) if note)]
    )


def _titled(grid: Grid) -> str:
    table = "\n".join(_markdown_lines(grid)) + "\n"
    return f"{grid.title}\n\n{table}" if grid.title else table


def _markdown_lines(grid: Grid) -> Iterator[str]:
    """The lines of a table, padded so that they are readable as they are."""
    texts = [[grid.corner, *grid.columns], *([label, *cells] for label, cells in grid.lines)]
    texts = [[text.replace("\n", " ").replace("|", r"\|") for text in line] for line in texts]
    widths = [max(3, *map(len, column)) for column in zip(*texts, strict=True)]
    for number, line in enumerate(texts):
        first, *others = zip(line, widths, strict=True)
        yield " ".join(
            ["|", f"{first[0]:<{first[1]}}", *(f"| {text:>{width}}" for text, width in others), "|"]
        )
        if number == 0:
            yield " ".join(["|", "-" * first[1], *(f"| {'-' * (width - 1)}:" for _, width in others), "|"])


def latex(page: Page) -> str:
    """A LaTeX table (package booktabs) for each grid, with title and notes as its caption."""
    return "\n".join(
        latex_of(grid._replace(title=". ".join(filter(None, (page.title, grid.title)))), page.notes)
        for grid in page.grids
    )


def latex_of(content: Grid, notes: Sequence[str]) -> str:
    """A LaTeX table (package booktabs) with title and notes as its caption, footnotes below."""
    caption = " ".join([f"{content.title}.", *notes])
    body = []
    for place, (label, cells) in enumerate(content.lines):
        body += [r"\midrule"] if place in content.rules else []
        body.append(_latex_line([label, *cells]))
    return "\n".join(
        [
            r"\begin{table}",
            rf"\caption{{{caption.translate(_LATEX)}}}",
            rf"\begin{{tabular}}{{l{'r' * len(content.columns)}}}",
            r"\toprule",
            *_latex_head(content),
            r"\midrule",
            *body,
            r"\bottomrule",
            r"\end{tabular}",
            *(rf"\par{{\footnotesize {note.translate(_LATEX)}}}" for note in content.notes),
            r"\end{table}",
            "",
        ]
    )


def _latex_head(grid: Grid) -> Iterator[str]:
    """The headings; what spans several columns stands in a line of its own, underlined."""
    split = [heading.rpartition("\n") for heading in grid.columns]
    if any(above for above, _, _ in split):
        place, texts, underlines = 2, [""], []
        for above, columns in groupby(above for above, _, _ in split):
            count = len(list(columns))
            texts.append(rf"\multicolumn{{{count}}}{{c}}{{{above.translate(_LATEX)}}}")
            underlines += [rf"\cmidrule(lr){{{place}-{place + count - 1}}}"] if above else []
            place += count
        yield " & ".join(texts) + r" \\"
        yield " ".join(underlines)
    yield _latex_line([grid.corner, *(below for _, _, below in split)])


def _latex_line(texts: Sequence[str]) -> str:
    return " & ".join(text.replace("\n", " ").translate(_LATEX) for text in texts) + r" \\"


def say(sentence: str) -> None:
    """Print a sentence as it is, if there is one: in one line, which a terminal wraps between words."""
    if sentence:
        console = Console()
        console.print(sentence, markup=False, highlight=False, soft_wrap=not console.is_terminal)


def write_tables(results: Results, folder: OutputFolder, layout: Layout) -> list[Path]:
    """results.md and results.tex, and every row in results.csv, written beside results.json."""
    page = page_of(results, layout)
    return [
        write_whole(folder.claim(f"{TABLE}.md"), markdown(page)),
        write_whole(folder.claim(f"{TABLE}.tex"), latex(page)),
        write_items(row_table(results), folder, TABLE),
    ]


def row_table(results: Results) -> "DataFrame":
    """A line for each row of results, with everything that results.json says of it."""
    from pandas import DataFrame  # here: a training run needs it at its end, its start waits half a second

    lines = []
    for row in results.rows:
        content = {"reason": None, **row.as_dict()}
        low, high = content.pop("interval") or (None, None)
        lines.append(content | {"low": low, "high": high})
    columns = ["method", "quoted", "protocol", "metric", "unit", "value", "sd", "low", "high", "n", "reason"]
    return DataFrame(lines, columns=columns)
