from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from benchmarks.head_scan import HeadScan
from benchmarks.scanned_person import (
    LIGHTS,
    YAWS_DEGREES,
    Light,
    Scored,
    faces_of,
    features_of,
    lights_of,
    marks_off,
    page_of,
    photographs_of,
)
from datamodules.alignment import face_cache
from evaluation.metrics.marked_mesh import LANDMARKS, MarkedMesh
from evaluation.metrics.registration import Alignment
from evaluation.metrics.scan_score import PreparedScan, ScanScore
from evaluation.metrics.similarity_transform import Similarity
from evaluation.metrics.surface import Surface
from lightning_modules.checkpoints import with_content
from lightning_modules.expected_shape import LIKENESS_SHARE
from lightning_modules.reconstruction import load_reconstructor
from lightning_modules.rendering.pose import cameras_from_poses, frontal_poses
from tests import miniatures
from tests.datamodules.conftest import write_photograph
from tests.evaluation.small_checkpoint import checkpoint

__all__ = ["checkpoint"]


def test_a_light_stands_beside_the_camera_wherever_that_is() -> None:
    poses = frontal_poses((1, 2), distance_mm=1000.0, like=torch.zeros(1))
    poses = poses._replace(yaw_degrees=torch.tensor([[0.0, 90.0]]))
    lights = lights_of(
        Light((-100.0, 0, 0), (0, -200.0, 0), (0.6, 0.1), 0.2), cameras_from_poses(poses, (8, 8))
    )
    # The camera of a frontal face stands before it, so that its left is the face's right.
    torch.testing.assert_close(
        lights.positions[0, 0], torch.tensor([[-100.0, 0, 1000], [0, 200, 1000]]), atol=1e-3, rtol=0
    )
    torch.testing.assert_close(lights.positions[0].norm(dim=-1)[0], lights.positions[0].norm(dim=-1)[1])
    assert not lights.positions[0, 0].allclose(lights.positions[0, 1])
    torch.testing.assert_close(lights.intensities[0, 1], torch.tensor([0.6, 0.1]))


def test_every_side_is_photographed_in_every_light_and_they_differ() -> None:
    corners = torch.tensor([[-1.0, -1, 0], [1, -1, 0], [0, 1, 0.5]])
    points = torch.tensor([[-0.4, 0.3, 0], [0.4, 0.3, 0], [0, 0, 0.3], [-0.3, -0.4, 0], [0.3, -0.4, 0]])
    scan = HeadScan(
        corners, torch.tensor([[0, 1, 2]]), torch.tensor([[0, 0, 1.0]]).expand(3, 3),
        torch.full((3, 3), 0.6), points,
    )  # fmt: skip
    pictures = photographs_of(scan, size=48)
    assert len(pictures) == len(LIGHTS) * len(YAWS_DEGREES)
    assert len({picture.tobytes() for picture in pictures.values()}) == len(pictures)


def test_features_are_those_of_each_picture_and_one_without_a_face_is_named(
    checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(2):
        write_photograph(tmp_path / f"{number}.png", number)
    pictures = {f"light {number}": Image.open(tmp_path / f"{number}.png") for number in range(2)}
    loaded = load_reconstructor(checkpoint)
    assert features_of(pictures, loaded).shape == (2, 20)
    monkeypatch.setattr(face_cache, "load_detector", lambda name: lambda image: [])
    with pytest.raises(ValueError, match="no face is found in the renderings: light 0; light 1"):
        features_of(pictures, loaded)


def test_each_reading_has_a_face_beside_the_mean(checkpoint: Path, tmp_path: Path) -> None:
    features = torch.randn(3, 20, generator=torch.Generator().manual_seed(0))
    assert list(faces_of(features, load_reconstructor(checkpoint))) == ["mean face", "likeness"]
    kept = miniatures.expected_shape(torch.zeros(4))
    with_content(checkpoint, tmp_path / "flat.ckpt", expected_shape=kept)
    faces = faces_of(features, load_reconstructor(tmp_path / "flat.ckpt"))
    assert list(faces) == ["mean face", "likeness", "expected"]
    mean = faces["mean face"].vertices
    shorter = mean + LIKENESS_SHARE * (faces["likeness"].vertices - mean)
    np.testing.assert_allclose(faces["expected"].vertices, shorter, atol=1e-3)
    assert np.abs(faces["likeness"].vertices - faces["mean face"].vertices).max() > 0


def test_the_page_counts_photographs_nearer_than_the_mean_face_and_says_what_failed() -> None:
    together = [
        Scored("mean face", {"genova": 2.0, "tran": float("nan")}, {95.0: 2.0}, 5.0),
        Scored("likeness", {"genova": 1.5, "tran": 2.5}, {95.0: 1.5}, 3.26),
    ]
    single = {"likeness": np.array([1.0, 1.9, 2.1, np.nan])}
    page = page_of("a.ckpt (0123)", "command", 20, together, single)
    assert "| mean face | 2.00 | failed | 5.0 |" in page
    assert "| likeness | 1.50 | 2.50 | 3.3 |" in page
    assert "| likeness | 1.67 | 1.00 | 2.10 | 2 of 4 |" in page
    assert "one face from 20 renderings" in page


def test_marks_are_off_by_what_the_known_ones_of_both_are_apart() -> None:
    marks = np.full((LANDMARKS, 3), np.nan)
    marks[[30, 36, 45]] = [[0.0, 0, 0], [-40, 30, -20], [40, 30, -20]]
    theirs = 2 * marks
    theirs[48] = 1.0  # known of one alone
    scan = PreparedScan(Surface(marks[[30, 36, 45]], np.array([[0, 1, 2]])), marks)
    pose = Similarity(0.5, np.eye(3), np.array([3.0, 0, 4]))
    aligned = Alignment(pose, True, 1, 1.0, 0.0, False, None)
    mesh = MarkedMesh(theirs[[30, 36, 45]], np.array([[0, 1, 2]]), theirs)
    score = ScanScore("genova", 1.0, 1.0, aligned, None, None, None)
    assert marks_off(score, scan, mesh) == pytest.approx(5.0)
    assert np.isnan(marks_off(score._replace(alignment=None), scan, mesh))
