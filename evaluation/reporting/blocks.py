"""Rows of results placed as the literature places them: a line a method, a column a condition or metric."""

from collections.abc import Callable, Collection, Iterable, Sequence
from typing import NamedTuple

from .cells import QUOTED, TableCell, heading_of
from .results import Results, Row


class Block(NamedTuple):
    """Rows of results in the places of a table.

    Attributes:
        heading: of the table.
        corner: the first column's heading.
        columns: headings of the others; a line break follows what spans several of them.
        lines: of each line its label and a cell for each column, None where there is nothing.
        rules: numbers of the lines above which a rule is drawn.
    """

    heading: str
    corner: str
    columns: Sequence[str]
    lines: Sequence[tuple[str, Sequence[TableCell | None]]]
    rules: Sequence[int] = ()

    @property
    def rows(self) -> list[Row]:
        """All rows that it shows."""
        return [row for _, cells in self.lines for cell in cells if cell is not None for row in cell.rows]


def method_of(row: Row) -> str:
    """The label of a method's line; a quoted one is marked, its source is named below the table."""
    return f"{row.method.partition(', in ')[0]} {QUOTED}" if row.quoted else row.method


def quoted_last(row: Row) -> int:
    """The part of a table that a row belongs to: first what was measured, then what is quoted."""
    return int(row.quoted)


def block_of(
    rows: Iterable[Row],
    heading: str,
    *,
    corner: str = "Method",
    line: Callable[[Row], str] = method_of,
    column: Callable[[Row], str] = heading_of,
    part: Callable[[Row], int] = quoted_last,
    remark: Callable[[Row], str] = lambda _: "",
    columns: Sequence[str] | None = None,
) -> Block:
    """Rows as a block; lines and columns keep the order of the rows.

    Args:
        rows: to place; those of the same line and column share a cell.
        heading: of the block.
        corner: the first column's heading.
        line: of a row, its line's label.
        column: of a row, its column's heading.
        part: of a row, the part of the table that its line is in; a rule separates parts, the least first.
        remark: of a row, the footnote of its cell.
        columns: their headings in another order, also of empty ones.
    """
    cells: dict[tuple[str, str], TableCell] = {}
    parts: dict[str, int] = {}
    found: dict[str, None] = dict.fromkeys(columns or ())
    for row in rows:
        key = (line(row), column(row))
        before = cells.get(key, TableCell(()))
        cells[key] = TableCell((*before.rows, row), before.remark or remark(row))
        parts.setdefault(key[0], part(row))
        found.setdefault(key[1])
    labels = sorted(parts, key=parts.__getitem__)
    rules = [place for place in range(1, len(labels)) if parts[labels[place]] != parts[labels[place - 1]]]
    lines = [(label, [cells.get((label, name)) for name in found]) for label in labels]
    return Block(heading, corner, list(found), lines, rules)


def blocks_by_protocol(
    results: Results,
    *,
    details: Collection[str] = (),
    corner: str = "Method",
    part: Callable[[Row], int] = quoted_last,
) -> list[Block]:
    """A table for each protocol: a line a method, a column a metric.

    Args:
        results: to place.
        details: metrics that are left to the CSV file.
        corner: see `block_of`.
        part: see `block_of`.
    """
    protocols: dict[str, list[Row]] = {}
    for row in results.rows:
        if row.metric not in details:
            protocols.setdefault(row.protocol, []).append(row)
    return [block_of(rows, protocol, corner=corner, part=part) for protocol, rows in protocols.items()]
