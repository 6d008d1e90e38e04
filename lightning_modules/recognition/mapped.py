"""An encoder that also says where in a face it sees what."""

from torch import Tensor

from .around_network import WithMore
from .encoder_names import MAP
from .network import RecognitionNetwork


class Mapped(WithMore):
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

    def more(self, images: Tensor) -> Tensor:
        """The map; a video's frames are seen once, and theirs must be what the regression has learnt from."""
        return self.plain.feature_map(images)

    @property
    def once(self) -> RecognitionNetwork:
        """The network before, which looks once: of renderings no map is read."""
        return self.network.once
