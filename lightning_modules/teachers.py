"""What teaches the regressor: a morphable model and recognition networks, all frozen."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal, NamedTuple

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
        embeddings: [B, N, E] of each identity network; none where they did not look.
    """

    features: Tensor | None
    embeddings: tuple[Tensor, ...]


class Teachers(NamedTuple):
    """The frozen parts. No module registers them, so no optimiser, average or checkpoint holds them.

    Attributes:
        model: the morphable model.
        encoder: its features are the regressor's input.
        identity_network: its embeddings make the identity loss; usually the encoder.
        judge: another network, which training never sees.
        second_identity_network: another whose embeddings make the identity loss, if there are two.
    """

    model: MorphableModel
    encoder: RecognitionNetwork
    identity_network: RecognitionNetwork
    judge: RecognitionNetwork
    second_identity_network: RecognitionNetwork | None = None

    def to(self, device: torch.device) -> "Teachers":
        """The same on a device."""
        return Teachers(
            self.model.to(device),
            self.encoder.to(device),
            self.identity_network.to(device),
            self.judge.to(device),
            None if self.second_identity_network is None else self.second_identity_network.to(device),
        )

    @property
    def identity_networks(self) -> tuple[RecognitionNetwork, ...]:
        """Those whose embeddings make the identity loss: one, or two."""
        second = self.second_identity_network
        return (self.identity_network,) if second is None else (self.identity_network, second)

    @property
    def training_networks(self) -> tuple[RecognitionNetwork, ...]:
        """Those that train, each once: the encoder first."""
        return tuple(dict.fromkeys((self.encoder, *self.identity_networks)))

    @property
    def by_role(self) -> dict[str, RecognitionNetwork]:
        """The networks by what each does, as checkpoints keep them."""
        roles = {"encoder": self.encoder, "identity": self.identity_network, "judge": self.judge}
        second = self.second_identity_network
        return roles if second is None else roles | {"second_identity": second}

    @property
    def crop(self) -> Crop:
        """What training renders: the network's own crop, or the whole frame where several look at it."""
        return self.encoder.crop if len(self.training_networks) == 1 else WHOLE_FRAME

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
            identify: whether the identity networks' embeddings are.
            rounded: by the network's name, the precision of its convolutions where it is not the weights'.
        """
        flat, grid = images.flatten(0, 1), images.shape[:2]
        alone = len(self.training_networks) == 1
        looking = self.training_networks if alone else self._needed(encode=encode, identify=identify)
        frame: Literal["native", "canonical"] = "native" if alone else "canonical"
        seen = {
            network: network(flat, frame=frame, rounding=rounded.get(network.name)) for network in looking
        }
        return Seen(
            seen[self.encoder].features if self.encoder in seen else None,
            tuple(
                seen[network].embedding.unflatten(0, grid)
                for network in self.identity_networks
                if network in seen
            ),
        )

    def _needed(self, *, encode: bool, identify: bool) -> tuple[RecognitionNetwork, ...]:
        """Of several networks those that have to look, each once."""
        encoder = (self.encoder,) if encode else ()
        return tuple(dict.fromkeys((*encoder, *(self.identity_networks if identify else ()))))
