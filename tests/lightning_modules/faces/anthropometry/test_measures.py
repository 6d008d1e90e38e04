import pytest
import torch
from torch import Tensor

from lightning_modules.faces.anthropometry.measures import NAMES, measured


def face(**places: tuple[float, float, float]) -> Tensor:
    """Landmarks [1, 68, 3] in the origin, but for those that are given by their 0-based id: `_48=(...)`."""
    points = torch.zeros(1, 68, 3)
    for name, place in places.items():
        points[0, int(name[1:])] = torch.tensor(place)
    return points


def of(name: str, landmarks: Tensor) -> float:
    return float(measured(landmarks)[0, NAMES.index(name)])


def test_a_width_is_the_distance_of_two_landmarks() -> None:
    assert of("mouth width", face(_48=(-20.0, 0, 10), _54=(28.0, 0, 24))) == pytest.approx(50)  # 48, 14


def test_eyes_to_mouth_lies_between_the_means_of_their_corners() -> None:
    eyes = {"_36": (-40.0, 60, 0), "_39": (-20.0, 60, 0), "_42": (20.0, 60, 0), "_45": (40.0, 60, 0)}
    assert of("eyes to mouth", face(**eyes, _48=(-30.0, 0, 80), _54=(30.0, 0, 80))) == pytest.approx(100)


def test_the_face_is_as_broad_as_the_widest_of_three_pairs_of_the_jaw() -> None:
    wide = face(_0=(-60.0, 0, 0), _16=(60.0, 0, 0), _1=(-70.0, 0, 0), _15=(70.0, 0, 0), _2=(-5.0, 0, 0))
    assert of("face breadth", wide) == pytest.approx(140)


def test_an_eye_s_opening_is_the_mean_of_both_eyes() -> None:
    lids = {"_37": (0.0, 10, 0), "_38": (0.0, 10, 0), "_43": (0.0, 12, 0), "_44": (0.0, 12, 0)}
    assert of("eye opening", face(**lids)) == pytest.approx(11)


def test_measures_grow_with_the_face_and_ignore_its_pose() -> None:
    generator = torch.Generator().manual_seed(0)
    points = torch.randn(5, 68, 3, generator=generator, dtype=torch.float64)
    turn = torch.linalg.qr(torch.randn(3, 3, generator=generator, dtype=torch.float64)).Q
    torch.testing.assert_close(measured(2 * points @ turn + 7), 2 * measured(points))
