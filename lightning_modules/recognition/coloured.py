"""An encoder that also says what colour the cheeks have."""

import numpy as np
import torch
from torch import Tensor

from .around_network import WithMore
from .encoder_names import COLOUR
from .frame import CHEEKS
from .network import RecognitionNetwork

CHANNELS = 3


class Coloured(WithMore):
    """A recognition network whose features end with the mean colour of both cheeks in its crop.

    Not in the paper. Recognition networks are trained to overlook light and camera, and with them most of
    what a photograph says of skin tone; what they keep, age and origin, places a person within a group at
    best. The embedding is the network's own, and costs one pass as before.
    """

    def __init__(self, network: RecognitionNetwork) -> None:
        super().__init__(network, COLOUR, str(CHEEKS), more=CHANNELS)

    @property
    def once(self) -> RecognitionNetwork:
        """The same of a network that looks at photographs once."""
        return self if self.network.once is self.network else Coloured(self.network.once)

    def more(self, images: Tensor) -> Tensor:
        """The cheeks' mean colour [B, 3]."""
        patches = [images[:, :, top:bottom, left:right].flatten(2) for left, top, right, bottom in self.boxes]
        return torch.cat(patches, 2).mean(2)

    @property
    def boxes(self) -> list[tuple[int, int, int, int]]:
        """Left, top, right, bottom of each cheek in whole pixels of the crop, the last two left out."""
        sides = [
            self.crop.to_crop(np.array([(left - 0.5, top - 0.5), (right + 0.5, bottom + 0.5)])) + 0.5
            for left, top, right, bottom in CHEEKS
        ]
        rounded = (box.round().ravel().astype(int).tolist() for box in sides)
        return [(left, top, right, bottom) for left, top, right, bottom in rounded]


def cheeks_of(features: Tensor) -> Tensor:
    """The colour [B, 3] at the end of a coloured network's features [B, D]."""
    return features[:, -CHANNELS:]
