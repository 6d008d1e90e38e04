"""The budget that each preset sets: how many faces a step takes, and how many steps there are."""

from typing import Any

# A step renders `rendered` times `views` pictures; on two cores a picture costs about 20 ms.
PRESETS: dict[str, dict[str, Any]] = {
    "quick": {
        "rendered": 8,
        "photographs_per_step": 128,
        "synthetic_per_step": 64,
        "synthetic_per_pretraining_step": 128,
        "synthetic_faces": 4096,
        "pretraining_steps": 300,
        "max_steps": 100,
    },
    "standard": {
        "rendered": 8,
        "photographs_per_step": 256,
        "synthetic_per_step": 64,
        "synthetic_per_pretraining_step": 256,
        "synthetic_faces": 50_000,
        "pretraining_steps": 1500,
        "max_steps": 2000,
    },
    "paper-scale": {
        "rendered": 64,
        "photographs_per_step": 512,
        "synthetic_per_step": 256,
        "synthetic_per_pretraining_step": 512,
        "synthetic_faces": 0,  # a GPU renders fresh ones at every step
        "pretraining_steps": 50_000,
        "max_steps": 200_000,
    },
}
