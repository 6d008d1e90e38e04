"""A checkpoint on the people of the reporting protocol, scored person by person.

    python evaluation/reporting_people.py CHECKPOINT --data lfw:DIR

Two photographs of each of 300 people whom no choice has seen: the face that the checkpoint makes from the
first is rendered from the front and shown to the judge. Without LFW: the suite's stand-in people, labelled
so, whose true shapes are known. A study (ablations/factorial.py) compares variants by `people.csv`: a line a
person, a column a figure, and a column's mean is the figure.
"""

import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
    from lightning_modules.plain.interruption import end_when_interrupted

    end_when_interrupted()

import numpy as np
import pandas as pd
import torch
from PIL import Image

from datamodules.face_data import FaceBatch, FaceOptions
from datamodules.lfw import LFW
from datamodules.photograph_digests import trained_on
from datamodules.stand_in_photographs import StandInPhotographs
from evaluation.likeness.judged_people import Judged, coefficient_statistics, judge_faces, shape_errors
from evaluation.metrics.contrasts import contributions
from evaluation.metrics.paired import Statistic, mean_statistic
from evaluation.reporting.blocks import Block, block_of
from evaluation.reporting.provenance import network_entry, provenance
from evaluation.reporting.results import Counts, Results, Row, plain
from evaluation.shared.data_places import Place, notice, place_of
from evaluation.shared.judge import (
    judge_name,
    settings_of_retouching,
    shows_retouched,
    written_retouching,
)
from evaluation.shared.lifecycle import Layout, Report, evaluate, exit_status
from evaluation.shared.options import NO_SETTING, Dashboard, Machine, Output, settings_of_options
from evaluation.shared.present_inputs import require_data
from lightning_modules.checkpoints import load_regressor, specification_of_network
from lightning_modules.faces.morphable_model import MorphableModel
from lightning_modules.plain.command_line import one_sentence_for_bad_input, parse_settings
from lightning_modules.plain.even_choice import evenly_chosen
from lightning_modules.plain.files import sha256_of_file, written_atomically
from lightning_modules.plain.number_types import NonNegativeInt, PositiveInt
from lightning_modules.plain.output_folder import OutputFolder
from lightning_modules.plain.stand_in_label import labelled
from lightning_modules.prediction import Prediction
from lightning_modules.recognition.network import RecognitionNetwork
from lightning_modules.recognition.network_names import NetworkName, place_of_network
from lightning_modules.recognition.networks import load_network
from lightning_modules.reconstruction import Reconstructor, load_reconstructor, read_for
from lightning_modules.rendered_faces import render_from_the_front

COMMAND = "reporting_people"
ITEMS, COEFFICIENTS, RENDERINGS = "people", "coefficients.npz", "renderings"
# What of the checkpoint's content goes into the results.
KEPT = ("stage", "morphable_model", "networks", "commit")
# Of the stand-in: no training draws its people with this seed.
STAND_IN_SEED = 20_180_612
SHOWN = {
    "mean_same": ("similarity", "similarity"), "area_under_roc": ("AUC", "share"), "top1": ("top-1", "share"),
    "top5": ("top-5", "share"), "top1_without_source": ("top-1, source left out", "share"),
    "top5_without_source": ("top-5, source left out", "share"),
    "distance_to_same": ("EMD to one person", "similarity"),
    "distance_to_different": ("EMD to two people", "similarity"),
}  # fmt: skip
OF_COEFFICIENTS = {
    "mean_distance": ("|mean - target|", "sd"), "variance_distance": ("|variance - target|", "sd²"),
    "variance": ("variance", "sd²"), "share_beyond": ("beyond 3 sd", "share"),
}  # fmt: skip

# The tables: heading and metrics.
TABLES = {
    "Likeness by the judge": ("similarity", "AUC", "fooling gap", "shape error"),
    "Earth Mover's Distance of similarities": ("EMD to one person", "EMD to two people"),
    "Retrieval": ("top-1", "top-5", "top-1, source left out", "top-5, source left out"),
    "Coefficients and their prior": ("|mean - target|", "|variance - target|", "variance", "beyond 3 sd"),
}


def blocks_of(results: Results) -> list[Block]:
    """A table for each topic of `TABLES`, a line a method."""
    return [
        block_of([row for row in results.rows if row.metric in metrics], heading)
        for heading, metrics in TABLES.items()
    ]


LAYOUT = Layout(blocks_of, "people", "standard error (jackknife over people)")


class ScoredPeople(NamedTuple):
    """Whom the checkpoint is scored on.

    Attributes:
        names: [I].
        queries: their first photographs.
        gallery: [2 I], the first and second photograph of each.
        shape: [I, K], their true coefficients; None where nobody knows them.
        counts: of people.
        digests: [2 I] of 32 bytes, the contents of the gallery's photographs.
        source: of the photographs, for the provenance.
    """

    names: list[str]
    queries: FaceBatch
    gallery: FaceBatch
    shape: torch.Tensor | None
    counts: Counts
    digests: np.ndarray
    source: Mapping[str, Any]


