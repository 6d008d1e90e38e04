"""Stand-in photographs: renderings in place of a data set that is missing, always labelled as such."""

import hashlib
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any, Unpack

import cv2
import numpy as np
import torch

from lightning_modules.faces.morphable_model import MorphableModel
from lightning_modules.plain.cache_folders import CacheFolders
from lightning_modules.plain.files import written_atomically
from lightning_modules.plain.one_at_a_time import one_at_a_time
from lightning_modules.recognition.network import RecognitionNetwork

from .face_data import FaceOptions
from .long_work.progress import progress_bar
from .photograph_statistics import distance_from_photographs
from .photographs import Photographs
from .sampling import mixed_seed
from .stand_in.photograph import Person, RenderedPhotograph, draw_person, draw_photographs
from .stand_in.ranges import StandInRanges

# Part of the folder's name: raise it when the same settings give other pictures.
VERSION = 1
# Purposes in `mixed_seed` that no training data has: no identity and no scene is shared with it.
PERSON, PHOTOGRAPH = 101, 102
AT_ONCE = 16


class StandInPhotographs(Photographs):
    """Renderings of people that the morphable model does not share with training, used as photographs are.

    `prepare_data` renders them once, as JPEG files in the cache folder; a run that is stopped continues
    there. From then on they are photographs like any: detected, aligned, their features cached. Person and
    photograph follow from (seed, number) alone. What differs from training's renderings stands in
    `StandInRanges`. Every result that comes from them must say STAND-IN in its title: `provenance` says so.

    Args:
        model: whose prior the people are drawn from.
        networks: whose features are wanted.
        count: of photographs.
        photographs_per_person: numbers that follow each other show one person; the last may have fewer. With
            more than one, photographs of one person can lie on both sides of the validation split.
        validation_fraction: share that is held back.
        judge: another network, see Photographs.
        judged: likewise.
        seed: of people, photographs and the training order.
        ranges: what people and photographs are drawn from.
        backend: of the rasterizer.
        **options: see FaceOptions.
    """

    kind = "stand-in"

    def __init__(
        self,
        model: MorphableModel,
        networks: Sequence[RecognitionNetwork] = (),
        *,
        count: int = 320,
        photographs_per_person: int = 1,
        validation_fraction: float = 0.05,
        judge: RecognitionNetwork | None = None,
        judged: int = 128,
        seed: int = 0,
        ranges: StandInRanges | None = None,
        backend: str | None = None,
        **options: Unpack[FaceOptions],
    ) -> None:
        if count < 1 or photographs_per_person < 1:
            raise ValueError(
                f"count and photographs_per_person must be at least 1, got {count}, {photographs_per_person}"
            )
        self.model, self.backend = model, backend
        self.count, self.photographs_per_person = count, photographs_per_person
        self.ranges = StandInRanges() if ranges is None else ranges
        folders = CacheFolders.below(options.get("cache_folder"))
        super().__init__(
            folders.stand_in_photographs / self._digest(seed),
            networks,
            validation_fraction=validation_fraction,
            judge=judge,
            judged=judged,
            seed=seed,
            **options,
        )

    def photographs(self) -> list[Path]:
        """The files, rendered or not, in the order of their numbers."""
        return [self.folder / f"{number:06d}.jpg" for number in range(self.count)]

    def prepare_data(self) -> None:
        """Render what is missing, then align and compute features as for any photographs."""
        self.render_missing()
        super().prepare_data()
        if self.progress:
            self.setup()
            for name, distance in self.distances_from_photographs().items():
                print(f"distance of the stand-in from real photographs, {name}: {written_distance(distance)}")

    def setup(self, stage: str | None = None) -> None:
        """Open the cache; sets `people`, their names, and `identity` [N], each face's person."""
        super().setup(stage)
        numbers = np.arange(self.count) // self.photographs_per_person
        self.people = [f"person {number}" for number in range(int(numbers[-1]) + 1)]
        self.identity = numbers[self.dataset.faces.photograph]

    def distances_from_photographs(self) -> dict[str, float | None]:
        """How far the stand-in is from real photographs, by network; see `distance_from_photographs`."""
        everything = self.dataset.batch(np.arange(len(self.dataset)))
        return {
            network.name: distance_from_photographs(everything.features[network.name], network)
            for network in self.networks
        }

    def provenance(self) -> dict[str, Any]:
        """Which photographs these are, labelled as a stand-in."""
        return {**super().provenance(), "stand_in": True}

    def person(self, number: int) -> Person:
        """Who is in the photograph of this number."""
        seed = mixed_seed(self.seed, PERSON, number // self.photographs_per_person)
        return draw_person(self.model, seed, self.ranges)

    def render(self, numbers: Sequence[int]) -> list[RenderedPhotograph]:
        """The photographs of these numbers, before they are written."""
        people = [self.person(number) for number in numbers]
        seeds = [mixed_seed(self.seed, PHOTOGRAPH, number) for number in numbers]
        with single_thread():
            return draw_photographs(self.model, people, seeds, self.ranges, backend=self.backend)

    def render_missing(self) -> None:
        """Render the photographs that have no file yet; other processes wait meanwhile."""
        self.folder.mkdir(parents=True, exist_ok=True)
        files = self.photographs()
        with one_at_a_time(self.folder / "lock", "renders the same photographs"):
            missing = {number for number, file in enumerate(files) if not file.exists()}
            with progress_bar(
                "Rendering STAND-IN photographs", len(missing), visible=self.progress
            ) as advance:
                # The same groups however often it was stopped: a group's size changes the last bits.
                for start in range(0, self.count, AT_ONCE):
                    group = range(start, min(start + AT_ONCE, self.count))
                    if missing.isdisjoint(group):
                        continue
                    for number, photograph in zip(group, self.render(group), strict=True):
                        if number in missing:
                            write_jpeg(files[number], photograph)
                            advance(1)

    def _digest(self, seed: int) -> str:
        return hashlib.sha256(json.dumps(self._settings(seed), sort_keys=True).encode()).hexdigest()[:16]

    def _settings(self, seed: int) -> dict[str, Any]:
        """Everything that the photographs depend on."""
        return {
            "version": VERSION,
            "model": self.model.describe(),
            "ranges": asdict(self.ranges),
            "count": self.count,
            "photographs_per_person": self.photographs_per_person,
            "seed": seed,
        }


@contextmanager
def single_thread() -> Iterator[None]:
    """Torch on one thread: a photograph's tensors are so small that threads mostly wait for each other."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def write_jpeg(path: Path, photograph: RenderedPhotograph) -> None:
    """Write a photograph with its quality, atomically."""
    quality = [cv2.IMWRITE_JPEG_QUALITY, photograph.jpeg_quality]
    _, encoded = cv2.imencode(".jpg", photograph.pixels[:, :, ::-1], quality)
    with written_atomically(path) as file:
        file.write_bytes(encoded.tobytes())


def written_distance(distance: float | None) -> str:
    """The distance in words, also where there is none."""
    if distance is None:
        return "not known, no statistics of real photographs for these weights"
    return f"{distance:.2f} of their standard deviations"
