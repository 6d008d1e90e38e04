"""Opens image files by an allow-list of formats, and says what a file is that is none of them."""

import io
from contextlib import suppress

from PIL import Image, UnidentifiedImageError

# What photographs come as, and their extensions. Pillow would choose by content from all formats that it
# knows, and start Ghostscript for a .jpg that holds PostScript.
FORMATS = {
    "JPEG": (".jpg", ".jpeg", ".jpe", ".jfif"),
    "PNG": (".png", ".apng"),
    "WEBP": (".webp",),
    "TIFF": (".tif", ".tiff"),
    "GIF": (".gif",),
    "BMP": (".bmp",),
    "DIB": (".dib",),
    "PPM": (".pbm", ".pgm", ".ppm", ".pnm", ".pfm"),
    "MPO": (".mpo",),
    "JPEG2000": (".jp2", ".j2k", ".j2c", ".jpc", ".jpf", ".jpx"),
    "AVIF": (".avif", ".avifs"),
    "QOI": (".qoi",),
    "TGA": (".tga", ".icb", ".vda", ".vst"),
    "PCX": (".pcx",),
    "SGI": (".sgi", ".rgb", ".rgba", ".bw"),
    "PSD": (".psd",),
}
# The beginnings of files that people have in place of images, and what they are. Others follow from Pillow.
_HEIC = "a HEIC image or a film, which is not read; convert it to JPEG"
_JPEG_XL = "a JPEG XL image, which is not read; convert it to JPEG"
_BEGINNINGS = {
    b"version https://git-lfs": "a Git LFS pointer; fetch the image itself by `git lfs pull`",
    b"%PDF": "a PDF, which is not read; convert it to JPEG",
    b"\xff\x0a": _JPEG_XL,
    b"\0\0\0\x0cJXL ": _JPEG_XL,
    b"\xc5\xd0\xd3\xc6": "an EPS image, which is not read; convert it to JPEG or PNG",
    b"PF\n": "a PFM image in colour, which is not read; convert it to PNG or TIFF with 8 bits",
    b"P7\n": "a PAM image, which is not read; convert it to PNG",
    b"\x76\x2f\x31\x01": "an OpenEXR image, which is not read; convert it to JPEG or PNG",
    b"#?RADIANCE": "a Radiance HDR image, which is not read; convert it to JPEG or PNG",
    b"FUJIFILMCCD-RAW": "a camera's raw file, which is not read; convert it to JPEG",
    b"IIRO": "a camera's raw file, which is not read; convert it to JPEG",
    b"IIU\0": "a camera's raw file, which is not read; convert it to JPEG",
}


class UnknownFormatError(ValueError):
    """Content that is no image of FORMATS; the message is what it is instead."""


def opened_image(content: bytes) -> Image.Image:
    """An image, not decoded yet, of one of FORMATS.

    Raises:
        UnknownFormatError: if it is another one, or no image.
        Exception: whatever a damaged header leads to.
    """
    Image.init()
    known = [name for name in FORMATS if name in Image.OPEN]
    limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None  # readers have a check of their own
    try:
        return Image.open(io.BytesIO(content), formats=known)
    except UnidentifiedImageError as error:
        raise UnknownFormatError(_what_it_is(content)) from error
    finally:
        Image.MAX_IMAGE_PIXELS = limit


def _what_it_is(content: bytes) -> str:
    for beginning, meaning in _BEGINNINGS.items():
        if content.startswith(beginning):
            return meaning
    if content[4:8] == b"ftyp":
        return "an AVIF image, which this Pillow does not read" if content[8:11] == b"avi" else _HEIC
    if content.lstrip()[:14].lower().startswith((b"<!doctype html", b"<html")):
        return "a web page, such as a failed download leaves; get the image anew"
    if content[:4] in (b"II*\0", b"MM\0*"):
        return "a TIFF of a kind that is not read, such as colours in floating point; save it with 8 bits"
    for name, (_, accepts) in Image.OPEN.items():
        with suppress(Exception):  # a question about the first bytes; who cannot answer does not know
            if name not in FORMATS and accepts is not None and accepts(content[:16]) is True:
                return f"an image of the format {name}, which is not read; convert it to JPEG or PNG"
    return "not an image, or of an unknown format"
