"""Between which numbers options may lie: what lies outside is refused before any work is done."""

import math
from collections.abc import Mapping
from typing import NamedTuple


class Range(NamedTuple):
    """Finite numbers from `lowest`, below `below`."""

    lowest: float
    below: float = math.inf


SHARE = Range(0, 1)  # without 1 itself
POSITIVE, NOT_NEGATIVE = Range(1), Range(0)  # POSITIVE: of counts

# Of `Settings`.
SETTINGS = {
    **dict.fromkeys(
        (
            "rendered", "photographs_per_step", "max_steps", "views", "synthetic_per_step",
            "synthetic_per_pretraining_step", "pretraining_steps", "hidden_width",
        ),
        POSITIVE,
    ),
    **dict.fromkeys(
        (
            "shape_components", "albedo_components", "identity_weight", "batch_distribution_weight",
            "loopback_weight", "shape_weight", "albedo_weight", "tone_weight", "contrast_weight",
            "synthetic_faces", "linear_start", "pretraining_learning_rate", "learning_rate",
            "pretraining_weight_decay", "weight_decay", "warmup_steps", "gradient_clip",
        ),
        NOT_NEGATIVE,
    ),
    # Of an image's side; with more, faces leave their pictures.
    "jitter": Range(0, 0.25),
    "ema": SHARE,
    "validation_fraction": SHARE,
    "seed": Range(0, 2**32),
}  # fmt: skip
# Of `Execution`.
EXECUTION = {
    **dict.fromkeys(("devices", "num_nodes", "validation_interval", "checkpoint_interval"), POSITIVE),
    **dict.fromkeys(("gradient_norm_interval", "workers"), NOT_NEGATIVE),
}


def check_numbers(options: object, ranges: Mapping[str, Range]) -> None:
    """Refuse numbers outside their ranges; an option that is None is left to others.

    Args:
        options: with an attribute for each name.
        ranges: by the options' names.

    Raises:
        ValueError: naming the option.
    """
    for name, (lowest, below) in ranges.items():
        value = getattr(options, name)
        if value is None or (math.isfinite(value) and lowest <= value < below):
            continue
        upper = "" if below == math.inf else f" and below {below:g}"
        raise ValueError(f"--{name.replace('_', '-')} must be at least {lowest:g}{upper}, got {value:g}")
