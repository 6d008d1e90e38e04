import io
import os
import struct
import subprocess
from pathlib import Path
from unicodedata import normalize

import numpy as np
import pytest
from PIL import Image, ImageDraw

from datamodules.alignment import images
from datamodules.alignment.image_content import FORMATS
from datamodules.alignment.images import PhotographError, list_photographs, read_list, read_photograph


def encoded(image: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def corner_marked(mode: str = "RGB") -> Image.Image:
    """40 wide, 30 high; the top left quarter is orange."""
    image = Image.new("RGB", (40, 30), (10, 40, 90))
    ImageDraw.Draw(image).rectangle((0, 0, 19, 14), fill=(240, 120, 20))
    return image.convert(mode)


def assert_orange_at_the_top_left(pixels: np.ndarray, tolerance: int = 3) -> None:
    assert pixels.shape == (30, 40, 3)
    assert pixels.dtype == np.uint8
    np.testing.assert_allclose(pixels[5, 5].astype(int), (240, 120, 20), atol=tolerance)
    np.testing.assert_allclose(pixels[25, 35].astype(int), (10, 40, 90), atol=tolerance)


@pytest.mark.parametrize("kind", ["PNG", "BMP", "TIFF", "PPM"])
def test_channels_come_as_red_green_blue_from_every_format(kind: str) -> None:
    assert_orange_at_the_top_left(read_photograph(encoded(corner_marked(), kind)).pixels)


def test_jpeg_and_webp_are_read() -> None:
    assert_orange_at_the_top_left(
        read_photograph(encoded(corner_marked(), "JPEG", quality=98, subsampling=0)).pixels, 6
    )
    assert_orange_at_the_top_left(read_photograph(encoded(corner_marked(), "WEBP", lossless=True)).pixels)


def test_palette_images_keep_their_colours() -> None:
    palette = corner_marked().quantize(4)
    assert palette.mode == "P"
    assert_orange_at_the_top_left(read_photograph(encoded(palette)).pixels)


def test_cmyk_jpeg_is_converted() -> None:
    pixels = read_photograph(encoded(corner_marked("CMYK"), "JPEG", quality=98)).pixels
    assert_orange_at_the_top_left(pixels, 12)


def test_grey_becomes_three_equal_channels() -> None:
    pixels = read_photograph(encoded(corner_marked("L"))).pixels
    assert (pixels[..., 0] == pixels[..., 2]).all()
    assert pixels[5, 5, 0] > pixels[25, 35, 0]


def test_sixteen_bits_are_scaled_to_eight() -> None:
    values = np.full((30, 40), 65535, np.uint16)
    values[:15, :20] = 32768
    pixels = read_photograph(encoded(Image.fromarray(values))).pixels
    assert pixels[5, 5].tolist() == [127] * 3
    assert pixels[25, 35].tolist() == [255] * 3


def test_transparent_parts_lie_on_white() -> None:
    image = corner_marked("RGBA")
    image.putalpha(Image.new("L", image.size, 255))
    image.paste((0, 0, 0, 0), (20, 15, 40, 30))
    pixels = read_photograph(encoded(image)).pixels
    np.testing.assert_array_equal(pixels[25, 35], (255, 255, 255))
    np.testing.assert_array_equal(pixels[5, 5], (240, 120, 20))


# What is encoded with losses, with how little it is, and how far colours move.
FORMS_OF_PHOTOGRAPHS: dict[str, tuple[dict[str, object], int]] = {
    "JPEG": ({"quality": 98, "subsampling": 0}, 6), "MPO": ({}, 16), "AVIF": ({"quality": 98}, 16),
    "PNG": ({}, 0), "WEBP": ({"lossless": True}, 0), "TIFF": ({}, 0),
}  # fmt: skip


@pytest.mark.parametrize("form", FORMS_OF_PHOTOGRAPHS)
@pytest.mark.parametrize("orientation", range(1, 9))
def test_rotated_photographs_come_upright(orientation: int, form: str) -> None:
    upright = corner_marked()
    undo = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }
    stored = upright.transpose(undo[orientation]) if orientation > 1 else upright
    exif = Image.Exif()
    exif[0x0112] = orientation
    options, tolerance = FORMS_OF_PHOTOGRAPHS[form]
    photograph = read_photograph(encoded(stored, form, exif=exif, **options))
    assert_orange_at_the_top_left(photograph.pixels, tolerance)
    assert (photograph.width, photograph.height) == (40, 30)


