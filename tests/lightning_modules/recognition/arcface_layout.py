"""A `backbone.pth` in the layout of insightface's arcface_torch, with random weights."""

from pathlib import Path

import torch
from torch import Tensor

BLOCKS = {18: (2, 2, 2, 2), 50: (3, 4, 14, 3)}


def arcface_weights(depth: int = 18, *, width: int = 64, seed: int = 0) -> dict[str, Tensor]:
    """The state dict of an IResNet, by the names and shapes that iresnet.py gives its parameters."""
    generator = torch.Generator().manual_seed(seed)
    weights: dict[str, Tensor] = {}

    def convolution(name: str, into: int, out: int, size: int) -> None:
        spread = (2 / (into * size**2)) ** 0.5
        weights[f"{name}.weight"] = spread * torch.randn(out, into, size, size, generator=generator)

    def norm(name: str, channels: int, *, gain: float = 1.0) -> None:
        weights[f"{name}.weight"] = gain * (0.8 + 0.4 * torch.rand(channels, generator=generator))
        weights[f"{name}.bias"] = 0.1 * torch.randn(channels, generator=generator)
        weights[f"{name}.running_mean"] = 0.1 * torch.randn(channels, generator=generator)
        weights[f"{name}.running_var"] = 0.5 + torch.rand(channels, generator=generator)
        weights[f"{name}.num_batches_tracked"] = torch.tensor(7)

    convolution("conv1", 3, 64, 3)
    norm("bn1", 64)
    weights["prelu.weight"] = torch.full((64,), 0.25)
    into = 64
    for layer, (channels, count) in enumerate(zip((64, 128, 256, 512), BLOCKS[depth], strict=True), 1):
        for block in range(count):
            place = f"layer{layer}.{block}"
            norm(f"{place}.bn1", into)
            convolution(f"{place}.conv1", into, channels, 3)
            norm(f"{place}.bn2", channels)
            weights[f"{place}.prelu.weight"] = torch.full((channels,), 0.2)
            convolution(f"{place}.conv2", channels, channels, 3)
            norm(f"{place}.bn3", channels, gain=0.3)
            if block == 0:
                convolution(f"{place}.downsample.0", into, channels, 1)
                norm(f"{place}.downsample.1", channels)
            into = channels
    norm("bn2", 512)
    weights["fc.weight"] = torch.randn(width, 512 * 49, generator=generator) / 160
    weights["fc.bias"] = 0.1 * torch.randn(width, generator=generator)
    norm("features", width)
    return weights


def write_arcface(path: Path, depth: int = 18, *, width: int = 64, seed: int = 0) -> Path:
    """Writes such a file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save(arcface_weights(depth, width=width, seed=seed), path)
    return path
