"""Results by group as rows, as a table and as a figure of bars."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch
from matplotlib.figure import Figure

from evaluation.metrics.group_means import GroupComparison, compare_groups
from evaluation.metrics.grouping import Grouping
from evaluation.reporting.figures import Bar, bar_figure
from evaluation.reporting.results import NOT_COMPARED, Row
from evaluation.shared.lifecycle import Report

SEED = 0  # of the bootstrap


class Measurement(NamedTuple):
    """One figure of a method that has a value for each item.

    Attributes:
        method: its name.
        protocol: data set and way of measuring.
        metric: what was measured.
        unit: of it.
        values: [N], NaN where an item has none.
        drawn: whether it goes into the figure.
    """

    method: str
    protocol: str
    metric: str
    unit: str
    values: np.ndarray
    drawn: bool = True


class Panel(NamedTuple):
    """Results by group.

    Attributes:
        rows: for results.json.
        table: a line for each measurement and group.
        figure: the drawn measurements, one below another, the labels side by side.
    """

    rows: list[Row]
    table: pd.DataFrame
    figure: Figure


def panel_of(
    measurements: Sequence[Measurement],
    groupings: Sequence[Grouping],
    identity: np.ndarray,
    *,
    title: str,
    least_people: int,
    items: str = "photographs",
    group_in_protocol: bool = False,
) -> Panel:
    """All measurements by all labels.

    Args:
        measurements: of the same N items.
        groupings: of them.
        identity: [N], the person of each item.
        title: of the figure.
        least_people: groups of fewer are shown but not compared.
        items: what items are called.
        group_in_protocol: in rows, name the group in the protocol and not in the metric: for tables with a
            column a metric.
    """
    rows, lines = [], []
    bars: dict[tuple[str, str], list[Bar]] = {}
    counted: set[tuple[str, ...]] = set()
    for measurement in measurements:
        for groups in groupings:
            found = compare_groups(
                measurement.values, groups, identity, torch.Generator().manual_seed(SEED),
                least_people=least_people,
            )  # fmt: skip
            named = NamedRows(measurement, group_in_protocol)
            of_protocol = (measurement.protocol, groups.label)
            if of_protocol not in counted:
                rows += count_rows(named, groups, found, items)
            if (measurement.method, *of_protocol) not in counted:
                rows += missing_rows(named, groups, found)
            counted |= {of_protocol, (measurement.method, *of_protocol)}
            rows += mean_rows(named, groups, found, items)
            rows.append(difference_row(named, groups, found, least_people))
            lines += table_lines(measurement, groups, found, items)
            if measurement.drawn:
                heading = f"{measurement.protocol}\n{measurement.metric} ({measurement.unit})"
                bars[heading, groups.label] = bars_of(groups, found)
    return Panel(rows, pd.DataFrame(lines), bar_figure(title, bars, footnote(least_people)))


def with_panel(report: Report, rows: Sequence[Row], panel: Panel) -> Report:
    """A report with a panel's rows, table and figure, and further rows before them."""
    return Report(
        report.results._replace(rows=[*report.results.rows, *rows, *panel.rows]),
        {**report.items, "groups": panel.table},
        {**report.figures, "groups": panel.figure},
    )


class NamedRows(NamedTuple):
    """Makes rows of a measurement, naming what they are a part of in the metric, or else in the protocol."""

    measurement: Measurement
    in_protocol: bool

    def row(self, what: str, part: str, unit: str, value: float | None, **more: Any) -> Row:  # noqa: ANN401 - Row's
        """A row; its other fields by their names."""
        protocol = self.measurement.protocol
        protocol, metric = (
            (f"{protocol}, {part}", what) if self.in_protocol else (protocol, f"{what}, {part}")
        )
        return Row(self.measurement.method, protocol, metric, unit, value, **more)


def count_rows(named: NamedRows, groups: Grouping, found: GroupComparison, items: str) -> list[Row]:
    """How many items each group has with the first method, and how many people they belong to."""
    rows = []
    for name, mean in zip(groups.names, found.means, strict=True):
        counts = {items: mean.count}
        if mean.people != mean.count:
            counts["people"] = mean.people
        rows += [named.row(what, f"{groups.label}: {name}", "count", count) for what, count in counts.items()]
    return rows


def missing_rows(named: NamedRows, groups: Grouping, found: GroupComparison) -> list[Row]:
    """How many items of each group have no value of the method, where there are any."""
    return [
        named.row("without a value", f"{groups.label}: {name}", "count", mean.missing)
        for name, mean in zip(groups.names, found.means, strict=True)
        if mean.missing
    ]


def mean_rows(named: NamedRows, groups: Grouping, found: GroupComparison, items: str) -> list[Row]:
    """Each group's mean, n its items."""
    _, _, metric, unit = named.measurement[:4]
    return [
        named.row(
            metric, f"{groups.label}: {name}", unit, mean.value if mean.count else None,
            interval=mean.interval, n=mean.count,
            reason=None if mean.count else f"none of {mean.missing} {items} has a value",
        )
        for name, mean in zip(groups.names, found.means, strict=True)
    ]  # fmt: skip


def difference_row(named: NamedRows, groups: Grouping, found: GroupComparison, least_people: int) -> Row:
    """The largest difference between two groups, or why there is none; n are the groups compared."""
    _, _, metric, unit = named.measurement[:4]
    count, largest, part = int(found.compared.sum()), found.largest, f"largest difference by {groups.label}"
    if largest is None:
        reason = f"{NOT_COMPARED}: {count} of the groups have {least_people} or more people"
        return named.row(metric, part, unit, None, n=count, reason=reason)
    pair = f"{groups.names[largest.higher]} minus {groups.names[largest.lower]}"
    return named.row(metric, f"{part}: {pair}", unit, largest.value, interval=largest.interval, n=count)


def table_lines(
    measurement: Measurement, groups: Grouping, found: GroupComparison, items: str
) -> list[dict[str, object]]:
    """A line for each group."""
    return [
        dict(zip(("method", "protocol", "metric", "unit"), measurement[:4], strict=True))
        | {"label": groups.label, "group": name, "mean": mean.value}
        | dict(zip(("low", "high"), mean.interval or (None, None), strict=True))
        | {items: mean.count, "people": mean.people, "without a value": mean.missing}
        | {"compared": bool(compared)}
        for name, mean, compared in zip(groups.names, found.means, found.compared, strict=True)
    ]


def bars_of(groups: Grouping, found: GroupComparison) -> list[Bar]:
    """A bar for each group that has a value; pale where it is not compared."""
    return [
        Bar(f"{name}\nn = {mean.count:,}", mean.value, mean.interval, pale=not compared)
        for name, mean, compared in zip(groups.names, found.means, found.compared, strict=True)
        if mean.count
    ]


def footnote(least_people: int) -> str:
    """What a figure of bars must say."""
    return f"Bars: 95 % intervals, people resampled. Pale: no label, or fewer than {least_people} people."
