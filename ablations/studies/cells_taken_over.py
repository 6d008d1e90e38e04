"""Takes finished cells over from another study, so that a larger design trains only what it adds."""

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from evaluation.reporting.results import RESULTS, plain, settings_of_work, settings_that_differ
from lightning_modules.plain.output_folder import OutputFolder

from . import cell, cell_results
from .designs import Cell

# Of a study's settings, what may differ: which cells it is made of.
MAY_DIFFER = frozenset({"design", "cells"})


def check_same_study(other: Path, command: str, identity: Mapping[str, Any]) -> None:
    """Refuse a folder whose cells were trained or scored in another way.

    Args:
        other: the output folder of the other study, finished or not.
        command: the study's.
        identity: of the study that wants the cells.

    Raises:
        ValueError: naming what differs, or if it is no study's folder.
    """
    found, wanted = (
        {name: value for name, value in settings.items() if name not in MAY_DIFFER}
        for settings in (settings_of_work(other, command), plain(identity))
    )
    changed = settings_that_differ(found, wanted)
    if changed:
        raise ValueError(
            f"the cells of {other} were made with other settings ({', '.join(changed)}); give the same "
            "ones, or leave --cells-from out"
        )


def can_take_over(other: Path, one: Cell, folder: Path) -> bool:
    """Whether a cell is finished there, and not begun in this study's folder."""
    return cell_results.why_missing(other / one.name) is None and not (folder / one.name / cell.PLAN).exists()


def take_over(other: Path, cells: Sequence[Cell], output: OutputFolder) -> list[str]:
    """Copy what is finished there and not begun here; the names of the cells that were copied.

    The plan, by which a cell is begun, and its state come last: a copy that was stopped is made again.
    """
    taken = []
    for one in cells:
        source, target = other / one.name, output.path / one.name
        if not can_take_over(other, one, output.path):
            continue
        below = output.below(one.name)
        below.claims([cell.PLAN, cell.STATE, cell.LOG, cell.LOCK])
        for results in sorted(source.glob(f"*/{RESULTS}")):
            name = results.parent.name
            shutil.copytree(results.parent, below.claim_output(name), dirs_exist_ok=True)
        for name in (cell.LOG, cell.STATE, cell.PLAN):
            if (source / name).is_file():
                shutil.copy2(source / name, target / name)
        taken.append(one.name)
    return taken
