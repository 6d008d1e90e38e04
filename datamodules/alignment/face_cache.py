"""Aligns folders of photographs on all cores into a cache keyed by content."""

import hashlib
import os
from array import array
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, wait
from concurrent.futures.process import BrokenProcessPool
from copy import copy
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from filelock import FileLock, Timeout

from lightning_modules.plain.cache_folders import CacheFolders
from lightning_modules.plain.failures import counted_by_kind
from lightning_modules.plain.files import written_atomically
from lightning_modules.plain.one_at_a_time import one_at_a_time

from ..long_work.cores import available_cores
from ..long_work.mapped_columns import taken
from ..long_work.processes import worker_processes
from ..long_work.progress import progress_bar
from ..long_work.shares import FOLDER, Share
from .crops import Quality, Selection, align, quality, select_faces
from .detection import DetectorName, load_detector
from .images import PhotographError, file_content, read_photograph
from .records import FaceRecord, FaceRecords, HashedFile, PhotographRecord

# Part of the cache's name: raise it when reading, detection or alignment gives other crops.
VERSION = 2
NO_FACE = "no face found"
# Photographs per task of a worker process; below two tasks, no process is started.
TASK = 16
# Of the whole cache, and of each share; and the lock that a share holds while it aligns.
RECORDS, AT_WORK = "records.sqlite", "at-work"


class AlignedFaces(NamedTuple):
    """The faces of a list of photographs.

    Attributes:
        photograph: [N], index of each face's photograph in the list.
        digest: [N] of 32 bytes, the photograph's content.
        face: [N], which of the photograph's selected faces.
        quality: [N, 7], the fields of alignment.Quality.
        failures: per photograph without a face to use, its index and the reason.
    """

    photograph: np.ndarray
    digest: np.ndarray
    face: np.ndarray
    quality: np.ndarray
    failures: list[tuple[int, str]]

    def subset(self, indices: np.ndarray) -> "AlignedFaces":
        """Some of the faces, without the failures."""
        return AlignedFaces(
            taken(self.photograph, indices),
            taken(self.digest, indices),
            taken(self.face, indices),
            taken(self.quality, indices),
            [],
        )

    def summary(self, total: int) -> str:
        """One sentence of counts, every reason included."""
        reasons = counted_by_kind(reason for _, reason in self.failures)
        most_first = sorted(reasons.items(), key=lambda item: -item[1])
        failed = ", ".join(f"{reason}: {count:,}" for reason, count in most_first)
        return (
            f"{total:,} photographs, {len(self.face):,} faces"
            + f"; {len(self.failures):,} photographs left out"
            + (f" ({failed})" if failed else "")
        )


