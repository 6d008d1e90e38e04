"""One method on one set of photographs: embeddings of both, failures, similarities, floors, the ceiling."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, TypedDict

import numpy as np
import pandas as pd
import torch
from torch import Tensor
from torch.nn import functional

from datamodules.photograph_digests import trained_on
from datamodules.stand_in_photographs import StandInPhotographs
from evaluation.groups.options import NO_GROUPS, Sources
from evaluation.likeness.options import (
    JudgedMethod,
    Parts,
    RenderingMachine,
    Scoring,
    face_options,
    written_centre,
)
from evaluation.likeness.other_methods import embed_files
from evaluation.likeness.photographs_of_people import (
    NAMES,
    PhotographsOfPeople,
    item_names,
    load_people,
    other_people,
    photograph_name,
)
from evaluation.likeness.rendering_embeddings import (
    Embedded,
    embed_reconstructions,
    embed_true_faces,
    mean_face_embedding,
)
from evaluation.metrics.group_means import LEAST_PEOPLE
from evaluation.reporting.provenance import network_entry, provenance
from evaluation.reporting.results import Counts, Results, Row
from evaluation.shared.data_places import Place
from evaluation.shared.judge import written_retouching
from lightning_modules.faces.loading import load_morphable_model
from lightning_modules.faces.morphable_model import MorphableModel
from lightning_modules.plain.failures import counted_by_kind
from lightning_modules.plain.stand_in_label import STAND_IN, labelled
from lightning_modules.recognition.similarity import centred

MEAN_FACE, SHUFFLED = "mean face", "its faces shuffled"
TRUE_FACE, SCAN = "true face (ceiling)", "scan (ceiling)"


class GroupSetting(NamedTuple):
    """By which groups results are shown, too: by default by none."""

    smallest_group: int = LEAST_PEOPLE
    sources: Sources = NO_GROUPS


class Showing(TypedDict):
    """How a function that renders faces for a judge does so: see `render_for_judge`."""

    retouched: bool
    backend: str | None


class Setting(NamedTuple):
    """A command's options with what they name, loaded."""

    scoring: Scoring
    execution: RenderingMachine
    subject: JudgedMethod
    parts: Parts
    groups: GroupSetting = GroupSetting()

    def described(self) -> dict[str, Any]:
        """What is scored, for provenance."""
        entries = {"kind": self.subject.scored.kind, **self.subject.scored.settings()}
        content = self.subject.content
        if content is not None:
            kept = ("stage", "commit", "training_data", "networks", "morphable_model")
            entries |= {name: content[name] for name in kept if name in content}
        return entries

    def shown(self) -> Showing:
        """How faces are shown to the judge."""
        return {"retouched": self.subject.retouched, "backend": self.execution.rasterizer}

    def model(self) -> MorphableModel:
        """The checkpoint's morphable model, or the one whose mean face is the floor."""
        if self.parts.reconstructor is not None:
            return self.parts.reconstructor.model
        specification = self.scoring.morphable_model or "open"
        return load_morphable_model(specification, device=self.execution.device)


class Measured(NamedTuple):
    """A method on a set of photographs; N faces of it have a rendering.

    Attributes:
        place: of the photographs.
        name: in tables.
        people: the photographs' data module.
        photographs: [F, D], unit embeddings of all F faces, centred where a centre is used.
        usable: [N], which of the F faces were asked for and have a rendering.
        seen: [N, D] by method, what the judge sees in its renderings: ours first, then ceiling and floors.
        items: a line for each photograph that was asked for.
        counts: of those.
        trained_on: how many of the photographs the checkpoint was trained on, see `trained_on`.
    """

    place: Place
    name: str
    people: PhotographsOfPeople
    photographs: Tensor
    usable: np.ndarray
    seen: Mapping[str, Tensor]
    items: pd.DataFrame
    counts: Counts
    trained_on: str = ""

    @property
    def identity(self) -> np.ndarray:
        """[N], the person of each rendering."""
        return self.people.identity[self.usable]

    def similarities(self) -> dict[str, np.ndarray]:
        """By method, the cosine [N] of each photograph and its rendering."""
        photographs = self.photographs[torch.from_numpy(self.usable)]
        return {method: paired_cosines(photographs, seen) for method, seen in self.seen.items()}