@dataclass(frozen=True)
class ReportedPeople:
    """Who is scored on which people, by which judge.

    Attributes:
        checkpoint: of ablations/run.py.
        data: LFW's folder, as lfw:DIR or DIR, or stand-in; by default what LFW_DIR or the configuration says.
        people: how many, two photographs each; as many as there are where there are fewer.
        development: LFW's development people, on whom choices are made, in place of those that are reported.
        judge: dlib, sface, facenet or vggface; by default the checkpoint's own judge.
        retouched: whether faces are softened, and black above the forehead, before networks see them; by
            default as in training.
        morphable_model: where the checkpoint's model does not lie where it did in training.
        renderings: so many people's renderings are kept as pictures.
    """

    checkpoint: Path = field(metadata=NO_SETTING)  # its content is one
    data: str | None = None
    people: PositiveInt = 300
    development: bool = False
    judge: NetworkName | None = None
    retouched: bool | None = field(default=None, metadata=NO_SETTING)  # what it means is one
    morphable_model: str | None = None
    renderings: NonNegativeInt = 12


def main(argv: Sequence[str] | None = None) -> int:
    """Parse, score, report; the exit status is 0, or 1 where people were left out."""
    with one_sentence_for_bad_input():
        reported, output, machine, dashboard = parse_settings(
            (ReportedPeople, Output, Machine, Dashboard), argv, program="reporting_people.py",
            description=str(__doc__), leading="checkpoint",
        )  # fmt: skip
        return exit_status(score_people(reported, output, machine, dashboard))


def score_people(reported: ReportedPeople, output: Output, machine: Machine, dashboard: Dashboard) -> Results:
    """A checkpoint's faces of the reporting protocol's people, scored person by person."""
    machine, checkpoint = machine.resolved(), reported.checkpoint
    place = place_of(reported.data, ("lfw",))
    content = load_regressor(checkpoint)[1]
    judge = judge_name(reported.judge, content)
    require_data(place, development_list=True)
    retouched = shows_retouched(reported.retouched, content)
    settings = plain(
        settings_of_options(reported)
        | {"data": str(place), "checkpoint_sha256": sha256_of_file(checkpoint)}
        | settings_of_retouching(retouched)
    )
    options: FaceOptions = {
        "cache_folder": machine.cache_folder, "workers": machine.workers, "progress": machine.progress,
    }  # fmt: skip

    def compute(folder: OutputFolder) -> Report:
        loaded = load_reconstructor(
            checkpoint, morphable_model=reported.morphable_model, device=machine.device
        )
        chosen = load_network(judge).to(machine.device)
        trained = training_network(loaded, machine.device)
        looking = list({network.name: network for network in (loaded.encoder, trained, chosen)}.values())
        scored = people_of(
            place, loaded.model, looking, reported.people, development=reported.development, **options
        )
        faces = loaded.coefficients(scored.queries.features[loaded.encoder.name])
        keep_faces(faces, loaded.model, reported.renderings, folder)
        networks = (chosen, trained)
        return people_report(scored, faces, loaded, networks, settings, place, retouched=retouched)

    return evaluate(
        COMMAND, settings, compute,
        inputs=[*read_for(checkpoint, reported.morphable_model), place.folder, place_of_network(judge)],
        output=output, layout=LAYOUT, notice=notice(place), dashboard=dashboard, checkpoint=content,
    )  # fmt: skip


def training_network(loaded: Reconstructor, device: str) -> RecognitionNetwork:
    """The network of the identity loss; a stage 1 has the encoder only."""
    entry = loaded.content["networks"].get("identity")
    if entry is None or entry["name"] == loaded.encoder.name:
        return loaded.encoder
    return load_network(specification_of_network(loaded.content, "identity")).to(device)


def people_of(
    place: Place,
    model: MorphableModel,
    networks: Sequence[RecognitionNetwork],
    count: int,
    *,
    development: bool,
    **options: Any,  # noqa: ANN401 - FaceOptions
) -> ScoredPeople:
    """The protocol's people, whose photographs are aligned and whose features are cached."""
    if place.is_stand_in:
        return stand_in_people(model, networks, count, **options)
    lfw = LFW(place.folder, networks, **options)
    lfw.prepare_data()
    lfw.setup()
    subset = lfw.retrieval_subset(count, development=development)
    names = [lfw.people[lfw.identity[face]] for face in subset.query]
    queries, gallery = (lfw.dataset.batch(faces) for faces in (subset.query, subset.gallery))
    return ScoredPeople(
        names, queries, gallery, None, Counts(len(names), len(names), {}),
        lfw.dataset.faces.digest[subset.gallery], lfw.provenance(),
    )  # fmt: skip


