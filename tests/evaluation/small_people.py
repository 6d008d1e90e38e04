"""evaluation/reporting_people.py on miniatures: a coarse model, tiny networks, faces found by colour.

Also run as a script, by the test of a whole study.
"""

import sys
from collections.abc import Callable, Sequence
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from datamodules.alignment import face_cache
from evaluation import reporting_people
from lightning_modules import reconstruction
from lightning_modules.recognition.encoder_names import EncoderName
from lightning_modules.recognition.network import RecognitionNetwork
from lightning_modules.recognition.networks import as_encoder
from tests import miniatures
from tests.datamodules.conftest import detect_by_colour

SEEDS = {"dlib": 1, "sface": 2, "facenet": 3}


def small_network(name: str, weights: Path | None = None) -> RecognitionNetwork:
    """The same network for the same name, as in tests/ablations/small_run.py."""
    parts = EncoderName.of(name)
    network = miniatures.SmallNetwork(SEEDS[parts.network])
    network.name = parts.network
    return as_encoder(network, crops=parts.crops, coloured=parts.coloured)


def with_miniatures(put: Callable[[object, str, object], object]) -> None:
    """Put miniatures where the command looks for models, networks and a face detector."""
    put(reconstruction, "load_morphable_model", lambda *_, **__: miniatures.small_model(skin=True))
    put(reconstruction, "load_network", small_network)
    put(reporting_people, "load_network", small_network)
    put(face_cache, "load_detector", lambda name: detect_by_colour)


def main(argv: Sequence[str] | None = None) -> int:
    """The command's in a process that ends with it: nothing is put back."""
    with_miniatures(setattr)
    return reporting_people.main(argv)


if __name__ == "__main__":
    sys.exit(main())
