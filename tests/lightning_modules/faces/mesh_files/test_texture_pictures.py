"""Textures as people have them beside their meshes: kinds of pictures, names, options, places."""

import os
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image
from PIL.TiffImagePlugin import ImageFileDirectory_v2

from lightning_modules.faces.mesh_files.any_format import read_mesh

PIXELS = np.array([[[255, 0, 0], [0, 255, 0]], [[0, 0, 255], [255, 255, 255]]], np.uint8)
# At the lower left, lower right and upper right pixel's centre.
PLACES = "vt 0.25 0.25\nvt 0.75 0.25\nvt 0.75 0.75\n"
BLUE, WHITE, GREEN, RED = [0, 0, 1], [1, 1, 1], [0, 1, 0], [1, 0, 0]
SEEN = [BLUE, WHITE, GREEN]


def colours_of(
    folder: Path, library: str | bytes = "map_Kd skin.png", places: str = PLACES, face: str = "f 1/1 2/2 3/3"
) -> list | None:
    """The colours of a triangle's corners."""
    content = library.encode() if isinstance(library, str) else library
    (folder / "a.mtl").write_bytes(b"newmtl skin\n" + content + b"\n")
    (folder / "a.obj").write_text(f"mtllib a.mtl\nv 0 0 0\nv 1 0 0\nv 1 1 0\n{places}usemtl skin\n{face}\n")
    colours = read_mesh(folder / "a.obj").colours
    return None if colours is None else colours.numpy().round(3).tolist()


def skin(folder: Path, name: str = "skin.png", **options: object) -> None:
    Image.fromarray(PIXELS).save(folder / name, **options)


# ---------------------------------------------------------------------- kinds of pictures


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "P"])
@pytest.mark.parametrize("suffix", ["png", "tif", "bmp", "tga", "webp", "gif", "ppm"])
def test_colours_are_the_same_in_every_mode_and_format(tmp_path: Path, mode: str, suffix: str) -> None:
    if suffix == "ppm" and mode != "RGB":
        pytest.skip("has no such mode")
    image = Image.fromarray(PIXELS).convert(mode)
    image.save(tmp_path / f"skin.{suffix}", **({"lossless": True} if suffix == "webp" else {}))
    assert colours_of(tmp_path, f"map_Kd skin.{suffix}") == SEEN


def test_what_is_transparent_keeps_its_colour(tmp_path: Path) -> None:
    Image.fromarray(np.concatenate([PIXELS, np.zeros((2, 2, 1), np.uint8)], -1)).save(tmp_path / "skin.png")
    assert colours_of(tmp_path) == SEEN


@pytest.mark.parametrize(("stored", "grey"), [(200, 0.003), (255, 0.004), (40_000, 0.61), (65_535, 1)])
@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_grey_in_16_bits_is_of_16_bits_however_dark(
    tmp_path: Path, stored: int, grey: float, suffix: str
) -> None:
    Image.fromarray(np.full((2, 2), stored, np.uint16)).save(tmp_path / f"skin.{suffix}")
    assert colours_of(tmp_path, f"map_Kd skin.{suffix}") == [[pytest.approx(grey)] * 3] * 3


def test_deep_portable_maps_have_white_where_they_say(tmp_path: Path) -> None:
    (tmp_path / "skin.pgm").write_bytes(b"P5 2 2 1023\n" + np.full((2, 2), 3, ">u2").tobytes())
    assert colours_of(tmp_path, "map_Kd skin.pgm") == [[pytest.approx(3 / 1023, abs=1e-3)] * 3] * 3
    (tmp_path / "skin.ppm").write_bytes(b"P6 2 2 65535\n" + np.full((2, 2, 3), 32768, ">u2").tobytes())
    assert colours_of(tmp_path, "map_Kd skin.ppm") == [[pytest.approx(0.5, abs=3e-3)] * 3] * 3


def test_ink_is_converted(tmp_path: Path) -> None:
    for suffix in ("jpg", "tif"):
        Image.new("CMYK", (8, 8), (0, 255, 255, 0)).save(tmp_path / f"skin.{suffix}")
        assert colours_of(tmp_path, f"map_Kd skin.{suffix}") == [RED] * 3


def zero_is_white(folder: Path) -> None:
    tags = ImageFileDirectory_v2()
    tags[262] = 0
    Image.fromarray(np.full((2, 2), 40_000, np.uint16)).save(folder / "skin.tif", tiffinfo=tags)


def saved(values: np.ndarray) -> Callable[[Path], None]:
    return lambda folder: Image.fromarray(values).save(folder / "skin.tif")


@pytest.mark.parametrize(
    ("write", "message"),
    [
        (zero_is_white, "is a TIFF of more than 8 bits in which zero is white; save it with 8 bits"),
        (saved(np.full((2, 2), 70_000, np.int32)), "the pixels go from 70000 to 70000; expected 0 to 1"),
        (saved(np.full((2, 2), -3, np.float32)), "the pixels go from -3 to -3; expected 0 to 1"),
        (saved(np.full((2, 2), np.nan, np.float32)), "a pixel is NaN or infinite"),
        (lambda folder: cv2.imwrite(str(folder / "skin.tif"), np.zeros((2, 2, 3), np.float32)), "cannot be"),
        (lambda folder: (folder / "skin.tif").write_bytes(b""), "cannot be read as a picture"),
    ],
)
def test_a_picture_whose_white_cannot_be_told_is_refused(
    tmp_path: Path, write: Callable[[Path], None], message: str
) -> None:
    write(tmp_path)
    with pytest.raises(ValueError, match=rf"the texture .*skin\.tif:? {message}"):
        colours_of(tmp_path, "map_Kd skin.tif")


