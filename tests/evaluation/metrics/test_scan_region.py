import numpy as np
import pytest

from evaluation.metrics.marked_mesh import LANDMARKS, Unscorable
from evaluation.metrics.scan_region import region_of


def landmarks() -> np.ndarray:
    """Eyes at y = 40, outer corners 90 apart; subnasale 40 below them; nose tip 20 before; mouth at -30."""
    points = np.full((LANDMARKS, 3), np.nan)
    points[[36, 39, 42, 45]] = [[-45, 40, 0], [-15, 40, 0], [15, 40, 0], [45, 40, 0]]
    points[[30, 33, 48, 54]] = [[0, 0, 20], [0, 0, 0], [-25, -30, 0], [25, -30, 0]]
    return points


def test_the_nose_tip_region_is_a_ball() -> None:
    region = region_of("nose tip", landmarks(), radius_mm=95, disc_factor=1)
    points = np.array([[0, 94.9, 20], [0, 95.1, 20], [0, 0, -74], [np.nan, 0, 0]])
    assert region.contains(points).tolist() == [True, False, True, False]


def test_the_forehead_is_cut_27_mm_above_the_eyes() -> None:
    region = region_of("nose tip without forehead", landmarks(), radius_mm=95, disc_factor=1)
    assert region.contains(np.array([[0, 66.9, 0], [0, 67.1, 0], [0, -60, 0]])).tolist() == [
        True,
        False,
        True,
    ]


def test_the_face_disc_has_a_radius_of_the_mean_of_eye_distance_and_nose_length() -> None:
    region = region_of("face disc", landmarks(), radius_mm=0, disc_factor=1.4)
    assert region.radius_mm == pytest.approx(1.4 * (90 + 40) / 2)
    np.testing.assert_allclose(region.centre, [0, 12, 0])  # three tenths from subnasale to the bridge


@pytest.mark.parametrize(
    ("kind", "missing"),
    [
        ("nose tip", 30),
        ("nose tip without forehead", 45),
        ("nose tip without forehead", 48),
        ("face disc", 33),
        ("face disc", 39),
        ("face disc", 36),
    ],
)
def test_a_missing_landmark_is_named(kind: str, missing: int) -> None:
    points = landmarks()
    points[missing] = np.nan
    with pytest.raises(Unscorable, match="missing landmarks: the "):
        region_of(kind, points, radius_mm=95, disc_factor=1)
