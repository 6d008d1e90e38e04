"""What all sets of photographs have in common: aligned once, features cached, read in batches."""

import csv
import hashlib
from collections.abc import Sequence
from io import StringIO
from pathlib import Path
from typing import Any, NamedTuple, TypedDict, Unpack

import numpy as np
import torch
from lightning import LightningDataModule
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from lightning_modules.plain.files import as_bytes, write_whole
from lightning_modules.recognition.network import RecognitionNetwork

from .alignment.crops import Quality, Selection
from .alignment.detection import DetectorName
from .alignment.face_cache import AlignedFaces, FaceCache
from .alignment.face_rows import FaceKeys, FaceRows
from .alignment.feature_cache import FaceFeatures, to_images
from .alignment.landmark_cache import FaceLandmarks, LandmarkDetector
from .alignment.photograph_manifest import PhotographPaths
from .long_work.mapped_columns import in_parts, parts_of, pieces
from .long_work.shares import Share, in_shares


class FaceBatch(NamedTuple):
    """Faces as the networks see them.

    Attributes:
        index: [B], which faces of the data set.
        features: per network, by its name, [B, feature_width].
        embeddings: per network, by its name, [B, embedding_width], of unit length.
        landmarks: [B, 68, 2], pixels of the canonical frame, NaN of a face in which the detector saw none;
            None where no detector was asked.
    """

    index: Tensor  # type: ignore[assignment]  # takes the place of tuple.index
    features: dict[str, Tensor]
    embeddings: dict[str, Tensor]
    landmarks: Tensor | None = None


class FaceDataset(Dataset[FaceBatch]):
    """Faces in a fixed order with their cached features; reads whole batches at once.

    Attributes:
        paths: the photographs that were asked for, with or without a face.
        faces: the faces, see AlignedFaces.
    """

    def __init__(
        self,
        cache: FaceCache,
        paths: Sequence[Path],
        faces: AlignedFaces,
        networks: Sequence[RecognitionNetwork] = (),
        landmark_detector: LandmarkDetector | None = None,
    ) -> None:
        self.cache, self.paths, self.faces = cache, paths, faces
        keys = FaceKeys(faces)
        self._stores = {network.name: FaceFeatures(cache, network) for network in networks}
        self._rows = {name: store.rows(keys) for name, store in self._stores.items()}
        for name, rows in self._rows.items():
            if (rows < 0).any():
                raise RuntimeError(
                    f"{(rows < 0).sum()} of {len(rows)} faces have no {name} features; run prepare_data first"
                )
        self._landmarks = None if landmark_detector is None else FaceLandmarks(cache, landmark_detector)
        self._marked = None if self._landmarks is None else self._landmarks.rows(keys)
        if self._marked is not None and (self._marked < 0).any():
            raise RuntimeError("landmarks of some faces were not looked for; run prepare_data first")

    def __len__(self) -> int:
        return len(self.faces.face)

    def __getitem__(self, index: int) -> FaceBatch:
        """A batch of one."""
        return self.batch([index])

    def __getitems__(self, indices: Sequence[int]) -> FaceBatch:
        """A batch; torch's loader asks for whole batches where this exists."""
        return self.batch(indices)

    def batch(self, indices: Sequence[int] | np.ndarray) -> FaceBatch:
        """The faces at these places."""
        chosen = np.asarray(indices, np.int64)
        return FaceBatch(
            torch.from_numpy(chosen),
            {name: store.features(self._rows[name][chosen]) for name, store in self._stores.items()},
            {name: store.embeddings(self._rows[name][chosen]) for name, store in self._stores.items()},
            self._landmarks_of(chosen),
        )

    def _landmarks_of(self, chosen: np.ndarray) -> Tensor | None:
        if self._landmarks is None or self._marked is None:
            return None
        return self._landmarks.landmarks(self._marked[chosen])

    def descriptors(self, name: str, indices: Sequence[int] | np.ndarray) -> Tensor:
        """A network's embeddings before they were brought to unit length."""
        return self._stores[name].descriptors(self._rows[name][np.asarray(indices, np.int64)])

    def images(self, indices: Sequence[int] | np.ndarray) -> Tensor:
        """The aligned photographs [B, 3, 224, 224], RGB in [0, 1]."""
        crops = [self.cache.read_crop(self.faces.digest[i].tobytes(), self.faces.face[i]) for i in indices]
        return to_images(np.stack(crops))

    def path(self, index: int) -> Path:
        """The photograph of a face."""
        return self.paths[self.faces.photograph[index]]

    def quality(self, index: int) -> Quality:
        """The quality record of a face."""
        return Quality(*self.faces.quality[index].tolist())

    def content_digest(self) -> str:
        """One hash of all photographs in use, whatever their names and order."""
        digests, content = self.faces.digest.view("S32"), hashlib.sha256()
        for _, part in in_parts(digests, parts_of(len(digests))):
            content.update(np.unique(part).tobytes())
        return content.hexdigest()


class FaceOptions(TypedDict, total=False):
    """Options that all sets of photographs share.

    Attributes:
        detector: finds the faces; `yunet` by default.
        faces: which of a photograph's faces are used; the largest by default.
        batch_size: of the loaders; over all processes in training; 128 by default.
        minimum_eye_distance: in pixels of the photograph, 0 by default; smaller faces are left out, counted.
        cache_folder: for aligned faces and features; the user's cache folder by default.
        workers: processes that align; all cores by default.
        progress: whether to show bars and print counts.
        landmark_detector: finds 68 landmarks in the aligned faces; none by default.
    """

    detector: DetectorName
    faces: Selection
    batch_size: int
    minimum_eye_distance: float
    cache_folder: Path | None
    workers: int | None
    progress: bool
    landmark_detector: LandmarkDetector | None


