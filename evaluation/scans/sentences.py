"""What an evaluation against scans says besides its tables, and the curves that it draws."""

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from datamodules.scan_folders import MOST_NAMED, Subject
from evaluation.metrics.scan_protocols import ScanProtocol
from evaluation.scans.methods import ORACLE, MeshFolder
from evaluation.scans.options import ScanEvaluationOptions
from evaluation.scans.tables import ConditionColumn, curve_figure
from lightning_modules.faces.mesh_files.units import read_mesh_in_mm
from lightning_modules.plain.quotations import first_of

# Of the stand-in: a model that fits closer could make its faces.
LEAST_ORACLE_MM = 0.3


def unit_sentences(
    subjects: Sequence[Subject], folders: Sequence[MeshFolder], options: ScanEvaluationOptions
) -> list[str]:
    """Which units were guessed and what was turned, by the first file of each kind."""
    first = [("scans", options.scans.scan_unit, s.scans[0].path) for s in subjects if s.scans][:1]
    first += [(folder.name, options.scored.unit, folder.first_file) for folder in folders]
    sentences = []
    for name, unit, path in first:
        try:
            read = read_mesh_in_mm(path, unit)
        except (ValueError, OSError):
            continue  # becomes a failure row with its reason
        if read.guessed:
            sentences.append(f"unit of {name}: {read.unit}, guessed from the size of {path.name}")
        if read.turned:
            share = f"{read.turned:,} of {len(read.mesh.triangles):,}"
            sentences.append(
                f"triangles of {name}: {share} in {path.name} were wound the other way; turned outward"
            )
    return sentences


def unused_sentences(
    subjects: Sequence[Subject], folders: Sequence[MeshFolder], conditions: Sequence[str]
) -> list[str]:
    """Which meshes are of none of the subjects under the scored conditions, and so are not scored."""
    sentences = []
    for folder in folders:
        others = folder.of_nobody(subjects, conditions)
        if others:
            sentences.append(
                f"meshes of {folder.name}: of {folder.count:,}, {len(others):,} are no subject's and not "
                f"scored: {first_of(others, MOST_NAMED)}; name each after its subject"
            )
    return sentences


def oracle_sentences(columns: Sequence[ConditionColumn], is_stand_in: bool) -> list[str]:
    """How close the morphable model can come; a stand-in must not be within its reach."""
    column = next(column for column in columns if column.method == ORACLE)
    values = [value for value in column.values if np.isfinite(value)]
    if not values:
        return []
    mean = float(np.mean(values))
    sentence = f"oracle: the model fitted to the scans stays {mean:.2f} mm away ({column.protocol})"
    if is_stand_in and column.protocol == "genova" and mean < LEAST_ORACLE_MM:
        sentence += f": less than {LEAST_ORACLE_MM} mm, too close for a stand-in"
    return [sentence]


def curves(
    columns: Sequence[ConditionColumn], protocols: Sequence[ScanProtocol], title: str
) -> dict[str, Figure]:
    """A cumulative error curve for each condition under the first protocol, by file name."""
    first = protocols[0].name
    return {
        f"curve_{condition.replace(' ', '_')}": curve_figure(
            [column for column in columns if (column.protocol, column.condition) == (first, condition)],
            f"{title}, {condition}" if len(protocols) == 1 else f"{title}, {condition}, {first}",
        )
        for condition in dict.fromkeys(column.condition for column in columns)
    }