class FaceCache:
    """A folder of aligned faces and their records, for one detector and one choice of faces.

    Args:
        cache_folder: the root of all caches; the user's by default.
        detector: finds the faces.
        faces: which of a photograph's faces are used.
    """

    def __init__(
        self,
        cache_folder: Path | None = None,
        *,
        detector: DetectorName = "yunet",
        faces: Selection = "largest",
    ) -> None:
        self.detector, self.selection = detector, faces
        self.folder = CacheFolders.below(cache_folder).photographs / f"{detector}-{faces}-{VERSION}"
        self.folder.mkdir(parents=True, exist_ok=True)
        self.records_file = self.folder / RECORDS

    def align(
        self, paths: Sequence[Path], *, workers: int | None = None, progress: bool = True
    ) -> AlignedFaces:
        """The faces of these photographs, aligned now unless their content was seen before.

        It can be stopped at any time and continues where it was; photographs that cannot be used are listed
        with their reason.

        Args:
            paths: photographs.
            workers: processes; all cores by default; 0 works in this process.
            progress: whether to show a bar.
        """
        self.absorb_shares()
        return self._align(paths, workers=workers, progress=progress)

    def _align(self, paths: Sequence[Path], *, workers: int | None, progress: bool) -> AlignedFaces:
        workers = available_cores() if workers is None else workers
        with FaceRecords(self.records_file) as records:
            new, unreadable = _not_yet_seen(records, paths)
            if new:
                # Another process may be aligning the same photographs: wait for it, and do what it left.
                with one_at_a_time(self.records_file.with_name("lock"), "aligns photographs"):
                    new, unreadable = _not_yet_seen(records, paths)
                    with progress_bar("Aligning photographs", len(new), visible=progress) as advance:
                        for results in self._process(paths, new, workers):
                            good = [(file, new) for _, file, new in results if isinstance(file, HashedFile)]
                            unreadable |= {i: error for i, error, _ in results if isinstance(error, str)}
                            records.add(
                                (file for file, _ in good), (new for _, new in good if new is not None)
                            )
                            advance(len(results))
            return self._table(records, paths, unreadable)

    def align_share(
        self, paths: Sequence[Path], share: Share, *, workers: int | None = None, progress: bool = True
    ) -> None:
        """Align those of these photographs that are new and belong to a share, into records of its own.

        `align` takes the records of shares over.
        """
        mine = [path for path in paths if share.takes_file(path)]
        own = copy(self)
        own.records_file = self.folder / FOLDER / share.name / RECORDS
        own.records_file.parent.mkdir(parents=True, exist_ok=True)
        with FaceRecords(self.records_file) as records:
            new, _ = _not_yet_seen(records, mine)
        with one_at_a_time(own.records_file.with_name(AT_WORK), f"aligns share {share.name}"):
            own._align([mine[place] for place in new], workers=workers, progress=progress)

    def absorb_shares(self) -> None:
        """Take over the records of all shares that are not at work now."""
        # A cache that can only be read is read.
        there = os.access(self.folder, os.W_OK)
        for file in sorted((self.folder / FOLDER).glob(f"*/{RECORDS}")) if there else ():
            try:
                with FileLock(file.with_name(AT_WORK), timeout=0), FileLock(self.folder / "lock"):
                    if file.exists():
                        with FaceRecords(self.records_file) as records:
                            records.absorb(file)
                        file.unlink()
            except Timeout:
                continue

    def not_aligned(self, paths: Sequence[Path]) -> int:
        """How many of these photographs are still to be aligned; 0 where the rest cannot be read."""
        self.absorb_shares()
        with FaceRecords(self.records_file) as records:
            new, _ = _not_yet_seen(records, paths)
        return len(new) if not all(_obstacle(paths[place]) for place in new) else 0

    def table(self, paths: Sequence[Path]) -> AlignedFaces:
        """The faces of photographs that were aligned before; only reads."""
        with FaceRecords(self.records_file) as records:
            return self._table(records, paths, {})

    def crop_file(self, digest: bytes, face: int) -> Path:
        """Where the aligned crop of a face lies."""
        name = bytes(digest).hex()
        return self.folder / "crops" / name[:2] / f"{name}-{face}.png"

    def read_crop(self, digest: bytes, face: int) -> np.ndarray:
        """The aligned crop [224, 224, 3] of a face, RGB, 8 bits.

        Raises:
            FileNotFoundError: if the crop is gone or damaged.
        """
        file = self.crop_file(digest, face)
        content = np.fromfile(file, np.uint8) if file.is_file() else np.empty(0, np.uint8)
        crop = cv2.imdecode(content, cv2.IMREAD_COLOR) if len(content) else None
        if crop is None:
            raise FileNotFoundError(f"crop {file} is gone or damaged; delete {self.folder} and run again")
        return np.ascontiguousarray(crop[:, :, ::-1])

    def _process(self, paths: Sequence[Path], new: list[int], workers: int) -> Iterator[list["Result"]]:
        tasks = (
            (self, [(i, paths[i]) for i in new[start : start + TASK]]) for start in range(0, len(new), TASK)
        )
        if workers == 0 or len(new) <= 2 * TASK:
            for task in tasks:
                yield process_photographs(*task)
            return
        with worker_processes(workers) as pool:
            try:
                running = {pool.submit(process_photographs, *task) for task in islice(tasks, 3 * workers)}
                while running:
                    done, running = wait(running, return_when=FIRST_COMPLETED)
                    running |= {pool.submit(process_photographs, *task) for task in islice(tasks, len(done))}
                    yield from (future.result() for future in done)
            except BrokenProcessPool as error:
                raise RuntimeError(
                    "a process that aligns photographs died, perhaps for want of memory; run again: it "
                    "continues where it was (fewer workers need less memory; a script that calls this must "
                    "lie in a file, below `if __name__ == '__main__':`, or take workers=0)"
                ) from error
            finally:
                pool.shutdown(cancel_futures=True)

    def _table(self, records: FaceRecords, paths: Sequence[Path], unreadable: dict[int, str]) -> AlignedFaces:
        # Packed as it grows: a million photographs take 100 MB.
        photograph, face, digests, qualities = array("q"), array("B"), bytearray(), bytearray()
        failures = []
        for index, path in enumerate(paths):
            try:
                digest = None if index in unreadable else records.digest_of(path)
            except OSError as error:
                digest, unreadable[index] = None, f"cannot be read ({error.strerror})"
            if digest is None:
                reason = unreadable.get(index) or _obstacle(path) or "new or changed since the last alignment"
                failures.append((index, reason))
                continue
            found = records.qualities(digest)
            if not found:
                failures.append((index, records.reason(digest) or NO_FACE))
            for number, values in enumerate(found):
                photograph.append(index)
                face.append(number)
                digests += digest
                qualities += values
        return AlignedFaces(
            np.array(photograph, np.int64),
            np.frombuffer(bytes(digests), "V32"),
            np.array(face, np.uint8),
            np.frombuffer(bytes(qualities)).astype(np.float32).reshape(-1, len(Quality._fields)),
            failures,
        )


