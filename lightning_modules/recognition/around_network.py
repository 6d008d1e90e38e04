"""What is common to encoders that read a recognition network in a way of their own."""

import hashlib

import torch
from torch import Tensor

from .network import Recognition, RecognitionNetwork
from .resampling import resample


class AroundNetwork(RecognitionNetwork):
    """A recognition network around another: the embedding is the other's own, features are read anew.

    Args:
        network: the other.
        ending: what the name adds to the other's.
        reads: what the features depend on beside the other's weights; goes into the hash.
        more: so many features more than the other's.
    """

    def __init__(self, network: RecognitionNetwork, ending: str, reads: str, more: int = 0) -> None:
        super().__init__(hashlib.sha256(f"{network.sha256} {reads}".encode()).hexdigest())
        self.network = network
        self.name, self.crop = network.name + ending, network.crop
        self.feature_width, self.embedding_width = network.feature_width + more, network.embedding_width
        self.differentiable = network.differentiable
        self.descriptor_layer = getattr(network, "descriptor_layer", None)  # features are cached by it
        self.train(False)

    @property
    def plain(self) -> RecognitionNetwork:
        """The network itself."""
        return self.network.plain


class WithMore(AroundNetwork):
    """One whose features end with something more, that is seen in the network's own crop alone."""

    def more(self, images: Tensor) -> Tensor:
        """What is added [B, more], of images in the network's own crop."""
        raise NotImplementedError

    def describe(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """The network's features and what is added, and the network's descriptor."""
        features, descriptor = self.network.describe(images)
        return torch.cat([features, self.more(images).to(features)], 1), descriptor

    def of_photographs(self, images: Tensor) -> Recognition:
        """The network's features of photographs, and what is added of one crop."""
        seen = self.network.of_photographs(images)
        added = self.more(resample(images, self.crop)).to(seen.features)
        return seen._replace(features=torch.cat([seen.features, added], 1))
