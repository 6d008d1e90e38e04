from pathlib import Path

import pytest
import torch

from lightning_modules.faces.mesh import Mesh
from lightning_modules.faces.mesh_files.any_format import write_mesh
from lightning_modules.faces.mesh_files.units import ImplausibleSizeError, guess_unit, read_mesh_in_mm


def face_of(height: float) -> Mesh:
    """A flat face so high, twice as high as wide."""
    y, x = torch.meshgrid(torch.linspace(0, 1, 30), torch.linspace(0, 0.5, 30), indexing="ij")
    vertices = height * torch.stack([x, y, 0 * x], -1).view(-1, 3)
    return Mesh(vertices, torch.tensor([[0, 1, 30]]), None)


@pytest.mark.parametrize(("unit", "height"), [("mm", 200.0), ("cm", 20.0), ("m", 0.2)])
def test_the_unit_is_guessed_from_the_size(tmp_path: Path, unit: str, height: float) -> None:
    write_mesh(face_of(height), tmp_path / "a.ply")
    read = read_mesh_in_mm(tmp_path / "a.ply")
    assert (read.unit, read.guessed) == (unit, True)
    assert float(read.mesh.vertices[:, 1].max()) == pytest.approx(200, rel=1e-6)
    told = read_mesh_in_mm(tmp_path / "a.ply", unit)
    assert (told.unit, told.guessed) == (unit, False)


def test_glb_is_in_metres_whatever_is_said(tmp_path: Path) -> None:
    write_mesh(face_of(200.0), tmp_path / "a.glb")
    assert read_mesh_in_mm(tmp_path / "a.glb", "cm").mesh.vertices.max() == pytest.approx(200, rel=1e-5)


def test_a_size_that_no_face_has_is_refused(tmp_path: Path) -> None:
    write_mesh(face_of(2.0), tmp_path / "unit_cube.ply")
    with pytest.raises(
        ImplausibleSizeError, match=r"unit_cube\.ply spans .* no face in mm, cm or m \(110 to"
    ):
        read_mesh_in_mm(tmp_path / "unit_cube.ply")
    write_mesh(face_of(200.0), tmp_path / "a.ply")
    with pytest.raises(ImplausibleSizeError, match="no face in cm"):
        read_mesh_in_mm(tmp_path / "a.ply", "cm")


def test_an_unknown_unit_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="unit must be one of mm, cm, m, auto, got 'inch'"):
        read_mesh_in_mm(tmp_path / "a.ply", "inch")


def test_a_few_stray_vertices_do_not_change_the_guess() -> None:
    vertices = face_of(200.0).vertices.clone()
    vertices[3] = 5000.0
    assert guess_unit(vertices) == "mm"
