"""Unlabelled photographs for training."""

import hashlib
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple, Unpack

import numpy as np
from torch import Tensor
from torch.utils.data import DataLoader, Subset

from lightning_modules.recognition.network import RecognitionNetwork

from .alignment.face_cache import AlignedFaces
from .alignment.images import is_photograph, list_photographs, read_list
from .alignment.photograph_manifest import FileStates, PhotographManifest, PhotographPaths, merged
from .face_data import FaceBatch, FaceDataModule, FaceDataset, FaceOptions
from .long_work.shares import Share
from .photograph_digests import first_by_content, leading_bytes
from .sampling import StepLoader, loader_of, step_sampler

NEW = "new"  # beside a manifest: what the first of several processes found to align
CENTRE_PHOTOGRAPHS = 1000  # by which a judge's centre is estimated


class Photographs(FaceDataModule):
    """A folder, or a list, of photographs; a stable part of it is held back for validation.

    Whether a photograph is held back follows from its content alone: adding files never moves another one,
    and copies of one file stay together.

    Args:
        folder: with photographs at any depth, or a text file that names one a line.
        networks: whose features are wanted.
        pattern: glob pattern inside the folder.
        validation_fraction: share that is held back.
        validation_photographs: at most so many are held back; where there would be more, adding files moves
            some to training.
        judge: another network, whose embeddings are wanted of `judged` photographs that are held back, to
            score by, and of CENTRE_PHOTOGRAPHS to train on, for its centre.
        judged: at most so many.
        seed: of the training order.
        trusting: whether a start relies on what the last one listed, and touches no photograph: new and
            changed ones are not seen.
        share: of the work of preparing that this process does; all of it by default.
        **options: see FaceOptions.
    """

    def __init__(
        self,
        folder: Path,
        networks: Sequence[RecognitionNetwork] = (),
        *,
        pattern: str = "**/*",
        validation_fraction: float = 0.05,
        validation_photographs: int | None = None,
        judge: RecognitionNetwork | None = None,
        judged: int = 128,
        seed: int = 0,
        trusting: bool = False,
        share: Share | None = None,
        **options: Unpack[FaceOptions],
    ) -> None:
        super().__init__(networks, **options)
        if not 0 <= validation_fraction < 1:
            raise ValueError(f"validation_fraction must be in [0, 1), got {validation_fraction}")
        self.folder, self.pattern = Path(folder), pattern
        self.validation_fraction, self.validation_photographs = validation_fraction, validation_photographs
        self.seed, self.judge, self.judged, self.trusting = seed, judge, judged, trusting
        self.share = share
        self._listed: PhotographManifest | None = None

    def photographs(self) -> Sequence[Path]:
        """All files of the folder or of the list, as they are now."""
        if self.folder.is_file():
            return read_list(self.folder)
        return list_photographs(self.folder, self.pattern)

    def require_some(self) -> None:
        """Raise what `photographs` would, without listing more than one.

        Raises:
            FileNotFoundError: if the folder or list is not there.
            ValueError: if it names no photograph.
        """
        if self.trusting and self._kept() is not None:
            return
        there = (path for path in self.folder.glob(self.pattern) if not path.name.startswith("."))
        if self.folder.is_file() or not any(is_photograph(path) and not path.is_dir() for path in there):
            self.photographs()

    @property
    def manifest_folder(self) -> Path:
        """Where this folder's, or list's, manifest lies."""
        place = f"{self.folder.resolve()}\n{self.pattern}"
        name = hashlib.sha256(os.fsencode(place)).hexdigest()[:16]
        return self.cache.folder / "manifests" / name

    def aligned(self) -> tuple[Sequence[Path], AlignedFaces]:
        """The photographs and their faces: of the manifest, what is new or changed since aligned now.

        Where several processes prepare, the first of them lists, and each aligns its share.
        """
        share = self.share
        if share is not None and share.meet is not None:
            return self._aligned_together(share, share.meet)
        kept = self._kept()
        if kept is not None and self.trusting:
            return self._trusted(kept)
        changes = self._changes(kept)
        if share is not None:
            self._align_share(changes.paths_of_new, share)
            left = self.cache.not_aligned(changes.paths_of_new)
            if left:
                raise SharesLeft(left)
        return self._recorded(kept, changes)

    def _trusted(self, kept: PhotographManifest) -> tuple[Sequence[Path], AlignedFaces]:
        if self.progress:
            print(
                f"trusts the list of {len(kept.paths):,} photographs of {self.folder} that was made on "
                f"{kept.written}: new and changed ones are not looked for"
            )
        self._listed = kept
        return kept.paths, kept.faces

    def _aligned_together(
        self, share: Share, meet: Callable[[], None]
    ) -> tuple[Sequence[Path], AlignedFaces]:
        """The same in processes that run at the same time: each calls this, and `meet` lets them meet."""
        kept = self._kept() if share.is_first else None
        changes = None
        if share.is_first and not (self.trusting and kept is not None):
            changes = self._changes(kept)
            PhotographPaths.of(changes.paths_of_new).write(self.manifest_folder / NEW)
        elif share.is_first:
            PhotographPaths.forget(self.manifest_folder / NEW)
        meet()
        self._align_share(PhotographPaths.read(self.manifest_folder / NEW), share)
        meet()
        if changes is not None:
            self._recorded(kept, changes)
        elif kept is not None:
            self._trusted(kept)
        meet()
        if self._listed is None:
            self._listed = self._kept()
        return self.aligned_before()

    def _align_share(self, paths: Sequence[Path], share: Share) -> None:
        self.cache.align_share(paths, share, workers=self.workers, progress=self.progress)

    def _changes(self, kept: PhotographManifest | None) -> "Changes":
        """What a listing finds."""
        paths = self.photographs()
        packed, states = PhotographPaths.of(paths), FileStates.of(paths)
        places = np.full(len(paths), -1) if kept is None else kept.unchanged(packed, states)
        return Changes(paths, packed, states, places)

    def _recorded(
        self, kept: PhotographManifest | None, changes: "Changes"
    ) -> tuple[Sequence[Path], AlignedFaces]:
        """Align what is still new, and write the manifest if anything changed."""
        paths, packed, states, places = changes
        new = changes.new
        found = self.cache.align(changes.paths_of_new, workers=self.workers, progress=self.progress)
        found = found._replace(
            photograph=np.array(new, np.int64)[found.photograph],
            failures=[(new[place], reason) for place, reason in found.failures],
        )
        if kept is not None:
            found = merged(kept.faces_at(places), found)
        self._listed = PhotographManifest(packed, states, found, "")
        if kept is None or not np.array_equal(places, np.arange(len(kept.paths))):
            self._listed.write(self.manifest_folder)
        return paths, found

    def aligned_before(self) -> tuple[Sequence[Path], AlignedFaces]:
        """The same once they are prepared, here or, where the manifest is trusted, by an earlier start."""
        if self._listed is None and self.trusting:
            self._listed = self._kept()
        if self._listed is None:
            return super().aligned_before()
        return self._listed.paths, self._listed.faces

    def prepare_data(self) -> None:
        """Align and compute features once; the judge's only where they are used.

        In shares the first time, where there are several processes.

        Raises:
            SharesLeft: from a job's share, while there are photographs that other jobs have yet to align.
        """
        super().prepare_data()
        if self.judge is not None:
            faces = self._large_enough(self.aligned_before()[1])
            held_back, trained = self._judged_faces(faces)
            judged = faces.subset(np.concatenate([held_back, trained]))
            self._compute_features(self.judge, judged, apart=len(held_back))
        if self.share is not None and self.share.meet is not None:
            self.share = None

    def setup(self, stage: str | None = None) -> None:
        """Open the cache and split it into `training` and `validation`, indices of `dataset`.

        Raises:
            ValueError: if no face is left to train on.
        """
        super().setup(stage)
        held_back = self._held_back(self.dataset.faces)
        self.training, self.validation = np.flatnonzero(~held_back), np.flatnonzero(held_back)
        if self.judge is not None:
            everyone = [*self.networks, self.judge]
            self.judged_validation, self.judged_training = (
                FaceDataset(self.cache, self.dataset.paths, self.dataset.faces.subset(chosen), everyone)
                for chosen in self._judged_faces(self.dataset.faces)
            )
        if len(self.training) == 0:
            raise ValueError(
                f"no face to train on among the {len(self.dataset.paths)} photographs of {self.folder}; "
                f"the reasons are in {self.failures_file(self.dataset.paths)}"
            )

    def batch(self, step: int, *, rank: int = 0, world_size: int = 1) -> FaceBatch:
        """A process's share of the photographs of a step."""
        sampler = step_sampler(
            len(self.training), self.batch_size, seed=self.seed, rank=rank, world_size=world_size
        )
        return self.dataset.batch(self.training[sampler.indices(step)])

    def train_dataloader(self) -> StepLoader[FaceBatch]:
        """Batches without end, from the step at which the trainer stands; each process gets its share."""
        return loader_of(self.batch, self.trainer)

    def val_dataloader(self) -> DataLoader[FaceBatch]:
        """The faces that are held back, in order."""
        return self._in_order(Subset(self.dataset, self.validation.tolist()))

    def judged_dataloader(self) -> DataLoader[FaceBatch]:
        """The faces that are held back to score by, with the judge's embeddings."""
        return self._in_order(self.judged_validation)

    def _kept(self) -> PhotographManifest | None:
        """The manifest of an earlier start; None where there is none, or its cache was deleted."""
        if not self.cache.records_file.exists():
            return None
        return PhotographManifest.read(self.manifest_folder)

    def _held_back(self, faces: AlignedFaces) -> np.ndarray:
        return is_held_back(faces.digest, self.validation_fraction, at_most=self.validation_photographs)

    def _judged_faces(self, faces: AlignedFaces) -> tuple[np.ndarray, np.ndarray]:
        """Which faces the judge sees: to score by, and for its centre; first by content, not by name."""
        held_back = self._held_back(faces)
        return (
            first_by_content(faces.digest, held_back, self.judged),
            first_by_content(faces.digest, ~held_back, CENTRE_PHOTOGRAPHS),
        )


