"""The coefficients of a batch of faces: what every part passes on."""

from typing import NamedTuple

from torch import Tensor


class Prediction(NamedTuple):
    """Coefficients of neutral faces in standard deviations: shape [B, Ks] and albedo [B, Kt]."""

    shape: Tensor
    albedo: Tensor
