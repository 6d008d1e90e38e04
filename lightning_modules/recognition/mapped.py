"""An encoder that also says where in a face it sees what."""

import torch
from torch import Tensor

from .encoder_names import MAP
from .network import Recognition, RecognitionNetwork
from .reading import Reading
from .resampling import resample


class Mapped(Reading):
    """A recognition network whose features end with one of its intermediate maps, of a single crop.

    Not in the paper. Pooled features say what a recognition network was trained to tell: who it is. How long
    a nose is, the maps before them know better. The expected shape reads them; the likeness reads the
    features that they follow, which stay as they are. The embedding is the network's own.

    Args:
        network: an encoder.

    Raises:
        ValueError: if its network gives no map.
    """

    def __init__(self, network: RecognitionNetwork) -> None:
        if not network.plain.map_width:
            raise ValueError(f"{network.plain.name} gives no feature map")
        width = network.plain.map_width
        super().__init__(network, MAP, f"map {width}", more=width)

    def describe(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """The network's features and the map, and the network's descriptor."""
        features, descriptor = self.network.describe(images)
        return torch.cat([features, self.plain.feature_map(images).to(features)], 1), descriptor

    def of_photographs(self, images: Tensor) -> Recognition:
        """The network's features of photographs, then the map of its own crop alone.

        A video's frames are seen once: their maps must be what the regression has learnt from.
        """
        seen = self.network.of_photographs(images)
        found = self.plain.feature_map(resample(images, self.crop))
        return seen._replace(features=torch.cat([seen.features, found.to(seen.features)], 1))

    @property
    def once(self) -> RecognitionNetwork:
        """The network before, which looks once: of renderings no map is read."""
        return self.network.once
