"""Scores every method's mesh of a subject against the subject's scans, under every protocol."""

import atexit
import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cache, lru_cache
from importlib.resources import files
from pathlib import Path
from typing import Any, NamedTuple

import torch

from datamodules.long_work.cores import available_cores
from datamodules.long_work.processes import map_in_processes
from datamodules.long_work.progress import progress_bar
from datamodules.scan_folders import ScanFile, Subject
from evaluation.metrics.landmark_start import landmark_start
from evaluation.metrics.marked_mesh import NOSE_TIP, MarkedMesh, Unscorable
from evaluation.metrics.scan_protocols import GENOVA, ScanProtocol
from evaluation.metrics.scan_score import PreparedScan, ScanScore, prepare_scan, score_scan
from evaluation.metrics.triangle_trees import Backend
from evaluation.scans.landmarks import Marker, Marks, marked_mesh
from evaluation.scans.methods import ANY_CONDITION, MEAN_FACE, ORACLE, Method, model_mesh
from evaluation.scans.model_fit import fit_model
from evaluation.scans.records import ScoreRecord, read_records, record_of, write_records
from lightning_modules.faces.mesh_files.units import ImplausibleSizeError, Unit, read_mesh_in_mm
from lightning_modules.faces.morphable_model import MorphableModel
from lightning_modules.plain.cache_folders import CacheFolders
from lightning_modules.plain.files import sha256_of_file, written_atomically
from lightning_modules.plain.output_folder import OutputFolder
from lightning_modules.plain.saved_objects import read_saved, why_no_tensor


class ReadScan(NamedTuple):
    """A scan that can be scored against.

    Attributes:
        file: it.
        prepared: for the metrics.
        marks: its landmarks.
        colours: [V, 3] or None, for pictures.
        unit: the file's.
    """

    file: ScanFile
    prepared: PreparedScan
    marks: Marks
    colours: torch.Tensor | None
    unit: str


