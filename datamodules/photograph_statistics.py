"""How far a set of faces is from real photographs, in the eyes of a recognition network."""

import json
from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from lightning_modules.recognition.network import RecognitionNetwork

# Written by `python -m benchmarks.photograph_statistics`; it says itself what it holds.
STATISTICS_FILE = Path(__file__).with_name("photograph_statistics.json")


def distance_from_photographs(features: Tensor, network: RecognitionNetwork) -> float | None:
    """Distance of the mean features from those of real photographs, in their standard deviations.

    The root mean square over features of the difference of means, each in units of the feature's standard
    deviation over real photographs; features that are constant there are left out. Zero for the same
    photographs; N others of the same kind come to about 1 / sqrt(N).

    Args:
        features: [N, feature_width], pooled features of the network; a feature map after them does not count.
        network: whose features these are.

    Returns:
        None if there are no statistics for a network of this name with these weights.

    Raises:
        ValueError: if there are no features, or of another width.
    """
    once = network.once  # whose mean over photographs is nearly the same
    known = photograph_statistics()["networks"].get(once.name)
    if known is None or known["sha256"] != once.sha256:
        return None
    mean, deviation = (
        torch.tensor(known[name], dtype=torch.float64) for name in ("mean", "standard_deviation")
    )
    features = features[..., : once.feature_width]
    if features.ndim != 2 or len(features) == 0 or features.shape[1] != len(mean):
        raise ValueError(f"features must be [N, {len(mean)}] with N above 0, got {list(features.shape)}")
    varies = deviation > 0
    difference = features.detach().cpu().double().mean(0) - mean
    return float((difference[varies] / deviation[varies]).square().mean().sqrt())


@cache
def photograph_statistics() -> dict[str, Any]:
    """What the file holds: what it is, counts, and mean and standard deviation of features by network."""
    return json.loads(STATISTICS_FILE.read_text(encoding="utf-8"))
