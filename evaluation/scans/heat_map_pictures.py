"""Heat-maps of scores that only their numbers were kept of, and the window that shows one."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from datamodules.scan_folders import Subject
from evaluation.metrics.marked_mesh import MarkedMesh, Unscorable
from evaluation.metrics.scan_score import ScanScore
from evaluation.scans.heat_maps import heat_map, row_of, sheet_of, show_in_window, write_heat_map
from evaluation.scans.records import ScoreRecord
from evaluation.scans.scoring import ReadScan, Scorer
from evaluation.scans.tables import Column
from lightning_modules.plain.files import written_atomically


class Pictured(NamedTuple):
    """What pictures are made of: what scores, and the subjects by name."""

    scorer: Scorer
    subjects: Mapping[str, Subject]


class FullScore(NamedTuple):
    """A score with all that it came from."""

    scan: ReadScan
    mesh: MarkedMesh
    score: ScanScore


def write_heat_maps(pictured: Pictured, column: Column, count: int, folder: Path, title: str) -> None:
    """Heat-maps of the first subjects of a column that have a score, as PLY, and together as sheet.png."""
    rows, captions = [], []
    for record in [record for record in column.records if not record.failure][:count]:
        scan, mesh, score = scored_again(pictured, record)
        rows.append(row_of(scan, mesh, score))
        captions.append(f"{record.subject} ({record.condition}): {score.value_mm:.2f} mm ({score.protocol})")
        write_heat_map(heat_map(scan, score), folder / f"{record.subject}.ply")
    if rows:
        with written_atomically(folder / "sheet.png") as temporary:
            sheet_of(rows, captions, title).save(temporary)


def scored_again(pictured: Pictured, record: ScoreRecord) -> FullScore:
    """A record's score with its distances."""
    scorer, subject = pictured.scorer, pictured.subjects[record.subject]
    scan = scorer.read_scan(next(scan for scan in subject.scans if scan.name == record.scan))
    method = next(method for method in scorer.methods if method.name == record.method)
    protocol = next(protocol for protocol in scorer.protocols if protocol.name == record.protocol)
    if protocol.scaling == "global":
        scorer = replace(scorer, global_scales={record.method: record.scale})
    mesh = method.mesh(subject, record.condition)
    return FullScore(scan, mesh, scorer.mesh_score(mesh, scan, protocol, method.name, subject.name))


def show_first(pictured: Pictured, condition: str, title: str) -> None:
    """The first subject that has a score, in a window; each mesh with its own scale.

    Raises:
        ValueError: if there is none.
    """
    scorer = pictured.scorer
    method, protocol = scorer.methods[0], replace(scorer.protocols[0], scaling="isotropic")
    for subject in pictured.subjects.values():
        try:
            scan = scorer.read_scan(subject.scans[0])
            mesh = method.mesh(subject, condition)
        except (Unscorable, IndexError):
            continue
        score = scorer.mesh_score(mesh, scan, protocol, method.name, subject.name)
        if score.failure is None:
            show_in_window(scan, mesh, score, f"{title}: {subject.name}, {score.value_mm:.2f} mm")
            return
    raise ValueError("no subject has a score that could be shown; the failures stand in subjects.csv")
