"""Reads photographs of any usual kind as 8-bit RGB, or says why it cannot."""

import io
import warnings
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from lightning_modules.plain.files import read_text
from lightning_modules.plain.output_folder import without_outputs

EXTENSIONS = frozenset((".bmp", ".gif", ".jpeg", ".jpg", ".png", ".ppm", ".tif", ".tiff", ".webp"))
# Photographs that may not be readable: taken up all the same, so that they are named and not passed over.
OTHER_EXTENSIONS = frozenset(
    (".arw", ".avif", ".cr2", ".cr3", ".dng", ".heic", ".heif", ".jp2", ".jxl", ".nef", ".raw")
)
MAXIMUM_MEGAPIXELS = 150
SMALLEST_SIDE = 20
# Larger photographs are reduced while they are read, to a longer side between this and twice this: a face
# that fills a tenth of it still has the resolution of the canonical frame.
WORKING_SIDE = 2048


class PhotographError(ValueError):
    """A photograph cannot be used; the message is its reason, without the file's name."""


class Photograph(NamedTuple):
    """A photograph as it is shown: upright, first frame, on white where it was transparent.

    Attributes:
        pixels: [H, W, 3], RGB, 8 bits, possibly reduced (WORKING_SIDE).
        width: of the file, upright, in pixels.
        height: of the file.
    """

    pixels: np.ndarray
    width: int
    height: int


def read_photograph(file: Path | bytes) -> Photograph:
    """A photograph from a file or from its content.

    Raises:
        PhotographError: if it is empty, not an image, damaged, too small or too large.
    """
    content = file if isinstance(file, bytes) else file.read_bytes()
    if not content:
        raise PhotographError("empty file")
    with warnings.catch_warnings():
        # Pillow warns of oddities in metadata and of many pixels; what matters here is an error below.
        warnings.simplefilter("ignore")
        image = _open(content)
        try:
            # JPEG is decoded at a half, quarter or eighth of its size where that suffices.
            width, height = image.size
            scale = WORKING_SIDE / max(width, height)
            image.draft(None, (int(width * scale), int(height * scale)))
            orientation = image.getexif().get(0x0112, 1)
            pixels = np.asarray(ImageOps.exif_transpose(_rgb(_reduced(image))))
        except (OSError, SyntaxError, ValueError, EOFError, IndexError) as error:
            raise PhotographError(f"damaged image ({error})") from error
    if orientation in (5, 6, 7, 8):
        width, height = height, width
    return Photograph(pixels, width, height)


def list_photographs(folder: Path, pattern: str = "**/*") -> list[Path]:
    """All image files of a folder that match a glob pattern, sorted by their path.

    Those that cannot be read, links to nothing among them, are left to whoever reads them, to say so. What
    commands wrote into output folders below this one is left out, see `without_outputs`.

    Raises:
        FileNotFoundError: if the folder does not exist.
        ValueError: if it holds no image file.
    """
    if not folder.is_dir():
        raise FileNotFoundError(f"no folder {folder}; name a folder with photographs")
    files = [
        path
        for path in folder.glob(pattern)
        if path.suffix.lower() in EXTENSIONS | OTHER_EXTENSIONS and not path.is_dir()
    ]
    if not files:
        raise ValueError(
            f"no photographs match {pattern} in {folder}; expected files ending in "
            f"{', '.join(sorted(EXTENSIONS))}"
        )
    return sorted(without_outputs(files, folder), key=lambda path: path.relative_to(folder).as_posix())


def read_list(file: Path) -> list[Path]:
    """The photographs that a list file names, one path a line, relative to the list's own folder.

    Empty lines and lines that begin with # are left out.

    Raises:
        FileNotFoundError: if the list does not exist.
        ValueError: if it names nothing.
    """
    if not file.is_file():
        raise FileNotFoundError(
            f"no list file {file}; expected a text file with one photograph's path a line"
        )
    lines = (line.strip() for line in read_text(file).splitlines())
    paths = [_listed(file.parent, line) for line in lines if line and not line.startswith("#")]
    if not paths:
        raise ValueError(f"{file} names no photograph; expected one path a line")
    return paths


def _listed(folder: Path, line: str) -> Path:
    """The path that a line names, be it with a Windows path's separators."""
    path = folder / line
    return path if "\\" not in line or path.exists() else folder / line.replace("\\", "/")


def _open(content: bytes) -> Image.Image:
    limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None  # ours is the check below
    try:
        image = Image.open(io.BytesIO(content))
    except UnidentifiedImageError as error:
        if content[4:8] == b"ftyp":
            raise PhotographError("a HEIC image or a film, which is not read; convert it to JPEG") from error
        raise PhotographError("not an image, or of an unknown format") from error
    except (OSError, SyntaxError, ValueError) as error:
        raise PhotographError(f"damaged image ({error})") from error
    finally:
        Image.MAX_IMAGE_PIXELS = limit
    megapixels = image.width * image.height / 1e6
    if megapixels > MAXIMUM_MEGAPIXELS:
        raise PhotographError(
            f"{megapixels:.0f} megapixels ({image.width} x {image.height}); the limit is {MAXIMUM_MEGAPIXELS}"
        )
    if min(image.size) < SMALLEST_SIDE:
        raise PhotographError(f"{image.width} x {image.height} pixels; the smallest side is {SMALLEST_SIDE}")
    return image


def _reduced(image: Image.Image) -> Image.Image:
    factor = max(image.size) // WORKING_SIDE
    return image.reduce(factor) if factor > 1 and image.mode not in ("P", "1", "I;16", "I;16B") else image


def _rgb(image: Image.Image) -> Image.Image:
    """The image in 8-bit RGB: 16 bits scaled down, transparency laid on white."""
    if image.mode.startswith("I") or image.mode == "F":
        values = np.asarray(image, np.float64)
        # 16 bits unless the values say otherwise: Pillow opens 16-bit grey as 32-bit integers on some paths.
        scale = 255 / 65535 if values.max() > 255 else 1.0
        image = Image.fromarray((values * scale).clip(0, 255).astype(np.uint8))
    if "A" in image.getbands() or "transparency" in image.info:
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, "white")
        return Image.alpha_composite(white, image).convert("RGB")
    return image.convert("RGB")
