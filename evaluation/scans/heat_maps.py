"""Pictures of how far a mesh lies from a scan: coloured scans as PLY, sheets as PNG, a window.

Of scores only the numbers are kept: what is shown is scored again.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from matplotlib import colormaps
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from datamodules.scan_folders import Subject
from evaluation.metrics.marked_mesh import NOSE_TIP, MarkedMesh, Unscorable
from evaluation.metrics.scan_score import ScanScore
from evaluation.scans.records import ScoreRecord
from evaluation.scans.scoring import ReadScan, Scorer
from evaluation.scans.tables import ConditionColumn
from lightning_modules.contact_sheets import contact_sheet, picture
from lightning_modules.faces.mesh import Mesh
from lightning_modules.faces.mesh_files.any_format import write_mesh
from lightning_modules.faces.mesh_views import view_of
from lightning_modules.plain.files import written_atomically
from lightning_modules.plain.output_folder import OutputFolder

# Errors from here on have the last colour.
LARGEST_MM = 4.0
COLOUR_MAP = "viridis"
NOT_COUNTED = (0.75, 0.75, 0.75)  # sRGB
SIDE_PIXELS, SHOWN_MM = 256, 230.0
COLUMNS = ("scan", "mesh, aligned", "scan by distance", "scan by distance, turned")
TURNED_DEGREES = 40.0


class Pictured(NamedTuple):
    """What pictures are made of: what scores, and the subjects by name."""

    scorer: Scorer
    subjects: Mapping[str, Subject]


class FullScore(NamedTuple):
    """A score with all that it came from."""

    scan: ReadScan
    mesh: MarkedMesh
    score: ScanScore


def write_heat_maps(
    pictured: Pictured, column: ConditionColumn, count: int, folder: OutputFolder, title: str
) -> None:
    """Heat-maps of the first subjects of a column that have a score, as PLY, and together as sheet.png."""
    rows, captions = [], []
    for record in [record for record in column.records if not record.failure][:count]:
        scan, mesh, score = scored_again(pictured, record)
        rows.append(row_of(scan, mesh, score))
        captions.append(f"{record.subject} ({record.condition}): {score.value_mm:.2f} mm ({score.protocol})")
        write_heat_map(heat_map(scan, score), folder.claim(f"{record.subject}.ply"))
    if rows:
        with written_atomically(folder.claim("sheet.png")) as temporary:
            sheet_of(rows, captions, title).save(temporary)


def scored_again(pictured: Pictured, record: ScoreRecord) -> FullScore:
    """A record's score with its distances."""
    scorer, subject = pictured.scorer, pictured.subjects[record.subject]
    scan = scorer.read_scan(next(scan for scan in subject.scans if scan.name == record.scan))
    method = next(method for method in scorer.methods if method.name == record.method)
    protocol = next(protocol for protocol in scorer.protocols if protocol.name == record.protocol)
    if protocol.scaling == "global" and record.scale is not None:
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


def error_colours(distances_mm: NDArray) -> Tensor:
    """Colours [V, 3], sRGB, of distances [V]: dark blue at 0, yellow from LARGEST_MM on, grey where NaN."""
    shares = np.nan_to_num(np.clip(distances_mm / LARGEST_MM, 0, 1))
    colours = colormaps[COLOUR_MAP](shares)[:, :3]
    colours[~np.isfinite(distances_mm)] = NOT_COUNTED
    return torch.from_numpy(colours).float()


def heat_map(scan: ReadScan, score: ScanScore) -> Mesh:
    """The scan, coloured by its vertices' distances to the mesh."""
    assert score.scan_to_mesh is not None
    return Mesh(
        torch.from_numpy(scan.prepared.surface.vertices).float(),
        torch.from_numpy(scan.prepared.surface.triangles),
        error_colours(score.scan_to_mesh.values_mm),
    )


def aligned_mesh(mesh: MarkedMesh, score: ScanScore) -> Mesh:
    """The mesh where the alignment put it, in the scan's frame."""
    assert score.alignment is not None
    moved = score.alignment.transform.points(np.asarray(mesh.vertices, np.float64))
    return Mesh(torch.from_numpy(moved).float(), torch.from_numpy(np.asarray(mesh.triangles)), None)


def row_of(scan: ReadScan, mesh: MarkedMesh, score: ScanScore) -> list[Image.Image]:
    """Pictures of the scan, the aligned mesh, and the heat-map from two sides; see COLUMNS."""
    heat = heat_map(scan, score)
    shown = [
        (heat._replace(colours=scan.colours), 0.0),
        (aligned_mesh(mesh, score), 0.0),
        (heat, 0.0),
        (heat, TURNED_DEGREES),
    ]
    options = {"centre": scan.prepared.landmarks[NOSE_TIP], "extent_mm": SHOWN_MM, "background": 1.0}
    return [
        picture(
            view_of(each, size=SIDE_PIXELS, yaw_degrees=yaw, samples_per_axis=2, **options).image, SIDE_PIXELS
        )
        for each, yaw in shown
    ]


def write_heat_map(heat: Mesh, file: Path) -> Path:
    """The coloured scan as PLY, in mm."""
    write_mesh(heat, file)
    return file


def sheet_of(rows: Sequence[list[Image.Image]], captions: Sequence[str], title: str) -> Image.Image:
    """Heat-maps below each other, with what the colours mean."""
    footnote = (
        f"colour: distance of the scan's points to the mesh, from 0 (dark) to {LARGEST_MM:g} mm and more "
        "(yellow); grey: not counted"
    )
    return contact_sheet(rows, columns=COLUMNS, row_captions=captions, title=title, footnote=footnote)


def show_in_window(scan: ReadScan, mesh: MarkedMesh, score: ScanScore, title: str) -> None:
    """Scan, aligned mesh and heat-map side by side in a window; returns when it is closed.

    Raises:
        ImportError: if Open3D is not installed.
    """
    try:
        import open3d
    except ImportError as error:
        raise ImportError(
            "--show opens a window of Open3D, which is not installed: "
            "pip install -e '.[open3d]', or leave --show out"
        ) from error
    heat = heat_map(scan, score)
    geometries = []
    for place, each in enumerate((heat._replace(colours=scan.colours), aligned_mesh(mesh, score), heat)):
        shift = np.array([(place - 1) * SHOWN_MM, 0, 0])
        shape = open3d.geometry.TriangleMesh(
            open3d.utility.Vector3dVector(each.vertices.double().numpy() + shift),
            open3d.utility.Vector3iVector(each.triangles.int().numpy()),
        )
        if each.colours is not None:
            shape.vertex_colors = open3d.utility.Vector3dVector(each.colours.double().numpy())
        shape.compute_vertex_normals()
        geometries.append(shape)
    open3d.visualization.draw_geometries(geometries, window_name=title)
