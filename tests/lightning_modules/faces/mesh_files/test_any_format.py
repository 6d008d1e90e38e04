import json
import struct
from pathlib import Path

import numpy as np
import pytest
import torch
import trimesh
from PIL import Image

from lightning_modules.faces.mesh import Mesh
from lightning_modules.faces.mesh_files.any_format import read_mesh, write_mesh
from lightning_modules.faces.mesh_files.obj import read_obj_vertices


def random_mesh(colours: bool = True) -> Mesh:
    """Repeated and unused vertices included: a reader that merges or drops any is found out."""
    generator = torch.Generator().manual_seed(0)
    vertices = 100 * torch.randn(40, 3, generator=generator)
    vertices[7] = vertices[3]
    triangles = torch.randint(38, (60, 3), generator=generator)
    return Mesh(vertices, triangles, torch.rand(40, 3, generator=generator) if colours else None)


@pytest.mark.parametrize("colours", [True, False])
def test_obj_reads_back_identical(tmp_path: Path, colours: bool) -> None:
    mesh = random_mesh(colours)
    write_mesh(mesh, tmp_path / "mesh.obj")
    read = read_mesh(tmp_path / "mesh.obj")
    assert torch.equal(read.vertices, mesh.vertices)
    assert torch.equal(read.triangles, mesh.triangles)
    assert torch.equal(read.colours, mesh.colours) if colours else read.colours is None


@pytest.mark.parametrize("colours", [True, False])
@pytest.mark.parametrize("ascii_ply", [True, False])
def test_ply_reads_back_identical_but_for_colours_in_8_bits(
    tmp_path: Path, colours: bool, ascii_ply: bool
) -> None:
    mesh = random_mesh(colours)
    write_mesh(mesh, tmp_path / "mesh.ply", ascii_ply=ascii_ply)
    read = read_mesh(tmp_path / "mesh.ply")
    assert torch.equal(read.vertices, mesh.vertices)
    assert torch.equal(read.triangles, mesh.triangles)
    if colours:
        assert float((read.colours - mesh.colours).abs().max()) <= 0.5 / 255 + 1e-6
    else:
        assert read.colours is None
    assert (b"format ascii" in (tmp_path / "mesh.ply").read_bytes()) == ascii_ply


@pytest.mark.parametrize("colours", [True, False])
def test_glb_reads_back_the_same_millimetres_and_colours(tmp_path: Path, colours: bool) -> None:
    mesh = random_mesh(colours)
    write_mesh(mesh, tmp_path / "mesh.glb")
    read = read_mesh(tmp_path / "mesh.glb")
    torch.testing.assert_close(read.vertices, mesh.vertices, atol=1e-4, rtol=0)
    assert torch.equal(read.triangles, mesh.triangles)
    if colours:
        torch.testing.assert_close(read.colours, mesh.colours, atol=1e-6, rtol=0)
    else:
        assert read.colours is None


def test_ply_polygons_and_colours_as_fractions_are_read(tmp_path: Path) -> None:
    (tmp_path / "quad.ply").write_text(
        "ply\nformat ascii 1.0\nelement vertex 4\nproperty float x\nproperty float y\nproperty float z\n"
        "property float red\nproperty float green\nproperty float blue\nelement face 1\n"
        "property list uchar int vertex_indices\nend_header\n"
        "0 0 0 0.5 0.25 0\n1 0 0 1 1 1\n1 1 0 1 1 1\n0 1 0 1 1 1\n4 0 1 2 3\n"
    )
    mesh = read_mesh(tmp_path / "quad.ply")
    assert mesh.triangles.tolist() == [[0, 1, 2], [0, 2, 3]]
    assert mesh.colours[0].tolist() == [0.5, 0.25, 0]