def measure(
    setting: Setting,
    place: Place,
    *,
    choose: Callable[[PhotographsOfPeople], np.ndarray] | None = None,
    check: Callable[[PhotographsOfPeople], None] | None = None,
) -> Measured:
    """Photographs and renderings of a place under the judge.

    Args:
        setting: of the command.
        place: of the photographs.
        choose: which faces are scored; all of them by default.
        check: may refuse the photographs before anything is rendered.

    Raises:
        ValueError: if none of them has a rendering.
    """
    judge, centre = setting.parts.judge, setting.parts.centre
    shown = setting.shown()
    encoders = [] if setting.parts.reconstructor is None else [setting.parts.reconstructor.encoder]
    model = setting.model()
    options = face_options(setting.scoring, setting.execution)
    people = load_people(place, [judge, *encoders], model=model, **options)
    if check is not None:
        check(people)
    everything = np.arange(len(people.dataset))
    chosen = everything if choose is None else choose(people)
    other_people(people.identity[chosen])  # refuses before anything is rendered
    rendered = embed(setting, people, chosen)
    kept = np.flatnonzero(rendered.usable)
    if len(kept) == 0:
        raise ValueError(f"none of the {len(chosen)} faces of {place} has a rendering: {rendered.reasons[0]}")
    usable, method = chosen[kept], setting.subject.scored.method
    ours = centred(rendered.embeddings[torch.from_numpy(kept)], centre)
    seen = {method: ours}
    if isinstance(people, StandInPhotographs):
        true_faces = embed_true_faces(people, judge, usable, **shown)
        seen[TRUE_FACE] = centred(true_faces, centre)
    seen[SHUFFLED] = ours[torch.from_numpy(other_people(people.identity[usable]))]
    mean_face = mean_face_embedding(model, judge, **shown)
    seen[MEAN_FACE] = centred(mean_face, centre).expand_as(ours)
    failed = failures(people, rendered, whole=choose is None)
    total = len(chosen) + (len(people.dataset.faces.failures) if choose is None else 0)
    measured = Measured(
        place,
        STAND_IN if place.is_stand_in else f"{NAMES[place.kind]}, {len(everything):,} faces",
        people,
        centred(functional.normalize(people.dataset.descriptors(judge.name, everything), dim=1), centre),
        usable,
        seen,
        pd.DataFrame(),
        Counts(total, total - sum(failed.values()), failed),
        trained_on(setting.subject.content, people.dataset.faces.digest[usable]),
    )
    return measured._replace(items=items_of(measured, chosen, rendered, whole=choose is None))


def embed(setting: Setting, people: PhotographsOfPeople, indices: np.ndarray) -> Embedded:
    """The judge's embeddings of the scored method's renderings of these faces."""
    scored, execution = setting.subject.scored, setting.execution
    options: dict[str, Any] = {"cache_folder": execution.cache_folder, "progress": execution.progress}
    if setting.parts.reconstructor is None:
        names = item_names(people)
        return embed_files(
            scored, [names[index] for index in indices], setting.parts.judge, unit=setting.scoring.unit,
            detector=setting.scoring.detector, **setting.shown(), **options,
        )  # fmt: skip
    return embed_reconstructions(
        setting.parts.reconstructor, scored.settings()["checkpoint_sha256"], people.dataset,
        setting.parts.judge, indices, **setting.shown(), **options,
    )  # fmt: skip


def results_of_photographs(
    command: str,
    what: str,
    setting: Setting,
    measured: Measured,
    settings: Mapping[str, object],
    rows: Sequence[Row],
) -> Results:
    """The results of photographs that were compared with renderings.

    Args:
        command: its name.
        what: the title's beginning; judge and centre follow.
        setting: of the command.
        measured: of the photographs.
        settings: every setting that the result depends on.
        rows: the numbers.
    """
    place, judge = setting.subject.place, setting.parts.judge
    title = f"{what}, judged by {judge.name}, {written_centre(setting.parts.centre)}"
    title += written_retouching(setting.subject.retouched)
    return Results(
        command,
        labelled(title + measured.trained_on, place.is_stand_in),
        settings,
        measured.counts,
        rows,
        provenance(
            scored=setting.described(),
            judge=network_entry(judge.name, judge.sha256),
            data=[measured.people.provenance()],
        ),
        place.is_stand_in,
    )


def paired_cosines(first: Tensor, second: Tensor) -> np.ndarray:
    """[N] of paired unit vectors [N, D]."""
    return (first * second).sum(1).double().cpu().numpy()


def failures(people: PhotographsOfPeople, rendered: Embedded, *, whole: bool) -> dict[str, int]:
    """How many have no rendering, or, of the whole data set, no face, by reason without its details."""
    reasons = [reason for reason in rendered.reasons if reason]
    if whole:
        reasons += [reason for _, reason in people.dataset.faces.failures]
    return counted_by_kind(reasons)


def items_of(measured: Measured, chosen: np.ndarray, rendered: Embedded, *, whole: bool) -> pd.DataFrame:
    """A line for each photograph: its person, its similarity by method, or why it failed."""
    people, names = measured.people, item_names(measured.people)
    frame = pd.DataFrame(
        {
            "data": measured.place.kind,
            "photograph": [names[face] for face in chosen],
            "person": [people.people[person] for person in people.identity[chosen]],
            "reason": [reason or None for reason in rendered.reasons],
        }
    )
    for method, values in measured.similarities().items():
        column = np.full(len(chosen), np.nan)
        column[rendered.usable] = values
        frame[f"similarity, {method}"] = column
    paths = people.dataset.paths
    lost = [
        {"data": measured.place.kind, "photograph": photograph_name(paths[photograph]), "reason": reason}
        for photograph, reason in (people.dataset.faces.failures if whole else [])
    ]
    return pd.DataFrame(frame.to_dict("records") + lost, columns=frame.columns)
