from collections.abc import Callable

import pytest
import torch

from lightning_modules.faces.landmarks.ibug import Landmarks, landmarks_on_vertices
from lightning_modules.faces.landmarks.jaw_contour import (
    CANDIDATES,
    INNERMOST_SHARE,
    jaw_candidates,
    outermost,
)
from lightning_modules.faces.morphable_model import MorphableModel

ROWS, COLUMNS = 41, 81
MIDDLE = COLUMNS // 2


def egg_landmarks() -> Landmarks:
    """The jaw's on the last column but one of either side, rising from the chin to both ears."""
    ids = torch.full((68,), ROWS // 2 * COLUMNS + MIDDLE)
    for step in range(9):
        row = 3 + 2 * step
        ids[8 - step], ids[8 + step] = row * COLUMNS + 1, row * COLUMNS + COLUMNS - 2
    ids[8] = 2 * COLUMNS + MIDDLE
    return landmarks_on_vertices(ids, "marked")


@pytest.fixture
def egg(make_model: Callable[..., MorphableModel]) -> MorphableModel:
    return make_model(rows=ROWS, columns=COLUMNS, landmarks=egg_landmarks())


def test_candidates_lead_from_the_landmark_along_its_level_towards_the_middle(egg: MorphableModel) -> None:
    candidates = jaw_candidates(egg)
    points = egg.neutral_mean.view(-1, 3)[candidates]
    assert candidates.shape == (17, CANDIDATES)
    assert candidates[:, 0].tolist() == egg.landmark_vertex_ids[:17, 0].tolist()
    assert float((points[..., 1] - points[:, :1, 1]).abs().max()) < 3
    across = points[..., 0].abs()
    beside = torch.arange(17) != 8
    assert bool((across[beside, 1:] <= across[beside, :-1] + 1e-4).all())
    assert bool((across[beside, -1] < 0.6 * across[beside, 0]).all())
    assert bool((across[beside, -1] > 0.5 * INNERMOST_SHARE * across[beside, 0]).all())
    assert points[:8, :, 0].max() < 0 < points[9:, :, 0].min()


def test_the_tip_of_the_chin_stays_where_it_is(egg: MorphableModel) -> None:
    assert set(jaw_candidates(egg)[8].tolist()) == {2 * COLUMNS + MIDDLE}


def test_the_outermost_candidate_is_the_picture_s_left_for_the_right_side_and_right_for_the_left() -> None:
    along = torch.tensor([0.0, -2.0, 3.0])
    points = torch.stack([along, torch.zeros(3)], -1).expand(1, 17, 3, 2)
    upright, on_its_side = torch.tensor([[0.0, -1.0]]), torch.tensor([[1.0, 0.0]])
    assert outermost(points, upright)[0].tolist() == [1] * 8 + [2] * 9
    # The crown to the picture's right: the subject's left side is below.
    assert outermost(points.flip(-1), on_its_side)[0].tolist() == [1] * 8 + [2] * 9


def test_landmarks_slide_on_the_far_side_only_and_to_the_outline(egg: MorphableModel) -> None:
    points = egg.neutral_mean.view(-1, 3)[jaw_candidates(egg)]
    turn = torch.deg2rad(torch.tensor(35.0))  # to the subject's left, seen from far away
    x = turn.cos() * points[..., 0] + turn.sin() * points[..., 2]
    seen = torch.stack([x, -points[..., 1]], -1)[None]
    chosen = outermost(seen, torch.tensor([[0.0, -1.0]]))[0]
    assert chosen[:8].tolist() == [0] * 8
    assert bool((chosen[9:] > 0).all())
    # On the ellipse x = 75 c sin(a), z = 90 c cos(a), x is largest where tan(a) = 75 / (90 tan(turn)).
    azimuth = torch.atan2(points[..., 0] / 75, points[..., 2] / 90)[torch.arange(17), chosen]
    expected = torch.atan(75 / (90 * turn.tan()))
    assert azimuth[10:].tolist() == pytest.approx([float(expected)] * 7, abs=0.09)  # between candidates


def test_a_model_without_landmarks_has_no_jaw(make_model: Callable[..., MorphableModel]) -> None:
    with pytest.raises(ValueError, match="has no landmarks: none were marked"):
        jaw_candidates(make_model(landmarks="none were marked"))
