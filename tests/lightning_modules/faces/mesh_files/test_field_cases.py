"""Mesh files of which others report accidents: what is right stands in each test."""

import struct
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from lightning_modules.faces.mesh_files import glb
from lightning_modules.faces.mesh_files.any_format import read_mesh
from lightning_modules.faces.mesh_files.obj import read_obj_vertices
from tests.lightning_modules.faces.mesh_files.glb_corpus import Builder, glb_of
from tests.lightning_modules.rendering.icc_profiles import DISPLAY_P3, SRGB, matrix_profile

TRIANGLE = "v 0 0 0\nv 1 0 0\nv 0 1 0\n"


def obj(folder: Path, text: str, **libraries: str) -> Path:
    """An OBJ file with material libraries beside it."""
    for name, content in libraries.items():
        (folder / f"{name}.mtl").write_text(content)
    (folder / "mesh.obj").write_text(text)
    return folder / "mesh.obj"


# ---------------------------------------------------------------------- OBJ


@pytest.mark.parametrize("coding", ["utf-8-sig", "utf-16"])
def test_a_byte_order_mark_hides_no_vertex(tmp_path: Path, coding: str) -> None:
    (tmp_path / "bom.obj").write_text(TRIANGLE + "f 1 2 3\n", encoding=coding)
    assert read_mesh(tmp_path / "bom.obj").vertices.tolist() == [[0, 0, 0], [1, 0, 0], [0, 1, 0]]
    assert read_obj_vertices(tmp_path / "bom.obj").tolist() == [[0, 0, 0], [1, 0, 0], [0, 1, 0]]


def test_a_comment_that_ends_in_a_backslash_swallows_no_vertex(tmp_path: Path) -> None:
    path = obj(tmp_path, "# from C:\\scans\\\n" + TRIANGLE + "f 1 \\\n2 \\\n3 # all\n")
    assert read_mesh(path).triangles.tolist() == [[0, 1, 2]]
    assert len(read_mesh(path).vertices) == 3


@pytest.mark.parametrize("face", ["f 1 2 3#all", "f 1 2 3 # all", "f 1/1/1 2/1/1 3/1/1#all", "fo 1 2 3"])
def test_a_comment_may_touch_what_it_follows(tmp_path: Path, face: str) -> None:
    path = obj(tmp_path, f"v 0 0 0 # a\nv 1 0 0#b\nv 0 1 0\t# c\nvt 0.5 0.5#d\nvn 0 0 1#e\n{face}\n")
    mesh = read_mesh(path)
    assert mesh.vertices.tolist() == [[0, 0, 0], [1, 0, 0], [0, 1, 0]]
    assert mesh.triangles.tolist() == [[0, 1, 2]]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("v 0 0 -1.#IND", "line 2: a vertex does not consist of 3 numbers"),
        ("v 0,5 0 1", "line 2: a vertex does not consist of 3 numbers, got '0,5 0 1'"),
        ("f 1 2 99999999999999999999", "line 2: the face corner '9+' is beyond every vertex"),
        ("f 1 2 3.5", "line 2: the face corner '3.5' is not a vertex id"),
        ("f 1 2 7", r"line 2: a triangle names the vertices \[1, 2, 7\] \(from 1\), but there are 3"),
    ],
)
def test_the_line_that_is_wrong_is_named(tmp_path: Path, line: str, message: str) -> None:
    with pytest.raises(ValueError, match=rf"mesh\.obj, {message}"):
        read_mesh(obj(tmp_path, f"# a\n{line}\n{TRIANGLE}f 1 2 3\n"))


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ("0.5 0.25 1", (0.5, 0.25, 1)),
        ("127.5 63.75 255", (0.5, 0.25, 1)),
        ("32767.5 16383.75 65535", (0.5, 0.25, 1)),
        ("127.5 63.75 255 255", (0.5, 0.25, 1)),
        ("1 127.5 63.75 255", (0.5, 0.25, 1)),
        ("1 0.5 0.25 1 1", (0.5, 0.25, 1)),
        ("1.2 -0.1 0.5", (1.2, -0.1, 0.5)),
    ],
)  # fmt: skip
def test_colours_are_rescaled_by_their_range(tmp_path: Path, rows: str, expected: tuple[float, ...]) -> None:
    text = "".join(f"v {x} 0 0 {rows}\n" for x in range(3)) + "f 1 2 3\n"
    colours = read_mesh(obj(tmp_path, text)).colours
    assert colours is not None
    torch.testing.assert_close(colours, torch.tensor(expected).repeat(3, 1), atol=1e-6, rtol=0)


