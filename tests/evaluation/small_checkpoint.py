"""A checkpoint of miniatures, for the commands that take one."""

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch

from datamodules.alignment import face_cache
from datamodules.alignment.detection import Detection
from datamodules.photograph_digests import CONTENT, kept_digests
from lightning_modules import reconstruction
from lightning_modules.checkpoints import KEY, checkpoint_content
from lightning_modules.recognition.frame import CANONICAL_POINTS
from lightning_modules.regressor import Regressor
from tests import miniatures
from tests.datamodules.conftest import detect_by_colour
from tests.evaluation.untouched import inputs_untouched


def small_network(name: str, weights: Path | None = None) -> miniatures.SmallNetwork:
    """A miniature under a network's name, always the same."""
    network = miniatures.SmallNetwork({"dlib": 1, "sface": 2, "facenet": 3}[name])
    network.name = name
    return network


def detect_two_by_colour(image: np.ndarray) -> list[Detection]:
    """As `detect_by_colour`, but the second face is a quarter of the picture."""
    found = detect_by_colour(image)
    half = np.array(image.shape[1::-1]) / 2
    quarter = Detection(np.array([0, 0, *half]), CANONICAL_POINTS / 224 * half, 0.7)
    return [*found[:1], *([quarter] if len(found) > 1 else [])]


def write_checkpoint(file: Path, *, seed: int = 0, model_seed: int = 0, stage: int = 1) -> Path:
    """A checkpoint whose regressor was never trained."""
    torch.manual_seed(seed)
    regressor = Regressor(20, 4, 3, hidden_width=16)
    networks = {"encoder": small_network("dlib"), "judge": small_network("sface")}
    content = checkpoint_content(
        stage=stage,
        regressor=regressor,
        model=miniatures.small_model(seed=model_seed, skin=True),
        networks=networks,
        centres={},
        settings={"morphable_model": "open", "seed": seed},
        commit=None,
        **({"training_data": {"digest": "of no photographs", "count": 0}} if stage == 2 else {}),
    )
    weights = {f"regressor.{name}": value for name, value in regressor.state_dict().items()}
    torch.save({"state_dict": weights, "global_step": 1, KEY: content}, file)
    return file


def write_run(file: Path, *, seed: int = 0) -> Path:
    """A checkpoint of stage 2; those of other seeds say that they went on from the same stage 1."""
    was_trained_with(write_checkpoint(file, seed=seed, stage=2), seed=0)
    return file


def saw_in_training(checkpoint: Path, photographs: Sequence[Path]) -> None:
    """Let a checkpoint say that it was trained on these files."""
    content = torch.load(checkpoint, weights_only=True)
    digests = b"".join(hashlib.sha256(file.read_bytes()).digest() for file in photographs)
    content[KEY][CONTENT] = kept_digests(np.frombuffer(digests, "V32"))
    torch.save(content, checkpoint)


def was_trained_with(checkpoint: Path, **settings: object) -> None:
    """Let a checkpoint say that these were its run's settings."""
    content = torch.load(checkpoint, weights_only=True)
    content[KEY]["settings"] |= settings
    torch.save(content, checkpoint)


@pytest.fixture
def checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkpoint, with its model and networks in the places of the real ones, and faces found by colour."""

    def load_model(specification: str, **_: int) -> object:
        return miniatures.small_model(seed=0 if specification == "open" else 9, skin=True)

    monkeypatch.setattr(reconstruction, "load_morphable_model", load_model)
    monkeypatch.setattr(reconstruction, "load_network", small_network)
    monkeypatch.setattr(face_cache, "load_detector", lambda name: detect_two_by_colour)
    return write_checkpoint(tmp_path / "small.ckpt")


def status_of(main: object, arguments: Sequence[object]) -> int:
    """A command's exit status; what it was given must be as before."""
    with inputs_untouched(arguments):
        try:
            return main([str(argument) for argument in arguments])
        except SystemExit as end:
            return int(end.code)
