"""Ridge regression in closed form, for maps that are read off data before training."""

import torch
from torch import Tensor


def ridge(inputs: Tensor, values: Tensor, penalty: float) -> tuple[Tensor, Tensor]:
    """Weights [D] or [D, K] and offset (scalar or [K]) that predict values from inputs.

    The penalty acts on weights of standardised inputs; the offset is not penalised.

    Args:
        inputs: [N, D].
        values: [N] or [N, K].
        penalty: added to the Gram matrix's diagonal, which without it is N.
    """
    mean, scale = inputs.mean(0), inputs.std(0).clamp(min=1e-9)
    standardised = (inputs - mean) / scale
    identity = torch.eye(inputs.shape[1], dtype=inputs.dtype, device=inputs.device)
    gram = standardised.T @ standardised + penalty * identity
    weight = torch.linalg.solve(gram, standardised.T @ (values - values.mean(0)))
    weight = weight / scale.view(-1, *[1] * (values.ndim - 1))
    return weight, values.mean(0) - mean @ weight
