"""Pictures that colour a surface: which are opened, what is white in them, and colours between pixels."""

import warnings
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from PIL.TiffImagePlugin import TiffImageFile

from lightning_modules.faces.mesh_files.colours import EIGHT_BITS, SIXTEEN_BITS, as_fractions
from lightning_modules.rendering.colour_profiles import in_srgb

# Pictures are opened as these alone: for others Pillow may start a program.
PICTURE_FORMATS = (
    "AVIF", "BMP", "DDS", "GIF", "JPEG", "JPEG2000", "PCX", "PNG", "PPM", "SGI", "TGA", "TIFF", "WEBP",
)  # fmt: skip
LARGEST_PICTURE = 16_384**2  # pixels
# Tags of TIFF: what zero means, samples of a pixel, whether these lie in planes, and bits of a sample.
PHOTOMETRIC, SAMPLES, PLANAR, BITS = 262, 277, 284, 258
WHITE_IS_ZERO, IN_PLANES = 0, 2


class TexturePicture(NamedTuple):
    """A picture as it is stored: pixels [H, W, 3] in sRGB, or [H, W, 1] of grey, and what is white there."""

    pixels: NDArray
    white: float


def read_picture(file_or_stream: Path | BinaryIO, name: str | None = None) -> TexturePicture:
    """The picture of a file.

    Args:
        file_or_stream: where it is.
        name: for errors; the file's own by default.

    Raises:
        ValueError: naming the file, if it is no picture, too large, or of a kind whose colours are unknown.
    """
    name = str(file_or_stream) if name is None else name
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what Pillow makes of large or odd files; refused below, or read
            Image.init()
            known = [kind for kind in PICTURE_FORMATS if kind in Image.OPEN]
            with Image.open(file_or_stream, formats=known) as file:
                obstacle = _obstacle(file)
                picture = None if obstacle else _pixels(file)
    except Exception as error:  # whatever a decoder raises
        reason = str(error).removesuffix(f" {name!r}").split(" <_io.")[0]
        raise ValueError(
            f"the texture {name} cannot be read as a picture ({reason}); get it again"
        ) from error
    if picture is None:
        raise ValueError(f"the texture {name} {obstacle}")
    if picture.white:
        return picture
    return TexturePicture(as_fractions(f"the texture {name}", picture.pixels, what="pixel"), 1.0)


def sampled(picture: TexturePicture, coordinates: NDArray, *, clamped: bool = False) -> NDArray:
    """Bilinear samples [N, 3] in 0 to 1 of a picture.

    Args:
        picture: which repeats, as OBJ has it, unless `clamped`.
        coordinates: [N, 2] finite, v upwards; the picture spans 0 to 1.
        clamped: whether the picture's border goes on beyond it.
    """
    height, width, _ = picture.pixels.shape
    u, v = coordinates.clip(0, 1).T if clamped else (coordinates % 1.0).T
    x, y = u * width - 0.5, (1 - v) * height - 0.5
    left, top = np.floor(x).astype(int), np.floor(y).astype(int)
    across, down = (x - left)[:, None], (y - top)[:, None]

    def within(place: NDArray, size: int) -> NDArray:
        return place.clip(0, size - 1) if clamped else place % size

    rows, columns = (
        (within(top, height), within(top + 1, height)),
        (within(left, width), within(left + 1, width)),
    )
    above = picture.pixels[rows[0], columns[0]] * (1 - across) + picture.pixels[rows[0], columns[1]] * across
    below = picture.pixels[rows[1], columns[0]] * (1 - across) + picture.pixels[rows[1], columns[1]] * across
    colours = (above * (1 - down) + below * down) / picture.white
    return np.broadcast_to(colours, (len(colours), 3)).clip(0, 1)


def _obstacle(file: Image.Image) -> str:
    """Why a picture is not read, as the end of a sentence; empty if it is."""
    width, height = file.size
    if width * height > LARGEST_PICTURE:
        return f"has {width} x {height} pixels, more than {LARGEST_PICTURE:,}; scale it down"
    if isinstance(file, TiffImageFile):
        tags = file.tag_v2
        in_planes = tags.get(PLANAR, 1) == IN_PLANES and tags.get(SAMPLES, 1) > 1
        if in_planes and max(tags.get(BITS, (1,))) > 8:  # Pillow takes them for 8 bits
            return "is a TIFF of 16 bits in separate planes, which is not read; save it with 8 bits"
        if file.mode[0] in "IF" and tags.get(PHOTOMETRIC) == WHITE_IS_ZERO:  # heeded in 8 bits alone
            return "is a TIFF of more than 8 bits in which zero is white; save it with 8 bits"
    return ""


def _pixels(file: Image.Image) -> TexturePicture:
    """The pixels; white is zero where their range has to tell it."""
    if file.mode.startswith(("I", "F")):  # grey in 16 or 32 bits, which Pillow would clip
        is_deep = file.mode.startswith("I;16") or file.format == "PPM"  # Pillow scales PGM to 16 bits
        return TexturePicture(np.asarray(file)[..., None], SIXTEEN_BITS if is_deep else 0.0)
    image = file if file.mode in ("RGB", "RGBA", "CMYK", "L", "LAB") else file.convert("RGB")
    return TexturePicture(np.asarray(in_srgb(image).convert("RGB")), EIGHT_BITS)