def test_glb_holds_metres_and_linear_light(tmp_path: Path) -> None:
    vertices = torch.tensor([[0.0, 0, 0], [1000, 0, 0], [0, 500, 0]])
    colours = torch.tensor([[0.5, 0.04045, 1.0]]).repeat(3, 1)
    write_mesh(Mesh(vertices, torch.tensor([[0, 1, 2]]), colours), tmp_path / "mesh.glb")
    content = (tmp_path / "mesh.glb").read_bytes()
    length = struct.unpack("<I", content[12:16])[0]
    header = json.loads(content[20 : 20 + length])
    assert header["accessors"][0]["max"] == [1, 0.5, 0]
    attributes = header["meshes"][0]["primitives"][0]["attributes"]
    start = 28 + length + header["bufferViews"][attributes["COLOR_0"]]["byteOffset"]
    # The sRGB curve: 0.5 encodes 0.2140, and its linear toe ends at 0.04045 / 12.92.
    assert struct.unpack("<3f", content[start : start + 12]) == pytest.approx(
        (0.21404, 0.0031308, 1), abs=1e-5
    )


def test_glb_places_the_meshes_of_its_nodes(tmp_path: Path) -> None:
    scene = trimesh.Scene()
    box = trimesh.creation.box((0.1, 0.1, 0.1))
    scene.add_geometry(box, transform=trimesh.transformations.translation_matrix([1, 0, 0]))
    scene.add_geometry(box.copy(), transform=trimesh.transformations.translation_matrix([-1, 0, 0]))
    scene.export(tmp_path / "scene.glb")
    mesh = read_mesh(tmp_path / "scene.glb")
    assert mesh.vertices.amin(0).tolist() == pytest.approx([-1050, -50, -50])
    assert mesh.vertices.amax(0).tolist() == pytest.approx([1050, 50, 50])
    assert len(mesh.vertices) == 16
    assert int(mesh.triangles[12:].min()) == 8


def test_an_independent_reader_sees_what_was_written(tmp_path: Path) -> None:
    mesh = random_mesh()
    for suffix, scale in ((".obj", 1), (".ply", 1), (".glb", 1000)):
        write_mesh(mesh, tmp_path / f"mesh{suffix}")
        other = trimesh.load(tmp_path / f"mesh{suffix}", process=False, force="mesh", maintain_order=True)
        np.testing.assert_allclose(other.vertices * scale, mesh.vertices, atol=1e-3)
        np.testing.assert_array_equal(other.faces, mesh.triangles)


def test_obj_polygons_become_fans_and_negative_ids_count_from_the_end(tmp_path: Path) -> None:
    path = tmp_path / "polygons.obj"
    path.write_text(
        "# comment\no thing\n\nv 0 0 0\nv 1 0 0\nv 1 1 0\nv 0 1 0\nvn 0 0 1\n"
        "f 1//1 2//1 3//1 4//1\nf -4 -3 \\\n-2\nv 2 2 2\nf -1 1 2\n"
    )
    mesh = read_mesh(path)
    assert mesh.triangles.tolist() == [[0, 1, 2], [0, 2, 3], [0, 1, 2], [4, 0, 1]]
    assert mesh.colours is None
    np.testing.assert_array_equal(read_obj_vertices(path), mesh.vertices)


def textured(folder: Path, library: str, image: bool = True) -> Path:
    """A unit square, each corner at the centre of a texel of a 2 x 2 picture: red, green / blue, white."""
    if image:
        pixels = np.array([[[255, 0, 0], [0, 255, 0]], [[0, 0, 255], [255, 255, 255]]], np.uint8)
        Image.fromarray(pixels).save(folder / "two words.png")
    (folder / "square.mtl").write_text(library)
    (folder / "square.obj").write_text(
        "mtllib square.mtl\nv 0 0 0\nv 1 0 0\nv 1 1 0\nv 0 1 0\n"
        "vt 0.25 0.25\nvt 0.75 0.25\nvt 0.75 0.75\nvt 0.25 0.75\nvt 1.25 0.75\nvt 0.5 0.5\n"
        "usemtl skin\nf 1/1 2/2 3/3 4/4\n"
    )
    return folder / "square.obj"


