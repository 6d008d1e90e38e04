import sys
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from datamodules.scan_folders import ScanFile
from evaluation.metrics.scan_protocols import GENOVA
from evaluation.metrics.scan_score import prepare_scan, score_scan
from evaluation.metrics.similarity_transform import similarity
from evaluation.scans.heat_maps import (
    NOT_COUNTED,
    aligned_mesh,
    error_colours,
    heat_map,
    row_of,
    show_in_window,
)
from evaluation.scans.landmarks import Marks
from evaluation.scans.scoring import ReadScan
from tests.evaluation.metrics.face_like import face_like

SCAN = face_like()
UNIT = similarity(scale=0.01, translation=(1, 2, 3))
MESH = face_like(nose_mm=12.0)
MOVED = MESH._replace(vertices=UNIT.points(MESH.vertices), landmarks=UNIT.points(MESH.landmarks))


@pytest.fixture(scope="module")
def scan() -> ReadScan:
    return ReadScan(
        ScanFile("front", None, None), prepare_scan(SCAN), Marks(SCAN.landmarks, "marked"), None, "mm"
    )


def test_colours_run_from_dark_to_yellow_and_uncounted_points_are_grey() -> None:
    colours = error_colours(np.array([0.0, 4.0, 40.0, np.nan]))
    assert colours[0].sum() < 1
    assert torch.equal(colours[1], colours[2])
    assert colours[1, 0] > 0.9
    torch.testing.assert_close(colours[3], torch.tensor(NOT_COUNTED))


def test_the_nose_that_is_too_low_is_bright_and_the_aligned_mesh_lies_on_the_scan(scan: ReadScan) -> None:
    score = score_scan(scan.prepared, MOVED, GENOVA)
    heat = heat_map(scan, score)
    assert len(heat.vertices) == len(SCAN.vertices)
    tip = np.linalg.norm(SCAN.vertices - SCAN.landmarks[30], axis=1).argmin()
    cheek = np.linalg.norm(SCAN.vertices[:, :2] - (40, -10), axis=1).argmin()
    assert heat.colours[tip].sum() > heat.colours[cheek].sum() + 0.3
    placed = aligned_mesh(MOVED, score).vertices
    assert float(placed[:, 1].max()) == pytest.approx(100, abs=3)
    assert [shown.size for shown in row_of(scan, MOVED, score)] == [(256, 256)] * 4


def test_a_window_shows_scan_mesh_and_heat_map(scan: ReadScan, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = {}

    class Shape:
        def __init__(self, vertices: np.ndarray, triangles: np.ndarray) -> None:
            self.vertices = vertices

        def compute_vertex_normals(self) -> None: ...

    stub = SimpleNamespace(
        geometry=SimpleNamespace(TriangleMesh=Shape),
        utility=SimpleNamespace(Vector3dVector=np.asarray, Vector3iVector=np.asarray),
        visualization=SimpleNamespace(
            draw_geometries=lambda shapes, window_name: drawn.update(shapes=shapes, name=window_name)
        ),
    )
    monkeypatch.setitem(sys.modules, "open3d", stub)
    show_in_window(scan, MOVED, score_scan(scan.prepared, MOVED, GENOVA), "STAND-IN: ann")
    assert drawn["name"] == "STAND-IN: ann"
    middles = [shape.vertices[:, 0].mean() for shape in drawn["shapes"]]
    assert middles[0] < middles[1] < middles[2]
    assert not hasattr(drawn["shapes"][1], "vertex_colors")
    assert hasattr(drawn["shapes"][2], "vertex_colors")


def test_without_open3d_there_is_no_window(scan: ReadScan, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "open3d", None)
    with pytest.raises(ImportError, match=r"--show opens a window of Open3D.*\[open3d\]"):
        show_in_window(scan, MOVED, score_scan(scan.prepared, MOVED, GENOVA), "")
