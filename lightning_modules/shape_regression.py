"""Learns the shape that is right on average over all people who look so, of features of a photograph.

Not in the paper. Least squares of synthetic people's true shapes is the expected shape of a synthetic
photograph. Real photographs are others; where landmarks lie in them needs no label, and a shape that explains
them (`photographed_landmarks`) and is no less likely a priori than it must be is the likeliest one. Of both
kinds together, with d(s, s*) the root of the mean squared distance of two faces' vertices,

    sum over synthetic people of  d(s(f), s*)^2 + e^2 |s(f) - s*|^2
    + w sum over photographs of  r(s(f), l)^2 + (v^2 / P) |s(f)|^2,

s(f) what is predicted of features f (pooled ones and a map, see `recognition.mapped`), r the distance of the
P landmarks l, v what is left of each, mm. The second terms keep coefficients small that move hardly any
vertex or landmark. No scan takes part.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from .expected_shape import new_shape_regressor
from .faces.morphable_model import MorphableModel
from .initialisation import standardise
from .losses import LANDMARK_SCALE, landmark_loss
from .optimisation import Optimisation
from .photographed_landmarks import LandmarkTarget
from .regressor import Regressor

STEPS = 600
OPTIMISATION = Optimisation(learning_rate=1e-3, weight_decay=0.05, warmup_steps=20, steps=STEPS, fused=True)
SYNTHETIC_PER_STEP, PHOTOGRAPHS_PER_STEP = 512, 256
# Of features' standard deviations: as much noise is added at each step, against learning people by heart.
FEATURE_NOISE = 0.1
LEAST_SPREAD_MM = 0.15  # e
LANDMARK_WEIGHT = 2.0  # w
LANDMARK_DEVIATION_MM = 1.0  # v: about what is left in photographs that were held back


class MarkedPhotographs(NamedTuple):
    """Photographs of real people, with landmarks.

    Attributes:
        features: [M, D].
        landmarks: [M, 68, 2], in pixels; NaN of photographs in which the detector saw none.
        target: what they are compared with.
    """

    features: Tensor
    landmarks: Tensor
    target: LandmarkTarget


def learn_shapes(
    features: Tensor,
    true: Tensor,
    model: MorphableModel,
    photographs: MarkedPhotographs | None = None,
    *,
    seed: int = 0,
    advance: Callable[[int], None] = lambda count: None,
) -> Regressor:
    """A regressor of shape coefficients alone, see above.

    Features of several photographs of a person are averaged, and tell more than those of one. So each step
    sees means of 1 to N of each person's photographs, fewer more often than many.

    Args:
        features: [P, N, D], of N photographs of each of P synthetic people.
        true: [P, Ks], the people's shape coefficients.
        model: the people's.
        photographs: of real people; without them synthetic ones alone are learnt from.
        seed: of weights, batches and noise.
        advance: told of each step.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        regressor = new_shape_regressor(features.shape[2], true.shape[1])
        standardise(regressor, features.flatten(0, 1))
        weights = vertex_spread(model).square() + LEAST_SPREAD_MM**2
        noise = FEATURE_NOISE * regressor.feature_scale
        configured = OPTIMISATION.configure(regressor)
        optimiser, schedule = configured["optimizer"], configured["lr_scheduler"]
        assert isinstance(schedule, dict)
        for _ in range(STEPS):
            some = torch.randint(len(features), (SYNTHETIC_PER_STEP,))
            predicted = regressor(with_noise(mean_of_some(features[some]), noise)).shape
            loss = ((predicted - true[some]).square() @ weights).mean()
            if photographs is not None:
                some = torch.randint(len(photographs.features), (PHOTOGRAPHS_PER_STEP,))
                predicted = regressor(with_noise(photographs.features[some], noise)).shape
                explained = photographed_loss(predicted, photographs.landmarks[some], photographs.target)
                loss = loss + LANDMARK_WEIGHT * explained
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule["scheduler"].step()
            advance(1)
    return regressor.eval().requires_grad_(False)


def mean_of_some(features: Tensor) -> Tensor:
    """Of each of B people, the mean features [B, D] of some of N photographs [B, N, D].

    How many is drawn evenly on a logarithmic scale; which ones, evenly.
    """
    people, most, _ = features.shape
    count = (most + 1) ** torch.rand(people, 1)
    rank = torch.rand(people, most).argsort(1).argsort(1)
    chosen = (rank < count.floor().clamp(max=most)).to(features)
    return torch.einsum("bn,bnd->bd", chosen, features) / chosen.sum(1, keepdim=True)


def photographed_loss(shape: Tensor, landmarks: Tensor, target: LandmarkTarget) -> Tensor:
    """How badly shapes [B, Ks] explain landmarks [B, 68, 2], and how unlikely they are, mm^2."""
    squares, counted = target.squared_distances(shape, landmarks)
    distance = (LANDMARK_SCALE * target.interocular) ** 2 * landmark_loss(squares, counted)
    unlikely = (counted * shape.square().sum(1)).mean()
    return distance + LANDMARK_DEVIATION_MM**2 / len(target.places) * unlikely


def vertex_spread(model: MorphableModel) -> Tensor:
    """How far a standard deviation of each shape coefficient moves vertices, [Ks], mm: root mean square."""
    moved = model.shape_basis * model.shape_standard_deviation  # [3 V, Ks]
    return (moved.square().sum(0) / (len(moved) / 3)).sqrt()


def with_noise(features: Tensor, deviation: Tensor) -> Tensor:
    """Features [B, D] with normal noise."""
    return features + deviation * torch.randn_like(features)
