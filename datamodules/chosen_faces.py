"""The faces of given photographs, where a photograph may show several and a person chooses."""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal, Unpack

import numpy as np

from lightning_modules.recognition.network import RecognitionNetwork

from .alignment.face_cache import AlignedFaces
from .alignment.images import USUAL_EXTENSIONS, list_photographs, read_list
from .face_data import FaceDataModule, FaceOptions

FaceChoice = Literal["largest", "all"] | int
# Pixels between the eyes below which no face is left to see: the networks' own crops have 30 and more.
SMALLEST_EYE_DISTANCE = 8.0


class ChosenFaces(FaceDataModule):
    """Photographs in their order, with one face of each or all of them; none is chosen silently.

    Args:
        paths: photographs.
        networks: whose features are wanted.
        face: of a photograph with several: the largest, all, or that of a number (0 is the largest); None
            takes only photographs with a single one.
        **options: see FaceOptions, but for `faces`; faces whose eyes are closer than SMALLEST_EYE_DISTANCE
            do not count unless `minimum_eye_distance` says otherwise.
    """

    def __init__(
        self,
        paths: Sequence[Path],
        networks: Sequence[RecognitionNetwork] = (),
        *,
        face: FaceChoice | None = None,
        **options: Unpack[FaceOptions],
    ) -> None:
        if isinstance(face, int) and face < 0:
            raise ValueError(f"face must be largest, all or a number from 0 (the largest), got {face}")
        super().__init__(
            networks, **{"minimum_eye_distance": SMALLEST_EYE_DISTANCE} | options | {"faces": "all"}
        )
        self.paths, self.face = list(paths), face

    def photographs(self) -> list[Path]:
        """The given ones."""
        return self.paths

    def _large_enough(self, faces: AlignedFaces) -> AlignedFaces:
        return choose(super()._large_enough(faces), self.face)


def choose(faces: AlignedFaces, face: FaceChoice | None) -> AlignedFaces:
    """Of each photograph the face that is asked for; photographs that do not have it become failures.

    Args:
        faces: each photograph's own, the largest first.
        face: see `ChosenFaces`.
    """
    if face == "all":
        return faces
    photographs, first, counts = np.unique(faces.photograph, return_index=True, return_counts=True)
    number = face if isinstance(face, int) else 0
    if face is None:
        has = counts == 1
        reasons = [
            f"several faces ({count}; say which by --face largest, all or a number)" for count in counts
        ]
    else:
        has = counts > number
        reasons = [f"no face {number} ({count} found, numbered from 0)" for count in counts]
    failures = [
        (int(photograph), reason)
        for photograph, good, reason in zip(photographs, has, reasons, strict=True)
        if not good
    ]
    chosen = faces.subset(first[has] + number)
    return chosen._replace(failures=sorted(faces.failures + failures))


def photographs_at(place: Path) -> list[Path]:
    """The photographs of a folder (at any depth), of a list file (.txt), or the one photograph at a path.

    Raises:
        FileNotFoundError: if there is nothing.
        ValueError: if a folder or list holds no photograph.
    """
    if place.is_dir():
        return list_photographs(place)
    if not place.is_file():
        raise FileNotFoundError(
            f"{place} does not exist; expected a photograph (such as {USUAL_EXTENSIONS}), a folder of "
            "photographs, or a .txt file with one photograph's path a line"
        )
    return read_list(place) if place.suffix.lower() == ".txt" else [place]
