"""Photographs by group: what `--groups` adds to the reports of similarity.py and clustering.py."""

from collections.abc import Callable, Sequence

from datamodules.cheeks import cheek_colours
from evaluation.group_panel import Measurement, panel_of
from evaluation.groups import Grouped, grouped
from evaluation.label_files import Named, matched
from evaluation.measured import Measured, Setting
from evaluation.people import People, item_names
from evaluation.reports import Report


def names_checked(setting: Setting) -> Callable[[People], None]:
    """Refuses photographs of which a file of labels names none, before anything is rendered."""

    def check(people: People) -> None:
        names = item_names(people)
        items = Named([people.people[person] for person in people.identity], names)
        for file in setting.groups.sources.files:
            matched(file, items, str(setting.subject.place))

    return check


def grouped_photographs(setting: Setting, measured: Measured) -> Grouped | None:
    """The photographs that have a rendering, by group; None where no groups are asked for."""
    sources = setting.groups.sources
    if not sources:
        return None
    names, people = item_names(measured.people), measured.people
    return grouped(
        sources,
        Named([people.people[person] for person in measured.identity], [names[i] for i in measured.usable]),
        str(measured.place),
        lambda: cheek_colours(people.dataset, measured.usable, progress=setting.execution.progress),
    )


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
    rows = [*report.results.rows, *groups.rows, *panel.rows]
    return Report(
        report.results._replace(rows=rows),
        {**report.items, "groups": panel.table},
        {**report.figures, "groups": panel.figure},
    )
