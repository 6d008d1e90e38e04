"""Benchmarks that ask for a mesh of each photograph: NoW and FG2018."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Unpack

from lightning_modules.recognition.network import RecognitionNetwork

from .benchmark_folders import CHALLENGES, QUALITIES, ImageSet, fg2018_photographs, now_photographs
from .micc import MICC, ScanOptions
from .scan_folders import Subject


class PhotographBenchmark(MICC):
    """Photographs of scanned people; each is a `Subject` with its condition, person and the person's scan.

    Args:
        folder: of the data set.
        networks: whose features of the photographs are wanted.
        **options: see ScanOptions; `limit` counts people, and there are no frames to choose from.
    """

    def subjects(self) -> list[Subject]:
        """The photographs of all people, or of the first so many."""
        found = self._found()
        people = list(dict.fromkeys(subject.person for subject in found))
        wanted = set(people[: self.limit])
        return [subject for subject in found if subject.person in wanted]

    def provenance(self) -> dict[str, Any]:
        """As for other scans; and how many people and photographs there are."""
        subjects = self.subjects()
        people = {subject.person for subject in subjects}
        return super().provenance() | {"people": len(people), "photographs": len(subjects)}


class NoW(PhotographBenchmark):
    """The NoW challenge's photographs by challenge; see `benchmark_folders.NOW_LAYOUT`.

    Args:
        folder: of the data set.
        networks: whose features of the photographs are wanted.
        images: of the list of validation, whose scans are published, or of test.
        **options: see ScanOptions.
    """

    kind = "now"
    conditions = tuple(CHALLENGES.values())

    def __init__(
        self,
        folder: Path,
        networks: Sequence[RecognitionNetwork] = (),
        *,
        images: ImageSet = "validation",
        **options: Unpack[ScanOptions],
    ) -> None:
        super().__init__(folder, networks, **options)
        self.images = images

    def _found(self) -> list[Subject]:
        return now_photographs(self.folder, self.images)


class FG2018(PhotographBenchmark):
    """The photographs of Feng et al. 2018, of high and low quality; see `benchmark_folders.FG2018_LAYOUT`."""

    kind = "fg2018"
    conditions = QUALITIES

    def _found(self) -> list[Subject]:
        return fg2018_photographs(self.folder)