def test_the_first_frame_of_an_animation_is_taken() -> None:
    frames = [corner_marked(), Image.new("RGB", (40, 30), "white")]
    content = encoded(frames[0], "GIF", save_all=True, append_images=frames[1:])
    assert_orange_at_the_top_left(read_photograph(content).pixels)


def test_large_jpeg_is_decoded_at_a_fraction_of_its_size() -> None:
    large = encoded(Image.new("RGB", (12_000, 3_000), (90, 120, 150)), "JPEG")
    photograph = read_photograph(large)
    assert (photograph.width, photograph.height) == (12_000, 3_000)
    assert photograph.pixels.shape == (750, 3_000, 3)
    np.testing.assert_allclose(photograph.pixels[300, 300].astype(int), (90, 120, 150), atol=3)


def test_large_png_is_reduced_after_decoding() -> None:
    photograph = read_photograph(encoded(Image.new("L", (12_000, 1_000), 77)))
    assert photograph.pixels.shape == (200, 2_400, 3)
    assert (photograph.pixels == 77).all()


@pytest.mark.slow
def test_144_megapixels_are_accepted() -> None:
    photograph = read_photograph(encoded(Image.new("RGB", (12_000, 12_000), (90, 120, 150)), "JPEG"))
    assert photograph.pixels.shape == (3_000, 3_000, 3)


def test_more_than_150_megapixels_are_refused_before_decoding(monkeypatch: pytest.MonkeyPatch) -> None:
    content = encoded(Image.new("1", (16_000, 10_000)))

    def decode(*_: object) -> None:
        raise AssertionError("was decoded")

    monkeypatch.setattr(images, "_rgb", decode)
    with pytest.raises(PhotographError, match=r"160 megapixels \(16000 x 10000\); the limit is 150"):
        read_photograph(content)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "empty file"),
        (b"This is a text file.", "not an image, or of an unknown format"),
        (encoded(Image.new("RGB", (1, 1))), "1 x 1 pixels; the smallest side is 20"),
        (encoded(corner_marked(), "JPEG")[:500], "damaged image"),
        (encoded(Image.effect_noise((90, 90), 50))[:4000], "damaged image"),
        (encoded(corner_marked())[:20], "not an image|damaged"),
        (b"\0\0\0\x18ftypheic" + bytes(40), "a HEIC image or a film, which is not read; convert it to JPEG"),
    ],
    ids=["empty", "text", "1x1", "truncated JPEG", "truncated PNG", "header only", "HEIC"],
)
def test_unusable_files_give_their_reason(tmp_path: Path, content: bytes, reason: str) -> None:
    (tmp_path / "bad.jpg").write_bytes(content)
    with pytest.raises(PhotographError, match=reason):
        read_photograph(tmp_path / "bad.jpg")


def test_pillows_own_limit_is_left_as_it_was() -> None:
    before = Image.MAX_IMAGE_PIXELS
    read_photograph(encoded(corner_marked()))
    assert before == Image.MAX_IMAGE_PIXELS


def test_photographs_are_listed_by_pattern_in_a_fixed_order(tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    for name in ("b/2.JPG", "a.png", "b/1.webp", "notes.txt"):
        (tmp_path / name).write_bytes(b"x")
    assert [p.relative_to(tmp_path).as_posix() for p in list_photographs(tmp_path)] == [
        "a.png",
        "b/1.webp",
        "b/2.JPG",
    ]
    assert list_photographs(tmp_path, "*.png") == [tmp_path / "a.png"]


def test_a_missing_folder_and_one_without_photographs_are_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"no folder .*absent; name a folder with photographs"):
        list_photographs(tmp_path / "absent")
    with pytest.raises(
        ValueError, match=r"no photographs match \*\*/\* in .*expected files such as \.jpg, \.png"
    ):
        list_photographs(tmp_path)


