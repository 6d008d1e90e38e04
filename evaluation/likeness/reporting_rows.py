"""The project's reporting protocol as an option of similarity.py and clustering.py."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import torch

from datamodules.lfw import LFW, RetrievalSubset, two_photographs_each
from evaluation.groups.panel import Measurement
from evaluation.likeness.by_group import grouped_photographs, names_checked, with_groups
from evaluation.likeness.comparison import Setting, measure, results_of_photographs
from evaluation.likeness.photographs_of_people import NAMES, PhotographsOfPeople
from evaluation.metrics.reporting_protocol import Scores, hits, photograph_pairs, same_and_different, score
from evaluation.reporting.results import Row
from evaluation.shared.lifecycle import Report
from lightning_modules.plain.stand_in_label import STAND_IN


class Shown(NamedTuple):
    """A figure of `reporting_protocol.Scores` in tables."""

    field: str
    metric: str
    unit: str


SIMILARITY_FIGURES = (
    Shown("area_under_roc", "AUC, the source photograph", "share"),
    Shown("area_under_roc_both", "AUC, both photographs", "share"),
    Shown("mean_same", "mean, one person", "similarity"),
    Shown("mean_different", "mean, two people", "similarity"),
    Shown("distance_to_same", "EMD to one person", "similarity"),
    Shown("distance_to_different", "EMD to two people", "similarity"),
)
RETRIEVAL_FIGURES = (
    Shown("top1", "top-1", "share"),
    Shown("top5", "top-5", "share"),
    Shown("top1_without_source", "top-1, source left out", "share"),
    Shown("top5_without_source", "top-5, source left out", "share"),
)


def protocol_report(
    command: str, setting: Setting, settings: Mapping[str, Any], figures: tuple[Shown, ...]
) -> Report:
    """The scored method, its ceiling and floors under the reporting protocol; `sd` is the jackknife's error.

    People whose rendering failed are left out with both photographs, and counted.

    Raises:
        ValueError: if fewer than three people are left.
    """
    chosen: list[RetrievalSubset] = []

    def choose(people: PhotographsOfPeople) -> np.ndarray:
        chosen.append(subset_of(people, setting.scoring.people))
        return chosen[0].query

    measured = measure(setting, setting.subject.place, choose=choose, check=names_checked(setting))
    kept = np.flatnonzero(np.isin(chosen[0].query, measured.usable))
    if len(kept) < 3:
        raise ValueError(f"the protocol needs at least three people, {len(kept)} are left")
    gallery = measured.photographs[torch.from_numpy(chosen[0].gallery.reshape(-1, 2)[kept].ravel())]
    groups = grouped_photographs(setting, measured)
    pairs = photograph_pairs((gallery @ gallery.T).cpu().numpy())
    place = setting.subject.place
    protocol = f"{NAMES.get(place.kind, STAND_IN)}, {len(kept)} people, two photographs each"
    rows = [
        row
        for method, seen in measured.seen.items()
        for row in scored_rows(method, protocol, score((seen @ gallery.T).cpu().numpy(), pairs), figures)
    ]
    what = f"{command} of {setting.subject.scored.method} under the reporting protocol"
    results = results_of_photographs(command, what, setting, measured, settings, rows)
    report = Report(results, {"photographs": measured.items})
    measurements = [
        each
        for number, (method, seen) in enumerate(measured.seen.items())
        for each in measurements_of(
            method, protocol, (seen @ gallery.T).cpu().numpy(), figures, drawn=number == 0
        )
    ]
    return with_groups(report, setting, measured, groups, measurements)


def measurements_of(
    method: str, protocol: str, similarity: np.ndarray, figures: tuple[Shown, ...], *, drawn: bool
) -> list[Measurement]:
    """Those of the figures that each query has a value of, given similarities [I, 2 I]; see `score`."""
    values = {"mean_same": same_and_different(similarity)[0].mean(1)} | hits(similarity)._asdict()
    return [
        Measurement(method, protocol, figure.metric, figure.unit, values[figure.field], drawn=drawn)
        for figure in figures
        if figure.field in values
    ]


def scored_rows(method: str, protocol: str, scores: Scores, figures: tuple[Shown, ...]) -> list[Row]:
    """A row for each figure."""
    return [
        Row(method, protocol, figure.metric, figure.unit, getattr(scores, figure.field).value,
            sd=getattr(scores, figure.field).standard_error,
            n=len(getattr(scores, figure.field).leave_one_out))
        for figure in figures
    ]  # fmt: skip


def subset_of(people: PhotographsOfPeople, count: int) -> RetrievalSubset:
    """Two photographs each of `count` people: of LFW never of those on whom choices are made."""
    if isinstance(people, LFW):
        return people.retrieval_subset(count)
    return two_photographs_each(people.identity, count, contents=people.dataset.faces.digest)