@pytest.mark.parametrize("size", [(1, 1), (1, 300), (300, 1)])
def test_a_picture_of_any_size_will_do(tmp_path: Path, size: tuple[int, int]) -> None:
    Image.new("RGB", size, (255, 0, 0)).save(tmp_path / "skin.png")
    assert colours_of(tmp_path) == [RED] * 3


# ---------------------------------------------------------------------- places in them


def test_beyond_its_border_a_picture_repeats_or_goes_on(tmp_path: Path) -> None:
    skin(tmp_path)
    beyond = "vt -0.25 1.25\nvt 1.25 1.25\nvt 1.25 -0.75\n"
    assert colours_of(tmp_path, places=beyond) == [WHITE, BLUE, BLUE]
    assert colours_of(tmp_path, "map_Kd -clamp on skin.png", places=beyond) == [RED, GREEN, WHITE]
    assert colours_of(tmp_path, "map_Kd -clamp off skin.png", places=beyond) == [WHITE, BLUE, BLUE]


def test_places_beyond_every_number_take_no_colour(tmp_path: Path) -> None:
    skin(tmp_path)
    places = "vt 1e308 0.25\nvt 0.75 0.25\nvt inf 0\n"
    grey = [0.5, 0.5, 0.5]
    assert colours_of(tmp_path, "map_Kd -s 1e10 1 skin.png", places=places)[0] == grey
    assert colours_of(tmp_path, places=places)[1:] == [WHITE, grey]


@pytest.mark.parametrize(
    ("library", "face"),
    [("", "f 1 2 3"), ("-s nan ", "f 1/1 2/2 3/3"), ("-o inf ", "f 1/1 2/2 3/3"), ("", "f 1//1 2//1 3//1")],
)
def test_a_texture_without_any_place_in_it_is_said(tmp_path: Path, library: str, face: str) -> None:
    skin(tmp_path)
    with pytest.warns(UserWarning, match=r"names the texture skin\.png, but for no corner a place in it"):
        assert colours_of(tmp_path, f"map_Kd {library}skin.png", face=face) is None
    with pytest.warns(UserWarning, match="for no corner a place in it"):
        assert colours_of(tmp_path, f"Kd 1 0 0\nmap_Kd {library}skin.png", face=face) == [RED] * 3


def test_a_library_of_which_nothing_is_used_is_said(tmp_path: Path) -> None:
    skin(tmp_path)
    colours_of(tmp_path)
    text = (tmp_path / "a.obj").read_text()
    (tmp_path / "a.obj").write_text(text.replace("usemtl skin\n", ""))
    with pytest.warns(UserWarning, match=r"names a\.mtl, but uses no material of it: no colours"):
        assert read_mesh(tmp_path / "a.obj").colours is None


# ---------------------------------------------------------------------- names


@pytest.mark.parametrize(
    ("name", "called"),
    [
        ("skin.png", "-s 1 1 1 -clamp off skin.png"),
        ("skin.png", "-s\t1\t1\t1\tskin.png"),
        ("skin.png", "skin.png # of the face"),
        ("skin.png", "skin.png#1"),
        ("skin.png", "'skin.png'"),
        ("skin.png", '-bm 1 "skin.png"'),
        ("skin.png", "-new 3 skin.png"),
        ("skin.png", "skin.png -clamp on"),
        ("skin.png", "file:///home/anyone/skin.png"),
        ("skin.png", "C:\\faces\\Skin.PNG"),
        ("sk#in.png", "sk#in.png"),
        ("my skin.png", "my%20skin.png"),
        ("my skin.png", "textures/my%20skin.png"),
        ("my%20skin.png", "my%20skin.png"),
        ("100%.png", "100%.png"),
        ("h\u00e4ut.png", "h%C3%A4ut.png"),
        ("ha\u0308ut.png", "h\u00e4ut.png"),
        ("h\u00e4ut.png", "HA\u0308UT.png"),
    ],
)
def test_a_texture_is_found_however_it_is_called(tmp_path: Path, name: str, called: str) -> None:
    skin(tmp_path, name)
    assert colours_of(tmp_path, f"map_Kd {called}") == SEEN


@pytest.mark.skipif(os.fsencode("\u00e4") != b"\xc3\xa4", reason="names of files are UTF-8 elsewhere")
@pytest.mark.parametrize("on_disk", [b"h\xe4ut.png", b"h\xc3\xa4ut.png"])
@pytest.mark.parametrize("called", [b"h\xe4ut.png", b"h\xc3\xa4ut.png"])
def test_letters_in_another_coding_are_the_same_letters(
    tmp_path: Path, on_disk: bytes, called: bytes
) -> None:
    skin(tmp_path)
    try:
        os.rename(tmp_path / "skin.png", os.fsencode(tmp_path) + b"/" + on_disk)
    except OSError:
        pytest.skip("this disk takes names in UTF-8 alone")
    assert colours_of(tmp_path, b"map_Kd " + called) == SEEN


def test_of_several_names_the_one_that_is_written_counts(tmp_path: Path) -> None:
    skin(tmp_path, "my%20skin.png")
    for other in ("my skin.png", "skin.png", "MY%20SKIN.png"):
        Image.new("RGB", (2, 2)).save(tmp_path / other)
    assert colours_of(tmp_path, "map_Kd my%20skin.png") == SEEN