def test_a_texture_is_sampled_at_the_vertices_with_v_upwards(tmp_path: Path) -> None:
    mesh = read_mesh(textured(tmp_path, "newmtl skin\nKd 0 0 0\nmap_Kd two words.png\n"))
    expected = [[0, 0, 1], [1, 1, 1], [0, 1, 0], [1, 0, 0]]
    torch.testing.assert_close(mesh.colours, torch.tensor(expected).float())


def test_a_texture_repeats_and_mixes_between_texels_and_seams_take_the_mean(tmp_path: Path) -> None:
    path = textured(tmp_path, "newmtl skin\nmap_Kd -s 1 1 1 picture.png\n")
    (tmp_path / "two words.png").rename(tmp_path / "picture.png")
    text = path.read_text().replace("f 1/1 2/2 3/3 4/4", "f 1/6 2/5 3/3\nf 1/6 3/2 4/4")
    path.write_text(text)
    colours = read_mesh(path).colours
    torch.testing.assert_close(colours[0], torch.tensor([0.5, 0.5, 0.5]))  # the middle of all four
    torch.testing.assert_close(colours[1], torch.tensor([1.0, 0, 0]))  # 1.25 is 0.25
    torch.testing.assert_close(colours[2], torch.tensor([0.5, 1, 0.5]))  # green and white meet


def test_a_material_without_texture_gives_its_diffuse_colour(tmp_path: Path) -> None:
    mesh = read_mesh(textured(tmp_path, "newmtl skin\nKd 0.8 0.6 0.5\n"))
    torch.testing.assert_close(mesh.colours, torch.tensor([[0.8, 0.6, 0.5]]).repeat(4, 1))


def test_missing_materials_and_textures_are_warned_of(tmp_path: Path) -> None:
    path = textured(tmp_path, "newmtl skin\nmap_Kd two words.png\n", image=False)
    with pytest.warns(UserWarning, match=r"square\.obj names the texture two words\.png, which is missing"):
        assert read_mesh(path).colours is None
    (tmp_path / "square.mtl").unlink()
    with pytest.warns(UserWarning, match=r"names the materials square\.mtl, which are missing"):
        assert read_mesh(path).colours is None


def test_a_texture_that_is_no_picture_is_refused(tmp_path: Path) -> None:
    path = textured(tmp_path, "newmtl skin\nmap_Kd two words.png\n")
    (tmp_path / "two words.png").write_text("not a picture")
    with pytest.raises(ValueError, match=r"the texture .*two words\.png cannot be read"):
        read_mesh(path)


def test_a_written_mesh_is_whole_or_absent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "mesh.obj"
    path.write_text("before")

    def interrupted(self: Path, content: bytes) -> int:
        with open(self, "wb") as file:
            file.write(content[:10])
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "write_bytes", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write_mesh(random_mesh(), path)
    assert path.read_text() == "before"
    assert [file.name for file in tmp_path.iterdir()] == ["mesh.obj"]