@pytest.mark.parametrize("rows", ["0 0 300", "-3 0 0", "-20 0 255", "0 0 70000"])
def test_colours_of_no_range_are_refused(tmp_path: Path, rows: str) -> None:
    text = "".join(f"v {x} 0 0 {rows}\n" for x in range(3))
    with pytest.raises(
        ValueError, match=r"mesh\.obj: the vertex colours go from .* expected 0 to 1, 0 to 255"
    ):
        read_mesh(obj(tmp_path, text))


# ---------------------------------------------------------------------- materials


@pytest.mark.parametrize(
    "statement",
    [
        "a.mtl b.mtl", '"a.mtl" "b.mtl"', "folder\\a.mtl b.mtl", "A.MTL b.mtl", "a.mtl missing.mtl b.mtl",
        "a.mtl b.mtl # both",
    ],
)  # fmt: skip
def test_several_material_libraries_on_a_line_are_read(tmp_path: Path, statement: str) -> None:
    text = f"mtllib {statement}\n{TRIANGLE}usemtl one\nf 1 2 3\nv 5 5 5\nusemtl two\nf 1 2 4\n"
    path = obj(tmp_path, text, a="newmtl one\nKd 1 0 0\n", b="newmtl two\nkd 0 0 255\n")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        colours = read_mesh(path).colours
    assert colours is not None
    assert colours.tolist() == [[0.5, 0, 0.5], [0.5, 0, 0.5], [1, 0, 0], [0, 0, 1]]


def test_only_the_missing_library_is_named(tmp_path: Path) -> None:
    path = obj(
        tmp_path, f"mtllib a.mtl gone.mtl\n{TRIANGLE}usemtl one\nf 1 2 3\n", a="newmtl one\nKd 1 0 0\n"
    )
    with pytest.warns(UserWarning, match=r"names the materials gone\.mtl, which are missing"):
        assert read_mesh(path).colours is not None


def test_a_library_with_a_byte_order_mark_a_comment_and_other_cases_is_read(tmp_path: Path) -> None:
    path = obj(tmp_path, f"mtllib a.mtl\n{TRIANGLE}usemtl skin\nf 1 2 3\n")
    (tmp_path / "a.mtl").write_bytes(b"\xef\xbb\xbfNEWMTL skin\r\nKD 0.5 0.25 1 # rose\r\n")
    colours = read_mesh(path).colours
    assert colours is not None
    assert colours[0].tolist() == [0.5, 0.25, 1]


@pytest.mark.parametrize(
    ("colour", "message"),
    [
        ("nan 0 0", "NaN or infinite"), ("0 0", "not r g b"), ("1.#QNAN 0 0", "not r g b"),
        ("0 0 400", "go from 0 to 400"),
    ],
)  # fmt: skip
def test_a_diffuse_colour_that_is_none_is_refused_with_its_line(
    tmp_path: Path, colour: str, message: str
) -> None:
    path = obj(tmp_path, f"mtllib a.mtl\n{TRIANGLE}usemtl skin\nf 1 2 3\n", a=f"newmtl skin\nKd {colour}\n")
    with pytest.raises(ValueError, match=rf"a\.mtl, line 2: .*{message}"):
        read_mesh(path)


@pytest.mark.parametrize("library", ["", "newmtl other\nKd 1 0 0\n"])
def test_a_material_that_no_library_has_is_named(tmp_path: Path, library: str) -> None:
    path = obj(tmp_path, f"mtllib a.mtl\n{TRIANGLE}usemtl skin\nf 1 2 3\n", a=library)
    with pytest.warns(UserWarning, match=r"mesh\.obj uses the material skin, which a\.mtl lacks"):
        assert read_mesh(path).colours is None


