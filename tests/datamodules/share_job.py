"""One job of an array that prepares photographs in shares; it can be killed on its way."""

import os
import signal
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from datamodules.alignment import face_cache
from datamodules.alignment.detection import Detection
from datamodules.long_work.shares import Share
from datamodules.photographs import Photographs, SharesLeft
from tests.datamodules.conftest import TinyNetwork, detect_by_colour


class NetworkOfBatches(TinyNetwork):
    """Its features depend on all faces that it sees at once, as the last bits of a real network's do."""

    def __init__(self, name: str, die_after: int | None) -> None:
        super().__init__()
        self.name, self.die_after = name, die_after

    def describe(self, images: Tensor) -> tuple[Tensor, Tensor]:
        if self.die_after is not None and self.asked >= self.die_after:
            os.kill(os.getpid(), signal.SIGKILL)
        features, descriptor = super().describe(images)
        company = torch.full((len(images), 1), float(images.mean()))
        return features + company, descriptor + company


def photographs_in(
    folder: Path, cache: Path, share: Share | None, *, die_after: int | None = None
) -> Photographs:
    """The photographs of a folder, whose cache lies elsewhere."""
    networks = [NetworkOfBatches(name, die_after) for name in ("encoder", "judge")]
    return Photographs(
        folder, networks[:1], judge=networks[1], validation_fraction=0.2, cache_folder=cache, share=share,
        workers=0, progress=False,
    )  # fmt: skip


def run_job(
    folder: Path,
    cache: Path,
    number: int,
    count: int,
    photographs: int | None = None,
    faces: int | None = None,
) -> bool:
    """Whether a job computed features, or left them to the next time; killed after so much, where given."""
    looked: list[int] = []

    def detect(image: np.ndarray) -> list[Detection]:
        looked.append(1)
        if photographs is not None and len(looked) > photographs:
            os.kill(os.getpid(), signal.SIGKILL)
        return detect_by_colour(image)

    before, face_cache.load_detector = face_cache.load_detector, lambda name: detect
    try:
        photographs_in(folder, cache, Share(number, count), die_after=faces).prepare_data()
    except SharesLeft:
        return False
    finally:
        face_cache.load_detector = before
    return True
