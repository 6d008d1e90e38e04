"""An encoder that looks at a photograph more than once."""

from collections.abc import Iterator
from itertools import islice

import torch
from torch import Tensor

from .around_network import AroundNetwork
from .encoder_names import CROPS
from .frame import Crop
from .network import Recognition, RecognitionNetwork
from .resampling import resample

# How each pair of crops differs from the network's own: right and down in shares of its side, and its size.
# Ours: on 300 development people, half and twice as far did not differ by more than chance.
MOVES = (
    (0.0, 0.0, 1.0),
    (0.02, -0.01, 0.97),
    (-0.01, 0.02, 1.03),
    (-0.02, -0.02, 1.0),
    (0.01, 0.01, 0.94),
    (0.0, -0.02, 1.06),
    (0.02, 0.02, 1.03),
    (-0.02, 0.0, 0.97),
)
MOST_CROPS = 2 * len(MOVES)


class SeveralCrops(AroundNetwork):
    """A recognition network whose features of a photograph are the mean over several crops of it.

    Not in the paper, whose encoder sees a photograph once. The first crop is the network's own, the second
    its mirror image; further pairs are moved a little (`MOVES`). What the alignment and the side of the light
    add to one crop's features averages out. Renderings are seen once, and an embedding is the first crop's.

    Args:
        network: that looks.
        count: how many crops.

    Raises:
        ValueError: if there are not so many.
    """

    def __init__(self, network: RecognitionNetwork, count: int) -> None:
        if not 1 < count <= MOST_CROPS:
            raise ValueError(f"the features of 2 to {MOST_CROPS} crops can be averaged, not of {count}")
        self.looks = list(islice(_moves(), count))
        super().__init__(network, f"-{count}{CROPS}", str(self.looks))

    @property
    def once(self) -> RecognitionNetwork:
        """The network itself."""
        return self.network

    def describe(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """What the network says of one crop."""
        return self.network.describe(images)

    def of_photographs(self, images: Tensor) -> Recognition:
        """Features averaged over crops of photographs [B, 3, 224, 224], and the first crop's embedding."""
        self._check(images, "canonical")
        seen = [self.network(look, frame="native") for look in self._seen(images)]
        features = torch.stack([each.features for each in seen]).mean(0)
        return Recognition(features, seen[0].embedding, seen[0].descriptor)

    def _seen(self, images: Tensor) -> Iterator[Tensor]:
        for right, down, size, mirrored in self.looks:
            crop = resample(images, moved(self.crop, right, down, size))
            yield crop.flip(-1) if mirrored else crop


def _moves() -> Iterator[tuple[float, float, float, bool]]:
    for move in MOVES:
        for mirrored in (False, True):
            yield *move, mirrored


def moved(crop: Crop, right: float, down: float, size: float) -> Crop:
    """A crop moved by shares of its sides and enlarged about its middle."""
    width, height = crop.right - crop.left, crop.bottom - crop.top
    middle = (crop.left + crop.right) / 2 + right * width, (crop.top + crop.bottom) / 2 + down * height
    half = size * width / 2, size * height / 2
    return Crop(crop.size, middle[0] - half[0], middle[1] - half[1], middle[0] + half[0], middle[1] + half[1])
