import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw

from datamodules.alignment import images
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


@pytest.mark.parametrize("orientation", range(1, 9))
def test_rotated_photographs_come_upright(orientation: int) -> None:
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
    photograph = read_photograph(encoded(stored, "JPEG", quality=98, subsampling=0, exif=exif))
    assert_orange_at_the_top_left(photograph.pixels, 6)
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
    with pytest.raises(ValueError, match=r"no photographs match \*\*/\* in .*expected files ending in \.bmp"):
        list_photographs(tmp_path)


def test_a_list_names_photographs_relative_to_itself(tmp_path: Path) -> None:
    (tmp_path / "list.txt").write_text("# mine\n\nfolder/a.jpg\n/elsewhere/b.jpg\n")
    assert read_list(tmp_path / "list.txt") == [tmp_path / "folder/a.jpg", Path("/elsewhere/b.jpg")]
    (tmp_path / "list.txt").write_bytes("folder\\a.jpg\r\nJosé.jpg\r\n".encode("utf-16"))
    assert read_list(tmp_path / "list.txt") == [tmp_path / "folder/a.jpg", tmp_path / "José.jpg"]
    (tmp_path / "empty.txt").write_text("# nothing\n")
    with pytest.raises(ValueError, match=r"empty\.txt names no photograph; expected one path a line"):
        read_list(tmp_path / "empty.txt")
    with pytest.raises(FileNotFoundError, match=r"no list file .*absent\.txt"):
        read_list(tmp_path / "absent.txt")
