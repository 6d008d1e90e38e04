"""What micc.py runs on in tests: a face-like model, and a checkpoint that reads noses from colours."""

from pathlib import Path

import pytest
import torch
from torch import Tensor

from datamodules.alignment import footage_cache
from evaluation.scans import evaluation
from lightning_modules.prediction import Prediction
from lightning_modules.reconstruction import Reconstructor
from tests.datamodules.conftest import TinyNetwork, detect_by_colour
from tests.evaluation.scanned_people import face_like_model
from tests.evaluation.small_checkpoint import write_checkpoint


@pytest.fixture(autouse=True)
def only_the_face_like_model(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """In place of the open model and of a checkpoint's own; no data set is known here."""
    monkeypatch.delenv("MICC_DIR", raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setattr(evaluation, "load_morphable_model", lambda *_, **__: face_like_model())
    monkeypatch.setattr(evaluation, "open_model", face_like_model)


class NoseFromColour(torch.nn.Module):
    """Predicts the nose from the picture's mean colour."""

    def forward(self, features: Tensor) -> Prediction:
        """Of features [B, D]."""
        shape = torch.stack([20 * (features.mean(1) - 0.5), 0 * features[:, 0]], 1)
        return Prediction(shape, 0 * features[:, :1])


@pytest.fixture
def checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Its file, beside which `NoseFromColour` is loaded; faces are found where pictures are not blue."""
    monkeypatch.setattr(footage_cache, "load_detector", lambda name: detect_by_colour)
    networks = {"encoder": {"name": "tiny", "sha256": "ab" * 32}}
    content = {"commit": "abc", "networks": networks, "settings": {"morphable_model": "open"}}
    parts = Reconstructor(NoseFromColour(), face_like_model(), TinyNetwork(), content)
    monkeypatch.setattr(evaluation, "load_reconstructor", lambda *_, **__: parts)
    return write_checkpoint(tmp_path / "run.ckpt")
