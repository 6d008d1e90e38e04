import pytest
import torch
from lightning.pytorch.plugins.precision import HalfPrecision

from lightning_modules.rendering.ranges import SceneRanges
from lightning_modules.rendering.scenes import (
    DrawnScenes,
    Scenes,
    backgrounds_of,
    colour_backgrounds,
    noise_backgrounds,
    noise_cells,
    random_scenes,
    scene_generators,
)


def tensors(scenes: Scenes) -> list[torch.Tensor]:
    return [part for group in scenes for part in group if part is not None]


def test_a_sample_has_the_same_scenes_whichever_process_makes_them() -> None:
    whole = random_scenes(scene_generators(3, 17, range(6)), 2)
    second_of_two_processes = random_scenes(scene_generators(3, 17, range(1, 6, 2)), 2)
    for one, other in zip(tensors(whole), tensors(second_of_two_processes), strict=True):
        assert torch.equal(one[1::2], other)


@pytest.mark.parametrize(("seed", "step", "sample"), [(4, 17, 0), (3, 18, 0), (3, 17, 1)])
def test_seed_step_and_sample_each_change_the_scene(seed: int, step: int, sample: int) -> None:
    one = random_scenes(scene_generators(3, 17, [0]), 1)
    other = random_scenes(scene_generators(seed, step, [sample]), 1)
    assert all(not torch.equal(a, b) for a, b in zip(tensors(one), tensors(other), strict=True))


def test_views_of_a_sample_differ() -> None:
    scenes = random_scenes(scene_generators(0, 0, [0]), 3)
    assert len(scenes.poses.yaw_degrees[0].unique()) == 3
    assert len(scenes.lights.positions[0, :, 0, 0].unique()) == 3


def test_more_views_do_not_change_the_first() -> None:
    # A run with one view can be compared with a run with three.
    one = random_scenes(scene_generators(0, 0, range(2)), 1)
    three = random_scenes(scene_generators(0, 0, range(2)), 3)
    for few, many in zip(tensors(one), tensors(three), strict=True):
        assert torch.equal(few, many[:, :1])


def test_ranges_that_are_points_fix_the_scene() -> None:
    ranges = SceneRanges(yaw_degrees=(20.0, 20.0), distance_mm=(900.0, 900.0))
    scenes = random_scenes(scene_generators(0, 0, range(2)), 2, ranges=ranges)
    torch.testing.assert_close(scenes.poses.yaw_degrees, torch.full((2, 2), 20.0))
    torch.testing.assert_close(scenes.poses.distances, torch.full((2, 2), 900.0))


def test_yaw_is_even_over_its_range() -> None:
    yaw = random_scenes(scene_generators(0, 0, range(300)), 3).poses.yaw_degrees
    assert yaw.mean().abs() < 3
    assert yaw.std().item() == pytest.approx(80 / 12**0.5, rel=0.05)


def test_backgrounds_are_images_in_range() -> None:
    colours = colour_backgrounds(scene_generators(0, 0, range(2)), 3)
    assert colours.shape == (2, 3, 3, 1, 1)
    noise = noise_backgrounds(scene_generators(0, 0, range(2)), 3, (20, 30))
    assert noise.shape == (2, 3, 3, 20, 30)
    assert noise.min() >= 0
    assert noise.max() <= 1
    assert noise.std(dim=(-2, -1)).min() > 0.01
    again = noise_backgrounds(scene_generators(0, 0, range(2)), 3, (20, 30))
    assert torch.equal(noise, again)


def test_noise_is_interpolated_from_corner_to_corner() -> None:
    # Six cells: every second of eleven pixels is a drawn number, the others are means (none is clamped here).
    drawn, between = (
        noise_backgrounds(scene_generators(0, 0, [0]), 1, size)[0, 0] for size in ((6, 6), (11, 11))
    )
    torch.testing.assert_close(between[:, ::2, ::2], drawn)
    torch.testing.assert_close(between[:, 1::2, ::2], (drawn[:, 1:] + drawn[:, :-1]) / 2)
    torch.testing.assert_close(between[:, ::2, 1::2], (drawn[..., 1:] + drawn[..., :-1]) / 2)


def test_no_views_are_refused() -> None:
    with pytest.raises(ValueError, match="views must be at least 1, got 0"):
        random_scenes(scene_generators(0, 0, [0]), 0)


def test_what_is_drawn_ahead_moves_as_a_whole_and_keeps_its_precision() -> None:
    drawn = DrawnScenes(random_scenes(scene_generators(0, 0, range(2)), 3), torch.rand(2, 3, 3, 6, 6))
    assert drawn.template is None
    with_template = DrawnScenes(drawn.scenes, drawn.noise, torch.rand(2, 3, 5, 2)).to(torch.device("meta"))
    parts: list[torch.Tensor] = []
    with_template.changed(lambda part: parts.append(part) or part)
    # Five of poses, four of lights, the noise and the template.
    assert len(parts) == 11
    assert all(part.is_meta for part in parts)
    # As Lightning does with a batch of a run in 16 bits.
    plugin = HalfPrecision("bf16-true")
    batch = plugin.convert_input({"scenes": drawn, "features": torch.rand(3)})
    assert batch["features"].dtype == torch.bfloat16
    assert batch["scenes"] is drawn


def test_backgrounds_are_drawn_in_two_steps_as_in_one() -> None:
    noise = noise_cells(scene_generators(0, 0, range(2)), 3)
    assert noise.shape == (2, 3, 3, 6, 6)
    in_one = noise_backgrounds(scene_generators(0, 0, range(2)), 3, (20, 30))
    assert torch.equal(backgrounds_of(noise, (20, 30)), in_one)
