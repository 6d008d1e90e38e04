"""The judge: a recognition network that the scored method was not trained with, and its centre."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Unpack

import numpy as np

from datamodules.face_data import FaceOptions
from datamodules.photographs import Photographs
from lightning_modules.checkpoints import specification_of_network
from lightning_modules.recognition.encoder_names import EncoderName, underlying
from lightning_modules.recognition.network import RecognitionNetwork
from lightning_modules.recognition.network_names import NetworkName, check_network, network_name
from lightning_modules.recognition.networks import as_encoder
from lightning_modules.recognition.similarity import Centre, check_centre, estimate_centre

# Where a checkpoint names none, or a method comes without one.
DEFAULTS: tuple[NetworkName, ...] = ("sface", "dlib")


def judge_name(
    name: NetworkName | None, content: Mapping[str, Any] | None, *, allow_training_network: bool = False
) -> NetworkName:
    """The judge that is asked for; by default the checkpoint's own judge, or `sface`.

    Args:
        name: None takes the default.
        content: of the checkpoint; None for meshes and renderings, whose training network nobody knows.
        allow_training_network: whether a network may judge what it has trained; its scores are too good.

    Raises:
        FileNotFoundError: if it is a file that is not there.
        ValueError: if the judge is the checkpoint's training network, or no network.
    """
    networks = {} if content is None else content["networks"]
    trained = {underlying(networks[role]["name"]) for role in ("encoder", "identity") if role in networks}
    if name is None:
        own = specification_of_network(dict(content or {}), "judge") if "judge" in networks else None
        name = own or next(default for default in DEFAULTS if default not in trained)
    check_network(name)
    if network_name(name) in trained and not allow_training_network:
        raise ValueError(
            f"the checkpoint was trained with {name}, which scores its own training too well; give another "
            "--judge, or --allow-training-network to see by how much"
        )
    return name


def shows_retouched(asked: bool | None, content: Mapping[str, Any] | None) -> bool:
    """Whether faces are retouched for the judge (see `as_judged`): as asked for, else as in training.

    Args:
        asked: the option; None follows the checkpoint.
        content: of the checkpoint. Without one, or where it does not say, as older ones do not, faces are.
    """
    if asked is not None:
        return asked
    return content is None or content["settings"].get("retouched") is not False


def settings_of_retouching(retouched: bool) -> dict[str, bool]:
    """What results depend on; nothing where faces are retouched: results say so only where they are not."""
    return {} if retouched else {"retouched": False}


def written_retouching(retouched: bool) -> str:
    """What follows in titles where faces are not retouched."""
    return "" if retouched else ", faces shown as rendered"


def kept_centre(content: Mapping[str, Any], judge: RecognitionNetwork) -> Centre | None:
    """The judge's centre over a checkpoint's training photographs, if the checkpoint keeps one.

    Raises:
        ValueError: if it is of other weights.
    """
    for name, kept in content["centres"].items():
        parts = EncoderName.of(name)
        if parts.network == judge.name:
            # The embedding of an encoder is its network's own.
            network = as_encoder(judge, crops=parts.crops, coloured=parts.coloured)
            centre = Centre.from_dict(dict(kept))
            check_centre(centre, network.name, network.sha256)
            return centre._replace(network=judge.name, sha256=judge.sha256)
    return None


def centre_of_photographs(
    folder: Path, network: RecognitionNetwork, **options: Unpack[FaceOptions]
) -> Centre:
    """The network's centre over a folder of training photographs (never of test images)."""
    photographs = Photographs(folder, [network], **options)
    photographs.prepare_data()
    photographs.setup()
    everyone = photographs.dataset.batch(np.arange(len(photographs.dataset)))
    embeddings = everyone.embeddings[network.name]
    return estimate_centre(embeddings, network=network.name, sha256=network.sha256, source=str(folder))
