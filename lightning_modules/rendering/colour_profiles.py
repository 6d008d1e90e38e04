"""Colours of pictures as sRGB: by the profile that a file embeds, or by what its camera says."""

import io
from functools import lru_cache
from typing import Literal

import numpy as np
from PIL import Image, ImageCms

# A profile that moves no colour by more than this, of 255, is sRGB in other words: pixels stay as they are.
SMALLEST_CHANGE = 2
# Exif's directory of interoperability, its index, and what that is for Adobe RGB (DCF option files).
INTEROPERABILITY, INDEX, ADOBE_RGB_INDEX = 0xA005, 1, "R03"
# Adobe RGB (1998): the exponent of its encoding, and linear light to that of sRGB (both D65).
ADOBE_GAMMA = 563 / 256
ADOBE_TO_SRGB = np.array(
    [[1.39835, -0.39835, 0.0], [0.0, 1.0, 0.0], [0.0, -0.04292, 1.04292]],
)

Mode = Literal["RGB", "RGBA", "CMYK", "L", "LAB"]


def in_srgb(image: Image.Image) -> Image.Image:
    """An image in RGB, RGBA, L or CMYK with its colours in sRGB.

    Without a profile they are taken for sRGB's already, unless Exif says Adobe RGB; a profile that is broken,
    or another kind of image's, is left out of account. CIE L*a*b* has no other meaning, and is converted.
    """
    profile = image.info.get("icc_profile")
    if image.mode == "LAB":
        return _transformed(image, _transform(b"", "LAB"))
    if isinstance(profile, bytes) and profile:
        # A grey image may carry the profile of the colours that it was made from.
        for candidate in (image, image.convert("RGB")) if image.mode == "L" else (image,):
            transform = _transform(profile, candidate.mode)
            if transform is not None:
                return _transformed(candidate, transform)
    elif image.mode in ("RGB", "RGBA") and _is_adobe_rgb(image):
        return _from_adobe_rgb(image)
    return image


def _transformed(image: Image.Image, transform: ImageCms.ImageCmsTransform | str | None) -> Image.Image:
    if transform is None or isinstance(transform, str):
        return image
    return ImageCms.applyTransform(image, transform) or image


@lru_cache(maxsize=8)
def _transform(profile: bytes, mode: str) -> ImageCms.ImageCmsTransform | Literal["none"] | None:
    """From a profile to sRGB; `none` where it changes nothing, None where it is not of this mode."""
    if mode not in ("RGB", "RGBA", "CMYK", "L", "LAB"):
        return None
    after = "RGBA" if mode == "RGBA" else "RGB"
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile)) if profile else ImageCms.createProfile("LAB")
        transform = ImageCms.buildTransform(source, ImageCms.createProfile("sRGB"), mode, after)
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
        return None
    if mode not in ("RGB", "RGBA"):
        return transform
    steps = np.linspace(0, 255, 9).round().astype(np.uint8)
    colours = np.stack(np.meshgrid(steps, steps, steps, indexing="ij"), -1).reshape(27, 27, 3)
    before = Image.fromarray(colours).convert(mode)
    moved = np.asarray(_transformed(before, transform).convert("RGB"), int) - colours
    return transform if abs(moved).max() > SMALLEST_CHANGE else "none"


def _is_adobe_rgb(image: Image.Image) -> bool:
    try:
        index = image.getexif().get_ifd(INTEROPERABILITY).get(INDEX)
    except Exception:
        return False
    return isinstance(index, str) and index.strip("\0 ") == ADOBE_RGB_INDEX


def _from_adobe_rgb(image: Image.Image) -> Image.Image:
    pixels = np.asarray(image)
    linear = (np.arange(256) / 255) ** ADOBE_GAMMA
    light = (linear[pixels[..., :3]] @ ADOBE_TO_SRGB.T).clip(0, 1)
    encoded = np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)
    return Image.fromarray(np.concatenate([(255 * encoded).round().astype(np.uint8), pixels[..., 3:]], -1))
