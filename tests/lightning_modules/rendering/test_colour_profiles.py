import io

import numpy as np
import pytest
from PIL import Image

from datamodules.alignment.images import read_photograph

from .icc_profiles import ADOBE_RGB, DISPLAY_P3, SRGB, grey_profile, matrix_profile

SKIN = (214, 163, 133)  # as a telephone writes a skin in Display P3
SKIN_IN_SRGB = (224, 162, 129)


def read(image: Image.Image, kind: str = "PNG", **options: object) -> np.ndarray:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return read_photograph(buffer.getvalue()).pixels


def plain(colour: object, mode: str = "RGB") -> Image.Image:
    return Image.new(mode, (40, 30), colour)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "TIFF", "WEBP"])
def test_colours_of_another_gamut_become_those_of_srgb(kind: str) -> None:
    options = {"JPEG": {"quality": 100, "subsampling": 0}, "WEBP": {"lossless": True}}.get(kind, {})
    pixels = read(plain(SKIN), kind, icc_profile=matrix_profile(DISPLAY_P3), **options)
    np.testing.assert_allclose(pixels[5, 5].astype(int), SKIN_IN_SRGB, atol=2)


def test_a_profile_that_is_srgb_in_other_words_changes_no_bit() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (30, 40, 3), np.uint8)
    pixels = read(Image.fromarray(noise), icc_profile=matrix_profile(SRGB))
    np.testing.assert_array_equal(pixels, noise)


def test_transparent_and_palette_images_are_converted_too() -> None:
    profile = matrix_profile(DISPLAY_P3)
    image = plain((*SKIN, 255), "RGBA")
    image.paste((0, 0, 0, 0), (20, 15, 40, 30))
    pixels = read(image, icc_profile=profile)
    np.testing.assert_allclose(pixels[5, 5].astype(int), SKIN_IN_SRGB, atol=2)
    assert pixels[25, 35].tolist() == [255, 255, 255]
    pixels = read(plain(SKIN).quantize(2), icc_profile=profile)
    np.testing.assert_allclose(pixels[5, 5].astype(int), SKIN_IN_SRGB, atol=2)


def test_grey_follows_its_profile_or_that_of_its_colours() -> None:
    # A share of 0.5 ** 1.8 of the light is encoded by sRGB as about 145 of 255.
    light = (128 / 255) ** 1.8
    expected = 255 * (1.055 * light ** (1 / 2.4) - 0.055)
    pixels = read(plain(128, "L"), icc_profile=grey_profile(1.8))
    np.testing.assert_allclose(pixels[5, 5].astype(int), [expected] * 3, atol=2)
    pixels = read(plain(128, "L"), icc_profile=matrix_profile(SRGB, (1.8,)))
    np.testing.assert_allclose(pixels[5, 5].astype(int), [expected] * 3, atol=2)


def test_adobe_rgb_that_only_exif_tells_is_converted_as_its_profile_would() -> None:
    exif = Image.Exif()
    exif.get_ifd(0x8769)[0xA005] = {1: "R03"}
    colours = np.random.default_rng(0).integers(0, 256, (30, 40, 3), np.uint8)
    by_exif = read(Image.fromarray(colours), exif=exif.tobytes())
    by_profile = read(Image.fromarray(colours), icc_profile=matrix_profile(ADOBE_RGB, (563 / 256,)))
    assert abs(by_exif.astype(int) - colours).max() > 10
    np.testing.assert_allclose(by_exif.astype(int), by_profile.astype(int), atol=3)
    exif.get_ifd(0x8769)[0xA005] = {1: "R98"}  # sRGB
    np.testing.assert_array_equal(read(Image.fromarray(colours), exif=exif.tobytes()), colours)


@pytest.mark.parametrize("profile", [b"no profile", matrix_profile(DISPLAY_P3)[:200], grey_profile(2.2)])
def test_a_profile_that_is_broken_or_another_kind_of_images_is_left_out_of_account(profile: bytes) -> None:
    assert read(plain(SKIN), icc_profile=profile)[5, 5].tolist() == list(SKIN)


def test_cie_lab_is_read() -> None:
    pixels = read(Image.merge("LAB", [plain(value, "L") for value in (128, 128, 128)]), "TIFF")
    np.testing.assert_allclose(pixels[5, 5].astype(int), [119] * 3, atol=2)  # L* = 50
