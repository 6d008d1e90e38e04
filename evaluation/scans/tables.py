"""Rows, tables and curves of scores against scans."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import NamedTuple

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from scipy.stats import kendalltau

from evaluation.metrics.scan_protocols import GENOVA, ScanProtocol
from evaluation.metrics.score_summary import cumulative_curve, summarise
from evaluation.reporting.figures import Line, line_figure
from evaluation.reporting.results import Counts, Row
from evaluation.scans.methods import ANY_CONDITION, MEAN_FACE, ORACLE, RANDOM_FACE, Frames
from evaluation.scans.records import ScoreRecord, pooled_heaps
from lightning_modules.plain.failures import counted_by_kind

BASELINES = (MEAN_FACE, RANDOM_FACE, ORACLE)
# Genova et al. 2018, table 1: mean and standard deviation over MICC's 53 subjects, in mm.
QUOTED = {
    "Tran et al. 2017, in Genova et al. 2018": {
        "cooperative": (1.93, 0.27), "indoor": (2.02, 0.25), "outdoor": (1.86, 0.23),
    },
    "Genova et al. 2018": {"cooperative": (1.50, 0.13), "indoor": (1.50, 0.11), "outdoor": (1.48, 0.11)},
}  # fmt: skip
LONGEST_CURVE_MM, CURVE_POINTS = 6.0, 241


class ConditionColumn(NamedTuple):
    """The scores of one method in one condition under one protocol, one for each subject.

    Attributes:
        method: the name.
        condition: of the table; a method that has one mesh for all conditions is in each.
        protocol: the preset's name.
        records: one for each subject, the best of its scans where the protocol says so.
    """

    method: str
    condition: str
    protocol: str
    records: list[ScoreRecord]

    @property
    def values(self) -> list[float]:
        """In mm, NaN where there is none."""
        return [np.nan if record.value_mm is None else record.value_mm for record in self.records]

    def place(self, data: str) -> str:
        """The protocol of its rows, the data set being called so."""
        where = data if self.condition == ANY_CONDITION else f"{data} {self.condition}"
        return f"{where}, {self.protocol}"

    @property
    def failures(self) -> list[str | None]:
        """Why there is none."""
        return [record.failure or None for record in self.records]


def columns_of(
    records: Sequence[ScoreRecord], protocols: Sequence[ScanProtocol], conditions: Sequence[str]
) -> list[ConditionColumn]:
    """All scores by protocol, condition and method, in this order; methods as they come, the oracle last."""
    grouped: dict[tuple[str, str, str], dict[str, list[ScoreRecord]]] = {}
    for record in records:
        key = (record.protocol, record.condition, record.method)
        grouped.setdefault(key, {}).setdefault(record.subject, []).append(record)
    methods = list(dict.fromkeys(record.method for record in records))
    columns = []
    for protocol in protocols:
        for condition in conditions:
            for method in methods:
                by_subject = next(
                    (grouped[key] for c in (condition, ANY_CONDITION)
                     if (key := (protocol.name, c, method)) in grouped),
                    None,
                )  # fmt: skip
                if by_subject is not None:
                    best = [_best(scores) for scores in by_subject.values()]
                    columns.append(ConditionColumn(method, condition, protocol.name, best))
    return columns


def _best(scores: Sequence[ScoreRecord]) -> ScoreRecord:
    """The least score of a subject's scans; a failed one only where all failed."""
    return min(scores, key=lambda record: np.inf if record.value_mm is None else record.value_mm)


# ---------------------------------------------------------------------- rows


def rows_of(
    columns: Sequence[ConditionColumn], protocols: Sequence[ScanProtocol], data: str, *, with_quoted: bool
) -> list[Row]:
    """Mean, median and RMSE over subjects, kept share and rank of each method; the literature's beside.

    Args:
        columns: see `columns_of`.
        protocols: by which they were scored.
        data: the data set's name in the rows.
        with_quoted: whether the data set is the quoted rows' own; they stand beside its preset `genova` only.
    """
    pools = {p.name for p in protocols if p.reported == "pooled over all points"}
    rows: list[Row] = []
    previous = None
    for column in columns:
        place = column.place(data)
        if with_quoted and column.protocol == GENOVA.name and place != previous:
            rows += quoted_rows(place, column.condition)
        previous = place
        rows += column_rows(column, place, pooled=column.protocol in pools)
        rank = ranks(columns, column.protocol, column.condition).get(column.method)
        if rank is not None:
            rows.append(Row(column.method, place, "rank", "count", rank))
    return rows


