"""`--groups FILE.csv`: labels of people or photographs, and which of a data set's they belong to."""

import csv
from collections import Counter
from collections.abc import Mapping, Sequence
from io import StringIO
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from datamodules.alignment.images import EXTENSIONS
from lightning_modules.plain.files import read_text
from lightning_modules.plain.letters import composed
from lightning_modules.plain.quotations import shortened


class LabelFile(NamedTuple):
    """A table of labels.

    Attributes:
        path: of it.
        labels: by column, by the name of a person or photograph; empty where the cell is.
    """

    path: Path
    labels: Mapping[str, Mapping[str, str]]

    @property
    def names(self) -> list[str]:
        """Of people and photographs."""
        return list(next(iter(self.labels.values())))


class Named(NamedTuple):
    """What labels are for.

    Attributes:
        people: [N], the person of each item.
        photographs: [N], each item's photograph as <folder>/<name without suffix>; empty for other items.
    """

    people: Sequence[str]
    photographs: Sequence[str]


class Matched(NamedTuple):
    """Labels of items.

    Attributes:
        labels: by column, the label [N] of each item, empty where it has none.
        used: names of the file that are an item's.
        unknown: names of the file that are nobody's.
    """

    labels: Mapping[str, list[str]]
    used: list[str]
    unknown: list[str]


def read_labels(path: Path, columns: Sequence[str] = ()) -> LabelFile:
    """The labels of a CSV file: a header, a name in the first column, a label in each other one.

    Cells may also be parted by semicolons or tabs, as spreadsheets write them.

    Args:
        path: of the file.
        columns: which labels; all by default.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it is empty, no such table, names something twice, or lacks a column.
    """
    if not path.is_file():
        raise FileNotFoundError(f"--groups {path} is no file; give a CSV file of labels, or skin-tone")
    header, lines = _table(path)
    names = [name_of(line[0]) for line in lines]
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise ValueError(
            f"{path} names {shortened(twice[0])} more than once; keep one line of each person or photograph"
        )
    wanted = list(columns) or header[1:]
    unknown = [column for column in wanted if column not in header[1:]]
    if unknown:
        raise ValueError(
            f"{path} has no column {unknown[0]!r} of labels; it has {shortened(', '.join(header[1:]))}"
        )
    return LabelFile(
        path,
        {
            column: dict(zip(names, (line[header.index(column, 1)].strip() for line in lines), strict=True))
            for column in wanted
        },
    )


def name_of(cell: str) -> str:
    """A person's name, or the end of a photograph's path without suffix: <folder>/<name>, or <name>."""
    path = PurePosixPath(composed(cell.strip()).replace("\\", "/"))
    name = "/".join(path.parts[-2:])
    return name[: name.rindex(".")] if path.suffix.lower() in EXTENSIONS else name


def matched(file: LabelFile, items: Named, place: str) -> Matched:
    """The labels of items by their photograph's name, or else by their person's.

    A photograph is named by the end of its path (Name/Name_0001), or by its last part where that fits one.

    Args:
        file: the labels.
        items: what they are for.
        place: of the items, for the error.

    Raises:
        ValueError: if no name of the file is a person or photograph.
    """
    last_parts = Counter(photograph.rpartition("/")[2] for photograph in items.photographs)
    known = set(file.names)
    chosen, used = [], set()
    for person, photograph in zip(items.people, items.photographs, strict=True):
        last = photograph.rpartition("/")[2]
        candidates = [photograph, *([last] if last_parts[last] == 1 else []), person]
        candidates = [composed(name) for name in candidates]
        mine = [name for name in candidates if name in known]
        chosen.append(mine[0] if mine else None)
        used.update(mine)
    if not used:
        examples = next(iter(zip(items.people, items.photographs, strict=True)), ("Name", "Name/Name_0001"))
        raise ValueError(
            f"none of the {len(known)} names in {file.path} is a person or photograph of {place}; expected "
            f"names such as {' or '.join(filter(None, examples))}"
        )
    labels = {
        column: ["" if name is None else texts[name] for name in chosen]
        for column, texts in file.labels.items()
    }
    return Matched(
        labels,
        [name for name in file.names if name in used],
        [name for name in file.names if name not in used],
    )


def _table(path: Path) -> tuple[list[str], list[list[str]]]:
    """The header, and lines of its length."""
    try:
        text = read_text(path)
        first = text.lstrip().partition("\n")[0]
        reader = csv.reader(StringIO(text), delimiter=next((mark for mark in ",;\t" if mark in first), ","))
        numbered = [(reader.line_num, line) for line in reader if any(cell.strip() for cell in line)]
    except (ValueError, csv.Error) as error:
        raise ValueError(f"{path} is no CSV file in UTF-8 ({error}); save it as one") from error
    if len(numbered) < 2:
        raise ValueError(
            f"{path} holds no labels; expected a header such as name,sex,age and a line for each person"
        )
    header = [cell.strip() for cell in numbered[0][1]]
    if len(header) < 2 or not all(header[1:]) or len(set(header)) < len(header):
        raise ValueError(
            f"the header of {path} must be a name and labels that differ, such as name,sex,age; got "
            f"{shortened(','.join(header))}"
        )
    for number, line in numbered[1:]:
        if len(line) != len(header) or not line[0].strip():
            raise ValueError(
                f"line {number} of {path} must be a name and {len(header) - 1} labels, as the header is; got "
                f"{shortened(','.join(line))}"
            )
    return header, [line for _, line in numbered[1:]]