SQUARE = "v 0 0 0\nv 1 0 0\nv 1 1 0\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is empty, as a copy or download that failed leaves it"),
        ("f 1 2 3\n", "holds no vertices; give a mesh file"),
        (SQUARE + "f 1 2 4\n", r"names the vertices \[1, 2, 4\] \(from 1\), but there are 3"),
        (SQUARE + "f 0 1 2\n", r"line 4: the face corner '0' names vertex 0"),
        (SQUARE + "f -4 1 2\n", r"line 4: the face corner '-4' counts back beyond the first vertex"),
        (SQUARE + "f a 1 2\n", r"line 4: the face corner 'a' is not a vertex id"),
        (SQUARE + "f 1 2\n", r"line 4: a face has 2 corners"),
        (SQUARE + "v nan 0 0\nf 1 2 3\n", r"vertex 4 of 4 \(from 1\) is NaN or infinite"),
        (SQUARE + "v 0 inf 0\nf 1 2 3\n", r"vertex 4 of 4 \(from 1\) is NaN or infinite"),
        (SQUARE + "v 0 0\nf 1 2 3\n", "a vertex does not consist of 3 numbers"),
        (SQUARE + "v 0 0 x\nf 1 2 3\n", "a vertex does not consist of 3 numbers"),
        ("v 0 0 0 1 nan 1\nv 1 0 0 1 1 1\nv 1 1 0 1 1 1\nf 1 2 3\n", "a vertex colour is NaN or infinite"),
    ],
)
def test_a_bad_obj_is_refused_in_a_sentence(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "bad.obj").write_text(text)
    with pytest.raises(ValueError, match=r"bad\.obj.*" + message):
        read_mesh(tmp_path / "bad.obj")


def test_a_texture_coordinate_that_is_not_there_is_refused(tmp_path: Path) -> None:
    path = textured(tmp_path, "newmtl skin\nmap_Kd two words.png\n")
    path.write_text(path.read_text().replace("4/4", "4/7"))
    with pytest.raises(ValueError, match="names texture coordinate 7, but there are 6"):
        read_mesh(path)


@pytest.mark.parametrize("ascii_ply", [True, False])
@pytest.mark.parametrize("share", [0.02, 0.3, 0.9])
def test_a_truncated_ply_is_refused(tmp_path: Path, ascii_ply: bool, share: float) -> None:
    path = tmp_path / "mesh.ply"
    write_mesh(random_mesh(), path, ascii_ply=ascii_ply)
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])
    with pytest.raises(ValueError, match=r"mesh\.ply"):
        read_mesh(path)


def test_a_ply_of_impossible_vertices_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "mesh.ply"
    mesh = random_mesh()
    mesh.triangles[5, 1] = 40
    write_mesh(mesh, path)
    with pytest.raises(ValueError, match=r"mesh\.ply: a triangle names the vertices .* but there are 40"):
        read_mesh(path)
    mesh.vertices[2, 0] = float("nan")
    write_mesh(mesh, path)
    with pytest.raises(ValueError, match=r"mesh\.ply: vertex 3 of 40 \(from 1\) is NaN"):
        read_mesh(path)


@pytest.mark.parametrize("share", [0.02, 0.5, 0.9])
def test_a_truncated_glb_is_refused(tmp_path: Path, share: float) -> None:
    path = tmp_path / "mesh.glb"
    write_mesh(random_mesh(), path)
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])
    with pytest.raises(ValueError, match=r"mesh\.glb cannot be read as GLB"):
        read_mesh(path)


@pytest.mark.parametrize("own", [".ply", ".glb"])
def test_a_mesh_with_another_formats_suffix_is_called_what_it_is(own: str, tmp_path: Path) -> None:
    mesh = Mesh(torch.eye(3), torch.tensor([[0, 1, 2]]), None)
    write_mesh(mesh, tmp_path / f"a{own}")
    (tmp_path / f"a{own}").rename(tmp_path / "a.obj")
    with pytest.raises(ValueError, match=rf"a\.obj is a {own[1:].upper()} file by its content; rename it to"):
        read_mesh(tmp_path / "a.obj")


def test_other_suffixes_and_missing_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(
        ValueError, match=r"mesh\.stl has the suffix '\.stl'; give a mesh as \.obj, \.ply, \.glb"
    ):
        read_mesh(tmp_path / "mesh.stl")
    with pytest.raises(ValueError, match="write meshes as"):
        write_mesh(random_mesh(), tmp_path / "mesh.stl")
    with pytest.raises(FileNotFoundError, match=r"mesh\.obj does not exist; expected a mesh as"):
        read_mesh(tmp_path / "mesh.obj")