@pytest.mark.parametrize("colour", ["spectral skin.rfl 1", "xyz 0.5 0.5 0.5"])
def test_a_spectral_colour_is_said_to_be_none(tmp_path: Path, colour: str) -> None:
    path = obj(tmp_path, f"mtllib a.mtl\n{TRIANGLE}usemtl skin\nf 1 2 3\n", a=f"newmtl skin\nKd {colour}\n")
    with pytest.warns(UserWarning, match=r"a\.mtl, line 2: a diffuse colour is given as"):
        assert read_mesh(path).colours is None


def test_texture_options_and_coordinates_that_are_no_numbers(tmp_path: Path) -> None:
    """The picture's left half is red, its right half blue; an offset of half of it swaps them."""
    pixels = np.zeros((2, 4, 3), np.uint8)
    pixels[:, :2, 0] = pixels[:, 2:, 2] = 255
    Image.fromarray(pixels).save(tmp_path / "skin.png")
    text = f"mtllib a.mtl\n{TRIANGLE}vt 0.25 0.5\nvt 0.75 0.5\nvt nan -1.#IND\nusemtl skin\nf 1/1 2/2 3/3\n"
    path = obj(tmp_path, text, a="newmtl skin\nmap_Kd -clamp off -o 0.5 -mm 0 1 skin.png\n")
    colours = read_mesh(path).colours
    assert colours is not None
    assert colours.tolist() == [[0, 0, 1], [1, 0, 0], [0.5, 0.5, 0.5]]


def test_a_grey_texture_in_16_bits_keeps_its_range(tmp_path: Path) -> None:
    Image.fromarray(np.full((2, 2), 32768, np.uint16)).save(tmp_path / "grey.png")
    text = f"mtllib a.mtl\n{TRIANGLE}vt 0 0\nusemtl skin\nf 1/1 2/1 3/1\n"
    colours = read_mesh(obj(tmp_path, text, a="newmtl skin\nmap_Kd grey.png\n")).colours
    assert colours is not None
    torch.testing.assert_close(colours, torch.full((3, 3), 0.5), atol=1e-4, rtol=0)


@pytest.mark.parametrize(
    ("profile", "expected"),
    [
        (matrix_profile(DISPLAY_P3), (224, 162, 129)), (matrix_profile(SRGB), (214, 163, 133)),
        (b"no profile", (214, 163, 133)),
    ],
)  # fmt: skip
def test_a_texture_s_colours_are_converted_by_its_profile(
    tmp_path: Path, profile: bytes, expected: tuple[int, ...]
) -> None:
    """The skin that a telephone writes in Display P3 is another one in sRGB, on a mesh as in a photograph."""
    Image.new("RGB", (4, 4), (214, 163, 133)).save(tmp_path / "skin.png", icc_profile=profile)
    text = f"mtllib a.mtl\n{TRIANGLE}vt 0 0\nusemtl skin\nf 1/1 2/1 3/1\n"
    colours = read_mesh(obj(tmp_path, text, a="newmtl skin\nmap_Kd skin.png\n")).colours
    assert colours is not None
    np.testing.assert_allclose(255 * colours.numpy(), np.tile(expected, (3, 1)), atol=2)


