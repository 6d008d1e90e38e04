"""The sampling prior of expressions: sparse activations of ARKit-like face units."""

import numpy as np
from numpy.typing import NDArray

from lightning_modules.faces.open_model.source_files import read_target, target_paths

LEFT_OUT = ("tongueOut",)  # moves nothing that the model keeps
ACTIVE_SHARE = 0.12  # of face units at any time
COMMON_SHARE = 0.8  # of activations that the left and the right side share


def read_units(base_vertices: NDArray[np.int64], vertex_count: int) -> dict[str, NDArray[np.float64]]:
    """Displacements [n, 3] mm of chosen base-mesh vertices by every face unit, by name."""
    return {
        name: read_target(path, vertex_count)[base_vertices]
        for name, path in target_paths("faceunits").items()
        if name not in LEFT_OUT
    }


def draw_activations(count: int, generator: np.random.Generator, names: list[str]) -> NDArray[np.float64]:
    """Activations [N, U] in [0, 1] of face units; most are zero, and most are the same on both sides."""
    stems = [name.removesuffix("Left").removesuffix("Right") for name in names]
    # jawLeft and mouthRight are directions, not sides: they have no common stem with a partner that mirrors.
    sided = [stem if stem not in ("jaw", "mouth") else name for stem, name in zip(stems, names, strict=True)]
    features = sorted(set(sided))
    common = _sparse((count, len(features)), generator)[:, [features.index(stem) for stem in sided]]
    alone = _sparse((count, len(names)), generator)
    return np.where(generator.uniform(size=(count, len(names))) < COMMON_SHARE, common, alone)


def _sparse(shape: tuple[int, int], generator: np.random.Generator) -> NDArray[np.float64]:
    return np.where(generator.uniform(size=shape) < ACTIVE_SHARE, generator.uniform(size=shape), 0.0)
