"""ablations/run.py on miniatures: a coarse model, tiny networks, faces found by colour.

Also run as a script, by tests that need processes of their own; each of DDP's processes runs it again.
"""

import hashlib
import os
import sys
from collections.abc import Sequence
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import numpy as np
import torch

from ablations import run
from ablations.runs import components, shared_folders
from ablations.runs.execution import Execution
from ablations.runs.settings import Settings
from datamodules.alignment import face_cache
from datamodules.alignment.detection import Detection
from lightning_modules.teachers import Teachers
from tests import miniatures
from tests.datamodules.conftest import detect_by_colour


def small_teachers(settings: Settings, execution: Execution) -> Teachers:
    """Miniatures under the names that the settings ask for; a name's network is always the same."""
    networks = {}
    for name in (*settings.training_networks, settings.judge):
        seed = {"dlib": 1, "sface": 2, "facenet": 3}[name]
        networks.setdefault(name, miniatures.SmallNetwork(seed)).name = name
    model = miniatures.small_model(seed=9 if settings.morphable_model == "open:1" else 0, skin=True)
    return components.teachers_of(model, networks, settings).to(execution.own_device())


def main(argv: Sequence[str] | None = None) -> int:
    """ablations/run.py's in a process that ends with it: nothing is put back."""
    components.load_teachers = small_teachers
    components.FaceMesh, components.find_landmark_model = miniatures.SmallMesh, lambda: None
    face_cache.load_detector = lambda name: detect_and_note
    shared_folders.SECONDS_TO_APPEAR = 1.0  # here no folder lies on a network
    return run.main(argv)


def detect_and_note(image: np.ndarray) -> list[Detection]:
    """Faces by colour; in the folder that LOOKED names, a line a picture: by which process, and which."""
    folder = os.environ.get("LOOKED")
    if folder is not None:
        content = hashlib.sha256(image.tobytes()).hexdigest()
        with open(Path(folder) / f"looked-{os.getpid()}.txt", "a") as file:
            file.write(f"{content}\n")
    return detect_by_colour(image)


def main_in(folder: Path, argv: Sequence[str]) -> None:
    """The same in a folder, on one thread; what is printed goes into `printed.txt`."""
    torch.set_num_threads(1)
    os.chdir(folder)
    with open("printed.txt", "a") as file:
        for stream in (sys.stdout, sys.stderr):
            os.dup2(file.fileno(), stream.fileno())
        status = main(argv)
        sys.stdout.flush()
    sys.exit(status)


if __name__ == "__main__":
    sys.exit(main())
