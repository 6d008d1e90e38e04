"""Do different photographs of a person give one shape, and how much better is one from several of them?

    python evaluation/consistency.py final.ckpt --data lfw:DIR
    python evaluation/consistency.py final.ckpt --data lfw:DIR --photographs 1 --people 1000

Two disjoint sets of photographs of each person give two faces. How far these lie apart (mm), held against
the faces of two people: a number about shapes that needs no scan. It says whether a shape is the person's; it
does not say whether it is right, and a smaller face for everybody lowers both distances, so that their ratio
and the area under the ROC curve count. Without LFW: synthetic people, labelled so, whose true shapes are
known, so that the error of the shape by the number of photographs stands beside.

All numbers of photographs are measured on the same people: those who have twice the largest.
"""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
    from lightning_modules.plain.interruption import end_when_interrupted

    end_when_interrupted()

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from datamodules.alignment.detection import DetectorName
from datamodules.photograph_digests import trained_on
from evaluation.known_truth.photograph_sets import PhotographSets, photograph_sets
from evaluation.known_truth.slider_scores import AT_ONCE, FACE_RADIUS_MM, shape_errors
from evaluation.likeness.comparison import MEAN_FACE, SHUFFLED
from evaluation.metrics.marked_mesh import NOSE_TIP
from evaluation.metrics.paired import bootstrap_interval
from evaluation.metrics.scan_region import Region
from evaluation.metrics.shape_consistency import LEAST_PEOPLE, Consistency, consistency_of, face_distances
from evaluation.metrics.true_error import truth_of
from evaluation.reporting.blocks import Block, block_of
from evaluation.reporting.provenance import checkpoint_entry, provenance
from evaluation.reporting.results import NOT_COMPARED, Counts, Results, Row, plain
from evaluation.shared.data_places import notice, place_of
from evaluation.shared.lifecycle import Layout, Report, evaluate, exit_status
from evaluation.shared.options import NO_SETTING, Dashboard, Machine, Output, settings_of_options
from evaluation.shared.present_inputs import require_data
from evaluation.shared.scored_method import what_is_scored
from lightning_modules.checkpoints import load_regressor
from lightning_modules.faces.morphable_model import MorphableModel
from lightning_modules.plain.command_line import one_sentence_for_bad_input, parse_settings
from lightning_modules.plain.number_types import AtLeastThree, PositiveInt, SeedInt
from lightning_modules.plain.output_folder import OutputFolder
from lightning_modules.plain.stand_in_label import labelled
from lightning_modules.reconstruction import Reconstructor, load_reconstructor, read_for

COMMAND = "consistency"
KINDS = ("lfw", "identities")
METRICS = {"one_person": ("one person", "mm"), "two_people": ("two people", "mm"),
           "ratio": ("ratio", "share"), "area_under_roc": ("AUC", "share")}  # fmt: skip
ERROR, CHANGE = "shape error", "change"
ONE_FACE = f"{NOT_COMPARED}: all faces are one, and no distance apart"


@dataclass(frozen=True)
class CompareSets:
    """Whose faces of which photographs are compared.

    Attributes:
        checkpoint: of ablations/run.py; one that keeps an expected shape has both readings.
        data: lfw:DIR (people outside peopleDevTrain), identities:DIR, or stand-in; by default what LFW_DIR or
            the configuration says, else the stand-in.
        photographs: numbers of photographs that one face is made from; people need twice the largest.
        people: at most so many, taken evenly.
        detector: yunet or mtcnn.
        seed: of the intervals.
        morphable_model: where the checkpoint's morphable model lies, if elsewhere than in training.
    """

    checkpoint: Path = field(metadata=NO_SETTING)  # its content is one
    data: str | None = None
    photographs: tuple[PositiveInt, ...] = (1, 2, 4)
    people: AtLeastThree = 100
    detector: DetectorName = "yunet"
    seed: SeedInt = 0
    morphable_model: str | None = field(default=None, metadata=NO_SETTING)


class FacesOfSets(NamedTuple):
    """The faces that one method makes of the first and of the other photographs: [I, V, 3] in mm each."""

    first: Tensor
    others: Tensor