def test_a_list_names_photographs_relative_to_itself(tmp_path: Path) -> None:
    (tmp_path / "list.txt").write_text("# mine\n\nfolder/a.jpg\n/elsewhere/b.jpg\n")
    assert read_list(tmp_path / "list.txt") == [tmp_path / "folder/a.jpg", Path("/elsewhere/b.jpg")]
    (tmp_path / "list.txt").write_bytes("folder\\a.jpg\r\nJosé.jpg\r\n".encode("utf-16"))
    assert read_list(tmp_path / "list.txt") == [tmp_path / "folder/a.jpg", tmp_path / "José.jpg"]
    (tmp_path / "list.txt").write_text('"folder\\a.jpg"\n')  # as Windows copies a path
    assert read_list(tmp_path / "list.txt") == [tmp_path / "folder/a.jpg"]
    (tmp_path / "empty.txt").write_text("# nothing\n")
    with pytest.raises(ValueError, match=r"empty\.txt names no photograph; expected one path a line"):
        read_list(tmp_path / "empty.txt")
    with pytest.raises(FileNotFoundError, match=r"no list file .*absent\.txt"):
        read_list(tmp_path / "absent.txt")


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (np.array([0.0, 0.5, 1.0]), (0, 127, 255)),
        (np.array([0.0, 0.5, 3.0]), (0, 127, 255)),  # a light brighter than white
        (np.array([-0.5, np.nan, 1.0]), (0, 0, 255)),
        (np.array([0.0, 100.0, 200.0]), (0, 100, 200)),
        (np.array([0.0, 2048.0, 4095.0]), (0, 127, 255)),
        (np.array([0.0, 32768.0, 65535.0]), (0, 127, 255)),
    ],
)
def test_numbers_with_a_point_are_scaled_by_their_range(values: np.ndarray, expected: tuple) -> None:
    image = Image.fromarray(np.repeat(values, 900).reshape(90, 30).astype(np.float32))
    pixels = read_photograph(encoded(image, "TIFF")).pixels
    assert tuple(pixels[[15, 45, 75], 5, 0].tolist()) == expected


@pytest.mark.parametrize(
    ("largest", "expected"), [(200, 200), (1023, 255), (4095, 255), (65535, 255), (2**24 - 1, 255)]
)
def test_whole_numbers_are_scaled_by_the_bits_that_they_take(largest: int, expected: int) -> None:
    image = Image.fromarray(np.full((30, 30), largest, np.int32 if largest > 65535 else np.uint16))
    assert read_photograph(encoded(image, "TIFF")).pixels[5, 5].tolist() == [expected] * 3


def tiff(values: np.ndarray, **tags: int) -> bytes:
    """An uncompressed TIFF of values [H, W] or [H, W, C], in a strip, or one a channel if `planar` is 2."""
    height, width, channels = (*values.shape, 1)[:3]
    planes = [values] if tags.get("planar") != 2 else [values[..., channel] for channel in range(channels)]
    strips = [np.ascontiguousarray(plane).tobytes() for plane in planes]
    places = [8 + sum(map(len, strips[:number])) for number in range(len(strips))]
    entries = [
        (256, 4, [width]), (257, 4, [height]), (258, 3, [8 * values.itemsize] * channels), (259, 3, [1]),
        (262, 3, [tags.get("photometric", 2 if channels > 1 else 1)]), (273, 4, places), (277, 3, [channels]),
        (278, 4, [height]), (279, 4, [len(strip) for strip in strips]), (284, 3, [tags.get("planar", 1)]),
        (339, 3, ["uif".index(values.dtype.kind) + 1] * channels),
    ]  # fmt: skip
    begin = 8 + sum(map(len, strips))
    behind = begin + 2 + 12 * len(entries) + 4
    table, more = b"", b""
    for tag, kind, numbers in entries:
        packed = struct.pack(f"<{len(numbers)}{'HI'[kind == 4]}", *numbers)
        if len(packed) > 4:
            packed, more = struct.pack("<I", behind + len(more)), more + packed
        table += struct.pack("<HHI4s", tag, kind, len(numbers), packed.ljust(4, b"\0"))
    head = b"II*\0" + struct.pack("<I", begin) + b"".join(strips)
    return head + struct.pack("<H", len(entries)) + table + bytes(4) + more


RISING = np.repeat([0.0, 0.5, 1.0], 900).reshape(90, 30)  # from black at the top to white


@pytest.mark.parametrize(
    ("kind", "white"), [(np.uint8, 255), (np.uint16, 65535), (np.uint16, 4095), (np.float32, 1)]
)
@pytest.mark.parametrize("zero_is_white", [False, True])
def test_grey_may_begin_with_black_or_with_white(kind: type, white: int, zero_is_white: bool) -> None:
    content = tiff((RISING * white).astype(kind), photometric=0 if zero_is_white else 1)
    seen = read_photograph(content).pixels[[15, 45, 75], 5, 0].astype(int)
    np.testing.assert_allclose(255 - seen if zero_is_white else seen, (0, 127, 255), atol=1)


