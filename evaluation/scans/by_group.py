"""Subjects with scans by group: what `--groups` adds to the report of micc.py."""

from collections.abc import Sequence

import numpy as np

from datamodules.alignment.crops import Selection
from datamodules.alignment.detection import DetectorName
from datamodules.cheeks import footage_cheek_colour
from datamodules.scan_folders import Subject
from evaluation.groups.label_files import Named
from evaluation.groups.options import Grouped, Sources, grouped
from evaluation.groups.panel import Measurement, panel_of, with_panel
from evaluation.scans.methods import RANDOM_FACE
from evaluation.scans.tables import ConditionColumn
from evaluation.shared.lifecycle import Report


def grouped_subjects(
    sources: Sources, subjects: Sequence[Subject], place: str, *, detector: DetectorName, faces: Selection
) -> Grouped | None:
    """Subjects by group, skin tone by their first footage; None where no groups are asked for.

    Args:
        sources: of the labels.
        subjects: the people.
        place: of them, for errors.
        detector: finds faces in footage.
        faces: which of a frame's faces is used.
    """
    if not sources:
        return None

    colours = np.empty((0, 3))
    if sources.skin_tone:
        colours = np.stack([_colour(subject, detector, faces) for subject in subjects])
    names = [subject.name for subject in subjects]
    return grouped(sources, Named(names, [""] * len(names)), place, colours)


def _colour(subject: Subject, detector: DetectorName, faces: Selection) -> np.ndarray:
    for path in subject.footage.values():
        return footage_cheek_colour(path, detector=detector, faces=faces)
    return np.full(3, np.nan, np.float32)


def with_groups(
    report: Report,
    columns: Sequence[ConditionColumn],
    subjects: Sequence[str],
    groups: Grouped,
    *,
    label: str,
    least_people: int,
) -> Report:
    """A report with rows, a table and a figure of mean errors by group.

    Args:
        report: without them.
        columns: the scores; the first one's method is drawn, under its protocol.
        subjects: names [S] of the people.
        groups: of them.
        label: the data set's name in rows.
        least_people: groups of fewer are not compared.
    """
    panel = panel_of(
        [measurement_of(column, subjects, label, columns[0]) for column in columns if is_shown(column)],
        groups.groupings, np.arange(len(subjects)), title=report.results.title,
        least_people=least_people, items="subjects", group_in_protocol=True,
    )  # fmt: skip
    return with_panel(report, groups.rows, panel)


def is_shown(column: ConditionColumn) -> bool:
    """Whether a method has scores, and is not the random face, whose errors say nothing of anybody."""
    return column.method != RANDOM_FACE and bool(np.isfinite(column.values).any())


def measurement_of(
    column: ConditionColumn, subjects: Sequence[str], label: str, first: ConditionColumn
) -> Measurement:
    """The errors of a method, in the subjects' order; NaN where a subject has none."""
    error = {record.subject: value for record, value in zip(column.records, column.values, strict=True)}
    return Measurement(
        column.method, column.place(label), "mean", "mm",
        np.array([error.get(name, np.nan) for name in subjects]),
        drawn=(column.method, column.protocol) == (first.method, first.protocol),
    )  # fmt: skip
