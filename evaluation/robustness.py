"""How far the reconstructed face moves when its photograph is damaged (section 4.5, Figures 6 and 7).

    python evaluation/robustness.py final.ckpt --data lfw:DIR
    python evaluation/robustness.py final.ckpt --data photographs:DIR

Thirteen kinds of damage at five strengths each: things before the face, image quality, light and colour,
turns in the plane, and non-photorealistic filters. What they make are filtered photographs, no artwork; a
folder of artwork goes where photographs go. Every damaged photograph is detected and aligned anew. How far
coefficients, mesh (mm) and the judge's similarities move stands beside the same between two photographs of
one person and between different people. The pictures show the photographs: they stay with whoever has those.
"""

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
    from lightning_modules.plain.interruption import end_when_interrupted

    end_when_interrupted()

import numpy as np
import torch

from datamodules.alignment.detection import DetectorName, load_detector
from datamodules.long_work.progress import progress_bar
from datamodules.photograph_digests import trained_on
from evaluation.damage.movements import LAYOUT, figures_of, movements_of, rows_of, table_of
from evaluation.damage.photograph_pairs import DamagedPeople, people_of
from evaluation.damage.pictures import draw_pictures
from evaluation.damage.responses import Responses, respond, versions_of
from evaluation.reporting.provenance import checkpoint_entry, network_entry, provenance
from evaluation.reporting.results import Counts, Results
from evaluation.shared.data_places import notice, place_of
from evaluation.shared.judge import (
    judge_name,
    kept_centre,
    settings_of_retouching,
    shows_retouched,
    written_retouching,
)
from evaluation.shared.lifecycle import Report, evaluate, exit_status
from evaluation.shared.options import NO_SETTING, Dashboard, Machine, Output, settings_of_options
from evaluation.shared.present_inputs import require_data
from evaluation.shared.scored_method import what_is_scored
from lightning_modules.checkpoints import load_regressor
from lightning_modules.plain.command_line import one_sentence_for_bad_input, parse_settings
from lightning_modules.plain.number_types import AtLeastTwo, NonNegativeInt, SeedInt
from lightning_modules.plain.output_folder import OutputFolder
from lightning_modules.plain.stand_in_label import labelled
from lightning_modules.recognition.network import RecognitionNetwork
from lightning_modules.recognition.network_names import NetworkName, place_of_network
from lightning_modules.recognition.networks import load_network
from lightning_modules.recognition.similarity import Centre
from lightning_modules.reconstruction import Reconstructor, load_reconstructor, read_for

COMMAND = "robustness"
KINDS = ("lfw", "photographs")
PARTIAL = "responses"  # folder of finished photographs, from which a stopped run goes on


@dataclass(frozen=True)
class DamagedPhotographs:
    """Whose reconstructions of which photographs are measured, by which judge.

    Attributes:
        checkpoint: what ablations/run.py wrote.
        data: lfw:DIR (people outside peopleDevTrain), photographs:DIR (one person or artwork each), or
            stand-in; without it where LFW_DIR or the configuration says, else the stand-in.
        people: at most so many, taken evenly.
        judge: the network that compares; the checkpoint's own judge by default.
        allow_training_network: let the checkpoint's own network judge.
        centred: subtract the judge's centre, which the checkpoint keeps, before cosines.
        retouched: whether faces are softened, and black above the forehead, before the judge sees them; by
            default as in the checkpoint's training.
        detector: yunet or mtcnn.
        pictures: people that the pictures show; 0 draws none.
        seed: of what is drawn at random.
        morphable_model: where the checkpoint's morphable model lies, if elsewhere than in training.
    """

    checkpoint: Path = field(metadata=NO_SETTING)  # its content is one
    data: str | None = None
    people: AtLeastTwo = 100
    judge: NetworkName | None = None
    allow_training_network: bool = field(default=False, metadata=NO_SETTING)
    centred: bool = False
    retouched: bool | None = field(default=None, metadata=NO_SETTING)  # what it means is one
    detector: DetectorName = "yunet"
    pictures: NonNegativeInt = field(default=6, metadata=NO_SETTING)
    seed: SeedInt = 0
    morphable_model: str | None = field(default=None, metadata=NO_SETTING)


def main(argv: Sequence[str] | None = None) -> int:
    """Parse, measure, report; exit status 0, or 1 where photographs failed."""
    with one_sentence_for_bad_input():
        damaged, output, machine, dashboard = parse_settings(
            (DamagedPhotographs, Output, Machine, Dashboard), argv, program="robustness.py",
            description=str(__doc__), leading="checkpoint",
        )  # fmt: skip
        return exit_status(robustness(damaged, output, machine, dashboard))