def _not_yet_seen(records: FaceRecords, paths: Sequence[Path]) -> tuple[list[int], dict[int, str]]:
    """Which photographs are new or changed since, and why some cannot be read."""
    new, unreadable = [], {}
    for index, path in enumerate(paths):
        try:
            if records.digest_of(path) is None:
                new.append(index)
        except OSError as error:
            unreadable[index] = f"cannot be read ({error.strerror})"
    return new, unreadable


def _obstacle(path: Path) -> str:
    """Why a file's bytes cannot be read; empty if they can."""
    try:
        file_content(path)
    except (OSError, PhotographError) as error:
        return _said(error)
    return ""


def _said(error: Exception) -> str:
    return f"cannot be read ({error.strerror})" if isinstance(error, OSError) else str(error)


# A photograph's index, its file's state or why it cannot be read, and what is new of its content.
Result = tuple[int, HashedFile | str, PhotographRecord | None]


def process_photographs(face_cache: FaceCache, photographs: list[tuple[int, Path]]) -> list[Result]:
    """Hash some files and, where the content is new, detect, align and write the crops."""
    results: list[Result] = []
    with (
        FaceRecords(face_cache.records_file, read_only=True) as records,
        # A share has records of its own.
        FaceRecords(face_cache.folder / RECORDS, read_only=True) as of_all,
    ):
        for index, path in photographs:
            try:
                state, content = path.stat(), file_content(path)
            except (OSError, PhotographError) as error:
                results.append((index, _said(error), None))
                continue
            digest = hashlib.sha256(content).digest()
            file = HashedFile(str(path.absolute()), state.st_size, state.st_mtime_ns, digest)
            known = records.knows(digest) or of_all.knows(digest)
            results.append((index, file, None if known else process_content(face_cache, digest, content)))
    return results


def process_content(face_cache: FaceCache, digest: bytes, content: bytes) -> PhotographRecord:
    """Detect and align the faces of a photograph and write their crops."""
    try:
        pixels, width, height = read_photograph(content)
    except PhotographError as error:
        return PhotographRecord(digest, 0, 0, str(error), [])
    found = load_detector(face_cache.detector)(pixels)
    faces: list[FaceRecord] = []
    for face in select_faces(found, pixels.shape[:2], face_cache.selection)[:256]:
        aligned = align(pixels, face.points)
        write_crop(face_cache.crop_file(digest, len(faces)), aligned)
        faces.append(FaceRecord(face.points, quality(face, pixels.shape[:2], aligned)))
    return PhotographRecord(digest, width, height, None if faces else NO_FACE, faces)


def write_crop(file: Path, crop: np.ndarray) -> None:
    """Write a crop losslessly and atomically."""
    _, encoded = cv2.imencode(".png", crop[:, :, ::-1], [cv2.IMWRITE_PNG_COMPRESSION, 3])
    with written_atomically(file) as temporary:
        temporary.write_bytes(encoded.tobytes())