def test_whole_numbers_of_32_bits_have_no_sign_unless_they_say_so() -> None:
    content = tiff((RISING * (2**32 - 1)).astype(np.uint32))
    np.testing.assert_allclose(read_photograph(content).pixels[[15, 45, 75], 5, 0], (0, 127, 255), atol=1)


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ((2 * RISING - 1).astype(np.float32), "brightness from -1 to 1; black must be 0"),
        ((65535 * RISING - 32768).astype(np.int32), "brightness from -3.277e.04 to 3.277e.04; black must be"),
        (np.full((30, 30), np.nan, np.float32), "none of its pixels is a number"),
        (np.stack([RISING * 4095] * 3, -1).astype(np.uint16), "in 16 bits of which 12 are used, all black"),
    ],
)
def test_numbers_whose_black_or_white_cannot_be_told_are_the_photographs_reason(
    values: np.ndarray, reason: str
) -> None:
    with pytest.raises(PhotographError, match=reason):
        read_photograph(tiff(values))


def test_planes_of_16_bits_are_refused_which_pillow_takes_for_8() -> None:
    colours = np.stack([RISING, 1 - RISING, RISING], -1)
    for kind, white in ((np.uint8, 255), (np.uint16, 65535)):
        together = read_photograph(tiff((colours * white).astype(kind))).pixels
        np.testing.assert_allclose(together[15, 5], (0, 255, 0), atol=1)
    apart = read_photograph(tiff((colours * 255).astype(np.uint8), planar=2)).pixels
    np.testing.assert_allclose(apart[75, 5], (255, 0, 255), atol=1)
    with pytest.raises(PhotographError, match="a TIFF of 16 bits in separate planes, which is not read"):
        read_photograph(tiff((colours * 65535).astype(np.uint16), planar=2))


@pytest.mark.parametrize("name", ["a.pam", "a.exr", "a.HDR", "a.svg", "a.nrw", "a.jxr", "a.psb"])
def test_images_that_are_not_read_are_named_and_not_passed_over(tmp_path: Path, name: str) -> None:
    corner_marked().save(tmp_path / "b.png")
    (tmp_path / name).write_bytes(b"P7\nWIDTH 9\n")
    assert list_photographs(tmp_path) == [tmp_path / name, tmp_path / "b.png"]


@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
@pytest.mark.parametrize(
    "exif",
    [
        b"Exif\0\0garbage without a header of its own",
        b"Exif\0\0II*\0\xff\xff\xff\x7f",
        b"Exif\0\0MM\0*\0\0\0\x08\xff\xff" + bytes(range(200)),
        b"",
    ],
)
def test_broken_exif_is_left_out_of_account(kind: str, exif: bytes) -> None:
    options = {"quality": 98, "subsampling": 0} if kind == "JPEG" else {}
    content = encoded(corner_marked(), kind, exif=exif, **options)
    assert_orange_at_the_top_left(read_photograph(content).pixels, 6)


@pytest.mark.parametrize(
    ("kind", "value"), [(3, b"\x00\x06\0\0"), (2, b"6\0\0\0"), (4, b"\0\0\0\x06"), (1, b"\x06\0\0\0")]
)
def test_an_orientation_of_another_type_and_beside_broken_entries_is_kept(kind: int, value: bytes) -> None:
    entries = [
        (0x010F, 2, 2_000_000_000, b"\0\0\0\x08"),  # a maker whose name lies nowhere
        (0x0112, kind, 2 if kind == 2 else 1, value),
        (0x011A, 5, 1, b"\xff\xff\xff\xff"),  # a resolution beyond the end
    ]
    table = b"".join(struct.pack(">HHI4s", *entry) for entry in entries)
    exif = b"Exif\0\0MM\0*\0\0\0\x08" + struct.pack(">H", len(entries)) + table + bytes(4)
    stored = corner_marked().transpose(Image.Transpose.ROTATE_90)
    photograph = read_photograph(encoded(stored, "JPEG", quality=98, subsampling=0, exif=exif))
    assert_orange_at_the_top_left(photograph.pixels, 6)
    assert (photograph.width, photograph.height) == (40, 30)


@pytest.mark.parametrize("extension", sorted(images.EXTENSIONS))
def test_every_extension_that_is_announced_is_read(tmp_path: Path, extension: str) -> None:
    kind = next(kind for kind, extensions in FORMATS.items() if extension in extensions)
    if kind in ("PSD", "QOI"):  # which Pillow cannot write
        pytest.skip(f"Pillow writes no {kind}")
    mode = {".pgm": "L", ".pbm": "1", ".pfm": "F"}.get(extension, "P" if kind == "GIF" else "RGB")
    image = corner_marked("L").point(lambda value: value / 255, "F") if mode == "F" else corner_marked(mode)
    path = tmp_path / f"a{extension.upper()}"
    image.save(path, kind)
    assert list_photographs(tmp_path) == [path]
    assert read_photograph(path).pixels.shape == (30, 40, 3)


