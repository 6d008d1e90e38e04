"""Tables of texts that fit on a screen, made from blocks of rows."""

from collections.abc import Callable, Iterator, Sequence
from itertools import groupby, pairwise, zip_longest
from textwrap import wrap
from typing import NamedTuple

from .blocks import Block
from .cells import Footnotes, cell_text

# Tables fit on a screen of so many characters; a longer label is wrapped.
SCREEN_WIDTH, LABEL_WIDTH = 80, 26
HEADING_WIDTH = 12  # that a longer heading has at least
GAP = 2  # between columns


class Grid(NamedTuple):
    """A table of texts.

    Attributes:
        title: of the table.
        columns: headings, without the first column's; a line break follows what spans several columns.
        lines: of each line its label and one cell for each column; an interval may stand on a second line.
        corner: the first column's heading.
        rules: numbers of the lines above which a rule is drawn.
        notes: footnotes.
    """

    title: str
    columns: Sequence[str]
    lines: Sequence[tuple[str, Sequence[str]]]
    corner: str = ""
    rules: Sequence[int] = ()
    notes: Sequence[str] = ()

    @property
    def width(self) -> int:
        """Characters of its longest line on the screen."""
        return max(map(len, screen_lines(self)))


def grids_of(block: Block) -> list[Grid]:
    """A block as texts that fit on the screen.

    Where it is too wide, intervals get a second line; where it still is, columns are dealt to several tables.
    """
    return _fitted(len(block.columns), lambda first, last: _written(_some_columns(block, first, last)))


def fitted(grid: Grid) -> list[Grid]:
    """A table of texts as `grids_of` makes them; what stands in brackets is taken for an interval."""

    def some(first: int, last: int) -> Grid:
        lines = [(label, cells[first:last]) for label, cells in grid.lines]
        return grid._replace(columns=grid.columns[first:last], lines=lines)

    return _fitted(len(grid.columns), some)


def _fitted(count: int, columns: Callable[[int, int], Grid]) -> list[Grid]:
    """The fewest tables of `count` columns that fit on the screen, or else one for each column."""
    grids: list[Grid] = []
    for tables in range(1, count + 1):
        bounds = [count * number // tables for number in range(tables + 1)]
        grids = [_narrow(columns(first, last)) for first, last in pairwise(bounds)]
        if all(grid.width <= SCREEN_WIDTH for grid in grids):
            break
    more = [grid._replace(title=f"{grid.title} (continued)".lstrip()) for grid in grids[1:]]
    return grids[:1] + more


def _narrow(grid: Grid) -> Grid:
    """The table itself if it fits on the screen, otherwise with each interval below its value."""
    if grid.width <= SCREEN_WIDTH:
        return grid
    return grid._replace(
        lines=[(label, [cell.replace(" [", "\n[") for cell in cells]) for label, cells in grid.lines]
    )


def _some_columns(block: Block, first: int, last: int) -> Block:
    """Those columns, without the lines that have nothing there."""
    parts = [sum(rule <= place for rule in block.rules) for place in range(len(block.lines))]
    kept = [
        (part, label, cells[first:last])
        for part, (label, cells) in zip(parts, block.lines, strict=True)
        if any(cells[first:last])
    ]
    rules = [place for place in range(1, len(kept)) if kept[place][0] != kept[place - 1][0]]
    return block._replace(
        columns=block.columns[first:last], lines=[(label, cells) for _, label, cells in kept], rules=rules
    )


def _written(block: Block) -> Grid:
    footnotes = Footnotes()
    lines = [
        (label, [" ".join(filter(None, cell_text(cell, footnotes))) for cell in cells])
        for label, cells in block.lines
    ]
    return Grid(block.heading, block.columns, lines, block.corner, block.rules, footnotes.lines)


# ---------------------------------------------------------------------- on the screen


def screen_lines(grid: Grid) -> list[str]:
    """The lines of a table on the screen, with rules as in print.

    Labels are wrapped at blanks, headings to the width of the cells below; nothing is cut off.
    """
    labels = [wrap(label, _label_width(grid), break_on_hyphens=False) or [""] for label, _ in grid.lines]
    cells = [[cell.split("\n") for cell in texts] for _, texts in grid.lines]
    spans, own = zip(*(heading.rpartition("\n")[::2] for heading in grid.columns), strict=True)
    widths = _column_widths(spans, own, cells)
    first = max(len(line) for label in [wrap(grid.corner) or [""], *labels] for line in label)
    rule = "─" * (first + sum(GAP + width for width in widths))
    headings = [wrap(heading, width) for heading, width in zip(own, widths, strict=True)]
    most = max(map(len, headings))
    lines = [rule, *_spanning_lines(first, spans, widths)]
    lines += _lines_of(
        ["" for _ in range(most - 1)] + [grid.corner],
        [[""] * (most - len(heading)) + heading for heading in headings],
        first, widths,
    )  # fmt: skip
    lines.append(rule)
    for place, (label, texts) in enumerate(zip(labels, cells, strict=True)):
        lines += [rule] if place in grid.rules else []
        lines += _lines_of(label, texts, first, widths)
    return [*lines, rule]


def _label_width(grid: Grid) -> int:
    """Of the first column: `LABEL_WIDTH`, more where a single word is longer."""
    return max(LABEL_WIDTH, *(len(word) for label, _ in grid.lines for word in label.split()), 1)


def _column_widths(
    spans: Sequence[str], own: Sequence[str], cells: Sequence[Sequence[Sequence[str]]]
) -> list[int]:
    """Of each column, so wide that cells and the words of headings fit, and what spans several columns."""
    widths = []
    for place, heading in enumerate(own):
        words = max(map(len, heading.split()), default=0)
        widths.append(max(words, min(HEADING_WIDTH, len(heading)), *(_widest(line[place]) for line in cells)))
    for start, count in _runs(spans):
        lacking = len(spans[start]) - sum(widths[start : start + count]) - GAP * (count - 1)
        for place in range(start, start + count):
            widths[place] += max(0, -(-lacking // count))
    return widths


def _widest(lines: Sequence[str]) -> int:
    return max(map(len, lines), default=0)


def _runs(spans: Sequence[str]) -> Iterator[tuple[int, int]]:
    """Start and length of each run of columns below the same heading."""
    start = 0
    for _, columns in groupby(spans):
        count = len(list(columns))
        yield start, count
        start += count


def _spanning_lines(first: int, spans: Sequence[str], widths: Sequence[int]) -> list[str]:
    """The headings of several columns, centred above a rule of their own."""
    if not any(spans):
        return []
    texts, rules = [" " * first], [" " * first]
    for start, count in _runs(spans):
        width = sum(widths[start : start + count]) + GAP * (count - 1)
        texts.append(spans[start].center(width))
        rules.append(("─" if spans[start] else " ") * width)
    return [(" " * GAP).join(parts).rstrip() for parts in (texts, rules)]


def _lines_of(
    label: Sequence[str], cells: Sequence[Sequence[str]], first: int, widths: Sequence[int]
) -> list[str]:
    """The screen's lines of one line of the table."""
    lines = []
    for parts in zip_longest(label, *cells, fillvalue=""):
        texts = [f"{text:>{width}}" for text, width in zip(parts[1:], widths, strict=True)]
        lines.append((" " * GAP).join([f"{parts[0]:<{first}}", *texts]).rstrip())
    return lines