def stand_in_people(
    model: MorphableModel,
    networks: Sequence[RecognitionNetwork],
    count: int,
    **options: Any,  # noqa: ANN401 - FaceOptions
) -> ScoredPeople:
    """People of the stand-in with two photographs each; without a face in both they are left out, counted."""
    photographs = StandInPhotographs(
        model, networks, count=2 * count, photographs_per_person=2, seed=STAND_IN_SEED, **options
    )
    photographs.prepare_data()
    photographs.setup()
    face_of = {number: face for face, number in enumerate(photographs.dataset.faces.photograph.tolist())}
    numbers = [person for person in range(count) if {2 * person, 2 * person + 1} <= face_of.keys()]
    gallery = [face_of[number] for person in numbers for number in (2 * person, 2 * person + 1)]
    shape = [photographs.person(2 * person).coefficients.shape for person in numbers]
    failed = {"no face found in one of two photographs": count - len(numbers)}
    return ScoredPeople(
        [f"person {person}" for person in numbers],
        photographs.dataset.batch(gallery[::2]),
        photographs.dataset.batch(gallery),
        torch.cat(shape) if shape else None,
        Counts(count, len(numbers), {reason: number for reason, number in failed.items() if number}),
        photographs.dataset.faces.digest[gallery],
        photographs.provenance(),
    )


def people_report(
    people: ScoredPeople,
    faces: Prediction,
    loaded: Reconstructor,
    networks: tuple[RecognitionNetwork, RecognitionNetwork],
    settings: Mapping[str, Any],
    place: Place,
    *,
    retouched: bool,
) -> Report:
    """All figures, the floors beside them, and each person's part in them, by the judge and who trained.

    Raises:
        ValueError: if there are fewer than three people.
    """
    if len(people.names) < 3:
        raise ValueError(f"the protocol needs at least three people, got {len(people.names)} with two faces")
    judge, trained = networks
    judged_by = partial(
        judge_faces, gallery=people.gallery, model=loaded.model, judge=judge, trained=trained,
        retouched=retouched,
    )  # fmt: skip
    nobody = Prediction(*(torch.zeros_like(part) for part in faces))
    judged = judged_by(faces)
    figures = list(figures_of(judged))
    for name, (metric, unit) in OF_COEFFICIENTS.items():
        statistics = coefficient_statistics(faces, loaded.content.get("tone"))
        figures.append((metric, unit, getattr(statistics, name)))
    if people.shape is not None:
        errors = shape_errors(faces.shape, people.shape, loaded.model)
        figures.append(("shape error", "mm", mean_statistic(errors)))
    source = "stand-in" if place.is_stand_in else "LFW, development" if settings["development"] else "LFW"
    protocol = f"{source}, {len(people.names)} people, judge {judge.name}"
    shuffled = judged_by(faces, shuffled=True)
    rows = rows_of("checkpoint", protocol, figures)
    rows += rows_of("its faces shuffled", protocol, list(figures_of(shuffled)))
    mean_face = judged_by(nobody)
    rows += rows_of("mean face", protocol, list(figures_of(mean_face)))
    columns = {metric: contributions(statistic) for metric, _, statistic in figures}
    title = f"Reporting protocol: two photographs of {len(people.names)} people ({source})"
    title += written_retouching(retouched)
    title += trained_on(loaded.content, people.digests)
    results = Results(
        COMMAND, labelled(title, place.is_stand_in), settings, people.counts, rows,
        provenance(
            checkpoint={name: loaded.content[name] for name in KEPT},
            judge=network_entry(judge.name, judge.sha256), data=people.source,
        ),
        place.is_stand_in,
    )  # fmt: skip
    return Report(results, {ITEMS: pd.DataFrame({"person": people.names} | columns)})


def figures_of(judged: Judged) -> Iterator[tuple[str, str, Statistic]]:
    """Metric, unit and statistic of what the judge says."""
    for name, (metric, unit) in SHOWN.items():
        yield metric, unit, getattr(judged.scores, name)
    yield "fooling gap", "similarity", judged.fooling_gap


def rows_of(method: str, protocol: str, figures: Sequence[tuple[str, str, Statistic]]) -> list[Row]:
    """A row for each figure; its `sd` is the jackknife's standard error over people."""
    return [
        Row(method, protocol, metric, unit, statistic.value, statistic.standard_error,
            n=len(statistic.leave_one_out))
        for metric, unit, statistic in figures
    ]  # fmt: skip


@torch.no_grad()
def keep_faces(faces: Prediction, model: MorphableModel, count: int, folder: OutputFolder) -> None:
    """Write everybody's coefficients, and the frontal renderings of some, evenly taken; no photograph."""
    with written_atomically(folder.claim(COEFFICIENTS)) as temporary:
        np.savez(temporary, **{name: part.cpu().numpy() for name, part in faces._asdict().items()})
    for person in evenly_chosen(len(faces.shape), count):
        image = render_from_the_front(model, Prediction(*(part[person : person + 1] for part in faces)))[0]
        levels = (image.permute(1, 2, 0).clamp(0, 1) * 255).round().byte().cpu().numpy()
        Image.fromarray(levels).save(folder.claim(f"{RENDERINGS}/{person:05d}.png"))


if __name__ == "__main__":
    sys.exit(main())
