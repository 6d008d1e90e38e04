"""The faces of people in videos, one person each, and of photographs and videos together."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np
import torch
from torch import Tensor

from lightning_modules.plain.folder_walk import visible_files
from lightning_modules.plain.output_folder import without_outputs
from lightning_modules.recognition.network import RecognitionNetwork

from .alignment.crops import align, select_faces
from .alignment.detection import DetectorName, load_detector
from .alignment.feature_cache import to_images
from .alignment.footage import FootageError, read_frames
from .alignment.footage_cache import FaceWatcher, SeenFaces
from .face_data import FaceBatch
from .scan_folders import VIDEO_SUFFIXES


class PersonSeen(Protocol):
    """Faces of one person with their features, as `FaceDataset` has them."""

    def __len__(self) -> int:
        """How many faces."""
        ...

    def batch(self, indices: np.ndarray) -> FaceBatch:
        """The faces at these places."""
        ...

    def images(self, indices: Sequence[int]) -> Tensor:
        """The aligned faces [B, 3, 224, 224], RGB in [0, 1]."""
        ...


class FilmedPerson(NamedTuple):
    """The frames of a video in which a face was seen.

    Attributes:
        path: of the video.
        seen: the features of each face.
        detector: that found them.
    """

    path: Path
    seen: SeenFaces
    detector: DetectorName

    def __len__(self) -> int:
        """How many frames show a face."""
        return len(self.seen.frames)

    def batch(self, indices: np.ndarray) -> FaceBatch:
        """The faces at these places."""
        chosen = torch.from_numpy(np.asarray(indices, np.int64))
        return FaceBatch(
            chosen,
            {name: values[chosen] for name, values in self.seen.features.items()},
            {name: self.seen.embeddings(name)[chosen] for name in self.seen.descriptors},
        )

    def images(self, indices: Sequence[int]) -> Tensor:
        """The aligned faces [B, 3, 224, 224]; the video is read again, since no crop is kept."""
        wanted = {int(self.seen.frames[index]) for index in indices}
        found = {}
        for frame in read_frames(self.path):
            if frame.number in wanted and frame.pixels is not None:
                faces = load_detector(self.detector)(frame.pixels)
                found[frame.number] = align(
                    frame.pixels, select_faces(faces, frame.pixels.shape[:2], "largest")[0].points
                )
            if len(found) == len(wanted):
                break
        return to_images(np.stack([found[int(self.seen.frames[index])] for index in indices]))

    def frame(self, index: int) -> np.ndarray:
        """The whole frame [H, W, 3] in 8 bits of the face at this place; the video is read again."""
        wanted = int(self.seen.frames[index])
        frames = (frame for frame in read_frames(self.path) if frame.number == wanted)
        pixels = next(frames).pixels
        assert pixels is not None
        return pixels


class SeenTogether:
    """The faces of several sources as those of one person.

    Args:
        parts: at least one.
    """

    def __init__(self, parts: Sequence[PersonSeen]) -> None:
        self.parts = list(parts)
        self._ends = np.cumsum([len(part) for part in self.parts])

    def __len__(self) -> int:
        """How many faces."""
        return int(self._ends[-1])

    def batch(self, indices: np.ndarray) -> FaceBatch:
        """The faces at these places."""
        batches = [part.batch(np.arange(len(part))) for part in self.parts if len(part)]
        chosen = torch.from_numpy(np.asarray(indices, np.int64))
        features, embeddings = (
            {name: torch.cat([getattr(batch, kind)[name] for batch in batches])[chosen] for name in names}
            for kind, names in (("features", batches[0].features), ("embeddings", batches[0].embeddings))
        )
        return FaceBatch(chosen, features, embeddings)

    def images(self, indices: Sequence[int]) -> Tensor:
        """The aligned faces [B, 3, 224, 224]."""
        return torch.cat([part.images([place]) for part, place in map(self.part_of, indices)])

    def part_of(self, index: int) -> tuple[PersonSeen, int]:
        """The source that a face is of, and its place there."""
        number = int(np.searchsorted(self._ends, index, side="right"))
        part = self.parts[number]
        return part, index - int(self._ends[number]) + len(part)


class Filmed(NamedTuple):
    """What was seen in videos: the people, and why other videos cannot be used."""

    people: list[FilmedPerson]
    failures: list[tuple[Path, str]]

    @property
    def total(self) -> int:
        """How many videos were looked at."""
        return len(self.people) + len(self.failures)


def videos_at(place: Path) -> list[Path]:
    """The videos of a folder (at any depth), or the one at a path; none in any other place."""
    if place.is_dir():
        found = [path for path in visible_files(place) if is_video(path) and path.is_file()]
        return without_outputs(found, place)
    return [place] if is_video(place) and place.is_file() else []


def is_video(path: Path) -> bool:
    """Whether a file is called as videos are."""
    return path.suffix.lower() in VIDEO_SUFFIXES


def watched(
    videos: Sequence[Path],
    network: RecognitionNetwork,
    *,
    frames: int | None = None,
    detector: DetectorName = "yunet",
    cache_folder: Path | None = None,
    workers: int | None = None,
    progress: bool = True,
) -> Filmed:
    """The people in videos, by the largest face of each frame, with a network's features.

    Args:
        videos: one person's each.
        network: whose features are wanted.
        frames: of each video, evenly spread; None takes all.
        detector: finds the faces.
        cache_folder: the user's cache folder by default.
        workers: processes; all cores by default.
        progress: whether to show a bar.
    """
    watcher = FaceWatcher([network], frames=frames, detector=detector, cache_folder=cache_folder)
    watcher.see([path for path in videos if path.is_file()], workers=workers, progress=progress)
    people, failures = [], []
    for path in videos:
        if not path.is_file():
            failures.append((path, "cannot be read (no such file)"))
            continue
        try:
            seen = watcher.seen(path)
        except (FootageError, OSError) as error:
            failures.append((path, f"unusable video ({error})"))
            continue
        if len(seen.frames):
            people.append(FilmedPerson(path, seen, detector))
        else:
            failures.append((path, f"no face in any frame ({seen.total} frames)"))
    return Filmed(people, failures)