def features_of_folder(
    folder: Path, networks: Sequence[RecognitionNetwork], **options: Unpack[FaceOptions]
) -> dict[str, Tensor]:
    """What networks say of all photographs of a folder that show a face [M, D], by the network's name."""
    data = Photographs(folder, list(dict.fromkeys(networks)), validation_fraction=0.0, **options)
    data.prepare_data()
    data.setup()
    return data.dataset.batch(np.arange(len(data.dataset))).features


def is_held_back(digests: np.ndarray, fraction: float, *, at_most: int | None = None) -> np.ndarray:
    """Which contents [N] of 32 bytes are held back: those whose hash lies in the first `fraction` of all.

    Of more than `at_most`, those whose hash is lowest; copies of one content stay together.
    """
    leading = leading_bytes(digests)
    held_back = leading < np.uint64(fraction * 2**64)
    if at_most is None or held_back.sum() <= at_most:
        return held_back
    first_left = np.partition(leading[held_back], at_most)[at_most]
    return leading < first_left


class Changes(NamedTuple):
    """What a listing finds.

    Attributes:
        paths: all photographs.
        packed: the same.
        states: of their files.
        places: [N], of each photograph in the manifest; -1 where it is new or changed.
    """

    paths: Sequence[Path]
    packed: PhotographPaths
    states: FileStates
    places: np.ndarray

    @property
    def new(self) -> list[int]:
        """Which photographs are new or changed."""
        new: list[int] = np.flatnonzero(self.places < 0).tolist()
        return new

    @property
    def paths_of_new(self) -> list[Path]:
        """Their paths."""
        return [self.paths[place] for place in self.new]


class SharesLeft(Exception):
    """Photographs are still to be aligned by other shares, before features can be computed.

    Args:
        count: how many.
    """

    def __init__(self, count: int) -> None:
        super().__init__(f"{count:,} of other shares are not yet")
        self.count = count
