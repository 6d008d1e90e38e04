from pathlib import Path

import numpy as np
import pytest
import torch

from evaluation.likeness.other_methods import frontal_picture
from evaluation.reconstruction.methods_side_by_side import mesh_cell
from lightning_modules.faces.mesh import Mesh
from lightning_modules.faces.mesh_files.any_format import write_mesh
from lightning_modules.faces.mesh_files.units import read_mesh_in_mm
from lightning_modules.faces.mesh_views import view_of
from tests.evaluation.metrics.face_like import face_like

SIZE = 64
FIVE = torch.tensor([[-30.0, 34, -15], [30, 34, -15], [0, 0, 20], [-25, -38, -10], [25, -38, -10]])


def face(*, coloured: bool) -> Mesh:
    like = face_like(5.0)
    vertices = torch.from_numpy(like.vertices).float()
    colours = (0.5 + vertices / 400).clamp(0, 1) if coloured else None
    return Mesh(vertices, torch.from_numpy(like.triangles), colours)


def pictures(mesh: Mesh) -> list[np.ndarray]:
    """What the judge sees, what a landmark detector sees, and a place of a sheet of several methods."""
    cell = mesh_cell(mesh, FIVE, size=SIZE, yaw_degrees=(0.0, 40.0))
    assert cell.images is not None
    return [frontal_picture(mesh, size=SIZE), view_of(mesh, size=SIZE).image.numpy(), cell.images.numpy()]


@pytest.mark.parametrize("coloured", [False, True])
@pytest.mark.parametrize("suffix", [".obj", ".ply", ".glb"])
def test_pictures_of_an_inward_mesh_are_those_of_the_outward_one(
    tmp_path: Path, suffix: str, coloured: bool
) -> None:
    mesh = face(coloured=coloured)
    half = torch.arange(len(mesh.triangles)) % 3 > 0
    turned = mesh.triangles[:, [0, 2, 1]]
    ways = {
        "outward": mesh.triangles, "inward": turned,
        "mixed": torch.where(half[:, None], turned, mesh.triangles),
    }  # fmt: skip
    seen = {}
    for way, triangles in ways.items():
        write_mesh(mesh._replace(triangles=triangles), tmp_path / f"{way}{suffix}")
        seen[way] = pictures(read_mesh_in_mm(tmp_path / f"{way}{suffix}").mesh)
    for way in ("inward", "mixed"):
        for picture, right in zip(seen[way], seen["outward"], strict=True):
            np.testing.assert_allclose(picture, right, atol=1 if picture.dtype == np.uint8 else 1e-5)


def test_triangles_that_point_inward_would_darken_the_judge_s_picture() -> None:
    mesh = face(coloured=True)
    wrong = frontal_picture(mesh._replace(triangles=mesh.triangles[:, [0, 2, 1]]), size=SIZE)
    assert wrong.mean() < 0.8 * frontal_picture(mesh, size=SIZE).mean()


def test_vertices_without_a_triangle_move_no_picture_away() -> None:
    mesh = face(coloured=True)
    stray = torch.full((len(mesh.vertices), 3), 1e5)
    colours = torch.zeros(len(stray), 3)
    assert mesh.colours is not None
    more = Mesh(torch.cat([mesh.vertices, stray]), mesh.triangles, torch.cat([mesh.colours, colours]))
    for seen, right in zip(pictures(more), pictures(mesh), strict=True):
        np.testing.assert_allclose(seen, right, atol=1 if seen.dtype == np.uint8 else 1e-5)
