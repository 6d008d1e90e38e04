"""Principal components of a linear Gaussian model whose modes are not orthogonal."""

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
