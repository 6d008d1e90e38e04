"""How a regressor starts: standardised inputs, a linear path by regression in closed form, other scales."""

from typing import NamedTuple, Self

import torch
from torch import Tensor, nn

from .prediction import Prediction
from .regressor import Regressor
from .ridge import ridge

# Of `start_linearly`, for tens of thousands of faces: leave-one-out chose it among powers of ten.
RIDGE_PENALTY = 1000.0
# Of `start_first_albedo`, whose values depend on the features alone: only for stability.
TARGET_PENALTY = 10.0


@torch.no_grad()
def standardise(regressor: Regressor, features: Tensor) -> None:
    """Take the mean and standard deviation of these features [N, D] as those of the input."""
    regressor.feature_mean.copy_(features.mean(0))
    # A feature that never changes carries nothing: its scale does not matter, but must not be zero.
    regressor.feature_scale.copy_(features.std(0).clamp(min=1e-6 + 1e-3 * float(features.std())))


@torch.no_grad()
def start_linearly(regressor: Regressor, features: Tensor, known: Prediction) -> None:
    """Predict by ridge regression: the linear path in closed form, the layers' output zero.

    Args:
        regressor: changed in place.
        features: [N, D], of synthetic faces; `standardise` comes first.
        known: their coefficients.

    Raises:
        ValueError: if the regressor has no linear path.
    """
    standardised = _standardised(regressor, features)
    weight, offset = ridge(standardised, torch.cat(known, 1).to(standardised), RIDGE_PENALTY)
    linear = _linear_path(regressor)
    linear.weight.copy_(weight.T)
    linear.bias.copy_(offset)
    regressor.last_layer.weight.zero_()


@torch.no_grad()
def start_first_albedo(regressor: Regressor, features: Tensor, target: Tensor) -> None:
    """Predict a target of the first albedo component by the linear path alone, in closed form.

    Args:
        regressor: changed in place.
        features: [N, D], of photographs.
        target: [N], a function of the features, such as `skin_tone.ToneTarget`.

    Raises:
        ValueError: if the regressor has no linear path.
    """
    standardised = _standardised(regressor, features)
    weight, offset = ridge(standardised, target.to(standardised), TARGET_PENALTY)
    row, last, linear = regressor.shape_count, regressor.last_layer, _linear_path(regressor)
    linear.weight[row], linear.bias[row] = weight.to(last.weight), offset.to(last.bias)
    last.weight[row], last.bias[row] = 0, 0


@torch.no_grad()
def amplify(regressor: Regressor, factor: float) -> None:
    """Multiply what the network predicts."""
    for last in (regressor.last_layer, regressor.linear):
        if last is not None:
            last.weight.mul_(factor)
            last.bias.mul_(factor)


@torch.no_grad()
def rescale(regressor: Regressor, factors: Tensor, shifts: Tensor) -> None:
    """Multiply what is predicted of each coefficient [Ks + Kt], shape before albedo, and shift it."""
    for last in (regressor.last_layer, regressor.linear):
        if last is not None:
            last.weight.mul_(factors.to(last.weight)[:, None])
            last.bias.mul_(factors.to(last.bias))
    regressor.last_layer.bias.add_(shifts.to(regressor.last_layer.bias))


def rescale_first_albedo(regressor: Regressor, factor: float, shift: float) -> None:
    """Multiply what the network predicts of the first albedo component, and shift it."""
    row, count = regressor.shape_count, regressor.shape_count + regressor.albedo_count
    factors, shifts = torch.ones(count), torch.zeros(count)
    factors[row], shifts[row] = factor, shift
    rescale(regressor, factors, shifts)


class CoefficientMoments(NamedTuple):
    """Of what is predicted of each coefficient [Ks + Kt], shape before albedo, over photographs.

    Attributes:
        mean: in float64.
        variance: likewise.
    """

    mean: Tensor
    variance: Tensor

    @classmethod
    @torch.no_grad()
    def of(cls, regressor: Regressor, features: Tensor) -> Self:
        """Those of a regressor over features [M, D]."""
        predicted = torch.cat(regressor(features), 1).double()
        return cls(predicted.mean(0), predicted.var(0))


def give_moments(regressor: Regressor, features: Tensor, wanted: CoefficientMoments) -> None:
    """Give each coefficient a mean and variance over photographs, and change nothing else.

    What a batch distribution loss asked for over photographs then holds of a network that was changed since.

    Args:
        regressor: changed in place.
        features: [M, D], of the photographs, as it is to see them.
        wanted: such as it had before. A coefficient that does not vary keeps its variance.
    """
    has = CoefficientMoments.of(regressor, features)
    factors = torch.where(has.variance > 0, wanted.variance / has.variance.clamp(min=1e-24), 1.0).sqrt()
    rescale(regressor, factors, wanted.mean - factors * has.mean)


def _linear_path(regressor: Regressor) -> nn.Linear:
    if regressor.linear is None:
        raise ValueError("the regressor has no linear path to start from; build it with linear_path=True")
    return regressor.linear


def _standardised(regressor: Regressor, features: Tensor) -> Tensor:
    """Features [N, D] as the layers get them, in float64, on the regressor's device."""
    own = features.to(regressor.feature_mean)
    return ((own - regressor.feature_mean) / regressor.feature_scale).double()
