import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from lightning_modules.faces.alignment import similarity_between
from lightning_modules.faces.landmarks.typical_places import TYPICAL_PLACES, mirrored_ids, misplaced
from lightning_modules.faces.loading import load_morphable_model
from tests.evaluation.metrics.face_like import face_like

SEVEN = [36, 39, 42, 45, 33, 48, 54]


def some(ids: list[int], points: np.ndarray = TYPICAL_PLACES) -> np.ndarray:
    partial = np.full((68, 3), np.nan)
    partial[ids] = points[ids]
    return partial


@pytest.mark.slow
def test_the_open_model_s_faces_stay_near_typical_places() -> None:
    model = load_morphable_model("open")
    mean = model.landmarks.on(model.neutral_mean.view(1, -1, 3))[0].double().numpy()
    moved = similarity_between(mean, TYPICAL_PLACES).of(mean)
    np.testing.assert_allclose(np.linalg.norm(moved - TYPICAL_PLACES, axis=1), 0, atol=6)
    chance = torch.Generator().manual_seed(0)
    shape = torch.randn(50, model.shape_variance.numel(), generator=chance)
    expression = torch.randn(50, model.expression_variance.numel(), generator=chance)
    for points in model.landmarks.on(model.vertices(shape, expression)).double().numpy():
        assert misplaced(points) == ""


def test_a_face_in_any_pose_and_unit_is_one() -> None:
    turn = Rotation.from_rotvec([0.4, 2.0, -1.0]).as_matrix()
    assert misplaced(0.01 * TYPICAL_PLACES @ turn.T + 7) == ""
    assert misplaced(face_like().landmarks) == ""
    assert misplaced(some(SEVEN)) == ""
    assert misplaced(some([30, 36, 45])) == ""  # three tell nothing


@pytest.mark.parametrize("ids", [SEVEN, [*SEVEN, 30], list(range(17, 68)), list(range(68))])
@pytest.mark.parametrize("wrong", [36, 42, 33, 54])
def test_a_single_wrong_point_is_named(ids: list[int], wrong: int) -> None:
    points = some(ids)
    points[wrong] += (10, 50, 20)
    assert misplaced(points).startswith(f"landmark {wrong + 1} (iBUG, from 1) lies 5")


def test_several_wrong_points_are_named() -> None:
    points = TYPICAL_PLACES.copy()
    points[[3, 30, 60]] += 40
    assert misplaced(points).startswith("landmark 4, 31, 61 (iBUG, from 1) lies 69 mm from where")


def test_mirrored_ids_are_where_the_other_side_has_them() -> None:
    np.testing.assert_array_equal(TYPICAL_PLACES[mirrored_ids()] * (-1, 1, 1), TYPICAL_PLACES)
    assert mirrored_ids()[mirrored_ids()].tolist() == list(range(68))


def test_swapped_sides_and_mirrored_faces_are_told_from_other_orders() -> None:
    assert "left and right are swapped" in misplaced(TYPICAL_PLACES[mirrored_ids()])
    crooked = TYPICAL_PLACES + (np.arange(68) % 7 - 3)[:, None] * (1, 0, 0)
    assert misplaced(crooked) == ""
    shifted = some(SEVEN)
    shifted[SEVEN] = TYPICAL_PLACES[[*SEVEN[1:], 30]]  # picked without the first, so that all come too early
    eyes_first = [*range(17), *range(36, 48), *range(17, 36), *range(48, 68)]
    assert "are they in iBUG's order?" in misplaced(TYPICAL_PLACES[eyes_first])
    assert "are they in iBUG's order?" in misplaced(shifted)


def test_points_on_a_line_are_no_face() -> None:
    assert misplaced(np.outer(np.arange(68), [1.0, 2, 3])) == "they lie on a line, or all in one place"
    assert misplaced(np.ones((68, 3))) == "they lie on a line, or all in one place"


def test_distances_are_after_a_similarity_by_the_others() -> None:
    points = some([*SEVEN, 30])
    points[30] += (0, 0, 45)
    others = similarity_between(points[SEVEN], TYPICAL_PLACES[SEVEN]).of(points[30:31])
    assert abs(np.linalg.norm(others - TYPICAL_PLACES[30]) - 45) < 1e-6
    assert misplaced(points).startswith("landmark 31 (iBUG, from 1) lies 45 mm")
