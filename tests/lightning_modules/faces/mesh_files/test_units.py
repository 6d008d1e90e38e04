from pathlib import Path

import pytest
import torch

from lightning_modules.faces.mesh import Mesh
from lightning_modules.faces.mesh_files.any_format import write_mesh
from lightning_modules.faces.mesh_files.units import (
    ImplausibleSizeError,
    guess_unit,
    millimetres_per,
    read_mesh_in_mm,
)
from tests.lightning_modules.faces.test_orientation import dome


def face_of(height: float) -> Mesh:
    """A flat face so high, twice as high as wide."""
    y, x = torch.meshgrid(torch.linspace(0, 1, 30), torch.linspace(0, 0.5, 30), indexing="ij")
    vertices = height * torch.stack([x, y, 0 * x], -1).view(-1, 3)
    ids = torch.arange(900).view(30, 30)
    corners = torch.stack([ids[:-1, :-1], ids[:-1, 1:], ids[1:, :-1]], -1)
    other_corners = torch.stack([ids[:-1, 1:], ids[1:, 1:], ids[1:, :-1]], -1)
    return Mesh(vertices, torch.cat([corners, other_corners]).view(-1, 3), None)


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
    write_mesh(face_of(2000.0), tmp_path / "tower.ply")
    # 200 mm over 2000 units.
    with pytest.raises(
        ImplausibleSizeError,
        match=r"tower\.ply spans .* no face in mm, cm, m, inch, dm, um \(110 to 700 mm\); name its unit, or "
        r"the millimetres of one of its units: 0\.1 if it is a face; cut away what is no head",
    ):
        read_mesh_in_mm(tmp_path / "tower.ply")
    # What the message advises works.
    assert read_mesh_in_mm(tmp_path / "tower.ply", 0.1).mesh.vertices.max() == pytest.approx(200)
    write_mesh(face_of(200.0), tmp_path / "a.ply")
    with pytest.raises(ImplausibleSizeError, match="no face in cm"):
        read_mesh_in_mm(tmp_path / "a.ply", "cm")
    write_mesh(face_of(20.0), tmp_path / "b.ply")
    with pytest.raises(ImplausibleSizeError, match="no face in mm"):
        read_mesh_in_mm(tmp_path / "b.ply", "mm")
    point = Mesh(torch.ones(3, 3), torch.tensor([[0, 1, 2]]), None)
    write_mesh(point, tmp_path / "point.ply")
    with pytest.raises(ImplausibleSizeError, match="all of its vertices lie in one place"):
        read_mesh_in_mm(tmp_path / "point.ply")


@pytest.mark.parametrize(
    ("unit", "millimetres"), [("mm", 1), ("cm", 10), ("dm", 100), ("m", 1000), ("um", 0.001), ("inch", 25.4)]
)
def test_every_unit_is_guessed_of_a_face_that_measures_177_mm(
    tmp_path: Path, unit: str, millimetres: float
) -> None:
    write_mesh(face_of(177.4 / millimetres), tmp_path / "a.ply")
    guessed, told = read_mesh_in_mm(tmp_path / "a.ply"), read_mesh_in_mm(tmp_path / "a.ply", unit)
    assert (guessed.unit, guessed.guessed, told.unit, told.guessed) == (unit, True, unit, False)
    number = read_mesh_in_mm(tmp_path / "a.ply", millimetres)
    for read in (guessed, told, number):
        assert float(read.mesh.vertices[:, 1].max()) == pytest.approx(177.4, rel=1e-5)
    assert millimetres_per(number.unit) == millimetres


@pytest.mark.parametrize("unit", ["mm", "auto"])
def test_a_crop_of_a_scan_is_not_refused_for_its_height(tmp_path: Path, unit: str) -> None:
    write_mesh(face_of(93.0), tmp_path / "crop.ply")
    read = read_mesh_in_mm(tmp_path / "crop.ply", unit)
    assert read.unit == "mm"
    assert float(read.mesh.vertices[:, 1].max()) == pytest.approx(93)


def test_a_glb_that_is_no_face_in_metres_is_in_the_unit_that_is_named_or_guessed(tmp_path: Path) -> None:
    write_mesh(face_of(200_000.0), tmp_path / "a.glb")  # millimetres where metres belong
    for unit, name in (("auto", "mm"), ("mm", "mm"), (1.0, "1.0")):
        read = read_mesh_in_mm(tmp_path / "a.glb", unit)
        assert read.unit == name
        assert float(read.mesh.vertices[:, 1].max()) == pytest.approx(200, rel=1e-5)
    write_mesh(face_of(1800.0), tmp_path / "body.glb")
    with pytest.raises(ImplausibleSizeError, match=r"body\.glb spans 1\.8 of its units"):
        read_mesh_in_mm(tmp_path / "body.glb")


@pytest.mark.parametrize("unit", ["yard", "", 0.0, -1.0, float("nan"), float("inf")])
def test_an_unknown_unit_is_refused(tmp_path: Path, unit: str | float) -> None:
    with pytest.raises(ValueError, match="unit must be one of mm, cm, dm, m, um, inch, or the millimetres"):
        read_mesh_in_mm(tmp_path / "a.ply", unit)


def test_inward_triangles_are_turned_and_counted(tmp_path: Path) -> None:
    mesh = dome()
    write_mesh(mesh._replace(triangles=mesh.triangles[:, [0, 2, 1]]), tmp_path / "in.ply")
    read = read_mesh_in_mm(tmp_path / "in.ply")
    assert read.turned == len(mesh.triangles)
    assert torch.equal(read.mesh.triangles, mesh.triangles)
    write_mesh(mesh, tmp_path / "out.ply")
    assert read_mesh_in_mm(tmp_path / "out.ply").turned == 0


@pytest.mark.parametrize("suffix", [".obj", ".ply", ".glb"])
@pytest.mark.parametrize("unit", ["mm", "auto"])
def test_vertices_without_a_triangle_are_no_part_of_the_size(tmp_path: Path, suffix: str, unit: str) -> None:
    face = face_of(200.0)
    vertices = face.vertices + torch.tensor([500.0, 0.0, 2000.0])  # where a scanner stands at the origin
    stray = torch.zeros(300, 3)  # and writes what it did not see as zeros
    write_mesh(face._replace(vertices=torch.cat([vertices, stray])), tmp_path / f"a{suffix}")
    read = read_mesh_in_mm(tmp_path / f"a{suffix}", unit)
    assert read.unit == ("m" if suffix == ".glb" else "mm")
    torch.testing.assert_close(read.mesh.vertices[:900], vertices, atol=1e-3, rtol=0)
    assert len(read.mesh.vertices) == 1200


def test_a_few_stray_vertices_do_not_change_the_guess() -> None:
    vertices = face_of(200.0).vertices.clone()
    vertices[3] = 5000.0
    assert guess_unit(vertices) == "mm"
