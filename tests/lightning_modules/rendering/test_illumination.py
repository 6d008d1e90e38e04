import math
from collections.abc import Callable

import pytest
import torch

from lightning_modules.rendering.camera import camera_matrices
from lightning_modules.rendering.colour import decode_srgb
from lightning_modules.rendering.colour_temperature import luminance
from lightning_modules.rendering.illumination import (
    LIGHT_DRAWS,
    colour_from_uniform,
    lights_from_uniform,
    seen_exposure,
)
from lightning_modules.rendering.pose import cameras_from_poses, frontal_poses, poses_from_uniform
from lightning_modules.rendering.ranges import SceneRanges
from lightning_modules.rendering.renderer import render, visible_triangles
from lightning_modules.rendering.shading import Material


def uniform(*shape: int) -> torch.Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(0))


def test_a_light_beside_the_camera_gives_a_sphere_two_thirds_of_its_intensity() -> None:
    # The mean of the cosine over a disc: the integral of sqrt(1 - r^2) 2 r dr from 0 to 1.
    front = torch.tensor([[0.0, 0, 1]], dtype=torch.float64)
    assert seen_exposure(front, torch.tensor([3.0]).double()).item() == pytest.approx(2.0, abs=5e-3)
    behind = torch.tensor([[0.0, 0, -1]], dtype=torch.float64)
    assert seen_exposure(behind, torch.ones(1).double()).item() == 0
    # From the side, half the disc is lit: the integral of max(0, x) over the unit disc, by its area: 2 / (3
    # pi).
    side = torch.tensor([[1.0, 0, 0]], dtype=torch.float64)
    assert seen_exposure(side, torch.ones(1).double()).item() == pytest.approx(2 / (3 * math.pi), abs=1e-2)


def test_the_exposure_is_even_over_scenes(bumpy_head: Callable) -> None:
    # Rendered white spheres, one of every scene: their mean luminance is the exposure asked for.
    ranges = SceneRanges(
        exposure=(0.5, 0.5), distance_mm=(3000.0, 3000.0), light_distance_mm=(5000.0, 5000.0)
    )
    poses = poses_from_uniform(uniform(1, 12, 5), ranges)
    lights = lights_from_uniform(uniform(1, 12, LIGHT_DRAWS), poses, ranges)
    head = bumpy_head(30)
    directions = torch.nn.functional.normalize(head.vertices, dim=-1).float()[None]
    cameras, size = cameras_from_poses(poses, (48, 48)), (48, 48)
    white = torch.ones_like(directions)
    ambient = luminance(lights.ambient)[..., None].expand(1, 12, 3)
    lights = lights._replace(colours=torch.ones_like(lights.colours), ambient=ambient)
    vertices, white = 100 * directions, torch.ones_like(directions)
    images = render(
        vertices, head.triangles, directions, white, cameras, lights, size, material=Material(0.0)
    )
    seen = visible_triangles(vertices, head.triangles, camera_matrices(cameras), size) >= 0
    for view in range(12):
        # What is brighter than white is cut, so a hard side light loses a little.
        assert decode_srgb(images[0, view, 0])[seen[view]].mean().item() == pytest.approx(0.5, abs=0.03)


def test_lights_stand_metres_away_within_their_ranges_seen_from_the_camera() -> None:
    ranges = SceneRanges()
    target = torch.tensor([5.0, 20, 40])
    poses = poses_from_uniform(uniform(4, 50, 5), ranges)
    lights = lights_from_uniform(uniform(4, 50, LIGHT_DRAWS), poses, ranges, target=target)
    assert lights.positions.shape == (4, 50, 2, 3)
    distances = (lights.positions - target).norm(dim=-1)
    assert ((distances > 1999) & (distances < 5001)).all()
    cameras = cameras_from_poses(poses, (10, 10), target=target)
    relative = ((lights.positions - target) @ cameras.rotations.mT) / distances[..., None]
    azimuth = torch.rad2deg(torch.atan2(relative[..., 0], -relative[..., 2]))
    elevation = torch.rad2deg(torch.asin(-relative[..., 1]))
    assert azimuth.abs().max() <= 75.01
    assert azimuth.abs().max() > 65
    assert elevation.min() >= -15.01
    assert elevation.max() <= 60.01


def test_without_perturbation_and_white_balance_colours_are_those_of_the_table() -> None:
    still = SceneRanges(kelvin_perturbation_mired=(0, 0), tint_perturbation=(0, 0), white_balance=(0, 0))
    colours = colour_from_uniform(uniform(500, 6), still)
    assert len(torch.unique(colours.round(decimals=4), dim=0)) == 12  # eight indoor, four outdoor
    torch.testing.assert_close(luminance(colours), torch.ones(500))


def test_full_white_balance_leaves_only_the_tint() -> None:
    balanced = SceneRanges(tint_perturbation=(0, 0), white_balance=(1, 1))
    torch.testing.assert_close(colour_from_uniform(uniform(50, 6), balanced), torch.ones(50, 3))
    tinted = colour_from_uniform(uniform(50, 6), SceneRanges(white_balance=(1, 1)))
    assert 0.02 < (tinted - 1).abs().max() < 0.1


def test_both_lights_and_the_ambient_light_share_the_colour() -> None:
    poses = frontal_poses((3,), like=torch.zeros(()))
    lights = lights_from_uniform(uniform(3, LIGHT_DRAWS), poses, SceneRanges())
    assert torch.equal(lights.colours[:, 0], lights.colours[:, 1])
    torch.testing.assert_close(lights.ambient / luminance(lights.ambient)[:, None], lights.colours[:, 0])


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("yaw_degrees", (10.0, -10.0), "yaw_degrees must run from low to high"),
        ("distance_mm", (0.0, 10.0), "distance_mm must be above zero"),
        ("ambient_share", (0.5, 1.5), "ambient_share must lie between 0 and 1"),
        ("white_balance", (-0.5, 0.5), "white_balance must lie between 0 and 1"),
    ],
)
def test_a_range_that_makes_no_sense_is_named(name: str, value: tuple[float, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        SceneRanges(**{name: value})