def test_a_texture_bomb_and_a_postscript_texture_are_refused(tmp_path: Path) -> None:
    text = f"mtllib a.mtl\n{TRIANGLE}vt 0 0\nusemtl skin\nf 1/1 2/1 3/1\n"
    path = obj(tmp_path, text, a="newmtl skin\nmap_Kd skin.png\n")
    header = b"\x89PNG\r\n\x1a\n" + struct.pack(">I4sIIBBBBB", 13, b"IHDR", 30000, 30000, 8, 2, 0, 0, 0)
    for content in (header + b"\0" * 64, b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n"):
        (tmp_path / "skin.png").write_bytes(content)
        with pytest.raises(ValueError, match=r"the texture .*skin\.png cannot be read as a picture"):
            read_mesh(path)


@pytest.mark.parametrize(
    ("library", "used", "expected"),
    [
        ("newmtl skin # of the face\nKd 1 0 0\n", "skin", [1, 0, 0]),
        ("newmtl skin # of the face\nKd 1 0 0\n", "skin # again", [1, 0, 0]),
        ("newmtl skin #1\nKd 1 0 0\nnewmtl skin #2\nKd 0 1 0\n", "skin #2", [0, 1, 0]),
    ],
)
def test_a_comment_behind_a_material_s_name_is_none_of_it(
    tmp_path: Path, library: str, used: str, expected: list[float]
) -> None:
    """Unless several names differ by it, as of programs that number them."""
    colours = read_mesh(obj(tmp_path, f"mtllib a.mtl\n{TRIANGLE}usemtl {used}\nf 1 2 3\n", a=library)).colours
    assert colours is not None
    assert colours.tolist() == [expected] * 3


# ---------------------------------------------------------------------- what is no mesh


@pytest.mark.parametrize("suffix", [".obj", ".ply", ".glb"])
@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "is empty, as a copy or download that failed leaves it"),
        (
            b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n",
            "is a Git LFS pointer; fetch",
        ),
        (b"<!DOCTYPE html><html>404</html>", "is a web page, as a download that failed leaves it"),
        (b"\x1f\x8b\x08" + b"\0" * 40, "is compressed by gzip; unpack it"),
        (b"\0" * 600, "begins with zeros, as a copy that broke off leaves it"),
        (b"\x89PNG\r\n\x1a\n" + b"\0" * 40, "is a picture"),
    ],
)
def test_a_file_that_is_no_mesh_is_called_what_it_is(
    tmp_path: Path, suffix: str, content: bytes, sentence: str
) -> None:
    (tmp_path / f"mesh{suffix}").write_bytes(content)
    with pytest.raises(ValueError, match=rf"mesh\{suffix} {sentence}.*; give a mesh as \.obj, \.ply, \.glb"):
        read_mesh(tmp_path / f"mesh{suffix}")


# ---------------------------------------------------------------------- PLY

HEAD = "ply\nformat ascii 1.0\nelement vertex 3\nproperty float x\nproperty float y\nproperty float z\n"
FACES = "element face 1\nproperty list uchar int vertex_indices\nend_header\n"
POINTS = "0 0 0\n1 0 0\n0 1 0\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (HEAD + FACES + POINTS, "is truncated"),
        (HEAD + FACES + "0 0 0\n1 0\n0 1 0\n3 0 1 2\n", "line 11: '1 0' is no vertex as the"),
        (HEAD + FACES + POINTS + "3 0 1\n", "line 13: '3 0 1' is no face"),
        (HEAD + FACES + POINTS + "3 0 1 x\n", "line 13: '3 0 1 x' is no face"),
        (HEAD + FACES + POINTS + "2 0 1\n", r"face 1 of 1 \(from 1\) has 2 corners"),
        (HEAD + FACES + "0 0 nan\n1 0 0\n0 1 0\n3 0 1 2\n", r"vertex 1 of 3 \(from 1\) is NaN"),
        (HEAD + FACES + "0 0 1,5\n1 0 0\n0 1 0\n3 0 1 2\n", r"vertex 1 of 3 \(from 1\) is NaN"),
        (HEAD + FACES + POINTS + "3 0 1 9\n", r"names the vertices \[1, 2, 10\]"),
        (HEAD.replace("property float z\n", "") + FACES + "0 0\n1 0\n0 1\n3 0 1 2\n", "have no x, y and z"),
        (HEAD.replace("vertex 3", "vertex 99999999999999999"), "cannot be read as PLY"),
        (HEAD.replace("vertex 3", "vertex 99999999999999999") + FACES + POINTS, "it declares 99,999,999"),
        (HEAD.replace("float y", "quaternion y") + FACES, "line 5: 'property quaternion y' belongs into no"),
        (HEAD + FACES.replace("vertex_indices", "other") + POINTS + "3 0 1 2\n", "list no vertex_indices"),
        ("not a ply", "does not begin with a PLY header"),
    ],
)  # fmt: skip
def test_a_bad_ply_is_refused_by_line_or_element(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "bad.ply").write_text(text)
    with pytest.raises(ValueError, match=rf"bad\.ply.*{message}"):
        read_mesh(tmp_path / "bad.ply")


@pytest.mark.parametrize("length", [-1, 100])
def test_a_list_of_impossible_length_is_refused(tmp_path: Path, length: int) -> None:
    head = (HEAD + FACES).replace("ascii", "binary_little_endian").replace("uchar int", "int int")
    body = struct.pack("<9f", *range(9)) + struct.pack("<4i", length, 0, 1, 2)
    (tmp_path / "bad.ply").write_bytes(head.encode() + body)
    with pytest.raises(ValueError, match=r"bad\.ply.*face 1 of 1"):
        read_mesh(tmp_path / "bad.ply")


