"""Reads photographs of any usual kind as 8-bit RGB, or says why it cannot."""

import stat
import warnings
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageFile, ImageOps
from PIL.TiffImagePlugin import TiffImageFile

from lightning_modules.plain.files import read_text
from lightning_modules.plain.folder_walk import visible_files
from lightning_modules.plain.letters import composed
from lightning_modules.plain.output_folder import without_outputs
from lightning_modules.rendering.colour_profiles import in_srgb

from .image_content import FORMATS, UnknownFormatError, opened_image

EXTENSIONS = frozenset(extension for extensions in FORMATS.values() for extension in extensions)
USUAL_EXTENSIONS = ".jpg, .png, .webp, .tif, .bmp, .gif or .avif"  # for messages
# Photographs that are not read: taken up all the same, so that they are named and not passed over.
OTHER_EXTENSIONS = frozenset((
    ".3fr", ".arw", ".avci", ".blp", ".cr2", ".cr3", ".cur", ".dcm", ".dcr", ".dcx", ".dds", ".dng", ".emf",
    ".eps", ".erf", ".exr", ".fff", ".fit", ".fits", ".flc", ".fli", ".gbr", ".gpr", ".hdp", ".hdr",
    ".heic", ".heics", ".heif", ".heifs", ".hif", ".icns", ".ico", ".iim", ".iiq", ".im", ".jph", ".jxl",
    ".jxr", ".kdc", ".mrw", ".msp", ".nef", ".nrw", ".orf", ".palm", ".pam", ".pcd", ".pef", ".pnj", ".ps",
    ".psb", ".pxr", ".raf", ".ras", ".raw", ".rw2", ".rwl", ".sr2", ".srf", ".srw", ".svg", ".svgz", ".wdp",
    ".wmf", ".x3f", ".xbm", ".xcf", ".xpm",
))  # fmt: skip
MAXIMUM_MEGAPIXELS = 150
SMALLEST_SIDE = 20
# Larger photographs are reduced while they are read, to a longer side between this and twice this: a face
# that fills a tenth of it still has the resolution of the canonical frame.
WORKING_SIDE = 2048
# Whole numbers of more than 8 bits, and the largest values that cameras and programs write in them: which one
# is meant is told by the largest that is there.
CONTAINERS = (2**8 - 1, 2**10 - 1, 2**12 - 1, 2**16 - 1, 2**24 - 1, 2**32 - 1)
# Numbers with a point up to this are shares of white, brighter lights included.
BRIGHTEST_SHARE = 16.0
# Tags of TIFF.
BITS, PHOTOMETRIC, SAMPLES, PLANAR, SAMPLE_FORMAT = 258, 262, 277, 284, 339
DARK_OF_12_BITS = 2**12 // 2**8 - 1  # what is left of white in 12 bits after the lower 8 of 16 are gone
# What undoes each of Exif's orientations.
ORIENTATION = 0x0112
TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


class PhotographError(ValueError):
    """A photograph cannot be used; the message is its reason, without the file's name."""


class Photograph(NamedTuple):
    """A photograph as it is shown: upright, in sRGB, first frame, on white where it was transparent.

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

    Its format is one of `image_content.FORMATS`, whatever the file is called. Colours are converted to sRGB
    by the profile that the file embeds; Exif that is broken is left out of account.

    Raises:
        PhotographError: if it is empty, not an image, damaged, too small or too large.
        OSError: if the file cannot be read.
    """
    content = file if isinstance(file, bytes) else file_content(file)
    if not content:
        raise PhotographError("empty file")
    with warnings.catch_warnings():
        # Pillow warns of oddities in metadata and of many pixels; what matters here is an error below.
        warnings.simplefilter("ignore")
        try:
            image = opened_image(content)
            _check_size(image)
            deep = _is_deep(image)
            # JPEG is decoded at a half, quarter or eighth of its size where that suffices.
            width, height = image.size
            scale = WORKING_SIDE / max(width, height)
            image.draft(None, (int(width * scale), int(height * scale)))
            image.load()
            if image.format == "TIFF":  # Pillow turns it itself, and takes the orientation out
                width, height = image.size
            turn = TURNS.get(_orientation(image))
            negative = _is_negative(image)
            image = _rgb(_reduced(_unsigned(image)))
            if deep and 0 < np.asarray(image).max() <= DARK_OF_12_BITS:
                raise PhotographError(
                    "colours in 16 bits of which 12 are used, all black; save it with 8 bits"
                )
            image = ImageOps.invert(image) if negative else image
            pixels = np.asarray(image if turn is None else image.transpose(turn))
        except UnknownFormatError as error:
            raise PhotographError(str(error)) from error
        except PhotographError:
            raise
        except (
            Exception
        ) as error:  # decoders raise whatever damaged numbers lead to: it is this file's reason
            raise PhotographError(f"damaged image ({error})") from error
    if turn is not None and turn not in (TURNS[2], TURNS[3], TURNS[4]):
        width, height = height, width
    return Photograph(pixels, width, height)


