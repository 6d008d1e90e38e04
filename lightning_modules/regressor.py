"""The network that is trained: recognition features in, shape and albedo coefficients out."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from .prediction import Prediction

HIDDEN_WIDTH = 1024  # recalled from the paper, not checked
# Our choice: predictions start near the mean face.
LAST_LAYER_SCALE = 0.3


class Regressor(nn.Module):
    """Two fully connected layers with ReLU, then a linear layer to shape and albedo coefficients.

    Genova et al. 2018, section 3.2 (the decoder). Ours differs in that features are standardised by the
    statistics of synthetic faces first, which changes nothing that the first layer could not learn but lets
    every encoder start alike, and in a smaller last layer at the start. A linear path beside the layers, not
    in the paper, can start from a regression in closed form (`initialisation`); the layers then learn what it
    leaves.

    Args:
        feature_width: of the encoder.
        shape_count: Ks.
        albedo_count: Kt.
        hidden_width: of both layers.
        linear_path: whether there is one.
        last_layer_scale: a factor on the last layer's weights at the start; 1 leaves them as they are drawn.
        activation: makes what follows both layers, without weights; ReLU as in the paper.
    """

    feature_mean: Tensor
    feature_scale: Tensor

    def __init__(
        self,
        feature_width: int,
        shape_count: int,
        albedo_count: int,
        *,
        hidden_width: int = HIDDEN_WIDTH,
        linear_path: bool = False,
        last_layer_scale: float = LAST_LAYER_SCALE,
        activation: Callable[[], nn.Module] = nn.ReLU,
    ) -> None:
        super().__init__()
        self.shape_count, self.albedo_count = shape_count, albedo_count
        self.register_buffer("feature_mean", torch.zeros(feature_width))
        self.register_buffer("feature_scale", torch.ones(feature_width))
        self.layers = nn.Sequential(
            nn.Linear(feature_width, hidden_width),
            activation(),
            nn.Linear(hidden_width, hidden_width),
            activation(),
            nn.Linear(hidden_width, shape_count + albedo_count),
        )
        with torch.no_grad():
            self.last_layer.weight.mul_(last_layer_scale)
            self.last_layer.bias.zero_()
        self.linear = nn.Linear(feature_width, shape_count + albedo_count) if linear_path else None

    def forward(self, features: Tensor) -> Prediction:
        """Coefficients in standard deviations of the faces with these features [B, D]."""
        standardised = (features.to(self.feature_mean) - self.feature_mean) / self.feature_scale
        coefficients = self.layers(standardised)
        if self.linear is not None:
            coefficients = coefficients + self.linear(standardised)
        return Prediction(*coefficients.split([self.shape_count, self.albedo_count], dim=-1))

    @property
    def last_layer(self) -> nn.Linear:
        """The layer that gives the coefficients, beside the linear path."""
        last = self.layers[-1]
        assert isinstance(last, nn.Linear)
        return last

    @property
    def widths(self) -> dict[str, int]:
        """The arguments that build a regressor of this size."""
        return {
            "feature_width": len(self.feature_mean),
            "shape_count": self.shape_count,
            "albedo_count": self.albedo_count,
            "hidden_width": self.last_layer.in_features,
            "linear_path": self.linear is not None,
        }
