"""How far faces move when their photograph is damaged, held against how far apart people are."""

from collections.abc import Callable, Iterator

import numpy as np
import torch
from torch import Tensor

Distance = Callable[[Tensor, Tensor], Tensor]


def coefficient_distance(first: Tensor, second: Tensor) -> Tensor:
    """Root mean square difference [...] of coefficients [..., K], in standard deviations.

    Two faces drawn from the prior lie sqrt(2) apart on average.
    """
    return (first - second).square().mean(-1).sqrt()


def mesh_distance(first: Tensor, second: Tensor) -> Tensor:
    """Mean distance [...] of corresponding vertices [..., V, 3], in their unit, without alignment."""
    return (first - second).norm(dim=-1).mean(-1)


def to_the_others(values: Tensor, distance: Distance) -> np.ndarray:
    """Each face's mean distance [N] to all the others of [N, ...].

    Raises:
        ValueError: if there are fewer than two.
    """
    if len(values) < 2:
        raise ValueError(f"distances between people need at least two of them, got {len(values)}")
    others = len(values) - 1
    return np.array([float(distance(one[None], values).sum()) / others for one in values])


def nearest_is_own(
    values: Tensor, references: Tensor, own: Tensor, distance: Distance = coefficient_distance
) -> np.ndarray:
    """Whether each face's nearest reference is its own [M]; a tie with another's counts against it.

    Args:
        values: [M, ...].
        references: [N, ...].
        own: [M], which reference is each face's own.
        distance: between faces.
    """
    return np.array(list(_nearest(values, references, own, distance)), bool)


def _nearest(values: Tensor, references: Tensor, own: Tensor, distance: Distance) -> Iterator[bool]:
    for value, place in zip(values, own.tolist(), strict=True):
        distances = distance(value[None], references)
        others = torch.cat([distances[:place], distances[place + 1 :]])
        yield bool((distances[place] < others).all())
