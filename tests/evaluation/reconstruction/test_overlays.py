from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from datamodules.marked_faces import MarkedFace
from evaluation.reconstruction.overlays import (
    SquareCut,
    cameras_of_part,
    draw_points,
    part_of,
    rendered_over,
    square_about,
    to_part,
)
from lightning_modules.faces.morphable_model import Faces, MorphableModel
from lightning_modules.rendering.camera import project
from lightning_modules.rendering.pose import cameras_from_poses, frontal_poses


def photograph(pixels: np.ndarray, reduction: int = 1) -> MarkedFace:
    size = (pixels.shape[0] * reduction, pixels.shape[1] * reduction)
    return MarkedFace(Path("a.png"), "", size, pixels, 0, np.zeros((68, 2)), pixels)


def test_a_part_at_its_own_size_is_a_cut(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 255, (50, 60, 3), np.uint8)
    square = SquareCut(9.5, 4.5, 32.0)  # from the left edge of pixel 10 on
    assert np.array_equal(part_of(photograph(pixels), square, 32), pixels[5:37, 10:42])


def test_what_lies_outside_the_photograph_is_black() -> None:
    part = part_of(photograph(np.full((20, 20, 3), 200, np.uint8)), SquareCut(-20.5, -0.5, 20.0), 20)
    assert part.max() == 0


@pytest.mark.parametrize(("side", "reduction"), [(64.0, 1), (160.0, 1), (400.0, 3)])
def test_points_lie_in_the_part_where_the_photograph_has_them(side: float, reduction: int) -> None:
    # A bright blob at (90, 70) of the pixels as read.
    y, x = np.mgrid[:150, :180]
    blob = 250 * np.exp(-((x - 90) ** 2 + (y - 70) ** 2) / 40)
    face = photograph(np.repeat(blob[..., None], 3, 2).astype(np.uint8), reduction)
    point = (np.array([[90.0, 70.0]]) + 0.5) * reduction - 0.5
    square = SquareCut(float(point[0, 0]) - 0.4 * side, float(point[0, 1]) - 0.6 * side, side)
    part = part_of(face, square, 64)[..., 0].astype(float)
    rows, columns = np.mgrid[:64, :64]
    centre = np.array([(part * columns).sum(), (part * rows).sum()]) / part.sum()
    np.testing.assert_allclose(centre, to_part(point, square, 64)[0], atol=0.6)


def test_the_part_s_cameras_see_points_where_they_lie_in_the_part(small_model: MorphableModel) -> None:
    poses = frontal_poses((1, 1), like=torch.zeros((), dtype=torch.float64))
    cameras = cameras_from_poses(poses, (200, 300))
    points = 40 * torch.randn(1, 9, 3, generator=torch.Generator().manual_seed(0)).double()
    square = SquareCut(100.0, 30.0, 120.0)
    whole = project(cameras, points)[0, 0, :, :2].numpy()
    part = project(cameras_of_part(cameras, square, 64), points)[0, 0, :, :2].numpy()
    np.testing.assert_allclose(part, to_part(whole, square, 64), atol=1e-9)


def test_the_square_holds_the_landmarks_with_a_margin() -> None:
    points = np.array([[10.0, 20.0], [30.0, 60.0], [np.nan, np.nan]])
    assert square_about(points) == pytest.approx((20 - 38, 40 - 38, 76))


def test_the_face_covers_the_photograph_where_it_lies_only(small_model: MorphableModel) -> None:
    face = Faces(small_model.vertices(torch.zeros(1, 0)), small_model.albedo(torch.zeros(1, 0)))
    cameras = cameras_from_poses(frontal_poses((1, 1), like=torch.zeros(())), (64, 64))
    part = np.full((64, 64, 3), 30, np.uint8)
    over = rendered_over(part, small_model, face, cameras)
    assert over.shape == (3, 64, 64)
    torch.testing.assert_close(over[:, 0, 0], torch.full((3,), 30 / 255))
    assert float(over[:, 32, 32].mean()) > 0.2


def test_points_are_drawn_and_missing_ones_left_out() -> None:
    shown = Image.new("RGB", (40, 40))
    draw_points(shown, np.array([[10.0, 30.0], [np.nan, 5.0]]), (255, 0, 0))
    found = np.asarray(shown)[..., 0]
    assert found[30, 10] == 255
    assert found[:20].max() == 0
