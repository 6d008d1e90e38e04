"""Reads what the cells of a study left behind."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from ablations.runs.curves import curve_rows
from evaluation.reporting.results import read_results
from evaluation.reporting.studies import Metric, Study

from . import cell
from .designs import Cell

RUN = "run"
# The evaluations of a cell, by folder, and what of each is taken; a training's people are no one's stand-in.
PEOPLE, STAND_IN = "people", "stand-in"
ITEMS = "people.csv"
GEOMETRY = ("shape error",)


class LossCurve(NamedTuple):
    """One logged figure of one cell.

    Attributes:
        steps: [N].
        values: [N].
    """

    steps: np.ndarray
    values: np.ndarray


def study_of(folder: Path, cells: Sequence[Cell], design: str) -> tuple[Study | None, dict[str, str]]:
    """All that finished cells measured, and why others are missing.

    Only seeds of which every variant is there are compared; no study where there is none.
    """
    missing = {one.name: reason for one in cells if (reason := why_missing(folder / one.name)) is not None}
    variants = list(dict.fromkeys(one.off for one in cells))
    seeds = list(dict.fromkeys(one.seed for one in cells))
    complete = [seed for seed in seeds if not any(Cell(off, seed).name in missing for off in variants)]
    for seed in set(seeds) - set(complete):
        for off in variants:
            missing.setdefault(Cell(off, seed).name, f"left out: another variant of seed {seed} is missing")
    if not complete:
        return None, missing
    folders = [[folder / Cell(off, seed).name for seed in complete] for off in variants]
    return Study(variants, complete, metrics_of(folders), design), missing


def why_missing(folder: Path) -> str | None:
    """Why a cell has no result; None where it has."""
    state = cell.read_state(folder)
    if state.get("state") == cell.FINISHED:
        return None
    return state.get("reason", "not finished")


def metrics_of(folders: Sequence[Sequence[Path]]) -> list[Metric]:
    """Every figure of cells [V][S], with every person's part in it.

    Raises:
        ValueError: if cells were scored on different people.
    """
    metrics = []
    for evaluation in (PEOPLE, STAND_IN):
        if not (folders[0][0] / evaluation).is_dir():
            continue
        tables = [[_people_of(one / evaluation) for one in row] for row in folders]
        first = tables[0][0]
        if any(not table["person"].equals(first["person"]) for row in tables for table in row):
            raise ValueError(f"the cells of {folders[0][0].parent.parent} were scored on different people")
        results = read_results(folders[0][0] / evaluation)
        units = {row.metric: row.unit for row in results.rows}
        protocol = results.rows[0].protocol
        names = [name for name in first.columns if name != "person"]
        if evaluation == STAND_IN:
            names = [name for name in names if name in GEOMETRY]
        for name in names:
            scores = np.array([[table[name].to_numpy() for table in row] for row in tables])
            metrics.append(Metric(name, units[name], protocol, scores, results.stand_in))
    return metrics


def _people_of(folder: Path) -> pd.DataFrame:
    """A line for each person that an evaluation scored.

    Raises:
        ValueError: naming the file, if it is not there or no such table.
    """
    try:
        table = pd.read_csv(folder / ITEMS)
        reason = "" if "person" in table else "it has no column person"
    except (ValueError, OSError) as error:  # pandas' errors are ValueErrors, too
        reason = str(error)[:100]
    if reason:
        raise ValueError(
            f"{folder / ITEMS} cannot be read ({reason}); delete {folder.parent}, and start the study again"
        )
    return table


def curves_of(folder: Path, names: Sequence[str]) -> dict[str, LossCurve]:
    """Logged figures of a cell's training over its steps, all starts together."""
    values: dict[str, dict[int, float]] = {name: {} for name in names}
    for row in curve_rows(folder / RUN):
        for name in values.keys() & row.values.keys():
            values[name][row.step] = row.values[name]
    return {
        name: LossCurve(np.array(sorted(found)), np.array([found[step] for step in sorted(found)]))
        for name, found in values.items()
        if found
    }
