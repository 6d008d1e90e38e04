"""What teaches the regressor: a morphable model and recognition networks, all frozen."""

from collections.abc import Mapping
from functools import partial
from types import MappingProxyType
from typing import NamedTuple

import torch
from torch import Tensor

from .faces.morphable_model import MorphableModel
from .recognition.coloured import Coloured, cheeks_of
from .recognition.frame import WHOLE_FRAME, Crop
from .recognition.network import RecognitionNetwork

NOTHING_ROUNDED: Mapping[str, torch.dtype] = MappingProxyType({})


class Seen(NamedTuple):
    """What the networks see in B faces rendered N times.

    Attributes:
        features: [B N, D], the encoder's, image b * N + n showing face b; None where it did not look.
        embeddings: [B, N, E], the identity network's; None where it did not look.
    """

    features: Tensor | None
    embeddings: Tensor | None


class Teachers(NamedTuple):
    """The frozen parts. No module registers them, so no optimiser, average or checkpoint holds them.

    Attributes:
        model: the morphable model.
        encoder: its features are the regressor's input.
        identity_network: its embeddings make the identity loss; usually the encoder.
        judge: another network, which training never sees.
    """

    model: MorphableModel
    encoder: RecognitionNetwork
    identity_network: RecognitionNetwork
    judge: RecognitionNetwork

    def to(self, device: torch.device) -> "Teachers":
        """The same on a device."""
        return Teachers(
            self.model.to(device),
            self.encoder.to(device),
            self.identity_network.to(device),
            self.judge.to(device),
        )

    @property
    def crop(self) -> Crop:
        """What training renders: the network's own crop, or the whole frame where two networks look at it."""
        return self.encoder.crop if self.encoder is self.identity_network else WHOLE_FRAME

    def cheeks(self, features: Tensor) -> Tensor | None:
        """The cheeks' colours [B, 3] in the encoder's features [B, D], sRGB in [0, 1], if it holds them."""
        return cheeks_of(features) if isinstance(self.encoder, Coloured) else None

    def see(
        self,
        images: Tensor,
        *,
        encode: bool = True,
        identify: bool = True,
        rounded: Mapping[str, torch.dtype] = NOTHING_ROUNDED,
    ) -> Seen:
        """Show renderings [B, N, 3, size, size] of `crop` to the networks that are needed, once to each.

        Args:
            images: of B faces in N views.
            encode: whether the encoder's features are needed.
            identify: whether the identity network's embeddings are.
            rounded: by the network's name, the precision of its convolutions where it is not the weights'.
        """
        encoder, identity = (
            partial(network, rounding=rounded.get(network.name))
            for network in (self.encoder, self.identity_network)
        )
        flat, grid = images.flatten(0, 1), images.shape[:2]
        if self.encoder is self.identity_network:
            recognition = encoder(flat, frame="native")
            return Seen(recognition.features, recognition.embedding.unflatten(0, grid))
        return Seen(
            encoder(flat).features if encode else None,
            identity(flat).embedding.unflatten(0, grid) if identify else None,
        )
