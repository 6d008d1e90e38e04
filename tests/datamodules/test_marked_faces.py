from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from datamodules import marked_faces
from datamodules.alignment.detection import Detection
from datamodules.alignment.images import PhotographError
from datamodules.marked_faces import chosen_numbers, marked_by_detector, marked_by_file
from lightning_modules.faces.landmarks.ibug import five_points
from lightning_modules.recognition.frame import CANONICAL_POINTS, RENDERED_POINTS


def landmarks_with(five: np.ndarray, seed: int = 0) -> np.ndarray:
    """68 landmarks whose five points are these."""
    landmarks = five.mean(0) + np.random.default_rng(seed).normal(0, 8, (68, 2))
    landmarks[36:42], landmarks[42:48] = five[0], five[1]
    landmarks[[30, 48, 54]] = five[2:]
    np.testing.assert_allclose(five_points(torch.from_numpy(landmarks)), five)
    return landmarks


def write_scene(path: Path, scale: float = 1.0) -> np.ndarray:
    """A smooth picture, 300 x 240 at scale 1, whose size and content grow with the scale."""
    small = np.random.default_rng(1).integers(20, 230, (8, 10, 3), np.uint8)
    picture = cv2.resize(small, (round(300 * scale), round(240 * scale)), interpolation=cv2.INTER_CUBIC)
    cv2.imwrite(str(path), picture[:, :, ::-1])
    return picture


def test_a_file_s_landmarks_align_the_face_as_renderings_are_aligned(tmp_path: Path) -> None:
    picture = write_scene(tmp_path / "a.png")
    five = RENDERED_POINTS + np.array([40.0, 10.0])
    np.save(tmp_path / "a.npy", landmarks_with(five))
    face = marked_by_file(tmp_path / "a.png")
    assert face.size == (240, 300)
    # The face's five points are moved by (40, 10) only: so is the canonical frame.
    np.testing.assert_allclose(face.crop, picture[10:234, 40:264], atol=1)
    np.testing.assert_allclose(face.landmarks, landmarks_with(five))


def test_landmarks_stay_in_pixels_of_the_file_where_the_photograph_is_reduced(tmp_path: Path) -> None:
    scale = 14.0  # 4,200 pixels wide: read at half of that
    write_scene(tmp_path / "small.png")
    write_scene(tmp_path / "large.png", scale)
    five = RENDERED_POINTS + np.array([40.0, 10.0])
    np.save(tmp_path / "small.npy", landmarks_with(five))
    np.save(tmp_path / "large.npy", (landmarks_with(five) + 0.5) * scale - 0.5)
    small, large = (marked_by_file(tmp_path / f"{name}.png") for name in ("small", "large"))
    assert large.size == (3360, 4200)
    assert large.pixels.shape[1] == 2100
    np.testing.assert_allclose(large.landmarks, (small.landmarks + 0.5) * scale - 0.5)
    assert np.abs(large.crop.astype(int) - small.crop).mean() < 4


def test_a_detector_s_points_are_in_pixels_of_the_file_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_scene(tmp_path / "large.png", 14.0)

    def detect(image: np.ndarray) -> list[Detection]:
        points = CANONICAL_POINTS * image.shape[1] / 300
        return [Detection(np.array([0, 0, *image.shape[1::-1]]), points, 0.9)]

    monkeypatch.setattr(marked_faces, "load_detector", lambda name: detect)
    (face,) = marked_by_detector(tmp_path / "large.png", None)
    np.testing.assert_allclose(face.landmarks, (CANONICAL_POINTS * 7 + 0.5) * 2 - 0.5)
    with pytest.raises(PhotographError, match="no landmarks found"):
        marked_by_detector(tmp_path / "large.png", lambda image, found: None)


def test_faces_too_small_to_see_do_not_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_scene(tmp_path / "a.png")
    tiny = Detection(np.array([0, 0, 12, 12]), CANONICAL_POINTS / 20, 0.9)
    monkeypatch.setattr(marked_faces, "load_detector", lambda name: lambda image: [tiny])
    with pytest.raises(PhotographError, match="no face found"):
        marked_by_detector(tmp_path / "a.png", None)


def test_a_missing_photograph_says_so(tmp_path: Path) -> None:
    with pytest.raises(PhotographError, match=r"cannot be read \(No such file or directory\)"):
        marked_by_file(tmp_path / "gone.png")


def test_faces_are_chosen_as_asked() -> None:
    assert chosen_numbers(1, None) == [0]
    assert chosen_numbers(3, "largest") == [0]
    assert chosen_numbers(3, "all") == [0, 1, 2]
    assert chosen_numbers(3, 2) == [2]
    with pytest.raises(PhotographError, match="no face found"):
        chosen_numbers(0, "all")
    with pytest.raises(PhotographError, match=r"several faces \(2; say which by --face"):
        chosen_numbers(2, None)
    with pytest.raises(PhotographError, match=r"no face 3 \(2 found, numbered from 0\)"):
        chosen_numbers(2, 3)