def test_every_extension_that_pillow_knows_is_read_or_listed() -> None:
    Image.init()
    no_photographs = {"PDF", "MPEG", "HDF5", "GRIB", "BUFR"}
    of_images = {
        extension for extension, kind in Image.registered_extensions().items() if kind not in no_photographs
    }
    assert of_images <= images.EXTENSIONS | images.OTHER_EXTENSIONS | {".ftc", ".ftu", ".grib"}


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (
            b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 90 90\n",
            "an image of the format EPS, which is not read",
        ),
        (b"\xc5\xd0\xd3\xc6" + bytes(60), "an EPS image, which is not read"),
        (
            encoded(corner_marked(), "ICO"),
            "an image of the format ICO, which is not read; convert it to JPEG",
        ),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:00", "a Git LFS pointer; fetch"),
        (b"\n<!DOCTYPE html><html></html>", "a web page, such as a failed download leaves"),
        (b"PF\n90 90\n-1.0\n" + bytes(90), "a PFM image in colour, which is not read"),
        (b"P7\nWIDTH 90\n", "a PAM image, which is not read"),
        (b"\x76\x2f\x31\x01" + bytes(60), "an OpenEXR image, which is not read"),
        (b"#?RADIANCE\n", "a Radiance HDR image, which is not read"),
        (b"%PDF-1.7\n", "a PDF, which is not read"),
        (b"\0\0\0\x0cJXL \r\n\x87\n", "a JPEG XL image, which is not read"),
        (b"II*\0\xff\xff\xff\xff" + bytes(40), "a TIFF of a kind that is not read"),
    ],
)
def test_other_files_are_told_by_their_content(content: bytes, reason: str) -> None:
    with pytest.raises(PhotographError, match=reason):
        read_photograph(content)


def test_postscript_called_jpg_starts_no_other_program(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(subprocess, "Popen", lambda *_, **__: pytest.fail("started a program"))
    eps = encoded(corner_marked(), "EPS")
    (tmp_path / "a.jpg").write_bytes(eps)
    with pytest.raises(PhotographError, match="an image of the format EPS, which is not read"):
        read_photograph(tmp_path / "a.jpg")


def test_whatever_a_decoder_raises_is_the_photographs_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise struct.error("unpack requires a buffer of 4 bytes")

    monkeypatch.setattr(images, "_rgb", fail)
    with pytest.raises(PhotographError, match=r"damaged image \(unpack requires a buffer of 4 bytes\)"):
        read_photograph(encoded(corner_marked()))


def test_hidden_files_are_left_out_and_links_to_folders_followed(tmp_path: Path) -> None:
    folder, elsewhere = tmp_path / "photographs", tmp_path / "elsewhere"
    for path in (folder / "a.png", folder / "._a.png", folder / ".thumbnails/a.png", elsewhere / "b.png"):
        path.parent.mkdir(parents=True, exist_ok=True)
        corner_marked().save(path)
    (folder / "linked").symlink_to(elsewhere)
    (folder / "round").symlink_to(folder)
    assert list_photographs(folder) == [folder / "a.png", folder / "linked/b.png"]
    assert list_photographs(folder, "*/*.png") == [folder / "linked/b.png"]


def test_a_listed_photograph_is_found_however_its_accents_are_written(tmp_path: Path) -> None:
    apart, together = (normalize(form, "José.jpg") for form in ("NFD", "NFC"))
    (tmp_path / "list.txt").write_text(f"{together}\n", encoding="utf-8")
    assert read_list(tmp_path / "list.txt") == [tmp_path / together]  # of neither, the one that is named
    (tmp_path / apart).touch()
    (found,) = read_list(tmp_path / "list.txt")
    assert found.is_file()


def test_a_list_with_zero_bytes_is_refused_with_the_line(tmp_path: Path) -> None:
    (tmp_path / "list.txt").write_bytes(b"a.jpg\nb.jpg\n\0\0\0")
    with pytest.raises(ValueError, match=r"list\.txt, line 3 holds a zero byte"):
        read_list(tmp_path / "list.txt")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes in folders")
def test_a_pipe_is_named_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.jpg")
    assert list_photographs(tmp_path) == [tmp_path / "a.jpg"]
    with pytest.raises(PhotographError, match="not a file, but a pipe or a device"):
        read_photograph(tmp_path / "a.jpg")
