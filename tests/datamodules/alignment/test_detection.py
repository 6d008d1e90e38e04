import sys
from pathlib import Path

import numpy as np
import pytest

from datamodules.alignment.detection import (
    MTCNN,
    YUNET_FILE,
    YUNET_SHA256,
    DetectorName,
    YuNet,
    load_detector,
)
from lightning_modules.recognition.weight_files import WeightFileError


def test_a_picture_without_a_face_gives_none_at_any_size() -> None:
    generator = np.random.default_rng(0)
    for size in (40, 250, 700):
        assert load_detector()(generator.integers(100, 140, (size, size, 3), np.uint8)) == []


@pytest.mark.parametrize("detector", ["yunet", "mtcnn"])
@pytest.mark.parametrize("shape", [(1, 1), (20, 20), (12, 3000), (3000, 20), (2400, 1800)])
@pytest.mark.parametrize("level", [0, 255])
def test_strips_and_tiny_huge_black_and_white_pictures_hold_no_face(
    shape: tuple[int, int], level: int, detector: DetectorName
) -> None:
    if detector == "mtcnn":
        pytest.importorskip("facenet_pytorch")
    assert load_detector(detector)(np.full((*shape, 3), level, np.uint8)) == []


class StubNetwork:
    """Finds one face whose right eye is the reddest pixel; remembers the canvases it was shown."""

    def __init__(self, canvases: list[np.ndarray], blind: int) -> None:
        self.canvases, self.blind = canvases, blind

    def detect(self, canvas: np.ndarray) -> tuple[int, np.ndarray | None]:
        self.canvases.append(canvas)
        if len(self.canvases) <= self.blind:
            return 0, None
        redness = canvas[..., 2].astype(int) - canvas[..., 0]
        y, x = np.unravel_index(redness.argmax(), redness.shape)
        return 1, np.array([[x - 10, y - 10, 40, 50, *[x, y] * 5, 0.9]], np.float32)


@pytest.mark.parametrize(("size", "blind"), [(250, 0), (250, 1), (639, 0), (900, 0), (900, 1), (900, 2)])
def test_points_come_back_in_the_photographs_own_pixels(
    size: int, blind: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    canvases: list[np.ndarray] = []
    stub = StubNetwork(canvases, blind)
    monkeypatch.setattr(YuNet, "_detector", lambda self, canvas: stub)
    image = np.full((size - 40, size, 3), 90, np.uint8)
    image[96:112, 128:144] = (255, 0, 0)  # red in RGB
    (face,) = YuNet()(image)
    # The first of the reddest pixels of the reduced picture lies within the red square.
    assert 128 <= face.points[0, 0] <= 144
    assert 96 <= face.points[0, 1] <= 112
    scale = (canvases[-1].max(axis=(1, 2)) > 0).sum() / (size - 40)
    np.testing.assert_allclose(face.box[2:] - face.box[:2], np.array([40, 50]) / scale, rtol=0.02)
    assert len(canvases) == blind + 1


def test_only_a_few_canvas_sizes_are_ever_planned() -> None:
    detector = YuNet()
    for size in (30, 100, 250, 320, 321, 500, 900, 1500):
        detector(np.zeros((size, size // 2, 3), np.uint8))
    assert set(detector._detectors) == {320, 640, 1280}


def test_another_image_type_is_refused() -> None:
    with pytest.raises(ValueError, match=r"must be \[H, W, 3\] in 8 bits, got \(9, 9\) in float64"):
        load_detector()(np.zeros((9, 9)))


def test_an_unknown_detector_is_answered_with_the_known_ones() -> None:
    with pytest.raises(ValueError, match="called 'hog'; there are yunet, mtcnn"):
        load_detector("hog")  # type: ignore[arg-type]  # on purpose


def test_a_damaged_network_file_is_named_with_its_hash(tmp_path: Path) -> None:
    (tmp_path / "yunet.onnx").write_bytes(b"damaged")
    with pytest.raises(WeightFileError, match=rf"yunet\.onnx has SHA-256 .*, expected {YUNET_SHA256}"):
        YuNet(path=tmp_path / "yunet.onnx")


def test_a_copy_named_by_the_environment_variable_takes_the_place_of_the_package_s(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = tmp_path / "from the zoo.onnx"
    copy.write_bytes(YUNET_FILE.find().read_bytes())
    monkeypatch.setenv("YUNET_WEIGHTS", str(copy))
    assert YuNet().path == copy
    copy.write_bytes(b"the float32 file")
    with pytest.raises(
        WeightFileError, match=r"from the zoo\.onnx has SHA-256 .*OpenCV Zoo's face_detection"
    ):
        YuNet()


def test_mtcnn_without_its_package_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "facenet_pytorch", None)
    load_detector.cache_clear()
    with pytest.raises(ImportError, match=r"pip install -e '\.\[facenet\]'"):
        load_detector("mtcnn")


def test_mtcnn_is_shown_red_first(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("facenet_pytorch")
    shown: list[np.ndarray] = []

    def detect(image: np.ndarray, *, landmarks: bool) -> tuple[None, None, None]:
        shown.append(image)
        return None, None, None

    detector = MTCNN()
    monkeypatch.setattr(detector._network, "detect", detect)
    assert detector(np.full((30, 30, 3), (200, 100, 50), np.uint8)) == []
    assert shown[0][15, 15].tolist() == [200, 100, 50]


def test_mtcnn_finds_no_face_in_noise() -> None:
    pytest.importorskip("facenet_pytorch")
    assert load_detector("mtcnn")(np.random.default_rng(0).integers(0, 255, (120, 120, 3), np.uint8)) == []