class FaceDataModule(LightningDataModule):
    """Photographs, aligned and with the cached features of some networks.

    `prepare_data` detects, aligns and computes features once, for all later runs; photographs without a face
    to use go into the table `failures_file` with their reason, and their count is printed.

    Args:
        networks: whose features are wanted.
        **options: see FaceOptions.
    """

    kind = "photographs"
    share: Share | None = None  # of the work of preparing that this process does; None does all of it

    def __init__(self, networks: Sequence[RecognitionNetwork] = (), **options: Unpack[FaceOptions]) -> None:
        super().__init__()
        self.networks, self.landmark_detector = list(networks), options.get("landmark_detector")
        self.batch_size = options.get("batch_size", 128)
        self.minimum_eye_distance = options.get("minimum_eye_distance", 0.0)
        self.workers, self.progress = options.get("workers"), options.get("progress", True)
        self.cache = FaceCache(
            options.get("cache_folder"),
            detector=options.get("detector", "yunet"),
            faces=options.get("faces", "largest"),
        )

    def photographs(self) -> Sequence[Path]:
        """The photographs of this data set, in a fixed order."""
        raise NotImplementedError

    def aligned(self) -> tuple[Sequence[Path], AlignedFaces]:
        """The photographs and their faces, what is new of them aligned now."""
        paths = self.photographs()
        return paths, self.cache.align(paths, workers=self.workers, progress=self.progress)

    def aligned_before(self) -> tuple[Sequence[Path], AlignedFaces]:
        """The same once they are prepared; only reads."""
        paths = self.photographs()
        return paths, self.cache.table(paths)

    def prepare_data(self) -> None:
        """Align what is new, compute what features are missing, report what cannot be used."""
        paths, found = self.aligned()
        for network in self.networks:
            self._compute_features(network, found)
        if self.landmark_detector is not None:
            self._compute(FaceLandmarks(self.cache, self.landmark_detector), self.landmark_detector, found)
        faces = self._large_enough(found)
        if self.share is None or self.share.is_first:
            self._write_failures(paths, faces)
        if self.progress:
            print(f"{faces.summary(len(paths))}; reasons in {self.failures_file(paths)}")

    def _compute_features(self, network: RecognitionNetwork, faces: AlignedFaces, *, apart: int = 0) -> None:
        """What is missing of a network's features of faces; the first `apart` have batches of their own."""
        self._compute(FaceFeatures(self.cache, network), network, faces, apart=apart)

    def _compute(self, store: FaceRows, observer: Any, faces: AlignedFaces, *, apart: int = 0) -> None:  # noqa: ANN401
        given, progress = (self.cache, faces, observer), self.progress
        in_shares(
            self.share,
            lambda share: store.compute_share(*given, share, apart=apart, progress=progress),
            lambda: store.compute(*given, apart=apart, progress=progress),
        )

    def setup(self, stage: str | None = None) -> None:
        """Open the cache."""
        paths, found = self.aligned_before()
        faces = self._large_enough(found)
        self.dataset = FaceDataset(self.cache, paths, faces, self.networks, self.landmark_detector)

    def failures_file(self, paths: Sequence[Path] | None = None) -> Path:
        """The table of photographs that are not used, with their reasons."""
        digest = hashlib.sha256()
        paths = self.photographs() if paths is None else paths
        packed = paths if isinstance(paths, PhotographPaths) else PhotographPaths.of(paths)
        for lines in packed.as_lines():
            digest.update(lines)
        return self.cache.folder / "failures" / f"{digest.hexdigest()[:16]}.csv"

    def provenance(self) -> dict[str, Any]:
        """Which photographs these are, for checkpoints and results."""
        return {
            "kind": self.kind,
            "count": len(self.dataset),
            "digest": self.dataset.content_digest(),
            "stand_in": False,
        }

    def predict_dataloader(self) -> DataLoader[FaceBatch]:
        """All faces in order."""
        return self._in_order(self.dataset)

    def test_dataloader(self) -> DataLoader[FaceBatch]:
        """All faces in order."""
        return self._in_order(self.dataset)

    def _in_order(self, dataset: Dataset[FaceBatch]) -> DataLoader[FaceBatch]:
        # Every iteration draws a seed: from here, or validation would change the run's random state.
        as_it_is: Any = _as_it_is  # `__getitems__` gives whole batches, of which torch's types know nothing
        return DataLoader(dataset, self.batch_size, collate_fn=as_it_is, generator=torch.Generator())

    def _large_enough(self, faces: AlignedFaces) -> AlignedFaces:
        kept, column = np.empty(len(faces.face), bool), Quality._fields.index("eye_distance")
        for start, some in pieces(faces.quality):
            kept[start : start + len(some)] = some[:, column] >= self.minimum_eye_distance
        if kept.all():
            return faces
        left = np.isin(faces.photograph, faces.photograph[kept], invert=True)
        reason = f"eyes closer than {self.minimum_eye_distance:g} pixels"
        small = [(int(photograph), reason) for photograph in np.unique(faces.photograph[left])]
        return faces.subset(np.flatnonzero(kept))._replace(failures=sorted(faces.failures + small))

    def _write_failures(self, paths: Sequence[Path], faces: AlignedFaces) -> None:
        file = self.failures_file(paths)
        stream = StringIO(newline="")
        writer = csv.writer(stream)
        writer.writerow(["photograph", "reason"])
        writer.writerows((paths[index], reason) for index, reason in faces.failures)
        content = as_bytes(stream.getvalue())
        # A cache that can only be read is read.
        if not file.is_file() or file.read_bytes() != content:
            write_whole(file, content)


def _as_it_is(batch: FaceBatch) -> FaceBatch:
    return batch