def test_colours_of_faces_meet_at_the_vertices(tmp_path: Path) -> None:
    head = HEAD.replace("vertex 3", "vertex 5") + FACES.replace("face 1", "face 2").replace(
        "end_header", "property uchar red\nproperty uchar green\nproperty uchar blue\nend_header"
    )
    (tmp_path / "a.ply").write_text(head + POINTS + "1 1 0\n5 5 5\n3 0 1 2 255 0 0\n3 1 3 2 0 0 255\n")
    colours = read_mesh(tmp_path / "a.ply").colours
    assert colours is not None
    assert colours.tolist() == [[1, 0, 0], [0.5, 0, 0.5], [0.5, 0, 0.5], [0, 0, 1], [0.5, 0.5, 0.5]]


@pytest.mark.parametrize("where", ["s", "u", "texture_u", "texcoord"])
def test_a_texture_that_a_ply_file_keeps_elsewhere_is_said_not_to_be_read(tmp_path: Path, where: str) -> None:
    """Unless the vertices have colours of their own."""
    of_faces = where == "texcoord"
    head, points, face = HEAD, POINTS, "3 0 1 2"
    faces = FACES.replace("end_header", "property list uchar float texcoord\nend_header")
    if not of_faces:
        head, faces = f"{HEAD}property float {where}\nproperty float v\n", FACES
        points = POINTS.replace("\n", " 0.5 0.5\n")
    (tmp_path / "a.ply").write_text(head + faces + points + face + " 6 0 0 1 0 0 1" * of_faces + "\n")
    with pytest.warns(UserWarning, match=r"a\.ply has texture coordinates, but a PLY file's texture is not"):
        mesh = read_mesh(tmp_path / "a.ply")
    assert mesh.colours is None
    assert mesh.vertices.tolist() == [[0, 0, 0], [1, 0, 0], [0, 1, 0]]


def test_names_of_properties_count_in_any_case(tmp_path: Path) -> None:
    colours = "property uchar Red\nproperty uchar Green\nproperty uchar Blue\n"
    head = HEAD.replace("float x", "float X").replace("float y", "float Y").replace("float z", "float Z")
    text = head + colours + FACES.replace("vertex_indices", "Vertex_Indices")
    (tmp_path / "a.ply").write_text(text + POINTS.replace("\n", " 255 51 0\n") + "3 0 1 2\n")
    mesh = read_mesh(tmp_path / "a.ply")
    assert mesh.vertices.tolist() == [[0, 0, 0], [1, 0, 0], [0, 1, 0]]
    assert mesh.triangles.tolist() == [[0, 1, 2]]
    assert mesh.colours is not None
    torch.testing.assert_close(mesh.colours, torch.tensor([1, 0.2, 0]).repeat(3, 1))


# ---------------------------------------------------------------------- GLB


@pytest.mark.parametrize("value", ["4", 0.5, None, [4]])
def test_what_is_no_whole_number_in_a_glb_file_is_refused_with_its_name(
    tmp_path: Path, value: object
) -> None:
    content, built = glb_content()
    content["accessors"][0]["count"] = value
    (tmp_path / "a.glb").write_bytes(glb_of(content, built.binary))
    with pytest.raises(ValueError, match=r"a\.glb cannot be read as GLB: its description lacks or misstates"):
        read_mesh(tmp_path / "a.glb")
    content["accessors"][0]["count"] = 3.0
    (tmp_path / "a.glb").write_bytes(glb_of(content, built.binary))
    assert len(read_mesh(tmp_path / "a.glb").vertices) == 3


def glb_content(**more: object) -> tuple[dict, Builder]:
    """A triangle."""
    built = Builder()
    position = built.array(np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0]]) / 8, "f")
    primitive = {"attributes": {"POSITION": position}}
    content = {"meshes": [{"primitives": [primitive]}], "nodes": [{"mesh": 0}], "scenes": [{"nodes": [0]}],
               "accessors": built.accessors, "bufferViews": built.views, "buffers": [{}], **more}  # fmt: skip
    return content, built


