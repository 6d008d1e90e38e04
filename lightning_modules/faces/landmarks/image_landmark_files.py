"""Reads landmarks that were marked in a photograph: iBUG's .pts, JSON, LJSON, text or NumPy."""

import re
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lightning_modules.faces.landmarks.ibug import NUMBER_OF_LANDMARKS
from lightning_modules.faces.landmarks.point_lists import read_point_list
from lightning_modules.plain.files import read_text, require_file

IMAGE_SUFFIXES = (".pts", ".ljson", ".json", ".txt", ".npy", ".csv")
WITHOUT_JAW = 51
FORMS = (
    f"{NUMBER_OF_LANDMARKS} points x y in pixels (or {WITHOUT_JAW}, without the jaw), as "
    f"{', '.join(IMAGE_SUFFIXES)}"
)
PTS = re.compile(r"version:\s*\d+\s+n_points:\s*(\d+)\s*\{(.*)\}", re.DOTALL)


def read_image_landmarks(path: Path) -> Tensor:
    """The 68 iBUG landmarks of a photograph, x and y in pixels.

    Pixels are ours: the centre of the first one is at (0, 0). A .pts file counts from 1, as iBUG's do, and an
    LJSON file lists y before x, as its format has it; both are converted. JSON, text and NumPy hold x, y.

    Args:
        path: of a suffix in IMAGE_SUFFIXES; 51 points stand for all but the jaw's.

    Returns:
        [68, 2] float64, NaN where not marked.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it holds anything else.
    """
    path = Path(path)
    require_file(path, f"a landmark file with {FORMS}")
    try:
        points = _points(path)
    except (ValueError, TypeError, KeyError, OSError, EOFError) as error:
        raise ValueError(f"{path} cannot be read as landmarks ({str(error)[:200]}); give {FORMS}") from error
    if points.shape not in {(NUMBER_OF_LANDMARKS, 2), (WITHOUT_JAW, 2)}:
        raise ValueError(f"{path} must hold {FORMS}, got an array of shape {list(points.shape)}")
    landmarks = np.full((NUMBER_OF_LANDMARKS, 2), np.nan)
    landmarks[-len(points) :] = points
    return torch.from_numpy(landmarks)


def _points(path: Path) -> NDArray[np.float64]:
    suffix = path.suffix.lower()
    if suffix not in IMAGE_SUFFIXES:
        raise ValueError(f"unknown suffix {path.suffix!r}")
    if suffix == ".pts":
        return _pts(read_text(path)) - 1.0
    listed = read_point_list(path, (NUMBER_OF_LANDMARKS, WITHOUT_JAW))
    return listed.values[:, ::-1] if listed.is_ljson else listed.values


def _pts(text: str) -> np.ndarray:
    found = PTS.search(text)
    if found is None:
        raise ValueError("no `version: 1 n_points: 68 { x y ... }`")
    points = np.array([line.split() for line in found[2].strip().splitlines()], dtype=float)
    if len(points) != int(found[1]):
        raise ValueError(f"n_points is {found[1]}, but {len(points)} points follow")
    return points
