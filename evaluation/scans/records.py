"""One score as it is kept: small, in JSON, per subject, so that a run that was stopped continues."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from evaluation.metrics.scan_protocols import ScanProtocol
from evaluation.metrics.scan_score import ScanScore
from evaluation.reporting.results import plain
from evaluation.scans.data_kinds import ALL_PHOTOGRAPHS
from lightning_modules.plain.files import write_whole

# Of the histogram that pooled statistics are made of: NoW's distances reach a few mm.
BIN_MM, BINS = 0.02, 1000


class Heap(NamedTuple):
    """Distances of one scan's vertices by weight, to be pooled over scans.

    Attributes:
        weight: their sum.
        first: weighted sum of the distances, mm.
        second: weighted sum of their squares.
        histogram: weights by bins of BIN_MM from 0, the last one open.
    """

    weight: float
    first: float
    second: float
    histogram: list[float]


@dataclass(frozen=True)
class ScoreRecord:
    """One method's mesh against one scan under one protocol.

    Attributes:
        subject: the name.
        scan: its name among the subject's; empty where there is none.
        condition: of the footage.
        method: the name.
        protocol: the preset's name.
        value_mm: the score; None where it failed.
        kept: share of the region that the score rests on.
        converged: whether the alignment converged; None where there was none.
        iterations: of the alignment.
        scale: from the mesh to the scan.
        landmarks: where the scan's come from: marked, topology, completed or detected.
        failure: why there is no score, as "kind: detail"; empty if there is one.
        heap: of a protocol that pools points over scans.
        person: on the photograph that the subject is; empty where the subject is a person.
        regions: scores in mm of parts of the face, of a protocol that has some.
    """

    subject: str
    scan: str
    condition: str
    method: str
    protocol: str
    value_mm: float | None
    kept: float
    converged: bool | None = None
    iterations: int | None = None
    scale: float | None = None
    landmarks: str = ""
    failure: str = ""
    heap: Heap | None = None
    person: str = ""
    regions: Mapping[str, float] | None = None

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> "ScoreRecord":
        """The record that `asdict` gave.

        Raises:
            TypeError: if an entry is missing, too much, or of another kind; or another error of a value's.
        """
        heap = content["heap"]
        record = cls(**dict(content) | {"heap": None if heap is None else Heap(*heap)})
        for name, kinds in KINDS.items():
            value = getattr(record, name)
            if not isinstance(value, kinds) or (isinstance(value, bool) and bool not in kinds):
                raise TypeError(f"{name} is {value!r:.40}")
        parts = record.regions
        if parts is not None and not all(isinstance(value, NUMBER) for value in dict(parts).values()):
            raise TypeError(f"regions are {parts!r:.40}")
        if record.heap is not None and not _is_histogram(record.heap):
            raise TypeError("heap is no histogram")
        return record


TEXTS = ("subject", "scan", "condition", "method", "protocol", "landmarks", "failure", "person")
NUMBER, TEXT, NOTHING = (int, float), (str,), (type(None),)
KINDS: dict[str, tuple[type, ...]] = {
    **dict.fromkeys(TEXTS, TEXT),
    **dict.fromkeys(("value_mm", "scale"), (*NUMBER, *NOTHING)),
    "kept": NUMBER,
    "converged": (bool, *NOTHING),
    "iterations": (int, *NOTHING),
}


def _is_histogram(heap: Heap) -> bool:
    numbers = [heap.weight, heap.first, heap.second]
    if not isinstance(heap.histogram, list) or len(heap.histogram) != BINS:
        return False
    return all(isinstance(value, NUMBER) for value in [*numbers, *heap.histogram])


def record_of(
    score: ScanScore, protocol: ScanProtocol, **identity: Any,  # noqa: ANN401 - the record's strings
) -> ScoreRecord:  # fmt: skip
    """The record of a score.

    Args:
        score: under the protocol.
        protocol: says whether points are pooled.
        **identity: subject, scan, condition, method, landmarks.
    """
    alignment = score.alignment
    pools = protocol.reported == "pooled over all points" and score.failure is None
    return ScoreRecord(
        protocol=protocol.name,
        value_mm=None if score.failure is not None else float(score.value_mm),
        kept=float(score.kept_fraction),
        converged=None if alignment is None else bool(alignment.converged),
        iterations=None if alignment is None else int(alignment.iterations),
        scale=None if alignment is None else float(alignment.transform.scale),
        failure=score.failure or "",
        heap=heap_of(score) if pools else None,
        regions=dict(score.regions_mm) or None,
        **identity,
    )


def heap_of(score: ScanScore) -> Heap:
    """The scan's distances to the mesh, summed up."""
    assert score.scan_to_mesh is not None
    counted = score.scan_to_mesh.counted
    values, weights = score.scan_to_mesh.values_mm[counted], score.scan_to_mesh.weights[counted]
    bins = np.minimum((values / BIN_MM).astype(int), BINS - 1)
    return Heap(
        float(weights.sum()),
        float((weights * values).sum()),
        float((weights * values**2).sum()),
        np.bincount(bins, weights, BINS).round(6).tolist(),
    )


def pooled_heaps(heaps: Sequence[Heap]) -> tuple[float, float, float]:
    """Median (to half a bin), mean and standard deviation in mm of all scans' points in one heap."""
    weight = sum(heap.weight for heap in heaps)
    first, second = sum(heap.first for heap in heaps), sum(heap.second for heap in heaps)
    histogram = np.sum([heap.histogram for heap in heaps], 0)
    ends = np.cumsum(histogram)
    place = int(np.searchsorted(ends, ends[-1] / 2))
    below = ends[place - 1] if place else 0.0
    median = BIN_MM * (place + (ends[-1] / 2 - below) / histogram[place])
    mean = first / weight
    return float(median), mean, float(np.sqrt(max(second / weight - mean**2, 0.0)))


def of_all_photographs(records: Sequence[ScoreRecord]) -> list[ScoreRecord]:
    """The records of photographs as those of one condition, which holds all of them."""
    return [replace(record, condition=ALL_PHOTOGRAPHS) for record in records if record.person]


def write_records(records: Sequence[ScoreRecord], file: Path) -> None:
    """A subject's records, whole or not at all."""
    write_whole(file, json.dumps([plain(asdict(record)) for record in records]) + "\n")


def read_records(file: Path) -> list[ScoreRecord]:
    """A subject's records.

    Raises:
        ValueError: if the file is no such list.
    """
    try:
        return [ScoreRecord.from_dict(content) for content in json.loads(file.read_text(encoding="utf-8"))]
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise ValueError(f"{file} cannot be read ({error}); remove it and start the command again") from error


def common_scales(records: Sequence[ScoreRecord]) -> dict[str, float]:
    """Of each method one scale for all its meshes: the geometric mean over those that were aligned.

    Under the first protocol of the records.

    Raises:
        ValueError: if none of a method's was.
    """
    scales: dict[str, list[float]] = {}
    first = records[0].protocol
    for record in records:
        if record.protocol != first:
            continue
        scales.setdefault(record.method, [])
        if not record.failure and record.scale is not None:
            scales[record.method].append(record.scale)
    empty = [method for method, own in scales.items() if not own]
    if empty:
        raise ValueError(
            f"no mesh of {', '.join(empty)} was aligned, so that there is no common scale; --scale isotropic "
            "gives the reasons"
        )
    return {method: float(np.exp(np.log(own).mean())) for method, own in scales.items()}
