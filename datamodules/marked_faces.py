"""Faces of photographs with their landmarks: from files beside them, or found by a detector."""

import hashlib
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
import torch

from lightning_modules.faces.landmarks.ibug import five_points
from lightning_modules.faces.landmarks.image_landmark_files import IMAGE_SUFFIXES, read_image_landmarks
from lightning_modules.faces.landmarks.point_lists import file_of_suffix
from lightning_modules.faces.landmarks.pose_fitting import Jaw, why_unfit
from lightning_modules.recognition.frame import CANONICAL_POINTS, RENDERED_POINTS, similarity_transform

from .alignment.crops import align, select_faces
from .alignment.detection import Detection, load_detector
from .alignment.images import PhotographError, file_content, read_photograph
from .alignment.mediapipe_landmarks import FaceMesh
from .chosen_faces import SMALLEST_EYE_DISTANCE, FaceChoice

LandmarkSource = Literal["files", "mediapipe", "yunet"]
# People mark the jaw on the outline, MediaPipe on the face's surface.
JAWS: dict[LandmarkSource, Jaw] = {"files": "sliding", "mediapipe": "fixed", "yunet": "none"}


class MarkedFace(NamedTuple):
    """A face in a photograph.

    Attributes:
        path: of the photograph.
        sha256: of the photograph's file.
        size: height and width of the photograph, upright, in pixels.
        pixels: [h, w, 3], 8 bits: the photograph, reduced where it is very large.
        face: which of the photograph's faces, from 0; the largest comes first.
        landmarks: [68, 2] or [5, 2], x and y in pixels of the photograph, NaN where not marked.
        crop: [224, 224, 3], the aligned face.
    """

    path: Path
    sha256: str
    size: tuple[int, int]
    pixels: np.ndarray
    face: int
    landmarks: np.ndarray
    crop: np.ndarray


class Opened(NamedTuple):
    """A photograph as it was read; see `MarkedFace`."""

    path: Path
    sha256: str
    size: tuple[int, int]
    pixels: np.ndarray

    @property
    def reduction(self) -> float:
        """How much smaller the pixels are than the photograph's."""
        return self.pixels.shape[1] / self.size[1]

    def in_file(self, points: np.ndarray) -> np.ndarray:
        """Points in pixels of the whole photograph."""
        return (points + 0.5) / self.reduction - 0.5

    def reduced(self, points: np.ndarray) -> np.ndarray:
        """Points of the whole photograph in pixels as read."""
        return (points + 0.5) * self.reduction - 0.5


def open_photograph(path: Path) -> Opened:
    """Read a photograph.

    Raises:
        PhotographError: if it is missing, unreadable, damaged, too small or too large.
    """
    try:
        content = file_content(path)
    except OSError as error:
        raise PhotographError(f"cannot be read ({error.strerror})") from error
    pixels, width, height = read_photograph(content)
    return Opened(path, hashlib.sha256(content).hexdigest(), (height, width), pixels)


def marked_by_file(path: Path, folder: Path | None = None) -> MarkedFace:
    """A photograph's face, with the landmarks of the file of its name.

    Args:
        path: of the photograph.
        folder: of the landmark files; the photograph's own if None.

    Raises:
        PhotographError: if photograph or landmarks are missing, unreadable, or do not belong together.
    """
    opened = open_photograph(path)
    file = landmark_file(path, folder)
    if file is None:
        place = path.parent if folder is None else folder
        raise PhotographError(f"no landmark file ({path.stem}{{{','.join(IMAGE_SUFFIXES)}}} in {place})")
    try:
        landmarks = read_image_landmarks(file).numpy()
    except (ValueError, OSError) as error:
        raise PhotographError(f"bad landmark file ({error})") from error
    if reason := why_unfit(torch.from_numpy(landmarks)):
        raise PhotographError(f"bad landmark file ({file}: {reason})")
    height, width = opened.size
    inside = ((landmarks > -0.5) & (landmarks < (width - 0.5, height - 0.5))).all(1)
    if not inside.any():
        raise PhotographError(f"bad landmark file ({file}: no landmark lies inside the photograph)")
    five = five_points(torch.from_numpy(landmarks)).numpy()
    if not np.isfinite(five).all():
        raise PhotographError(f"bad landmark file ({file}: eyes, nose tip and mouth corners must be marked)")
    # Where a detector would see the five points of these landmarks, by which networks know faces.
    matrix = similarity_transform(RENDERED_POINTS, opened.reduced(five))
    points = CANONICAL_POINTS @ matrix[:, :2].T + matrix[:, 2]
    return MarkedFace(*opened, 0, landmarks, align(opened.pixels, points))


def landmark_file(photograph: Path, folder: Path | None) -> Path | None:
    """The landmark file of a photograph's name in its own or another folder."""
    place = photograph.parent if folder is None else folder
    return file_of_suffix(place / photograph.stem, IMAGE_SUFFIXES)


def marked_by_detector(path: Path, mesh: FaceMesh | None, face: FaceChoice | None = None) -> list[MarkedFace]:
    """The chosen faces of a photograph with the landmarks that are found on them.

    Args:
        path: of the photograph.
        mesh: gives the 68 landmarks; None leaves YuNet's five points.
        face: see `ChosenFaces`.

    Raises:
        PhotographError: if it cannot be read, or does not show the face that is asked for.
    """
    opened = open_photograph(path)
    found = _faces_in(opened)
    return [_marked(opened, found, number, mesh) for number in chosen_numbers(len(found), face)]


def marked_like(opened: Opened, crop: np.ndarray, mesh: FaceMesh | None) -> MarkedFace:
    """The face of a photograph that looks most like an aligned one, with the landmarks found on it.

    For a face that was chosen before, perhaps by another detector.

    Args:
        opened: the photograph, or a video's frame.
        crop: [224, 224, 3], the face as it was aligned.
        mesh: see `marked_by_detector`.

    Raises:
        PhotographError: if it shows no face.
    """
    found = _faces_in(opened)
    chosen_numbers(len(found), "all")
    crops = [align(opened.pixels, each.points).astype(float) for each in found]
    return _marked(opened, found, int(np.argmin([np.abs(each - crop).mean() for each in crops])), mesh)


def _faces_in(opened: Opened) -> list[Detection]:
    """The faces of a photograph, the largest first."""
    found = load_detector("yunet")(opened.pixels)
    found = select_faces(found, opened.pixels.shape[:2], "all")
    return [each for each in found if eye_distance(each) >= SMALLEST_EYE_DISTANCE]


def _marked(opened: Opened, found: list[Detection], number: int, mesh: FaceMesh | None) -> MarkedFace:
    points = found[number].points if mesh is None else mesh(opened.pixels, found[number])
    if points is None:
        raise PhotographError("no landmarks found (the landmarker sees no face where the detector did)")
    crop = align(opened.pixels, found[number].points)
    return MarkedFace(*opened, number, opened.in_file(np.asarray(points, float)), crop)


def eye_distance(face: Detection) -> float:
    """Between the eyes, in pixels."""
    return float(np.linalg.norm(face.points[1] - face.points[0]))


def chosen_numbers(count: int, face: FaceChoice | None) -> list[int]:
    """Which of so many faces are asked for.

    Raises:
        PhotographError: if there is none, or several and none is chosen.
    """
    if count == 0:
        raise PhotographError("no face found")
    if face == "all":
        return list(range(count))
    if face is None and count > 1:
        raise PhotographError(f"several faces ({count}; say which by --face largest, all or a number)")
    number = face if isinstance(face, int) else 0
    if number >= count:
        raise PhotographError(f"no face {number} ({count} found, numbered from 0)")
    return [number]
