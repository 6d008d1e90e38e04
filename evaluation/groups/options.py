"""`--groups`: an evaluation's results by groups of people or photographs, for all commands that have it.

The paper's section 5 admits that results depend on who is photographed. Groups come from a file of labels, or
from the skin tone that a photograph shows.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from evaluation.groups.label_files import LabelFile, Matched, Named, matched, read_labels
from evaluation.metrics.group_means import LEAST_PEOPLE
from evaluation.metrics.grouping import Grouping, age_grouping, grouping, tone_grouping
from evaluation.reporting.results import Row
from lightning_modules.plain.files import sha256_of_file
from lightning_modules.plain.number_types import AtLeastTwo
from lightning_modules.plain.quotations import first_of

SKIN_TONE = "skin-tone"
AGE = "age"


@dataclass(frozen=True)
class Groups:
    """By which groups results are shown, too.

    Attributes:
        groups: a CSV file (a header; the name of a person, or a photograph's path, then labels such as sex or
            age; numbers in a column named age are put in bands), or skin-tone (the individual typology angle
            of the photograph's cheeks, in six bands), or both, separated by a blank.
        group_columns: which of the file's labels, such as sex age; all if not given.
        smallest_group: groups of fewer people are shown but not compared.
    """

    groups: tuple[str, ...] = ()
    group_columns: tuple[str, ...] = ()
    smallest_group: AtLeastTwo = LEAST_PEOPLE


class Sources(NamedTuple):
    """Where groups come from: files of labels, and whether from the photographs' skin tone."""

    files: list[LabelFile]
    skin_tone: bool

    @property
    def paths(self) -> list[Path]:
        """The files."""
        return [file.path for file in self.files]

    def __bool__(self) -> bool:
        return bool(self.files) or self.skin_tone


NO_GROUPS = Sources([], False)


class Grouped(NamedTuple):
    """Items by several labels.

    Attributes:
        groupings: one for each label.
        rows: how many names of the files are an item's.
    """

    groupings: list[Grouping]
    rows: list[Row]


def sources_of(options: Groups) -> Sources:
    """What `--groups` names, read and checked.

    Raises:
        FileNotFoundError: if a file is missing.
        ValueError: if a file is no table of labels, lacks a column, or the smallest group is none.
    """
    if not options.groups:
        if options.group_columns:
            raise ValueError("--group-columns are of a file of labels; give --groups FILE.csv")
        return NO_GROUPS
    paths = [Path(part).expanduser() for part in options.groups if part != SKIN_TONE]
    if options.group_columns and not paths:
        raise ValueError("--group-columns are of a file of labels; give --groups FILE.csv")
    return Sources([read_labels(path, options.group_columns) for path in paths], SKIN_TONE in options.groups)


def settings_of_groups(options: Groups, sources: Sources) -> dict[str, Any]:
    """What results depend on: the files' content, whatever they are called; nothing without groups."""
    if not sources:
        return {}
    return {
        "groups": [sha256_of_file(file.path) for file in sources.files] + [SKIN_TONE] * sources.skin_tone,
        "group_columns": list(options.group_columns),
        "smallest_group": options.smallest_group,
    }


def grouped(sources: Sources, items: Named, place: str, colours: np.ndarray) -> Grouped:
    """Items by every label that is asked for; says how many of the files' names are theirs.

    Args:
        sources: of the labels.
        items: people and photographs.
        place: of them, for errors.
        colours: [N, 3], of each item's cheeks, sRGB in [0, 1]; [0, 3] where skin tone is not asked for.

    Raises:
        ValueError: if no name of a file is an item's, an age is none, or two labels have one name.
    """
    groupings: list[Grouping] = []
    rows: list[Row] = []
    for file in sources.files:
        found = matched(file, items, place)
        print(matched_sentence(file, found, place))
        groupings += _groupings(file, found.labels)
        total = len(found.used) + len(found.unknown)
        metric = f"names in {file.path.name} that are known"
        rows.append(Row("labels", place, metric, "count", len(found.used), n=total))
    if sources.skin_tone:
        groupings.append(tone_grouping(colours))
    labels = [each.label for each in groupings]
    twice = {label for label in labels if labels.count(label) > 1}
    if twice:
        raise ValueError(
            f"the label {sorted(twice)[0]} is given twice; keep one, or choose by --group-columns"
        )
    return Grouped(groupings, rows)


def matched_sentence(file: LabelFile, found: Matched, place: str) -> str:
    """How many of a file's names are in a data set, and some of those that are not."""
    total = len(found.used) + len(found.unknown)
    sentence = f"{len(found.used):,} of {total:,} names in {file.path} are people or photographs of {place}"
    if not found.unknown:
        return sentence
    return f"{sentence}; not known: {first_of(found.unknown, 3)}"


def _groupings(file: LabelFile, labels: Mapping[str, Sequence[str]]) -> list[Grouping]:
    try:
        return [
            (age_grouping if label.lower() == AGE else grouping)(label, texts)
            for label, texts in labels.items()
        ]
    except ValueError as error:
        raise ValueError(f"{file.path}: {error}") from error
