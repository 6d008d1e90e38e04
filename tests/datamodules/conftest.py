from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from torch import Tensor

from datamodules.alignment import face_cache
from datamodules.alignment.detection import Detection
from lightning_modules.recognition.frame import CANONICAL_POINTS, WHOLE_FRAME
from lightning_modules.recognition.network import RecognitionNetwork


class TinyNetwork(RecognitionNetwork):
    """Features are the mean colours of four quarters; counts the faces it was asked about."""

    name = "tiny"
    crop = WHOLE_FRAME
    feature_width = 12
    embedding_width = 3

    def __init__(self) -> None:
        super().__init__("ab" * 32)
        self.register_buffer("weight", torch.eye(3), persistent=False)
        self.asked = 0

    def describe(self, images: Tensor) -> tuple[Tensor, Tensor]:
        self.asked += len(images)
        features = torch.nn.functional.adaptive_avg_pool2d(images, 2).flatten(1)
        return features, images.mean((2, 3)) @ self.weight


@pytest.fixture
def tiny() -> TinyNetwork:
    return TinyNetwork()


def detect_by_colour(image: np.ndarray) -> list[Detection]:
    """One face that fills the picture, unless it is blue; a second, small one where a corner is white."""
    height, width = image.shape[:2]
    if image[height // 2, width // 2, 2] > 200:
        return []
    size = np.array([width, height])
    faces = [Detection(np.array([0, 0, width, height]), CANONICAL_POINTS / 224 * size, 0.9)]
    if image[0, 0].min() > 250:
        faces.append(Detection(np.array([0, 0, 20, 20]), CANONICAL_POINTS / 224 * 20, 0.7))
    return faces


@pytest.fixture
def stub_detector(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """Detection by colour in this process; the yielded list grows with every photograph looked at."""
    looked: list[int] = []

    def detect(image: np.ndarray) -> list[Detection]:
        looked.append(1)
        return detect_by_colour(image)

    monkeypatch.setattr(face_cache, "load_detector", lambda name: detect)
    return looked


def write_photograph(
    path: Path, seed: int, *, face: bool = True, two_faces: bool = False, side: int = 90
) -> Path:
    """A smooth random picture in which the stub detector finds a face, or none."""
    path.parent.mkdir(parents=True, exist_ok=True)
    picture = np.random.default_rng(seed).integers(30, 200, (4, 4, 3), np.uint8)
    picture = cv2.resize(picture, (90, 90), interpolation=cv2.INTER_LINEAR)
    if not face:
        picture[..., 2] = 255
    if two_faces:
        picture[0, 0] = 255
    cv2.imwrite(str(path.with_suffix(".png")), picture[:, :, ::-1])
    path.with_suffix(".png").replace(path)
    return path


@pytest.fixture
def photograph_folder(tmp_path: Path) -> Path:
    """Six photographs: four with a face, one without, and a text file by the name of a photograph."""
    folder = tmp_path / "photographs"
    for index in range(4):
        write_photograph(folder / f"{index}.png", index)
    write_photograph(folder / "sky.png", 9, face=False)
    (folder / "text.jpg").write_text("not a photograph")
    return folder