def is_photograph(path: Path) -> bool:
    """Whether a folder's entry counts as a photograph, by its name; whether it can be read shows later."""
    return path.suffix.lower() in EXTENSIONS | OTHER_EXTENSIONS


def file_content(file: Path) -> bytes:
    """The bytes of a regular file: a pipe would be waited for, and a device has no end.

    Raises:
        PhotographError: if it is something else.
        OSError: if it cannot be read.
    """
    mode = file.stat().st_mode
    if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):  # a folder says so itself
        raise PhotographError("not a file, but a pipe or a device")
    return file.read_bytes()


def list_photographs(folder: Path, pattern: str = "**/*") -> list[Path]:
    """All image files of a folder that match a glob pattern, sorted by their path; hidden ones are left out.

    Links to folders are followed. Those that cannot be read, links to nothing among them, are left to whoever
    reads them, to say so. What commands wrote into output folders below this one is left out, see
    `without_outputs`.

    Raises:
        FileNotFoundError: if the folder does not exist.
        ValueError: if it holds no image file.
    """
    if not folder.is_dir():
        raise FileNotFoundError(f"no folder {folder}; name a folder with photographs")
    files = [path for path in visible_files(folder, pattern) if is_photograph(path)]
    if not files:
        raise ValueError(
            f"no photographs match {pattern} in {folder}; expected files such as {USUAL_EXTENSIONS}"
        )
    return without_outputs(files, folder)


def read_list(file: Path) -> list[Path]:
    """The photographs that a list file names, one path a line, relative to the list's own folder.

    Empty lines and lines that begin with # are left out.

    Raises:
        FileNotFoundError: if the list does not exist.
        ValueError: if it names nothing, or holds zero bytes, which are in no path.
    """
    if not file.is_file():
        raise FileNotFoundError(
            f"no list file {file}; expected a text file with one photograph's path a line"
        )
    text = read_text(file)
    if "\0" in text:
        number = text[: text.index("\0")].count("\n") + 1
        raise ValueError(f"{file}, line {number} holds a zero byte, as a damaged file does; write it again")
    lines = (line.strip() for line in text.splitlines())
    paths = [_listed(file.parent, line) for line in lines if line and not line.startswith("#")]
    if not paths:
        raise ValueError(f"{file} names no photograph; expected one path a line")
    return paths


def _listed(folder: Path, line: str) -> Path:
    """The path that a line names, however Windows, macOS or a spreadsheet writes it."""
    path = folder / line
    if (line.isascii() and not {"\\", '"'} & set(line)) or path.exists():
        return path
    path = folder / line.strip('"').replace("\\", "/")
    if path.name.isascii() or path.exists() or not path.parent.is_dir():
        return path
    wanted = composed(path.name)
    return next((each for each in sorted(path.parent.iterdir()) if composed(each.name) == wanted), path)


