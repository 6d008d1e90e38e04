"""A run's curves: the rows that its CSV files hold.

A run that was killed and continues trains the steps since its last checkpoint again, with the same values:
these rows are there twice.
"""

import csv
import io
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

LOGS = "logs"


class CurveRow(NamedTuple):
    """What was logged at once.

    Attributes:
        step: of training.
        values: by name.
    """

    step: int
    values: dict[str, float]


def curve_rows(folder: Path, *, until: int | None = None) -> list[CurveRow]:
    """The rows of all starts of a run in their order, up to and with a step, without what was cut off."""
    files = folder.glob(f"{LOGS}/from_step_*/metrics.csv")
    rows = [row for file in sorted(files, key=_first_step) for row in _rows_of(file)]
    return [row for row in rows if until is None or row.step <= until]


def _first_step(file: Path) -> tuple[int, str]:
    figures = file.parent.name.removeprefix("from_step_")
    return int(figures) if figures.isdecimal() else -1, figures


def _rows_of(file: Path) -> Iterator[CurveRow]:
    # A power cut leaves a part of the last line, whose numbers may be cut off, or zeros.
    whole, _, _ = file.read_bytes().rpartition(b"\n")
    text = whole.replace(b"\0", b"").decode("utf-8", "replace")
    for line in csv.DictReader(io.StringIO(text, newline="")):
        values = {name: value for name, word in line.items() if (value := _number(word)) is not None}
        step = values.pop("step", None)
        if step is not None and step.is_integer():
            yield CurveRow(int(step), values)


def _number(word: object) -> float | None:
    try:
        return float(word) if isinstance(word, str) and word else None
    except ValueError:
        return None