def main(argv: Sequence[str] | None = None) -> int:
    """Parse, compare, report; exit status 0, or 1 where people were left out."""
    with one_sentence_for_bad_input():
        compared, output, machine, dashboard = parse_settings(
            (CompareSets, Output, Machine, Dashboard), argv, program="consistency.py",
            description=str(__doc__), leading="checkpoint",
        )  # fmt: skip
        return exit_status(consistency(compared, output, machine, dashboard))


def consistency(compared: CompareSets, output: Output, machine: Machine, dashboard: Dashboard) -> Results:
    """Distances of faces from different photographs of one person and of two, in results.json and tables.

    Raises:
        ValueError: if no number of photographs is given, or one twice.
    """
    machine, checkpoint = machine.resolved(), compared.checkpoint
    numbers = compared.photographs
    if not numbers or len(set(numbers)) < len(numbers):
        raise ValueError(f"--photographs must be different numbers, at least one, got {list(numbers)}")
    scored = what_is_scored(checkpoint, None, None)
    place = place_of(compared.data, KINDS)
    content = load_regressor(checkpoint)[1]
    require_data(place, development_list=True)
    settings = plain(scored.settings() | settings_of_options(compared) | {"data": str(place)})

    def compute(_: OutputFolder) -> Report:
        loaded = load_reconstructor(
            checkpoint, morphable_model=compared.morphable_model, device=machine.device
        ).readings["likeness"]
        sets = photograph_sets(
            place, loaded, most=compared.people, each=max(numbers), detector=compared.detector,
            cache_folder=machine.cache_folder, workers=machine.workers, progress=machine.progress,
        )  # fmt: skip
        if len(sets.names) < LEAST_PEOPLE:
            raise ValueError(
                f"{len(sets.names)} people have {2 * max(numbers)} photographs, at least {LEAST_PEOPLE} are "
                "needed; give fewer --photographs or more people"
            )
        return consistency_report(sets, loaded, scored.method, settings)

    return evaluate(
        COMMAND, settings, compute, inputs=[*read_for(checkpoint, compared.morphable_model), place.folder],
        output=output, layout=LAYOUT, notice=notice(place), dashboard=dashboard, checkpoint=content,
    )  # fmt: skip


def consistency_report(
    sets: PhotographSets, loaded: Reconstructor, name: str, settings: Mapping[str, Any]
) -> Report:
    """Rows by number of photographs, and a line for each person."""
    weights = weights_of_face(loaded.model)
    generator = np.random.default_rng(settings["seed"])
    rows: list[Row] = []
    table: dict[str, Any] = {"person": sets.names}
    errors: dict[str, np.ndarray] = {}
    for number in settings["photographs"]:
        protocol = protocol_of(number)
        for method, faces in methods_of(sets, loaded, name, number).items():
            distances = face_distances(faces.first, faces.others, weights)
            rows += rows_of(consistency_of(distances, generator), method, protocol, len(distances))
            table |= {f"{key}, {method}, {protocol}": values for key, values in by_person(distances).items()}
            if sets.true is not None:
                own = mean_error(loaded.model, sets.true, faces)
                rows += error_rows(own, errors.setdefault(method, own), method, protocol, settings["seed"])
                table[f"{ERROR}, {method}, {protocol}"] = own
    faces_used = np.concatenate([sets.first, sets.others], 1).ravel()
    checkpoint = settings["checkpoint"]
    title = labelled(
        f"Shapes by {checkpoint} from disjoint sets of photographs: {sets.people}"
        + trained_on(loaded.content, sets.dataset.faces.digest[faces_used]),
        sets.provenance["stand_in"],
    )
    used = len(sets.names)
    results = Results(
        COMMAND, title, settings, Counts(used + sum(sets.failed.values()), used, sets.failed), rows,
        provenance(
            checkpoint=checkpoint_entry(checkpoint, settings["checkpoint_sha256"], loaded.content),
            data=sets.provenance,
        ),
        sets.provenance["stand_in"],
    )  # fmt: skip
    return Report(results, {"people": pd.DataFrame(table)})


def protocol_of(number: int) -> str:
    """What a face is made from."""
    return "1 photograph" if number == 1 else f"{number} photographs"


