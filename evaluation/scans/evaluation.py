"""One evaluation against scans: data, methods, scores, tables and pictures that the command was asked for."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache, cached_property
from pathlib import Path
from typing import Any

from datamodules.micc import MICC
from datamodules.photograph_digests import CONTENT, trained_on
from datamodules.scan_folders import Subject
from datamodules.stand_in_scans import StandInScans
from evaluation.groups.options import NO_GROUPS, Grouped, Sources
from evaluation.metrics.scan_protocols import ALL_LANDMARKS, SEVEN_LANDMARKS, ScanProtocol
from evaluation.metrics.triangle_trees import require_backend
from evaluation.reporting.provenance import provenance
from evaluation.reporting.results import Results
from evaluation.scans.by_group import grouped_subjects, with_groups
from evaluation.scans.data_kinds import ALL_PHOTOGRAPHS, KINDS, STAND_IN_LABEL
from evaluation.scans.heat_maps import Pictured, show_first, write_heat_maps
from evaluation.scans.landmarks import Marker
from evaluation.scans.methods import (
    CheckpointMethod,
    Frames,
    MeanFace,
    MeshFolder,
    Method,
    RandomFace,
    frames_seen,
)
from evaluation.scans.options import ScanEvaluationOptions
from evaluation.scans.records import ScoreRecord, common_scales, of_all_photographs
from evaluation.scans.scoring import Scorer
from evaluation.scans.sentences import curves, oracle_sentences, unit_sentences, unused_sentences
from evaluation.scans.submission import submission_report
from evaluation.scans.tables import (
    columns_of,
    counts_of,
    frame_rows,
    ranking_sentences,
    ranking_table,
    rows_of,
    subject_table,
)
from evaluation.shared.data_places import Place
from evaluation.shared.lifecycle import Report
from evaluation.shared.present_inputs import require_optional_file
from evaluation.shared.scored_method import Scored
from lightning_modules.checkpoints import read_checkpoint
from lightning_modules.faces.loading import load_morphable_model
from lightning_modules.faces.morphable_model import MorphableModel
from lightning_modules.plain.output_folder import OutputFolder
from lightning_modules.plain.stand_in_label import labelled
from lightning_modules.recognition.network import RecognitionNetwork
from lightning_modules.reconstruction import Reconstructor, load_reconstructor, read_for

# The stand-in's subjects, where their number is not given: a few minutes' work.
STAND_IN_SUBJECTS = 12
MARKING_COMPONENTS = 60
RECORDS, OWN_SCALE_RECORDS, HEAT_MAPS = "subjects", "subjects_own_scale", "heat_maps"  # folders


@dataclass(frozen=True)
class ScanEvaluation:
    """What the command needs, each part made when it is first needed.

    Attributes:
        scored: the checkpoint or the folder of meshes.
        place: of the data.
        options: the command's.
        sources: of groups, by which mean errors are shown, too.
        baselines: root of the baselines' kept scores, where it is not the cache folder.
    """

    scored: Scored
    place: Place
    options: ScanEvaluationOptions
    sources: Sources = NO_GROUPS
    baselines: Path | None = None

    @property
    def inputs(self) -> list[Path | None]:
        """The files and folders that the command reads."""
        return [
            *read_for(self.scored.path, self.options.scored.morphable_model),
            self.place.folder,
            *(self.options.scored.also or ()),
            self.options.scans.landmarks,
            self.options.scored.mesh_landmarks,
            self.options.scored.encoder_weights,
            *self.sources.paths,
        ]

    def check(self) -> None:
        """Refuse what cannot be scored, before a model, a network or a video is loaded.

        Raises:
            FileNotFoundError: if scans, landmarks or weights are not there.
            ImportError: if what is to find closest points is not installed.
            ValueError: if the protocol is unknown, a folder holds no mesh, or the checkpoint is none.
        """
        require_backend(self.options.protocol.closest_points)
        self.protocols, self.folders  # noqa: B018 - made here, since they may be refused
        if self.for_submission and self.place.kind != "now":
            raise ValueError("--images test is for --data now:DIR, whose test set has no published scans")
        if self.for_submission and self.options.scans.subjects is not None:
            raise ValueError("--images test writes meshes of all photographs; leave --subjects out")
        if self.by_photograph and self.sources:
            raise ValueError(f"--groups are of people; {self.place.kind}:DIR is scored by photographs")
        require_optional_file(self.options.scored.mesh_landmarks, "a landmark file of the meshes' topology")
        require_optional_file(self.options.scored.encoder_weights, "the encoder's weights")
        if self.scored.kind == "checkpoint":
            read_checkpoint(self.scored.path)
        if not self.place.is_stand_in:
            self.data_for([]).subjects()

    @property
    def by_photograph(self) -> bool:
        """Whether a mesh of each photograph is scored."""
        return not self.place.is_stand_in and KINDS[self.place.kind].by_photograph

    @property
    def for_submission(self) -> bool:
        """Whether meshes are written to be sent to a benchmark's organisers, and none is scored."""
        return self.options.scans.images == "test"

    # ------------------------------------------------------------------ data and methods

    @cached_property
    def limit(self) -> int | None:
        """How many subjects are asked for."""
        asked = self.options.scans.subjects
        return STAND_IN_SUBJECTS if asked is None and self.place.is_stand_in else asked

    @cached_property
    def data(self) -> MICC:
        """The scans with their footage, as the checkpoint's encoder sees it."""
        return self.data_for([self.reconstructor.encoder] if self.scored.kind == "checkpoint" else [])

    def data_for(self, networks: Sequence[RecognitionNetwork]) -> MICC:
        """The scans with their footage, as these networks see it."""
        scans, machine = self.options.scans, self.options.machine
        given: dict[str, Any] = {
            "landmarks": scans.landmarks, "detector": scans.detector, "faces": scans.faces,
            "cache_folder": machine.cache_folder, "workers": machine.workers, "progress": machine.progress,
            "frames": None if scans.frames == "all" else scans.frames, "limit": self.limit,
        }  # fmt: skip
        if self.place.is_stand_in:
            return StandInScans(load_morphable_model("open"), networks, seed=self.options.scans.seed, **given)
        assert self.place.folder is not None
        given |= {"images": scans.images} if self.place.kind == "now" else {}
        return KINDS[self.place.kind].data(self.place.folder, networks, **given)

    @cached_property
    def subjects(self) -> list[Subject]:
        """The people; the stand-in's are made here."""
        if isinstance(self.data, StandInScans):
            self.data.make_missing()
        return self.data.subjects()

    @cached_property
    def groups(self) -> Grouped | None:
        """The people by group; None where no groups are asked for."""
        scans = self.options.scans
        return grouped_subjects(
            self.sources, self.subjects, str(self.place), detector=scans.detector, faces=scans.faces
        )

    @cached_property
    def reconstructor(self) -> Reconstructor:
        """The checkpoint's, with the encoder that all its readings need."""
        loaded = load_reconstructor(
            self.scored.path,
            morphable_model=self.options.scored.morphable_model,
            encoder_weights=self.options.scored.encoder_weights,
            device=self.options.machine.device,
        )
        return loaded.readings["likeness"]

    @cached_property
    def model(self) -> MorphableModel:
        """The morphable model of the baselines: the checkpoint's own."""
        if self.scored.kind == "checkpoint":
            return self.reconstructor.model
        return load_morphable_model(self.options.scored.morphable_model or "open")

    @cached_property
    def marker(self) -> Marker:
        """Finds landmarks."""
        return Marker(open_model, detector=self.options.scans.detector)

    @cached_property
    def folders(self) -> list[MeshFolder]:
        """Other methods' meshes."""
        named = [(self.scored.method, self.scored.path)] if self.scored.kind == "meshes" else []
        named += [(folder.resolve().name, folder) for folder in self.options.scored.also or ()]
        given: dict[str, Any] = {
            "unit": self.options.scored.unit, "landmarks": self.options.scored.mesh_landmarks,
        }  # fmt: skip
        marker = replace(self.marker, needed=self.needed) if self.by_photograph else self.marker
        return [MeshFolder(name, folder, marker, **given) for name, folder in named]

    @property
    def needed(self) -> tuple[int, ...]:
        """The landmarks that the protocols ask of a mesh: of NoW and FG2018 the seven."""
        if self.for_submission:
            return SEVEN_LANDMARKS
        if any(protocol.alignment == "region-wise" for protocol in self.protocols):
            return ALL_LANDMARKS
        return tuple(sorted({index for protocol in self.protocols for index in protocol.start}))

    @cached_property
    def methods(self) -> list[Method]:
        """What is scored, and beside it the mean and random faces."""
        people = list(dict.fromkeys(subject.person or subject.name for subject in self.subjects))
        order = {name: number for number, name in enumerate(people)}
        numbers = {subject.name: order[subject.person or subject.name] for subject in self.subjects}
        baselines: list[Method] = [
            MeanFace(self.model),
            RandomFace(self.model, numbers, self.options.scans.seed),
        ]
        if self.scored.kind != "checkpoint":
            return [*self.folders, *baselines]
        average = self.options.scored.average
        name, loaded = self.scored.method, self.reconstructor
        readings: list[Method] = [
            CheckpointMethod(row, reading, self.data, average)
            for row, reading in loaded.named_readings(name).items()
        ]
        return [*readings, *self.folders, *baselines]

    @cached_property
    def conditions(self) -> tuple[str, ...]:
        """The data's, or what a folder of meshes has of them."""
        if self.by_photograph:
            found = {subject.condition for subject in self.subjects}
            return tuple(name for name in self.data.conditions if name in found)
        if self.scored.kind == "checkpoint":
            return self.data.conditions
        return self.folders[0].conditions(self.data.conditions)

    @cached_property
    def protocols(self) -> list[ScanProtocol]:
        """The presets that are asked for, with the command's changes in their names."""
        return self.options.protocol.presets()

    # ------------------------------------------------------------------ scores

    def scorer(self, folder: OutputFolder) -> Scorer:
        """Scores subjects into a folder."""
        return Scorer(
            self.methods,
            self.model,
            self.protocols,
            self.conditions,
            self.marker,
            self.options.scans.scan_unit,
            folder,
            self.options.machine.cache_folder if self.baselines is None else self.baselines,
            numbers=subject_numbers(self.subjects),
            backend=self.options.protocol.closest_points,
        )

    def records(self, folder: OutputFolder) -> list[ScoreRecord]:
        """All scores; with a scale common to a method's meshes, after a pass in which each has its own."""
        machine = self.options.machine
        given: dict[str, Any] = {"workers": machine.workers, "progress": machine.progress}
        if self.scored.kind == "checkpoint":
            self.reconstructor.to("cpu")  # what is left to do is a few small products, in several processes
        scorer = self.scorer(folder.below(RECORDS))
        if any(protocol.scaling == "global" for protocol in self.protocols):
            own = [replace(protocol, scaling="isotropic") for protocol in self.protocols]
            first = replace(scorer, protocols=own, folder=folder.below(OWN_SCALE_RECORDS))
            scorer = replace(scorer, global_scales=common_scales(first.score_all(self.subjects, **given)))
        return scorer.score_all(self.subjects, **given)

    def pictured(self, folder: OutputFolder) -> Pictured:
        """What pictures are made of."""
        return Pictured(
            self.scorer(folder.below(RECORDS)), {subject.name: subject for subject in self.subjects}
        )

    def show(self) -> None:
        """The first subject that can be scored, in a window.

        Raises:
            ValueError: if there is none.
        """
        self.data.prepare_data()
        show_first(self.pictured(OutputFolder(Path(), "micc")), self.conditions[0], self.title())

    def submission(self, folder: OutputFolder, settings: dict[str, Any]) -> Report:
        """A folder for NoW's organisers."""
        self.data.prepare_data()
        return submission_report(
            self.methods[0], self.subjects, folder, settings=settings, provenance=self.provenance([], {}),
            progress=self.options.machine.progress,
        )  # fmt: skip

    def report(self, folder: OutputFolder, settings: dict[str, Any]) -> Report:
        """Everything that the command writes."""
        if self.for_submission:
            return self.submission(folder, settings)
        self.data.prepare_data()
        groups = self.groups  # before anything is scored: it may refuse a file of labels
        for sentence in unit_sentences(self.subjects, self.folders, self.options):
            print(sentence)
        if self.options.scans.subjects is None:  # else others were left out on purpose
            for sentence in unused_sentences(self.subjects, self.folders, self.conditions):
                print(sentence)
        records = self.records(folder)
        columns = columns_of(records, self.protocols, self.conditions)
        of_all = columns_of(of_all_photographs(records), self.protocols, (ALL_PHOTOGRAPHS,))
        shown = [*of_all, *columns] if self.by_photograph else columns
        frames = frames_seen(self.data, self.subjects) if self.scored.kind == "checkpoint" else {}
        title = self.title()
        rows = rows_of(shown, self.protocols, self.label, with_quoted=self.place.kind == "micc")
        rows += frame_rows(self.scored.method, self.label, frames)
        for sentence in [*ranking_sentences(shown), *oracle_sentences(shown, self.place.is_stand_in)]:
            print(sentence)
        write_heat_maps(
            self.pictured(folder), columns[0], self.options.pictures.heat_maps, folder.below(HEAT_MAPS), title
        )
        results = Results(
            "micc", title, settings, counts_of(columns), rows, self.provenance(records, frames),
            self.place.is_stand_in,
        )  # fmt: skip
        tables = {"subjects": subject_table(records), "rankings": ranking_table(shown)}
        report = Report(results, tables, curves(shown, self.protocols, title))
        if groups is None:
            return report
        names = [subject.name for subject in self.subjects]
        least = self.options.groups.smallest_group
        return with_groups(report, columns, names, groups, label=self.label, least_people=least)

    # ------------------------------------------------------------------ words

    @property
    def label(self) -> str:
        """The data set's name in tables."""
        return STAND_IN_LABEL if self.place.is_stand_in else KINDS[self.place.kind].label

    def title(self) -> str:
        """Of tables and figures."""
        names = ", ".join(protocol.name for protocol in self.protocols)
        people = f"{len(self.subjects)} {'synthetic people' if self.place.is_stand_in else 'subjects'}"
        if self.by_photograph:
            count = len({subject.person for subject in self.subjects})
            people = f"{self.label}'s {count} people on {len(self.subjects)} photographs"
        title = f"{self.scored.method} against scans of {people} ({names})"
        if self.options.protocol.closest_points != "libigl":
            title += f", closest points by {self.options.protocol.closest_points}"
        if self.scored.kind == "checkpoint" and CONTENT in self.reconstructor.content:
            title += trained_on(self.reconstructor.content, self.data.photograph_digests())
        return labelled(title, self.place.is_stand_in)

    def provenance(self, records: Sequence[ScoreRecord], frames: dict[str, Frames]) -> dict[str, Any]:
        """What the numbers come from."""
        sources = {record.subject + record.scan: record.landmarks for record in records if record.landmarks}
        marked = {source: list(sources.values()).count(source) for source in sorted(set(sources.values()))}
        entries: dict[str, Any] = {
            "data": self.data.provenance(),
            "morphable_model": self.model.describe(),
            "protocols": {protocol.name: dict(protocol.status) for protocol in self.protocols},
            "scan_landmarks": marked,
            "frames": {condition: seen._asdict() for condition, seen in frames.items()},
        }
        if self.scored.kind == "checkpoint":
            content = self.reconstructor.content
            entries["checkpoint"] = {
                "name": self.scored.path.name,
                "commit": content["commit"],
                "networks": content["networks"],
                "training_data": content.get("training_data"),
            }
        return provenance(**entries)


@cache
def open_model() -> MorphableModel:
    """The open model's landmarks and shapes, to be fitted to what has no landmarks."""
    return load_morphable_model(
        "open", shape_components=MARKING_COMPONENTS, albedo_components=0, expression_components=0
    )


def subject_numbers(subjects: Sequence[Subject]) -> dict[str, int]:
    """MICC's number of each subject that has one in its name (subject_28), by which protocols crop."""
    numbered = {}
    for subject in subjects:
        tail = subject.name.rpartition("_")[2]
        if subject.name.startswith("subject_") and tail.isdigit():
            numbered[subject.name] = int(tail)
    return numbered
