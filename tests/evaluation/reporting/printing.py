"""What a command's tables look like on a screen of 80 columns."""

import io
from collections.abc import Sequence

from rich.console import Console

from evaluation.reporting.results import Counts, Results, Row
from evaluation.reporting.tables import Layout, page_of, print_page


def results_of(rows: Sequence[Row], title: str = "A title") -> Results:
    return Results("command", title, {}, Counts(1, 1, {}), rows, {})


def printed(results: Results, layout: Layout) -> str:
    console = Console(width=80, record=True, file=io.StringIO())
    print_page(page_of(results, layout), console)
    return "\n".join(line.rstrip() for line in console.export_text().splitlines()) + "\n"
