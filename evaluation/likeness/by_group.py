"""Photographs by group: what `--groups` adds to the reports of similarity.py and clustering.py."""

from collections.abc import Callable, Sequence

import numpy as np

from datamodules.cheeks import cheek_colours
from evaluation.groups.label_files import Named, matched
from evaluation.groups.options import Grouped, grouped
from evaluation.groups.panel import Measurement, panel_of, with_panel
from evaluation.likeness.comparison import Measured, Setting
from evaluation.likeness.photographs_of_people import PhotographsOfPeople, item_names
from evaluation.metrics.grouping import yellowish
from evaluation.metrics.skin_tone import agreement_within_people, individual_typology_angle, lab
from evaluation.reporting.results import Row
from evaluation.shared.lifecycle import Report


def names_checked(setting: Setting) -> Callable[[PhotographsOfPeople], None]:
    """Refuses photographs of which a file of labels names none, before anything is rendered."""

    def check(people: PhotographsOfPeople) -> None:
        names = item_names(people)
        items = Named([people.people[person] for person in people.identity], names)
        for file in setting.groups.sources.files:
            matched(file, items, str(setting.subject.place))

    return check


def grouped_photographs(setting: Setting, measured: Measured) -> Grouped | None:
    """The photographs that have a rendering, by group; None where no groups are asked for."""
    sources, people = setting.groups.sources, measured.people
    if not sources:
        return None
    rows, colours = [], np.empty((0, 3))
    if sources.skin_tone:
        progress = setting.execution.progress
        colours = cheek_colours(people.dataset, measured.usable, progress=progress)
        rows = repeated_tone_rows(measured, colours)
    names = item_names(people)
    items = Named(
        [people.people[person] for person in measured.identity], [names[i] for i in measured.usable]
    )
    found = grouped(sources, items, str(measured.place), colours)
    return found._replace(rows=[*found.rows, *rows])


def repeated_tone_rows(measured: Measured, colours: np.ndarray) -> list[Row]:
    """How well the skin tones [N, 3] of two photographs of one person agree; none without such pairs."""
    known = yellowish(colours)
    angles = individual_typology_angle(lab(colours[known]))
    value, count = agreement_within_people(angles, measured.identity[known])
    if np.isnan(value):
        return []
    metric = "rank correlation of ITA, two photographs of one person"
    return [Row("photographs", measured.name, metric, "", value, n=count)]


def with_groups(
    report: Report,
    setting: Setting,
    measured: Measured,
    groups: Grouped | None,
    measurements: Sequence[Measurement],
) -> Report:
    """A report with rows, a table and a figure by group.

    Args:
        report: without them.
        setting: of the command.
        measured: the photographs.
        groups: of them; None adds nothing.
        measurements: of them.
    """
    if groups is None:
        return report
    panel = panel_of(
        measurements, groups.groupings, measured.identity,
        title=report.results.title, least_people=setting.groups.smallest_group,
    )  # fmt: skip
    return with_panel(report, groups.rows, panel)
