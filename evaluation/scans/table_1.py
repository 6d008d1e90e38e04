"""Table 1 of Genova et al. 2018: errors against scans, a line a method, a column a condition."""

import re
from collections.abc import Iterator, Sequence
from functools import partial
from typing import NamedTuple

from evaluation.groups.group_blocks import blocks_by_group
from evaluation.metrics.face_regions import FACE_REGIONS
from evaluation.reporting.blocks import Block, block_of
from evaluation.reporting.results import Results, Row
from evaluation.reporting.tables import Layout
from evaluation.scans.data_kinds import BY_PHOTOGRAPH
from evaluation.scans.tables import BASELINES

# "MICC cooperative, genova", also with a group behind; a changed protocol may name several radii in braces.
_PLACE = re.compile(r"(?P<data>\S+)(?: (?P<condition>[^,]+))?, (?P<protocol>(?:\{[^}]*\}|[^,{])+)(?:, .*)?")
MEAN, FAILED = "mean", "failed"
POOLED = ("median of all points", "mean of all points")


class Heading(NamedTuple):
    """What `tables.ConditionColumn.place` names in a row's protocol."""

    data: str
    condition: str
    protocol: str


def heading_of_place(place: str) -> Heading | None:
    """The condition, capitalised, and the protocol of a row; None of rows that are not about scans."""
    found = _PLACE.fullmatch(place)
    if found is None:
        return None
    condition = found["condition"] or "distance"
    return Heading(found["data"], condition[0].upper() + condition[1:], found["protocol"])


def table_1(results: Results) -> list[Block]:
    """A table for each protocol with the mean error of every method in every condition, then by group.

    Below the methods stand the baselines, and below those what the literature says under its own protocol.
    """
    grouped, used = blocks_by_group(results.rows, split=_protocol_and_condition)
    rows = [row for row in results.rows if id(row) not in used]
    blocks: list[Block] = []
    protocols = dict.fromkeys(
        heading.protocol
        for row in rows
        if row.metric == MEAN and (heading := heading_of_place(row.protocol)) is not None
    )
    for protocol in protocols:
        own = [row for row in rows if _protocol_and_condition(row.protocol)[0] == protocol]
        blocks += protocol_blocks(own, protocol)
    return [*blocks, *grouped]


def protocol_blocks(rows: Sequence[Row], protocol: str) -> Iterator[Block]:
    """The mean over subjects, and where the protocol pools all points, their median and mean."""
    missing = {(row.method, row.protocol): row for row in rows if row.metric == FAILED}

    def remark(row: Row) -> str:
        lost = missing.get((row.method, row.protocol))
        if lost is None or row.quoted:
            return ""
        items = _items([row])
        return f"without {lost.value:.0f} of {lost.n} {items}, which failed; subjects.csv says why"

    def condition(row: Row) -> str:
        return _protocol_and_condition(row.protocol)[1]

    placed = partial(block_of, column=condition, part=_part, remark=remark)
    means = [row for row in rows if row.metric == MEAN]
    items = _items(means)
    yield placed(means, f"{protocol}: error in mm, mean over {items}")
    pooled = [row for row in rows if row.metric in POOLED]
    if pooled:
        yield placed(pooled, f"{protocol}: error in mm, all points pooled: median; mean ± sd")
    for region in FACE_REGIONS:
        own = [row for row in rows if row.metric == region]
        if own:
            yield placed(own, f"{protocol}: error in mm in the {region}, mean over {items}")


def _items(rows: Sequence[Row]) -> str:
    """What a mean is taken over."""
    headings = filter(None, (heading_of_place(row.protocol) for row in rows))
    return "photographs" if any(heading.data in BY_PHOTOGRAPH for heading in headings) else "subjects"


def _protocol_and_condition(place: str) -> tuple[str, str]:
    heading = heading_of_place(place)
    return (place, "") if heading is None else (heading.protocol, heading.condition)


def _part(row: Row) -> int:
    return 2 if row.quoted else int(row.method in BASELINES)


LAYOUT = Layout(table_1, "scores", "standard deviation over subjects")
PHOTOGRAPHS_LAYOUT = LAYOUT._replace(
    spread="standard deviation over photographs, and of pooled points over these; intervals resample people"
)
