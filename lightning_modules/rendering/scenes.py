"""Random scenes, each a function of its seed, step and sample alone."""

import hashlib
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from .illumination import LIGHT_DRAWS, lights_from_uniform
from .pose import POSE_DRAWS, Poses, poses_from_uniform
from .ranges import SceneRanges
from .shading import Lights


class Scenes(NamedTuple):
    """What each of B faces is seen in, N times."""

    poses: Poses  # of shape [B, N]
    lights: Lights  # of shape [B, N]


def scene_generators(seed: int, step: int, samples: Sequence[int]) -> list[torch.Generator]:
    """One generator for each sample's number in the whole batch, the same whichever process asks.

    Seeds are 32-bit hashes (more torch's generator does not use), so now and then two samples share their
    scene.
    """
    generators = []
    for sample in samples:
        digest = hashlib.blake2b(f"{seed} {step} {sample}".encode(), digest_size=4).digest()
        generators.append(torch.Generator().manual_seed(int.from_bytes(digest, "little")))
    return generators


def random_scenes(
    generators: Sequence[torch.Generator],
    views: int,
    *,
    ranges: SceneRanges | None = None,
    target: Tensor | None = None,
) -> Scenes:
    """`views` poses and lights for each generator, float32 on the CPU.

    Args:
        generators: B of them, one per face; each is advanced.
        views: N.
        ranges: to draw from; the defaults of `SceneRanges` if not given.
        target: the point that the cameras look at, as in `pose.cameras_from_poses`.
    """
    if views < 1:
        raise ValueError(f"views must be at least 1, got {views}")
    ranges = SceneRanges() if ranges is None else ranges
    uniform = _draw(generators, (views, POSE_DRAWS + LIGHT_DRAWS))
    poses = poses_from_uniform(uniform[..., :POSE_DRAWS], ranges)
    return Scenes(poses, lights_from_uniform(uniform[..., POSE_DRAWS:], poses, ranges, target=target))


def colour_backgrounds(generators: Sequence[torch.Generator], views: int) -> Tensor:
    """Images of one random colour each, [B, N, 3, 1, 1] sRGB."""
    return _draw(generators, (views, 3, 1, 1))


def noise_backgrounds(
    generators: Sequence[torch.Generator], views: int, size: tuple[int, int], *, cells: int = 6
) -> Tensor:
    """Images of a random colour that varies smoothly by up to 0.25, [B, N, 3, H, W] sRGB."""
    noise = _draw(generators, (views, 3, cells, cells)) - 0.5
    corners = colour_backgrounds(generators, views) + 0.5 * noise
    rows, columns = (_linear_interpolation(cells, length) for length in size)
    return (rows @ (corners @ columns.T)).clamp_(0, 1)


def _linear_interpolation(count: int, length: int) -> Tensor:
    """Weights [length, count] that interpolate samples, the first and the last of both at the same places."""
    identity = torch.eye(count, dtype=torch.float32)[None]
    return torch.nn.functional.interpolate(identity, length, mode="linear", align_corners=True)[0].T


def _draw(generators: Sequence[torch.Generator], shape: tuple[int, ...]) -> Tensor:
    # A trainer of another precision sets torch's default, in which other numbers would come.
    return torch.stack(
        [torch.rand(shape, generator=generator, dtype=torch.float32) for generator in generators]
    )
