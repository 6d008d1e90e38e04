"""Random scenes, each a function of its seed, step and sample alone."""

import hashlib
from collections.abc import Callable, Sequence
from typing import NamedTuple, Self

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

    def changed(self, change: Callable[[Tensor], Tensor]) -> Self:
        """The scenes with every tensor changed alike."""
        return self._replace(poses=Poses(*map(change, self.poses)), lights=self.lights.changed(change))


class DrawnScenes:
    """All that is random in some faces' pictures, drawn on the CPU before it is needed.

    Moved as a whole, without a wait where its memory is pinned. No tuple and no dataclass: a trainer of
    another precision rounds those of a batch, and would move lights by metres.

    Attributes:
        scenes: poses and lights of shape [B, N].
        noise: [B, N, 3, cells, cells] of `noise_cells`.
        template: [B, N, 5, 2], where each view's points come to lie; None where every view has the same.
    """

    def __init__(self, scenes: Scenes, noise: Tensor, template: Tensor | None = None) -> None:
        self.scenes, self.noise, self.template = scenes, noise, template

    def changed(self, change: Callable[[Tensor], Tensor]) -> Self:
        """The same with every tensor changed alike."""
        template = None if self.template is None else change(self.template)
        return type(self)(self.scenes.changed(change), change(self.noise), template)

    def to(self, device: torch.device) -> Self:
        """The same on a device."""
        return self.changed(lambda part: part.to(device, non_blocking=True))

    def pin_memory(self) -> Self:
        """The same where a GPU fetches it by itself."""
        return self.changed(Tensor.pin_memory)


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
    return backgrounds_of(noise_cells(generators, views, cells=cells), size)


def noise_cells(generators: Sequence[torch.Generator], views: int, *, cells: int = 6) -> Tensor:
    """What is random in `noise_backgrounds`: colours [B, N, 3, cells, cells] at the points of a grid."""
    noise = _draw(generators, (views, 3, cells, cells)) - 0.5
    return colour_backgrounds(generators, views) + 0.5 * noise


def backgrounds_of(noise: Tensor, size: tuple[int, int]) -> Tensor:
    """Images [B, N, 3, H, W] between the colours of `noise_cells`, on their device."""
    rows, columns = (_linear_interpolation(noise.shape[-1], length, noise.device) for length in size)
    return (rows @ (noise @ columns.T)).clamp_(0, 1)


def _linear_interpolation(count: int, length: int, device: torch.device) -> Tensor:
    """Weights [length, count] that interpolate samples, the first and the last of both at the same places."""
    identity = torch.eye(count, dtype=torch.float32, device=device)[None]
    return torch.nn.functional.interpolate(identity, length, mode="linear", align_corners=True)[0].T


def _draw(generators: Sequence[torch.Generator], shape: tuple[int, ...]) -> Tensor:
    # A trainer of another precision sets torch's default, in which other numbers would come.
    return torch.stack(
        [torch.rand(shape, generator=generator, dtype=torch.float32) for generator in generators]
    )