def _check_size(image: Image.Image) -> None:
    megapixels = image.width * image.height / 1e6
    if megapixels > MAXIMUM_MEGAPIXELS:
        raise PhotographError(
            f"{megapixels:.0f} megapixels ({image.width} x {image.height}); the limit is {MAXIMUM_MEGAPIXELS}"
        )
    if min(image.size) < SMALLEST_SIDE:
        raise PhotographError(f"{image.width} x {image.height} pixels; the smallest side is {SMALLEST_SIDE}")


def _is_deep(image: Image.Image) -> bool:
    """Whether colours come in more than 8 bits, of which Pillow keeps the upper 8.

    Raises:
        PhotographError: if they lie in a plane for each, which Pillow takes for 8 bits.
    """
    if isinstance(image, TiffImageFile):
        tags = image.tag_v2
        planar = tags.get(PLANAR, 1) == 2 and tags.get(SAMPLES, 1) > 1
        if planar and max(tags.get(BITS, (1,))) > 8:
            raise PhotographError(
                "a TIFF of 16 bits in separate planes, which is not read; save it with 8 bits"
            )
    tiles = image.tile if isinstance(image, ImageFile.ImageFile) else []
    return image.mode in ("RGB", "RGBA") and any(";16" in str(tile[3]) for tile in tiles)


def _is_negative(image: Image.Image) -> bool:
    """Whether zero means white, which Pillow heeds in grey of 8 bits alone."""
    return isinstance(image, TiffImageFile) and image.mode[0] in "IF" and image.tag_v2.get(PHOTOMETRIC) == 0


def _unsigned(image: Image.Image) -> Image.Image:
    """Whole numbers of 32 bits without a sign, which Pillow reads with one, as numbers with a point."""
    if (
        not isinstance(image, TiffImageFile)
        or image.mode != "I"
        or image.tag_v2.get(SAMPLE_FORMAT, (1,))[0] != 1
    ):
        return image
    return Image.fromarray(np.asarray(image).astype(np.uint32).astype(np.float32))


def _orientation(image: Image.Image) -> int:
    """Exif's orientation, be it written as text or a fraction; 1, upright, where it cannot be told."""
    try:
        value = image.getexif().get(ORIENTATION, 1)
        value = value[0] if isinstance(value, tuple) else value
        if isinstance(value, bytes):
            value = value.strip(b"\0 ")
            value = value.decode() if value.isdigit() else value[0]
        return int(float(str(value).strip("\0 ")))
    except Exception:
        return 1


def _reduced(image: Image.Image) -> Image.Image:
    factor = max(image.size) // WORKING_SIDE
    return image.reduce(factor) if factor > 1 and image.mode not in ("P", "1", "I;16", "I;16B") else image


def _rgb(image: Image.Image) -> Image.Image:
    """The image in 8-bit sRGB: more bits scaled down, transparency laid on white."""
    if image.mode.startswith("I") or image.mode == "F":
        image = _grey_by_range(image)
    transparent = "A" in image.getbands() or "transparency" in image.info
    if image.mode not in ("RGB", "RGBA", "CMYK", "L", "LAB") or transparent:
        image = image.convert("RGBA" if transparent else "RGB")  # keeps the profile
    image = in_srgb(image)
    if transparent:
        white = Image.new("RGBA", image.size, "white")
        return Image.alpha_composite(white, image).convert("RGB")
    return image.convert("RGB")


def _grey_by_range(image: Image.Image) -> Image.Image:
    """Grey of more than 8 bits, or with a point, in 8 bits: white is the largest value of its kind."""
    values = np.asarray(image, np.float64)
    if not np.isfinite(values).any():
        raise PhotographError("none of its pixels is a number")
    values = np.nan_to_num(values, posinf=0, neginf=0)
    if image.mode == "F" and values.max() <= BRIGHTEST_SHARE:
        white = 1.0
    else:
        white = float(next((limit for limit in CONTAINERS if values.max() <= limit), values.max()))
    if values.min() < -white / 2:
        raise PhotographError(
            f"brightness from {values.min():.4g} to {values.max():.4g}; black must be 0: save it with 8 bits"
        )
    return Image.fromarray((values * (255 / white)).clip(0, 255).astype(np.uint8))
