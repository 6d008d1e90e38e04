"""What is common to encoders that read a recognition network in a way of their own."""

import hashlib

from .network import RecognitionNetwork


class Reading(RecognitionNetwork):
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
