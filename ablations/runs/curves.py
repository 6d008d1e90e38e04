"""A run's curves: the rows that its CSV files hold.

A run that was killed and continues trains the steps since its last checkpoint again, with the same values:
these rows are there twice.
"""

import csv
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
    """The rows of all starts of a run, up to and with a step, without values that were cut off."""
    rows = []
    for file in sorted(folder.glob(f"{LOGS}/from_step_*/metrics.csv")):
        with file.open(encoding="utf-8", newline="") as stream:
            for line in csv.DictReader(stream):
                values = {name: value for name, text in line.items() if (value := _number(text)) is not None}
                step = values.pop("step", None)
                if step is not None and (until is None or step <= until):
                    rows.append(CurveRow(int(step), values))
    return rows


def _number(text: str | None) -> float | None:
    try:
        return float(text) if text else None
    except ValueError:
        return None
