"""Whether coefficients look drawn from the prior: their moments, and the share that caricatures."""

from typing import NamedTuple

import torch
from torch import Tensor

from .paired import Statistic, mean_statistic

# Standard deviations of the morphable model beyond which a coefficient caricatures.
BEYOND = 3.0


class Moments(NamedTuple):
    """Distances of coefficients from their target distribution.

    Attributes:
        mean_distance: |mean - target|, averaged over components.
        variance_distance: |variance - target|, averaged over components; the unbiased variance.
        share_beyond: of all coefficients, those farther than 3 of the model's standard deviations from 0.
    """

    mean_distance: float
    variance_distance: float
    share_beyond: float


class NormalDraws(NamedTuple):
    """What exact draws from the target give, over repeats.

    Attributes:
        mean: of each figure.
        standard_deviation: of each.
    """

    mean: Moments
    standard_deviation: Moments


def moments(
    coefficients: Tensor, *, target_mean: Tensor | float = 0.0, target_variance: Tensor | float = 1.0
) -> Moments:
    """How far the coefficients' moments lie from the target's.

    Args:
        coefficients: [N, K], in standard deviations of the model.
        target_mean: scalar or [K].
        target_variance: scalar or [K].

    Raises:
        ValueError: if there are fewer than two faces, or a coefficient is not finite.
    """
    if coefficients.ndim != 2 or len(coefficients) < 2:
        raise ValueError(f"coefficients must be [N, K] of at least two faces, got {list(coefficients.shape)}")
    if not torch.isfinite(coefficients).all():
        raise ValueError(f"{(~torch.isfinite(coefficients)).sum()} coefficients are not finite")
    values = coefficients.detach().double()
    target_mean, target_variance = (
        torch.as_tensor(target, dtype=values.dtype, device=values.device)
        for target in (target_mean, target_variance)
    )
    return Moments(
        (values.mean(0) - target_mean).abs().mean().item(),
        (values.var(0) - target_variance).abs().mean().item(),
        (values.abs() > BEYOND).double().mean().item(),
    )


class MomentStatistics(NamedTuple):
    """The figures of `Moments`, and how wide faces are spread, each with what it is without each face.

    Attributes:
        mean_distance: |mean - target|, averaged over components.
        variance_distance: |variance - target|, averaged over components.
        variance: over faces, averaged over components: below 1 faces are too alike, above 1 they exaggerate.
        share_beyond: of all coefficients, those farther than 3 of the model's standard deviations from 0.
    """

    mean_distance: Statistic
    variance_distance: Statistic
    variance: Statistic
    share_beyond: Statistic


def moment_statistics(
    coefficients: Tensor, *, target_mean: Tensor | float = 0.0, target_variance: Tensor | float = 1.0
) -> MomentStatistics:
    """`moments` with what they would be without each of the faces.

    Args:
        coefficients: [N, K], in standard deviations of the model; at least three faces.
        target_mean: scalar or [K].
        target_variance: scalar or [K].

    Raises:
        ValueError: if there are fewer than three faces, or a coefficient is not finite.
    """
    whole = moments(coefficients, target_mean=target_mean, target_variance=target_variance)
    count = len(coefficients)
    if count < 3:
        raise ValueError(f"a variance without one of the faces needs at least three of them, got {count}")
    values = coefficients.detach().double().cpu()
    target_mean, target_variance = (
        torch.as_tensor(target, dtype=values.dtype).cpu() for target in (target_mean, target_variance)
    )
    deviation = values - values.mean(0)
    means = values.mean(0) - deviation / (count - 1)
    squares = deviation.square()
    variances = (squares.sum(0) - squares * count / (count - 1)) / (count - 2)
    beyond = (values.abs() > BEYOND).double().mean(1)
    return MomentStatistics(
        Statistic(whole.mean_distance, (means - target_mean).abs().mean(1).numpy()),
        Statistic(whole.variance_distance, (variances - target_variance).abs().mean(1).numpy()),
        Statistic(values.var(0).mean().item(), variances.mean(1).numpy()),
        mean_statistic(beyond.numpy()),
    )


def moments_of_normal_draws(
    count: int,
    components: int,
    generator: torch.Generator,
    *,
    target_mean: Tensor | float = 0.0,
    target_variance: Tensor | float = 1.0,
    repeats: int = 20,
) -> NormalDraws:
    """What `moments` gives for faces drawn exactly from the target, since a finite count is never at 0.

    Args:
        count: N, of faces.
        components: K.
        generator: draws them.
        target_mean: scalar or [K].
        target_variance: scalar or [K].
        repeats: how often they are drawn; at least two.

    Raises:
        ValueError: if there are fewer than two repeats or faces.
    """
    if repeats < 2:
        raise ValueError(f"a standard deviation needs at least two repeats, got {repeats}")
    mean, deviation = (
        torch.as_tensor(value, dtype=torch.float64, device=generator.device)
        for value in (target_mean, torch.as_tensor(target_variance).double().sqrt())
    )
    rows = []
    for _ in range(repeats):
        normal = torch.randn(count, components, dtype=torch.float64, generator=generator, device=mean.device)
        rows.append(moments(mean + deviation * normal, target_mean=mean, target_variance=deviation**2))
    table = torch.tensor(rows, dtype=torch.float64)
    return NormalDraws(Moments(*table.mean(0).tolist()), Moments(*table.std(0).tolist()))
