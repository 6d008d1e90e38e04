import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from evaluation.metrics.face_regions import FACE_REGIONS, in_face_regions
from evaluation.metrics.marked_mesh import Unscorable
from lightning_modules.faces.landmarks.typical_places import TYPICAL_PLACES

# The outer eye corners of the typical face lie 88 mm apart.
NAMED_PLACES = {
    "nose": [(0, 1, 0), (0, 20, -11), (-15, -6, -20)],
    "mouth": [(0, -28, -17), (21, -28, -26), (0, -45, -20)],
    "forehead": [(0, 75, -20), (30, 50, -30), (-33, 36, -34)],
    "cheek": [(40, 0, -40), (-40, 10, -40), (45, -30, -45)],
}


@pytest.mark.parametrize("region", FACE_REGIONS)
def test_each_region_holds_its_own_places_and_no_others(region: str) -> None:
    for name, places in NAMED_PLACES.items():
        inside = in_face_regions(np.array(places, float), TYPICAL_PLACES)[region]
        assert inside.tolist() == [name == region] * len(places), name


def test_no_point_lies_in_two_regions_and_some_lie_in_none() -> None:
    x, y, z = np.meshgrid(np.arange(-80, 81, 4), np.arange(-100, 101, 4), [-30.0])
    points = np.stack([x.ravel(), y.ravel(), z.ravel()], 1)
    counts = np.sum(list(in_face_regions(points, TYPICAL_PLACES).values()), 0)
    assert counts.max() == 1
    assert counts.min() == 0


def test_the_back_of_the_head_is_in_no_region() -> None:
    behind = np.array([[0, 10, -150.0], [20, 60, -140]])
    assert not np.any(list(in_face_regions(behind, TYPICAL_PLACES).values()))


def test_regions_turn_and_grow_with_the_face() -> None:
    chance = np.random.default_rng(0)
    points = chance.uniform((-70, -90, -60), (70, 100, 0), (400, 3))
    turn = Rotation.from_rotvec((0.3, -0.5, 0.2))
    before = in_face_regions(points, TYPICAL_PLACES)
    after = in_face_regions(1.3 * turn.apply(points) + 5, 1.3 * turn.apply(TYPICAL_PLACES) + 5)
    for region in FACE_REGIONS:
        np.testing.assert_array_equal(before[region], after[region])


@pytest.mark.parametrize(
    ("missing", "message"),
    [
        (range(17, 27), "none of the brows"),
        ((40, 41, 46, 47), "none of the lower lids"),
        ([36], "missing landmarks: the eye corners"),
        (range(29, 36), "2 of a region span no area"),
    ],
)
def test_what_is_missing_is_named(missing: list[int], message: str) -> None:
    marks = TYPICAL_PLACES.copy()
    marks[list(missing)] = np.nan
    with pytest.raises(Unscorable, match=message):
        in_face_regions(np.zeros((1, 3)), marks)
