"""Components of a linear Gaussian model from modes that need not be orthogonal."""

import torch
from torch import Tensor

from lightning_modules.faces.morphable_model import PrincipalComponents

# Modes are float32 at best: below this share of the largest deviation, a component is rounding.
SMALLEST_SHARE = 1e-5


def principal_components(mean: Tensor, modes: Tensor) -> PrincipalComponents:
    """The Gaussian of mean + modes @ w, w standard normal, with an orthonormal basis.

    Its covariance is modes @ modes.T = U S^2 U.T: the left singular vectors become the basis and S^2 the
    variances, so both describe the same distribution. Components that carry nothing (dependent modes) are
    left out. Signs, which are free, put the sum of the modes on the positive side of every component, so that
    positive coefficients open a mouth where the modes do.

    Args:
        mean: [3V].
        modes: [3V, K], one standard deviation each.

    Returns:
        At most K components, in the mean's dtype.
    """
    if not modes.shape[1]:
        return PrincipalComponents(mean, modes.to(mean), mean.new_zeros(0), 0.0)
    modes = modes.double()
    # By the small matrix modes.T @ modes = V S^2 V.T: far faster than a QR of the tall one, and exact
    # enough in double precision for the components that are kept.
    variance, rotation = torch.linalg.eigh(modes.T @ modes)
    variance, rotation = variance.flip(0).clamp(min=0), rotation.flip(1)
    kept = variance > SMALLEST_SHARE**2 * variance[0]
    variance, rotation = variance[kept], rotation[:, kept]
    basis = modes @ (rotation / variance.sqrt())
    towards_modes = torch.where(modes.sum(1) @ basis < 0, -1.0, 1.0)
    basis = (basis * towards_modes).to(mean)
    return PrincipalComponents(mean, basis, variance.to(mean), float(variance.sum()))


def own_components(mean: Tensor, modes: Tensor, count: int | None = None) -> PrincipalComponents:
    """The model's own components, so that its published coefficients keep their meaning.

    Each column is a mode at unit length and its variance the length's square, in the file's order. Where a
    mesh was cut, columns are no longer orthogonal; `MorphableModel.shape_coefficients` allows for that. A
    mode that moves nothing stays, with a variance of zero.

    Args:
        mean: [3V].
        modes: [3V, K], one standard deviation each.
        count: how many to keep, the first ones; None keeps all.
    """
    variance = modes.double().square().sum(0)
    total = float(variance.sum())
    kept, variance = modes[:, :count], variance[:count]
    basis = kept / variance.sqrt().clamp_min(torch.finfo(torch.float64).tiny)
    return PrincipalComponents(mean, basis.to(mean).contiguous(), variance.to(mean), total)
