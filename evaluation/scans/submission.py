"""What NoW's organisers are sent for its test set: a mesh and seven landmarks for each photograph.

Sanyal et al. 2019: <subject>/<challenge>/<photograph>.obj, and beside it .npy with the landmarks, in the
order of `SEVEN_LANDMARKS` and the mesh's unit. Their code leaves out what is missing, so that nobody would
notice: here each photograph without one of the two is named.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from datamodules.long_work.progress import progress_bar
from datamodules.scan_folders import Subject
from evaluation.metrics.marked_mesh import MarkedMesh, Unscorable, known
from evaluation.metrics.scan_protocols import SEVEN_LANDMARKS
from evaluation.reporting.results import RESULTS, Counts, Results, Row
from evaluation.reporting.tables import Layout
from evaluation.scans.methods import Method
from evaluation.shared.lifecycle import Report
from lightning_modules.faces.mesh import Mesh
from lightning_modules.faces.mesh_files.any_format import write_mesh
from lightning_modules.plain.failures import counted_by_kind
from lightning_modules.plain.files import written_atomically
from lightning_modules.plain.output_folder import OutputFolder
from lightning_modules.plain.quotations import first_of

FOLDER = TABLE = "submission"
PLACE = "NoW test set"
LAYOUT = Layout(items="photographs")
NAMED = 5  # of the photographs that lack something, in the sentence that says so


def submission_report(
    method: Method,
    photographs: Sequence[Subject],
    folder: OutputFolder,
    *,
    settings: dict[str, Any],
    provenance: dict[str, Any],
    progress: bool = True,
) -> Report:
    """The folder to submit, written below an output folder, and what it lacks.

    Args:
        method: gives the meshes.
        photographs: of the test set's list.
        folder: the command's; files go to `submission/` in it.
        settings: of the results.
        provenance: of the results.
        progress: whether to show a bar.
    """
    reasons: dict[str, str] = {}
    with progress_bar("Writing the submission", len(photographs), visible=progress) as advance:
        for photograph in photographs:
            try:
                _write(method.mesh(photograph, photograph.condition), photograph, folder)
            except Unscorable as error:
                reasons[photograph.name] = str(error)
            advance(1)
    lacking = incomplete(folder.path / FOLDER, [photograph.name for photograph in photographs])
    table = pd.DataFrame(
        {
            "photograph": photograph.name,
            "challenge": photograph.condition,
            "lacks": " ".join(lacking.get(photograph.name, ())),
            "failure": reasons.get(photograph.name, ""),
        }
        for photograph in photographs
    )
    print(completeness(lacking, len(photographs)))
    written = len(photographs) - len(lacking)
    failed = counted_by_kind(reasons.get(name, f"no {lacking[name][0]}") for name in lacking)
    results = Results(
        "micc",
        f"{method.name}: meshes to submit for NoW's test set",
        settings,
        Counts(len(photographs), written, failed),
        [Row(method.name, PLACE, "meshes with landmarks", "count", written, n=len(photographs))],
        provenance,
    )
    return Report(results, {TABLE: table})


def require_whole(folder: Path) -> None:
    """Nothing is lost of what a command wrote to submit, if it is finished.

    Args:
        folder: the command's.

    Raises:
        ValueError: naming what is.
    """
    if not (folder / RESULTS).exists():
        return
    table = pd.read_csv(folder / f"{TABLE}.csv", dtype=str, keep_default_na=False)
    written = table["photograph"][table["lacks"] == ""]
    lost = incomplete(folder / FOLDER, list(written))
    if lost:
        raise ValueError(
            f"{folder} was finished, but files are gone since. {completeness(lost, len(table))}; "
            "--overwrite writes it anew"
        )


def incomplete(folder: Path, names: Sequence[str]) -> dict[str, list[str]]:
    """Of each photograph whose mesh or landmarks are not in a folder to submit, the suffixes that lack."""
    lacking = {
        name: [suffix for suffix in (".obj", ".npy") if not _holds(folder / f"{name}{suffix}")]
        for name in names
    }
    return {name: suffixes for name, suffixes in lacking.items() if suffixes}


def completeness(lacking: dict[str, list[str]], total: int) -> str:
    """Whether a folder can be submitted, in one sentence."""
    if not lacking:
        return f"submission: complete, meshes and landmarks of all {total:,} photographs"
    named = first_of([f"{name} ({' '.join(suffixes)})" for name, suffixes in lacking.items()], NAMED)
    place = " (submission.csv)" if len(lacking) > NAMED else ""
    return f"submission: INCOMPLETE, {len(lacking):,} of {total:,} photographs lack files: {named}{place}"


def _holds(path: Path) -> bool:
    return path.is_file() and path.stat().st_size > 0


def _write(mesh: MarkedMesh, photograph: Subject, folder: OutputFolder) -> None:
    """The mesh in mm and its landmarks.

    Raises:
        Unscorable: if a landmark is not known.
    """
    marks = np.asarray(mesh.landmarks)[list(SEVEN_LANDMARKS)]
    if not known(marks).all():
        raise Unscorable("missing landmarks: the mesh has not all seven of the benchmark's")
    place = f"{FOLDER}/{photograph.name}"
    vertices, triangles = (torch.from_numpy(np.asarray(each)) for each in (mesh.vertices, mesh.triangles))
    write_mesh(Mesh(vertices.float(), triangles, None), folder.claim(f"{place}.obj"))
    with written_atomically(folder.claim(f"{place}.npy")) as temporary, temporary.open("wb") as stream:
        np.save(stream, marks.astype(np.float32))