@pytest.mark.parametrize(
    ("extension", "message"),
    [
        ("KHR_draco_mesh_compression", "Draco compresses its triangles; export the mesh without compression"),
        ("EXT_meshopt_compression", "meshopt compresses its arrays"),
        ("VENDOR_secret", "it requires VENDOR_secret; export the mesh without it"),
    ],
)
def test_compressed_glb_is_refused_by_name(tmp_path: Path, extension: str, message: str) -> None:
    content, built = glb_content(extensionsRequired=[extension])
    (tmp_path / "a.glb").write_bytes(glb_of(content, built.binary))
    with pytest.raises(ValueError, match=rf"a\.glb cannot be read: {message}"):
        read_mesh(tmp_path / "a.glb")


def test_draco_that_a_file_does_not_say_to_require_is_refused_too(tmp_path: Path) -> None:
    content, built = glb_content()
    content["meshes"][0]["primitives"][0]["extensions"] = {"KHR_draco_mesh_compression": {"bufferView": 0}}
    (tmp_path / "a.glb").write_bytes(glb_of(content, built.binary))
    with pytest.raises(ValueError, match="Draco"):
        read_mesh(tmp_path / "a.glb")


def attributes(content: dict) -> dict:
    return content["meshes"][0]["primitives"][0]["attributes"]


def twice(content: dict) -> None:
    content["nodes"].append({"children": [1]})
    content["scenes"][0]["nodes"].append(1)


def too_many(content: dict) -> None:
    content["accessors"][0]["count"] = 10**9


def zeros_without_end(content: dict) -> None:
    del content["accessors"][0]["bufferView"]
    content["accessors"][0]["count"] = 10**12


def elsewhere(content: dict) -> None:
    content["buffers"][0]["uri"] = "mesh.bin"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (twice, "has two parents or is its own"),
        (too_many, "accessor 0 lies beyond its buffer"),
        (zeros_without_end, "stores none"),
        (elsewhere, r"in another file, mesh\.bin"),
        (lambda content: content["meshes"].clear(), "lacks or misstates"),
        (lambda content: content["scenes"][0]["nodes"].clear(), "holds no vertices"),
        # Python would count these from the end.
        (lambda content: content["nodes"][0].update(mesh=-1), r"misstates something .*meshes -1"),
        (lambda content: content.update(scene=-1), r"misstates something .*scenes -1"),
        (lambda content: content["nodes"][0].update(children=[-1]), "has two parents|nodes -1"),
        (lambda content: attributes(content).update(POSITION=-1), r"misstates something .*accessors -1"),
        (lambda content: content["accessors"][0].update(bufferView=-1), r"something .*bufferViews -1"),
        (lambda content: content["nodes"][0].update(matrix=[1, 0, 0]), "a matrix of 3 numbers"),
        (
            lambda content: content["nodes"][0].update(scale=[1e308] * 3),
            r"vertex 2 of 3 .* is NaN or infinite",
        ),
        (lambda content: content["nodes"][0].update(scale=[float("nan")] * 3), "is NaN or infinite"),
    ],
)
def test_a_bad_glb_is_refused_by_its_part(
    tmp_path: Path, change: Callable[[dict], None], message: str
) -> None:
    content, built = glb_content()
    change(content)
    (tmp_path / "a.glb").write_bytes(glb_of(content, built.binary))
    with pytest.raises(ValueError, match=rf"a\.glb.*{message}"):
        read_mesh(tmp_path / "a.glb")


def test_a_rotation_of_another_length_turns_and_does_not_stretch(tmp_path: Path) -> None:
    """A quarter about z, x to y, four times as long as it should be."""
    content, built = glb_content()
    content["nodes"][0]["rotation"] = [0, 0, 8**0.5, 8**0.5]
    (tmp_path / "a.glb").write_bytes(glb_of(content, built.binary))
    expected = torch.tensor([[0.0, 0, 0], [0, 125, 0], [-125, 0, 0]])
    torch.testing.assert_close(read_mesh(tmp_path / "a.glb").vertices, expected, atol=1e-4, rtol=0)


