"""Frames of videos by OpenCV, of folders of photographs, and of single ones."""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

from lightning_modules.plain.even_choice import evenly_chosen
from lightning_modules.plain.files import is_text

from .images import PhotographError, is_photograph, list_photographs, read_photograph


class Frame(NamedTuple):
    """A frame: its number in the video (or among the photographs) and its pixels, or why there are none.

    Attributes:
        number: from 0.
        pixels: [H, W, 3], RGB, 8 bits; None where the photograph cannot be used.
        reason: why.
    """

    number: int
    pixels: np.ndarray | None
    reason: str = ""


class FootageError(ValueError):
    """A video cannot be used; the message names it."""


def read_frames(path: Path, count: int | None = None) -> Iterator[Frame]:
    """Frames of a video, or of a folder of photographs, one after another; or a photograph as the only one.

    Args:
        path: a video file, a folder, or a photograph.
        count: so many, each the middle of an equal part; all by default, and where there are fewer.

    Raises:
        FootageError: if the video cannot be decoded, or has no frame.
    """
    if count is not None and count < 1:
        raise ValueError(f"the number of frames must be at least 1, got {count}")
    if not holds_photographs(path):
        yield from _video(Path(path), count)
    elif Path(path).is_dir():
        yield from _photographs(Path(path), count)
    else:
        yield _photograph(0, Path(path))


def holds_photographs(path: Path) -> bool:
    """Whether it is a folder of photographs or a single one; else it is a video."""
    return Path(path).is_dir() or is_photograph(Path(path))


def photographs_in(path: Path, count: int | None = None) -> dict[int, Path]:
    """The photographs that `read_frames` reads, by their numbers; none of a video."""
    if Path(path).is_dir():
        paths = list_photographs(Path(path))
        return {
            number: paths[number]
            for number in evenly_chosen(len(paths), count, from_the_middle=True).tolist()
        }
    return {0: Path(path)} if is_photograph(Path(path)) else {}


def _photographs(folder: Path, count: int | None) -> Iterator[Frame]:
    for number, path in photographs_in(folder, count).items():
        yield _photograph(number, path)


def _photograph(number: int, path: Path) -> Frame:
    try:
        return Frame(number, read_photograph(path).pixels)
    except PhotographError as error:
        return Frame(number, None, str(error))
    except OSError as error:
        return Frame(number, None, f"cannot be read ({error.strerror})")


def _video(path: Path, count: int | None) -> Iterator[Frame]:
    if path.exists() and not path.is_file():
        raise FootageError(f"{path} is a pipe or a device; expected a video or a folder of images")
    # A file's own count is an estimate, and none at all in a bare stream of JPEGs: count what can be decoded.
    wanted = (
        None if count is None else set(evenly_chosen(_length(path), count, from_the_middle=True).tolist())
    )
    capture, number = _opened(path), 0
    try:
        while capture.grab():
            if wanted is None or number in wanted:
                decoded, picture = capture.retrieve()
                if not decoded:
                    raise FootageError(f"frame {number} of {path} cannot be decoded; copy the video again")
                yield Frame(number, np.ascontiguousarray(picture[:, :, ::-1]))
            number += 1
    finally:
        capture.release()
    if number == 0:
        raise FootageError(f"{path} holds no frame that OpenCV can decode; convert it to .avi or .mp4")


def _length(path: Path) -> int:
    capture, length = _opened(path), 0
    while capture.grab():
        length += 1
    capture.release()
    return length


def _opened(path: Path) -> cv2.VideoCapture:
    if not is_text(path):
        raise FootageError(f"{path} has a name that is not UTF-8; rename it, or its folder")
    capture = cv2.VideoCapture(str(path))
    if not capture.isOpened():
        raise FootageError(f"{path} is no video that OpenCV can open; expected a video or a folder of images")
    return capture
