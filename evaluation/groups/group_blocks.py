"""Results by group in the places of tables: a line a group, a column a metric, of the scored method."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from evaluation.reporting.blocks import Block, block_of, blocks_by_protocol, quoted_last
from evaluation.reporting.cells import heading_of
from evaluation.reporting.results import Results, Row

DIFFERENCE = "largest difference by "
MISSING, PEOPLE = "without a value", "people"
# A row's protocol, as what the table and what the column is about.
Split = Callable[[str], tuple[str, str]]


class GroupRow(NamedTuple):
    """A row by group, taken apart.

    Attributes:
        row: as in results.json.
        label: such as sex.
        group: such as female; empty for the largest difference between two groups.
        metric: without the group.
        protocol: likewise.
        pair: the two groups of a difference.
    """

    row: Row
    label: str
    group: str
    metric: str
    protocol: str
    pair: str = ""


def blocks_by_group(
    rows: Sequence[Row], *, split: Split = lambda protocol: (protocol, "")
) -> tuple[list[Block], set[int]]:
    """A table for each label and protocol, and the `id` of every row by group.

    The tables show the first method that has a mean; the others are in groups.csv.

    Args:
        rows: of the results.
        split: divides a protocol into what names the table and what heads its columns.
    """
    labels = labels_of(rows)
    found = [parts for row in rows if (parts := taken_apart(row, labels)) is not None]
    ours = next((parts.row.method for parts in found if parts.row.unit != "count"), None)
    tables: dict[tuple[str, str], list[GroupRow]] = {}
    for parts in found:
        if parts.row.method == ours:
            tables.setdefault((parts.label, split(parts.protocol)[0]), []).append(parts)
    blocks = [
        _block(_counted_once(some), f"By {label}: {ours} ({table}; others in groups.csv)", split)
        for (label, table), some in tables.items()
    ]
    return blocks, {id(parts.row) for parts in found}


def blocks_with_groups(results: Results, *, part: Callable[[Row], int] = quoted_last) -> list[Block]:
    """A table for each protocol, a line a method, then the tables by group.

    What belongs to no method, such as how well labels agree, is left to the CSV file.
    """
    grouped, used = blocks_by_group(results.rows)
    rows = [row for row in results.rows if id(row) not in used and row.unit not in ("", "count")]
    return [*blocks_by_protocol(results._replace(rows=rows), part=part), *grouped]


def labels_of(rows: Sequence[Row]) -> list[str]:
    """Every label, read from the rows of largest differences, which all have."""
    texts = [text for row in rows for text in (row.metric, row.protocol) if f", {DIFFERENCE}" in text]
    return list(dict.fromkeys(text.partition(f", {DIFFERENCE}")[2].partition(": ")[0] for text in texts))


def taken_apart(row: Row, labels: Sequence[str]) -> GroupRow | None:
    """A row by group; None of other rows. The group is named in the metric or in the protocol."""
    for label in labels:
        for in_metric in (True, False):
            text = row.metric if in_metric else row.protocol
            rest, difference, pair = text.partition(f", {DIFFERENCE}{label}")
            group = ""
            if not difference:
                rest, found, group = text.partition(f", {label}: ")
                if not found:
                    continue
            metric, protocol = (rest, row.protocol) if in_metric else (row.metric, rest)
            return GroupRow(row, label, group, metric, protocol, pair.removeprefix(": "))
    return None


def _counted_once(parts: Sequence[GroupRow]) -> list[GroupRow]:
    """Without the sizes of groups that are repeated for every condition."""
    kept: dict[object, GroupRow] = {}
    for part in parts:
        is_size = part.row.unit == "count" and part.metric != MISSING
        kept.setdefault((part.group, part.metric) if is_size else id(part.row), part)
    parts = list(kept.values())
    with_people = {part.group for part in parts if part.metric == PEOPLE}
    # Rows name the people of a group only where they are fewer than its items.
    same = [
        part._replace(metric=PEOPLE, row=part.row._replace(metric=PEOPLE))
        for part in parts
        if with_people and part.row.unit == "count" and part.metric != MISSING
        and part.group not in with_people
    ]  # fmt: skip
    return parts + same


def _block(parts: Sequence[GroupRow], heading: str, split: Split) -> Block:
    by_row = {id(part.row): part for part in parts}

    def column(row: Row) -> str:
        part = by_row[id(row)]
        name, (_, condition) = heading_of(row._replace(metric=part.metric)), split(part.protocol)
        is_size = row.unit == "count" and part.metric != MISSING
        return name if is_size or not condition else f"{condition}\n{name}"

    return block_of(
        [part.row for part in parts],
        heading,
        corner="Group",
        line=lambda row: by_row[id(row)].group or "largest difference",
        column=column,
        part=lambda row: int(not by_row[id(row)].group),
        remark=lambda row: by_row[id(row)].pair,
    )