@pytest.mark.parametrize(
    ("mesh_s", "node_s", "moved"), [(0, None, 0), (0.5, None, 0.5), (0.5, 1, 1), (1, 0, 0)]
)
def test_an_expression_at_a_weight_is_part_of_the_face(
    tmp_path: Path, mesh_s: float, node_s: float | None, moved: float
) -> None:
    """The node's weight counts before the mesh's, as in every viewer."""
    content, built = glb_content()
    target = built.array(np.full((3, 3), 0.25), "f")
    content["meshes"][0] |= {"weights": [mesh_s]}
    content["meshes"][0]["primitives"][0]["targets"] = [{"POSITION": target}]
    if node_s is not None:
        content["nodes"][0]["weights"] = [node_s]
    (tmp_path / "a.glb").write_bytes(glb_of(content, built.binary))
    expected = torch.tensor([[0.0, 0, 0], [125, 0, 0], [0, 125, 0]]) + 250 * moved
    torch.testing.assert_close(read_mesh(tmp_path / "a.glb").vertices, expected, atol=1e-4, rtol=0)


def test_corners_that_are_no_triangles_are_refused_with_the_file_s_name(tmp_path: Path) -> None:
    content, built = glb_content()
    content["meshes"][0]["primitives"][0]["indices"] = built.array(np.array([0, 1]), "H")
    (tmp_path / "a.glb").write_bytes(glb_of(content, built.binary))
    with pytest.raises(ValueError, match=r"a\.glb: a primitive lists 2 corners, which are no triangles"):
        read_mesh(tmp_path / "a.glb")


MANY_NODES = 60_000  # a recursion ends at a thousand; what grows with the square takes a minute


def scene_of(nodes: list[dict], roots: list[int]) -> bytes:
    """The triangle in a scene of these nodes."""
    content, built = glb_content(nodes=nodes, scenes=[{"nodes": roots}])
    return glb_of(content, built.binary)


@pytest.mark.parametrize("shape", ["deep", "wide"])
def test_very_many_nodes_are_read_in_seconds(tmp_path: Path, shape: str) -> None:
    """Deep: each node, moved by 2^-10 m, is the next one's parent. Wide: each places the triangle."""
    shift = 2.0**-10
    nodes: list[dict]
    if shape == "deep":
        nodes = [{"children": [n + 1], "translation": [shift, 0, 0]} for n in range(MANY_NODES - 1)]
        nodes.append({"mesh": 0})
        roots = [0]
    else:
        nodes = [{"mesh": 0, "translation": [shift * n, 0, 0]} for n in range(MANY_NODES)]
        roots = list(range(MANY_NODES))
    (tmp_path / "a.glb").write_bytes(scene_of(nodes, roots))
    begin = time.process_time()
    mesh = read_mesh(tmp_path / "a.glb")
    assert time.process_time() - begin < 20  # 2 s where this was written
    last = 1000 * shift * (MANY_NODES - 1)
    assert mesh.vertices[-3:, 0].tolist() == pytest.approx([last, last + 125, last], abs=0.01)
    copies = 1 if shape == "deep" else MANY_NODES
    assert torch.equal(mesh.triangles, torch.arange(3 * copies).reshape(-1, 3))


def test_a_node_that_names_one_child_time_and_again_is_refused_at_once(tmp_path: Path) -> None:
    nodes: list[dict] = [{"children": [0] * 1000} for _ in range(1000)]
    (tmp_path / "a.glb").write_bytes(scene_of(nodes, [0]))
    with pytest.raises(ValueError, match=r"a\.glb: node 0 has two parents or is its own"):
        read_mesh(tmp_path / "a.glb")


def test_a_scene_beyond_every_scan_is_refused_before_it_fills_the_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(glb, "LARGEST_SCENE", 8)
    nodes: list[dict] = [{"mesh": 0} for _ in range(3)]
    (tmp_path / "a.glb").write_bytes(scene_of(nodes[:2], [0, 1]))
    assert len(read_mesh(tmp_path / "a.glb").vertices) == 6
    (tmp_path / "a.glb").write_bytes(scene_of(nodes, [0, 1, 2]))
    with pytest.raises(ValueError, match=r"a\.glb has more than 8 vertices or triangles over all its nodes"):
        read_mesh(tmp_path / "a.glb")