@dataclass(frozen=True)
class Scorer:
    """All that scoring a subject takes; goes to worker processes as it is.

    Attributes:
        methods: what is scored, the baselines mean face and random face among them.
        model: whose fit is the oracle.
        protocols: presets or changed ones.
        conditions: of the data.
        marker: finds landmarks of scans.
        unit: of the scans.
        folder: for the subjects' records.
        cache_folder: for what is the same for every method: the oracle's and the mean face's scores.
        global_scales: of each method, for protocols with one scale for all of its meshes.
        numbers: of the subjects that a protocol crops differently, by name.
        backend: what finds closest points.
    """

    methods: Sequence[Method]
    model: MorphableModel
    protocols: Sequence[ScanProtocol]
    conditions: tuple[str, ...]
    marker: Marker
    unit: Unit
    folder: OutputFolder
    cache_folder: Path | None = None
    global_scales: Mapping[str, float] = field(default_factory=dict)
    numbers: Mapping[str, int] = field(default_factory=dict)
    backend: Backend = "libigl"

    def score_all(
        self, subjects: Sequence[Subject], *, workers: int | None = None, progress: bool = True
    ) -> list[ScoreRecord]:
        """The records of all subjects; those that were scored before are read.

        Args:
            subjects: to score.
            workers: processes; all cores by default; 0 works in this process.
            progress: whether to show a bar.
        """
        missing = [subject for subject in subjects if not self.records_file(subject).is_file()]
        with progress_bar("Scoring against scans", len(missing), visible=progress) as advance:
            for _ in self._score(missing, available_cores() if workers is None else workers):
                advance(1)
        return [record for subject in subjects for record in read_records(self.records_file(subject))]

    def score(self, subject: Subject) -> Path:
        """Score one subject and write the records; returns their file."""
        records: list[ScoreRecord] = []
        scans = [self._read(scan) for scan in subject.scans]
        for protocol in self.protocols:
            chosen = scans if protocol.best_of_scans else scans[:1]
            if not chosen:
                records += self._failed(subject, "", protocol, f"missing subject: {subject.missing}")
            for scan, (read, reason) in zip(subject.scans, chosen, strict=False):
                if read is None:
                    records += self._failed(subject, scan.name, protocol, reason)
                else:
                    records += self._against(subject, read, protocol)
        file = self.folder.claim(f"{subject.name}.json")
        write_records(records, file)
        return file

    def records_file(self, subject: Subject) -> Path:
        """Where a subject's records lie."""
        return self.folder.path / f"{subject.name}.json"

    def read_scan(self, scan: ScanFile) -> ReadScan:
        """A scan with its landmarks.

        Raises:
            Unscorable: saying what is wrong with it.
        """
        states = _state(scan.path), _state(scan.landmarks)
        return _read_once(scan, *states, self.unit, self.marker, self.backend)

    def mesh_score(
        self, mesh: MarkedMesh, scan: ReadScan, protocol: ScanProtocol, method: str, subject: str
    ) -> ScanScore:
        """A mesh against a scan under a protocol."""
        return score_scan(
            scan.prepared,
            mesh,
            protocol,
            subject=self.numbers.get(subject),
            global_scale=self.global_scales.get(method),
            backend=self.backend,
        )

    def _score(self, missing: Sequence[Subject], workers: int) -> Iterator[Path]:
        yield from map_in_processes(self.score, missing, min(workers, len(missing)))

    def _read(self, scan: ScanFile) -> tuple[ReadScan | None, str]:
        try:
            return self.read_scan(scan), ""
        except Unscorable as error:
            return None, str(error)

    def _against(self, subject: Subject, scan: ReadScan, protocol: ScanProtocol) -> list[ScoreRecord]:
        identity: dict[str, Any] = {
            "subject": subject.name,
            "scan": scan.file.name,
            "landmarks": scan.marks.source,
            "person": subject.person,
        }
        records = []
        for method in self.methods:
            for condition in self._conditions(method, subject):
                more = {"condition": condition, "method": method.name}
                if method.name == MEAN_FACE:
                    record = self._baseline(method, subject, scan, protocol, identity | more)
                else:
                    record = self._scored(method, subject, condition, scan, protocol, identity | more)
                records.append(record)
        more = {"condition": subject.condition or ANY_CONDITION, "method": ORACLE}
        return [*records, self._baseline(None, subject, scan, protocol, identity | more)]

    def _scored(
        self,
        method: Method,
        subject: Subject,
        condition: str,
        scan: ReadScan,
        protocol: ScanProtocol,
        identity: dict[str, Any],
    ) -> ScoreRecord:
        try:
            mesh = method.mesh(subject, condition)
        except Unscorable as error:
            return ScoreRecord(
                **identity, protocol=protocol.name, value_mm=None, kept=0.0, failure=str(error)
            )
        return record_of(
            self.mesh_score(mesh, scan, protocol, method.name, subject.name), protocol, **identity
        )

    def _baseline(
        self,
        method: Method | None,
        subject: Subject,
        scan: ReadScan,
        protocol: ScanProtocol,
        identity: dict[str, Any],
    ) -> ScoreRecord:
        """The mean face's record, or the oracle's where no method is given; once per scan."""
        number = self.numbers.get(subject.name)
        name = identity["method"]
        changed = replace(protocol, radius_mm=protocol.radius_for(number), radius_overrides_mm={})
        key = [name, _scan_key(scan), self.model.describe(), asdict(changed), self.global_scales.get(name)]
        key += [] if self.backend == "libigl" else [self.backend]
        file = self._cache / f"{_digest(key)}.json"
        record = _kept_record(file)
        if record is None:
            try:
                if method is not None:
                    mesh = method.mesh(subject, ANY_CONDITION)
                else:
                    mesh = self.fitted(scan, in_mm=protocol.scaling == "none")
                record = record_of(
                    self.mesh_score(mesh, scan, protocol, name, subject.name), protocol, **identity
                )
            except Unscorable as error:
                record = ScoreRecord(
                    **identity, protocol=protocol.name, value_mm=None, kept=0.0, failure=str(error)
                )
            write_records([record], file)
        return replace(record, **identity)

    def fitted(self, scan: ReadScan, *, in_mm: bool = False) -> MarkedMesh:
        """The morphable model fitted to a scan; once per scan.

        Args:
            scan: to fit.
            in_mm: whether the mesh is as large as the scan; else it has the model's own size, and a protocol
                that scales finds the fit's scale.

        Raises:
            Unscorable: if there is no fit.
        """
        kind = "fit in mm" if in_mm else "fit"
        kind += "" if self.backend == "libigl" else f" by {self.backend}"
        file = self._cache / f"{_digest([kind, _scan_key(scan), self.model.describe()])}.pt"
        vertices = self._kept_fit(file)
        if vertices is None:
            marks = self.model.landmarks.on(self.model.neutral_mean.view(1, -1, 3))[0].double().numpy()
            start = landmark_start(scan.prepared.landmarks, marks, GENOVA)
            nose_tip = scan.prepared.landmarks[NOSE_TIP]
            fit = fit_model(scan.prepared.surface, self.model, start, nose_tip)
            if fit.failure:
                raise Unscorable(fit.failure)
            vertices = torch.from_numpy(fit.vertices * (fit.pose.scale if in_mm else 1.0)).float()
            with written_atomically(file) as temporary:
                torch.save(vertices, temporary)
        return model_mesh(self.model, vertices)

    def _kept_fit(self, file: Path) -> torch.Tensor | None:
        """A fit from an earlier start; None where there is none, or only what is left of one."""
        try:
            kept = read_saved(file, "a fitted model's vertices") if file.is_file() else None
        except ValueError:
            return None
        shape = (self.model.neutral_mean.numel() // 3, 3)
        if kept is None or why_no_tensor(kept, shape) or kept.dtype != torch.float32:
            return None
        return kept

    def _failed(self, subject: Subject, scan: str, protocol: ScanProtocol, reason: str) -> list[ScoreRecord]:
        """A record without a score for every method in every condition."""
        named = [
            (method.name, condition)
            for method in self.methods
            for condition in self._conditions(method, subject)
        ]
        return [
            ScoreRecord(
                subject.name,
                scan,
                condition,
                name,
                protocol.name,
                None,
                0.0,
                failure=reason,
                person=subject.person,
            )
            for name, condition in [*named, (ORACLE, subject.condition or ANY_CONDITION)]
        ]

    def _conditions(self, method: Method, subject: Subject) -> tuple[str, ...]:
        """In which a method's meshes of a subject are scored; a photograph has one."""
        if subject.condition:
            return (subject.condition,)
        return self.conditions if method.by_condition else (ANY_CONDITION,)

    @property
    def _cache(self) -> Path:
        return CacheFolders.below(self.cache_folder).scan_baselines / metrics_digest()


# Photographs of one person share a scan, and come one after another.
@lru_cache(maxsize=2)
def _read_once(
    scan: ScanFile, state: object, marked: object, unit: Unit, marker: Marker, backend: Backend
) -> ReadScan:
    """A scan with its landmarks, as its files are in these states; for errors see `Scorer.read_scan`."""
    try:
        read = read_mesh_in_mm(scan.path, unit)
    except ImplausibleSizeError as error:
        raise Unscorable(str(error)) from error
    except (ValueError, OSError) as error:
        raise Unscorable(f"unusable scan: {error}") from error
    marks = marker.marks(read.mesh, scan.landmarks, unit=read.unit)
    prepared = prepare_scan(marked_mesh(read.mesh, marks), backend=backend)
    return ReadScan(scan, prepared, marks, read.mesh.colours, read.unit)


# libigl's trees must not outlive the interpreter.
atexit.register(_read_once.cache_clear)


def _state(path: Path | None) -> tuple[int, int] | None:
    """Size and time of a file; None where there is none."""
    try:
        found = None if path is None else path.stat()
    except OSError:
        return None
    return None if found is None else (found.st_size, found.st_mtime_ns)


@cache
def metrics_digest() -> str:
    """Of the source of all metrics and of the fit: what was computed by other code is never reused."""
    sources = sorted((path.name, path.read_text()) for path in _sources())
    return hashlib.sha256(str(sources).encode()).hexdigest()[:16]


def _sources() -> Iterator[Any]:
    yield from (path for path in files("evaluation.metrics").iterdir() if path.name.endswith(".py"))
    yield files("evaluation") / "scans" / "model_fit.py"
    yield files("lightning_modules") / "faces" / "orientation.py"


def _kept_record(file: Path) -> ScoreRecord | None:
    """A baseline's record from an earlier start; None where there is none, or only what is left of one."""
    try:
        records = read_records(file) if file.is_file() else []
    except ValueError:
        return None
    return records[0] if len(records) == 1 else None


def _scan_key(scan: ReadScan) -> list[object]:
    return [sha256_of_file(scan.file.path), scan.unit, scan.marks.points.round(6).tolist()]


def _digest(key: object) -> str:
    return hashlib.sha256(repr(key).encode()).hexdigest()[:32]