def robustness(
    damaged: DamagedPhotographs, output: Output, machine: Machine, dashboard: Dashboard
) -> Results:
    """Measure how far reconstructed faces move when their photographs are damaged."""
    machine, checkpoint = machine.resolved(), damaged.checkpoint
    people, seed, detector = damaged.people, damaged.seed, damaged.detector
    scored = what_is_scored(checkpoint, None, None)
    place = place_of(damaged.data, KINDS)
    content = load_regressor(checkpoint)[1]
    name = judge_name(damaged.judge, content, allow_training_network=damaged.allow_training_network)
    require_data(place, development_list=True)
    retouched = shows_retouched(damaged.retouched, content)
    settings = scored.settings() | settings_of_options(damaged) | {"data": str(place), "judge": name}
    settings |= settings_of_retouching(retouched)

    def compute(folder: OutputFolder) -> Report:
        loaded = load_reconstructor(
            checkpoint, morphable_model=damaged.morphable_model, device=machine.device
        )
        network = load_network(name).to(machine.device)
        centre = centre_of(loaded, network) if damaged.centred else None
        chosen = people_of(
            place,
            loaded.model,
            most=people,
            detector=detector,
            cache_folder=machine.cache_folder,
            workers=machine.workers,
            progress=machine.progress,
        )
        respond_to = partial(
            respond, loaded=loaded, judge=network, detector=load_detector(detector), retouched=retouched
        )
        responses = responses_of(chosen, respond_to, folder.below(PARTIAL), seed)
        report = movement_report(chosen, responses, loaded, network, centre, settings)
        if damaged.pictures:
            # Below the folder itself, whose pictures --wandb sends: these show photographs.
            draw_pictures(
                chosen,
                responses,
                loaded,
                folder.below("pictures"),
                checkpoint=checkpoint.name,
                seed=seed,
                most=damaged.pictures,
            )
        return report

    return evaluate(
        COMMAND, settings, compute,
        inputs=[*read_for(checkpoint, damaged.morphable_model), place.folder, place_of_network(name)],
        output=output, layout=LAYOUT, notice=notice(place), dashboard=dashboard, checkpoint=content,
    )  # fmt: skip


def centre_of(loaded: Reconstructor, judge: RecognitionNetwork) -> Centre:
    """The judge's centre over the checkpoint's training photographs.

    Raises:
        ValueError: if the checkpoint keeps none.
    """
    centre = kept_centre(loaded.content, judge)
    if centre is None:
        raise ValueError(f"the checkpoint keeps no centre of {judge.name}; leave --centred out")
    return centre


def responses_of(
    people: DamagedPeople,
    respond_to: Callable[[Sequence[np.ndarray]], Responses],
    folder: OutputFolder,
    seed: int,
) -> dict[int, Responses]:
    """The responses to each person's photographs, by face of the data set; written ones are read."""
    faces = [(face, True) for face in people.first] + [(face, False) for face in people.second]
    responses = {}
    with progress_bar("Damaged photographs", len(faces)) as advance:
        for face, damaged in faces:
            digest = people.dataset.faces.digest[face].tobytes().hex()
            name = f"{digest}-{people.dataset.faces.face[face]}-{'all' if damaged else 'clean'}.npz"
            written = Responses.load(folder.path / name)
            if written is None:
                versions = versions_of(people.dataset, face, seed, damaged=damaged)
                written = respond_to(list(versions))
                written.save(folder.claim(name))
            responses[int(face)] = written
            advance(1)
    return responses


def movement_report(
    people: DamagedPeople,
    responses: Mapping[int, Responses],
    loaded: Reconstructor,
    judge: RecognitionNetwork,
    centre: Centre | None,
    settings: Mapping[str, Any],
) -> Report:
    """The rows, the table of photographs and the figures."""
    lost = sum(not responses[int(face)].found[0] for face in people.first)
    failed = dict(people.failed) | ({"not found again in its own crop": lost} if lost else {})
    name, sha256 = settings["checkpoint"], settings["checkpoint_sha256"]
    movements = movements_of(people, responses, loaded, centre)
    rows = rows_of(movements, Path(name).stem, torch.Generator().manual_seed(settings["seed"]))
    found = [int(face) for face in people.first if responses[int(face)].found[0]]
    items = table_of(movements, [str(people.dataset.path(face)) for face in found])
    title = f"Movement of faces by {name} when photographs are damaged, judged by {judge.name}" + (
        "" if centre is None else f", centre of {centre.count:,} photographs"
    )
    title += written_retouching(settings.get("retouched", True))
    title += trained_on(loaded.content, people.dataset.faces.digest[[*people.first, *people.second]])
    results = Results(
        command=COMMAND,
        title=labelled(title, people.provenance["stand_in"]),
        settings=settings,
        counts=Counts(len(people.first) + sum(people.failed.values()), len(found), failed),
        rows=rows,
        provenance=provenance(
            checkpoint=checkpoint_entry(name, sha256, loaded.content),
            judge=network_entry(judge.name, judge.sha256),
            data=people.provenance,
        ),
        stand_in=people.provenance["stand_in"],
    )
    return Report(results, {"photographs": items}, figures_of(movements, results.title))


if __name__ == "__main__":
    sys.exit(main())
