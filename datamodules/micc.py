"""People with face scans and with videos or photographs: MICC, and any other scans in a plain layout."""

import hashlib
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple, TypedDict, Unpack

import numpy as np
import torch
from lightning import LightningDataModule
from torch.utils.data import DataLoader

from lightning_modules.plain.failures import as_one_reason
from lightning_modules.plain.files import as_bytes
from lightning_modules.recognition.network import RecognitionNetwork

from .alignment.crops import Selection
from .alignment.detection import DetectorName
from .alignment.footage import photographs_in
from .alignment.footage_cache import FaceWatcher, SeenFaces
from .alignment.images import file_content
from .scan_folders import Subject, micc_subjects, scanned_subjects


class ScanOptions(TypedDict, total=False):
    """Options that all sets of scans share.

    Attributes:
        frames: of each video, evenly spread; None, the default, takes all.
        landmarks: a folder of landmark files, where they do not lie in their usual place.
        limit: the first so many subjects; all by default.
        detector: finds the faces; `yunet` by default.
        faces: which of a frame's faces is used, the largest by default.
        cache_folder: for features; the user's cache folder by default.
        workers: processes that look at videos; all cores by default.
        progress: whether to show bars.
    """

    frames: int | None
    landmarks: Path | None
    limit: int | None
    detector: DetectorName
    faces: Selection
    cache_folder: Path | None
    workers: int | None
    progress: bool


class Sighting(NamedTuple):
    """A subject in one condition: what was seen, or why nothing was.

    Attributes:
        subject: the name.
        condition: such as cooperative.
        faces: None where the footage is missing or cannot be used.
        reason: why.
    """

    subject: str
    condition: str
    faces: SeenFaces | None
    reason: str = ""


class MICC(LightningDataModule):
    """The Florence 2D/3D face dataset of MICC: 53 people, their scans, three videos of each.

    `prepare_data` looks at the videos once, for all later runs. Whoever scores reads the scans.

    Args:
        folder: see `scan_folders.MICC_LAYOUT`.
        networks: whose features of the frames are wanted.
        **options: see ScanOptions.
    """

    kind = "micc"
    conditions: tuple[str, ...] = ("cooperative", "indoor", "outdoor")

    def __init__(
        self, folder: Path, networks: Sequence[RecognitionNetwork] = (), **options: Unpack[ScanOptions]
    ) -> None:
        super().__init__()
        self.folder, self.networks = Path(folder), list(networks)
        self.landmarks, self.limit = options.get("landmarks"), options.get("limit")
        self.workers, self.progress = options.get("workers"), options.get("progress", True)
        self.watcher = FaceWatcher(
            self.networks,
            frames=options.get("frames"),
            detector=options.get("detector", "yunet"),
            faces=options.get("faces", "largest"),
            cache_folder=options.get("cache_folder"),
        )

    def subjects(self) -> list[Subject]:
        """The people, with their scans and footage; those that cannot be scored with the reason."""
        return self._found()[: self.limit]

    def prepare_data(self) -> None:
        """Look at what footage was not looked at before."""
        if self.networks:
            footage = [path for subject in self.subjects() for path in subject.footage.values()]
            self.watcher.see(footage, workers=self.workers, progress=self.progress)

    def sighting(self, subject: Subject, condition: str) -> Sighting:
        """What was seen of a subject in a condition."""
        path = subject.footage.get(condition)
        if path is None:
            return Sighting(subject.name, condition, None, f"no footage: {condition}")
        try:
            with as_one_reason(f"{path} cannot be read"):
                return Sighting(subject.name, condition, self.watcher.seen(path))
        except (ValueError, OSError) as error:
            return Sighting(subject.name, condition, None, str(error))

    def photograph_digests(self) -> np.ndarray:
        """[M] of 32 bytes, the contents of the photographs that are looked at; frames of videos have none."""
        digests = []
        for path in (path for subject in self.subjects() for path in subject.footage.values()):
            with suppress(ValueError, OSError):  # a failure of its subject's, said there
                photographs = photographs_in(path, self.watcher.frames)
                digests += [hashlib.sha256(file_content(file)).digest() for file in photographs.values()]
        return np.frombuffer(b"".join(digests), "V32")

    def predict_dataloader(self) -> DataLoader[Sighting]:
        """Every subject in every condition, one after another."""
        # A list is a data set to torch, but for its types.
        asked: Any = [(subject, condition) for subject in self.subjects() for condition in self.conditions]
        # With a generator of its own it leaves the process's random state alone.
        return DataLoader(
            asked,
            batch_size=None,
            collate_fn=lambda pair: self.sighting(*pair),
            generator=torch.Generator(),
        )

    def provenance(self) -> dict[str, Any]:
        """Which scans these are, for results: their digest covers names and sizes of the files in use."""
        subjects = self.subjects()
        scans = [scan for subject in subjects for scan in subject.scans]
        lines = [f"{scan.path.name} {_bytes_of(scan.path)}" for scan in scans]
        return {
            "kind": self.kind,
            "folder": str(self.folder),
            "subjects": sum(not subject.missing for subject in subjects),
            "scans": len(scans),
            "marked": sum(scan.landmarks is not None for scan in scans),
            "digest": hashlib.sha256(as_bytes("\n".join(sorted(lines)))).hexdigest(),
            "stand_in": False,
        }

    def _found(self) -> list[Subject]:
        return micc_subjects(self.folder, self.landmarks)


def _bytes_of(path: Path) -> int:
    """A file's size; that of a link to nowhere is zero."""
    return path.stat().st_size if path.exists() else 0


class Scans(MICC):
    """Any other scans, with photographs or meshes of the same people; see `scan_folders.SCANS_LAYOUT`."""

    kind = "scans"
    conditions = ("photographs",)

    def _found(self) -> list[Subject]:
        return scanned_subjects(self.folder, self.landmarks)