def weights_of_face(model: MorphableModel) -> Tensor:
    """The area [V] of the mean face's vertices around its nose tip; none of those farther away."""
    mean = model.neutral_mean.view(1, -1, 3)
    nose = model.landmarks.on(mean)[0, NOSE_TIP].double().cpu().numpy()
    triangles = model.triangles.cpu().numpy()
    known = truth_of(mean[0].double().cpu().numpy(), triangles, Region(nose, FACE_RADIUS_MM))
    return torch.from_numpy(known.weights)


@torch.no_grad()
def methods_of(sets: PhotographSets, loaded: Reconstructor, name: str, number: int) -> dict[str, FacesOfSets]:
    """The checkpoint's faces in each of its readings, the same shuffled, and the mean face for everybody."""
    methods = {
        method: FacesOfSets(
            *(faces_of(sets, faces[:, :number], reading) for faces in (sets.first, sets.others))
        )
        for method, reading in loaded.named_readings(name).items()
    }
    own = methods[next(iter(methods))]
    mean = loaded.model.neutral_mean.view(1, -1, 3).cpu().expand_as(own.first)
    # Not only the others: a person's error must be that of a stranger's face, too.
    methods[SHUFFLED] = FacesOfSets(own.first.roll(1, 0), own.others.roll(2, 0))
    methods[MEAN_FACE] = FacesOfSets(mean, mean)
    return methods


def faces_of(sets: PhotographSets, faces: np.ndarray, reading: Reconstructor) -> Tensor:
    """Neutral faces [I, V, 3], each from the mean features of some faces of a person [I, N]."""
    features = sets.dataset.batch(faces.ravel()).features[reading.encoder.name]
    means = features.view(*faces.shape, -1).mean(1)
    shape = reading.coefficients(means).shape
    return torch.cat([reading.model.vertices(some).cpu() for some in shape.split(AT_ONCE)])


def rows_of(found: Consistency, method: str, protocol: str, people: int) -> list[Row]:
    """A row for each number of a consistency."""
    rows = []
    for key, (metric, unit) in METRICS.items():
        value, interval = getattr(found, key)
        if np.isnan(value):
            rows.append(Row(method, protocol, metric, unit, None, n=people, reason=ONE_FACE))
        else:
            rows.append(Row(method, protocol, metric, unit, value, interval=interval, n=people))
    return rows


def by_person(distances: np.ndarray) -> dict[str, np.ndarray]:
    """Each person's own distance and the mean one to the others' faces."""
    own, others = distances.diagonal(), len(distances) - 1
    return {"one person": own, "two people": (distances.sum(1) - own) / others}


def mean_error(model: MorphableModel, true: Tensor, faces: FacesOfSets) -> np.ndarray:
    """Each person's error [I] in mm against the truth after the best similarity, averaged over both faces."""
    found = shape_errors(model, true, faces._asdict())
    return np.mean(list(found.values()), axis=0)


def error_rows(errors: np.ndarray, first: np.ndarray, method: str, protocol: str, seed: int) -> list[Row]:
    """The mean error, and its change from the first number of photographs, paired over people."""
    chance = torch.Generator().manual_seed(seed)
    rows = []
    for metric, values in ((ERROR, errors), (CHANGE, errors - first)):
        interval = bootstrap_interval(values, chance)
        rows.append(
            Row(method, protocol, metric, "mm", float(values.mean()), interval=interval, n=len(values))
        )
    return rows


def blocks_of(results: Results) -> list[Block]:
    """A table for each number of photographs, and one of the errors where the true shapes are known."""
    tables: dict[str, list[Row]] = {}
    for row in results.rows:
        if row.metric not in (ERROR, CHANGE):
            tables.setdefault(row.protocol, []).append(row)
    errors = [row for row in results.rows if row.metric == ERROR]
    return [
        *(block_of(rows, f"A face from {protocol}, against others'") for protocol, rows in tables.items()),
        block_of(
            errors, "Error of the shape (mm), by number of photographs", column=lambda row: row.protocol
        ),
    ]


LAYOUT = Layout(blocks_of, "people")


if __name__ == "__main__":
    sys.exit(main())
