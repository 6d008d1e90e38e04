from pathlib import Path

import numpy as np
import pytest
import torch

from datamodules.alignment.detection import Detection
from datamodules.alignment.face_cache import AlignedFaces, FaceCache
from datamodules.alignment.face_rows import face_keys
from datamodules.alignment.images import list_photographs
from datamodules.alignment.landmark_cache import CANONICAL_FACE, FaceLandmarks
from datamodules.face_data import FaceDataset
from datamodules.photographs import Photographs
from lightning_modules.recognition.frame import CANONICAL_POINTS

Aligned = tuple[FaceCache, AlignedFaces]


class Sees:
    """Landmarks that say what was looked at; sees no face at its second look."""

    name, sha256 = "sees", "05" * 32

    def __init__(self) -> None:
        self.looks: list[Detection] = []

    def __call__(self, image: np.ndarray, face: Detection) -> np.ndarray | None:
        self.looks.append(face)
        return None if len(self.looks) == 2 else np.full((68, 2), image.mean())


@pytest.fixture
def aligned(photograph_folder: Path, tmp_path: Path, stub_detector: list) -> Aligned:
    cache = FaceCache(tmp_path / "cache")
    return cache, cache.align(list_photographs(photograph_folder), workers=0, progress=False)


def test_landmarks_are_looked_for_once_and_kept_also_where_there_are_none(aligned: Aligned) -> None:
    cache, faces = aligned
    detector = Sees()
    for _ in range(2):
        store = FaceLandmarks(cache, detector)
        store.compute(cache, faces, detector, batch_size=3, progress=False)
    assert len(detector.looks) == 4
    found = store.landmarks(store.rows(face_keys(faces)))
    assert found.isnan().all(-1).all(-1).tolist() == [False, True, False, False]
    crop = cache.read_crop(faces.digest[2].tobytes(), faces.face[2])
    torch.testing.assert_close(found[2], torch.full((68, 2), float(crop.mean())))


def test_another_detector_has_landmarks_of_its_own(aligned: Aligned) -> None:
    cache, _ = aligned
    other = Sees()
    other.sha256 = "06" * 32
    assert FaceLandmarks(cache, Sees()).folder != FaceLandmarks(cache, other).folder


def test_a_detector_is_told_of_a_box_about_the_canonical_points() -> None:
    left, top, right, bottom = CANONICAL_FACE.box
    assert CANONICAL_FACE.points is CANONICAL_POINTS
    assert 0 < left < CANONICAL_POINTS[:, 0].min() < CANONICAL_POINTS[:, 0].max() < right < 224
    assert 0 < top < CANONICAL_POINTS[:, 1].min() < CANONICAL_POINTS[:, 1].max() < bottom < 224


def test_batches_have_landmarks_where_a_detector_was_asked(
    photograph_folder: Path, tmp_path: Path, stub_detector: list
) -> None:
    options = {"cache_folder": tmp_path / "cache", "workers": 0, "progress": False}
    plain = Photographs(photograph_folder, **options)
    plain.prepare_data()
    plain.setup()
    assert plain.dataset.batch([0]).landmarks is None
    with pytest.raises(RuntimeError, match="landmarks of some faces were not looked for; run prepare_data"):
        FaceDataset(plain.cache, plain.dataset.paths, plain.dataset.faces, (), Sees())
    marked = Photographs(photograph_folder, landmark_detector=Sees(), **options)
    marked.prepare_data()
    marked.setup()
    assert marked.dataset.batch([2, 3]).landmarks.shape == (2, 68, 2)