def column_rows(column: ConditionColumn, place: str, *, pooled: bool) -> list[Row]:
    """The figures of one method in one condition."""
    people = [record.person or record.subject for record in column.records]
    summary = summarise(column.values, column.failures, people=people)
    n, method = summary.used, column.method
    if not n:
        kinds = ", ".join(f"{count} {kind}" for kind, count in summary.failed.items())
        return [Row(method, place, "mean", "mm", None, n=0, reason=f"no subject has a score: {kinds}")]
    used = [record for record in column.records if record.value_mm is not None]
    sd = None if n < 2 else summary.sd
    rows = [
        Row(method, place, "mean", "mm", summary.mean, sd, summary.mean_interval, n),
        Row(method, place, "median", "mm", summary.median, None, summary.median_interval, n),
        Row(method, place, "RMSE", "mm", summary.rmse, None, summary.rmse_interval, n),
        Row(method, place, "kept", "share", float(np.mean([record.kept for record in used])), n=n),
    ]
    for region in used[0].regions or ():
        values = [record.regions[region] for record in used if record.regions]
        spread = float(np.std(values, ddof=1)) if n > 1 else None
        rows.append(Row(method, place, region, "mm", float(np.mean(values)), spread, n=len(values)))
    if pooled:
        median, mean, spread = pooled_heaps([record.heap for record in used if record.heap is not None])
        rows += [
            Row(method, place, "median of all points", "mm", median, n=n),
            Row(method, place, "mean of all points", "mm", mean, spread, n=n),
        ]
    if n < summary.total:
        rows.append(Row(method, place, "failed", "count", summary.total - n, n=summary.total))
    return rows


def quoted_rows(place: str, condition: str) -> list[Row]:
    """The literature's figures of a condition, marked as quoted."""
    return [
        Row(method, place, "mean", "mm", *values[condition], n=53, quoted=True)
        for method, values in QUOTED.items()
        if condition in values
    ]


def frame_rows(method: str, data: str, frames: Mapping[str, Frames]) -> list[Row]:
    """How many frames each condition has, and how many of them show no face."""
    return [
        row
        for condition, seen in frames.items()
        for row in (
            Row(method, f"{data} {condition}, frames", "frames", "count", seen.total),
            Row(method, f"{data} {condition}, frames", "without a face", "count", sum(seen.without.values())),
        )
    ]


def counts_of(columns: Sequence[ConditionColumn]) -> Counts:
    """Scores by what became of them: one for each subject, method, condition and protocol."""
    records = [record for column in columns for record in column.records]
    failed = counted_by_kind(record.failure for record in records if record.failure)
    return Counts(len(records), len(records) - sum(failed.values()), failed)


# ---------------------------------------------------------------------- rankings


def ranks(columns: Sequence[ConditionColumn], protocol: str, condition: str) -> dict[str, int]:
    """Methods by their mean over the subjects that all of them have, best first, from 1.

    A method without any score has no rank.
    """
    chosen = [c for c in columns if (c.protocol, c.condition) == (protocol, condition)]
    scored = [c for c in chosen if np.isfinite(c.values).any()]
    if not scored:
        return {}
    common = np.isfinite([c.values for c in scored]).all(0)
    if not common.any():
        return {}
    means = [float(np.mean(np.array(c.values)[common])) for c in scored]
    order = sorted(range(len(scored)), key=means.__getitem__)
    return {scored[index].method: rank for rank, index in enumerate(order, 1)}


def ranking_table(columns: Sequence[ConditionColumn]) -> pd.DataFrame:
    """A line for each protocol and condition: the rank of each method, and the agreement with the first.

    The agreement is Kendall's tau between the order of the methods here and under the first protocol in the
    same condition; NaN where fewer than two methods have ranks in both.
    """
    places = list(dict.fromkeys((c.protocol, c.condition) for c in columns))
    lines = []
    for protocol, condition in places:
        here = ranks(columns, protocol, condition)
        there = ranks(columns, places[0][0], condition)
        both = [method for method in here if method in there]
        agreement = np.nan
        if len(both) > 1:
            agreement = kendalltau([here[m] for m in both], [there[m] for m in both]).statistic
        lines.append({"protocol": protocol, "condition": condition, **here, "agreement": agreement})
    return pd.DataFrame(lines)


def ranking_sentences(columns: Sequence[ConditionColumn]) -> Iterator[str]:
    """For each condition the methods from best to worst, once for all protocols that agree on their order."""
    places: dict[tuple[str, str], list[str]] = {}
    for protocol, condition in dict.fromkeys((c.protocol, c.condition) for c in columns):
        order = " < ".join(ranks(columns, protocol, condition)) or "no method has a score"
        places.setdefault((condition, order), []).append(protocol)
    for (condition, order), protocols in sorted(places.items(), key=lambda item: item[0][0]):
        yield f"{condition}, {', '.join(protocols)}: {order}"


# ---------------------------------------------------------------------- items and figures


def subject_table(records: Sequence[ScoreRecord]) -> pd.DataFrame:
    """Every score with all that is known of it, one line each, failed ones included."""
    lines = []
    for record in records:
        line = {name: value for name, value in asdict(record).items() if name not in ("heap", "regions")}
        lines.append(line | {f"{name}_mm": value for name, value in (record.regions or {}).items()})
    return pd.DataFrame(lines)


def curve_figure(columns: Sequence[ConditionColumn], title: str) -> Figure:
    """The share of subjects up to each error, failed ones included, for one protocol and condition."""
    thresholds = np.linspace(0, LONGEST_CURVE_MM, CURVE_POINTS)
    lines = []
    for column in columns:
        values = [value for value in column.values if np.isfinite(value)]
        curve = cumulative_curve(values, len(column.values) - len(values), thresholds)
        lines.append(Line(column.method, thresholds, 100 * curve.shares, dashed=column.method in BASELINES))
    figure, axes = line_figure(title, "error of a subject (mm)", "subjects (%)", lines)
    axes.set_xlim(0, LONGEST_CURVE_MM)
    return figure
