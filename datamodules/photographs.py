"""Unlabelled photographs for training."""

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Unpack

import numpy as np
from torch.utils.data import DataLoader, Subset

from lightning_modules.recognition.network import RecognitionNetwork

from .alignment.face_cache import AlignedFaces
from .alignment.feature_cache import FaceFeatures
from .alignment.images import is_photograph, list_photographs, read_list
from .alignment.photograph_manifest import FileStates, PhotographManifest, PhotographPaths, merged
from .face_data import FaceBatch, FaceDataModule, FaceDataset, FaceOptions
from .photograph_digests import leading_bytes
from .sampling import StepLoader, loader_of, step_sampler

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
        judge: another network, whose embeddings are wanted of `judged` photographs that are held back, to
            score by, and of CENTRE_PHOTOGRAPHS to train on, for its centre.
        judged: at most so many.
        seed: of the training order.
        trusting: whether a start relies on what the last one listed, and touches no photograph: new and
            changed ones are not seen.
        **options: see FaceOptions.
    """

    def __init__(
        self,
        folder: Path,
        networks: Sequence[RecognitionNetwork] = (),
        *,
        pattern: str = "**/*",
        validation_fraction: float = 0.05,
        judge: RecognitionNetwork | None = None,
        judged: int = 128,
        seed: int = 0,
        trusting: bool = False,
        **options: Unpack[FaceOptions],
    ) -> None:
        super().__init__(networks, **options)
        if not 0 <= validation_fraction < 1:
            raise ValueError(f"validation_fraction must be in [0, 1), got {validation_fraction}")
        self.folder, self.pattern = Path(folder), pattern
        self.validation_fraction, self.seed = validation_fraction, seed
        self.judge, self.judged, self.trusting = judge, judged, trusting
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
        """The photographs and their faces: of the manifest, what is new or changed since aligned now."""
        kept = self._kept()
        if kept is not None and self.trusting:
            if self.progress:
                print(
                    f"trusts the list of {len(kept.paths):,} photographs of {self.folder} that was made on "
                    f"{kept.written}: new and changed ones are not looked for"
                )
            self._listed = kept
            return kept.paths, kept.faces
        paths = self.photographs()
        packed, states = PhotographPaths.of(paths), FileStates.of(paths)
        places = np.full(len(paths), -1) if kept is None else kept.unchanged(packed, states)
        new: list[int] = np.flatnonzero(places < 0).tolist()
        found = self.cache.align(
            [paths[place] for place in new], workers=self.workers, progress=self.progress
        )
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
        """Align and compute features once; the judge's only where they are used."""
        super().prepare_data()
        if self.judge is not None:
            faces = self._large_enough(self.aligned_before()[1])
            for chosen in self._judged_faces(faces):
                FaceFeatures(self.cache, self.judge).compute(
                    self.cache, faces.subset(chosen), self.judge, progress=self.progress
                )

    def setup(self, stage: str | None = None) -> None:
        """Open the cache and split it into `training` and `validation`, indices of `dataset`.

        Raises:
            ValueError: if no face is left to train on.
        """
        super().setup(stage)
        held_back = is_held_back(self.dataset.faces.digest, self.validation_fraction)
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

    def _judged_faces(self, faces: AlignedFaces) -> tuple[np.ndarray, np.ndarray]:
        """Which faces the judge sees: to score by, and for its centre; first by content, not by name."""
        held_back = is_held_back(faces.digest, self.validation_fraction)
        by_content = np.argsort(faces.digest.view("S32"), kind="stable")
        return (
            by_content[held_back[by_content]][: self.judged],
            by_content[~held_back[by_content]][:CENTRE_PHOTOGRAPHS],
        )


def is_held_back(digests: np.ndarray, fraction: float) -> np.ndarray:
    """Which contents [N] of 32 bytes are held back: those whose hash lies in the first `fraction` of all."""
    return leading_bytes(digests) < np.uint64(fraction * 2**64)
