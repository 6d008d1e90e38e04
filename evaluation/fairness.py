"""A checkpoint on synthetic faces whose ethnicity, gender, age and skin tone are known.

    python evaluation/fairness.py run.ckpt

People are drawn from the sliders that the open model is made of and photographed as the stand-in's are. By
slider group, with intervals and counts: the error of the shape against the known truth in mm, the judge's
similarity of photograph and rendering, and by how much the skin's tone comes out too light or too dark,
beside the mean face, other people's faces and the true face. For photographs of people see --groups of
similarity.py, clustering.py and micc.py.

Writes results.json, its tables, a line for each face, a line for each group, and the figure.
"""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
    from lightning_modules.plain.interruption import end_when_interrupted

    end_when_interrupted()

import numpy as np
import pandas as pd
import torch
from scipy.stats import spearmanr

from datamodules.cheeks import cheek_colours
from datamodules.slider_people import SliderPeople
from evaluation.groups.group_blocks import blocks_with_groups
from evaluation.groups.panel import Measurement, panel_of
from evaluation.known_truth.slider_groups import slider_groupings
from evaluation.known_truth.slider_scores import (
    TrueFaces,
    angles_of,
    made_by,
    measurements_of,
    photographs_of,
    truth_of_people,
)
from evaluation.likeness.comparison import failures
from evaluation.likeness.rendering_embeddings import Embedded, embed_reconstructions
from evaluation.metrics.group_means import LEAST_PEOPLE
from evaluation.metrics.grouping import Grouping
from evaluation.reporting.provenance import network_entry, provenance
from evaluation.reporting.results import Counts, Results, Row, plain
from evaluation.shared.judge import (
    judge_name,
    settings_of_retouching,
    shows_retouched,
    written_retouching,
)
from evaluation.shared.lifecycle import Layout, Report, evaluate, exit_status
from evaluation.shared.options import NO_SETTING, Machine, Output, settings_of_options
from lightning_modules.checkpoints import load_regressor
from lightning_modules.faces.loading import load_morphable_model
from lightning_modules.faces.open_model.identities import ETHNICITIES, Identities
from lightning_modules.plain.command_line import one_sentence_for_bad_input, parse_settings
from lightning_modules.plain.files import sha256_of_file
from lightning_modules.plain.number_types import AtLeastTwo, SeedInt
from lightning_modules.plain.output_folder import OutputFolder
from lightning_modules.plain.stand_in_label import labelled
from lightning_modules.recognition.network import RecognitionNetwork
from lightning_modules.recognition.network_names import NetworkName, place_of_network
from lightning_modules.recognition.networks import load_network
from lightning_modules.reconstruction import Reconstructor, load_reconstructor, read_for

COMMAND = "fairness"
LAYOUT = Layout(blocks_with_groups, "people", "standard deviation over people")
NOTICE = labelled(
    "synthetic people, drawn from artists' sliders; people of these names may fare differently", stand_in=True
)
KEPT = ("stage", "morphable_model", "networks", "commit", "training_data")


@dataclass(frozen=True)
class KnownPeople:
    """Who is scored on which people, by which judge.

    Attributes:
        checkpoint: of ablations/run.py, trained with the open model.
        people: how many are drawn.
        smallest_group: groups of fewer people are shown but not compared.
        judge: dlib, sface, facenet or vggface; by default the checkpoint's own judge, or sface.
        retouched: whether faces are softened, and black above the forehead, before the judge sees them; by
            default as in the checkpoint's training.
        seed: of the people and their photographs.
    """

    checkpoint: Path = field(metadata=NO_SETTING)  # its content is one
    people: AtLeastTwo = 300
    smallest_group: AtLeastTwo = LEAST_PEOPLE
    judge: NetworkName | None = None
    retouched: bool | None = field(default=None, metadata=NO_SETTING)  # what it means is one
    seed: SeedInt = 0


def main(argv: Sequence[str] | None = None) -> int:
    """Parse, score, report; the exit status is 0, or 1 where a photograph shows no face."""
    with one_sentence_for_bad_input():
        known, output, machine = parse_settings(
            (KnownPeople, Output, Machine), argv, program="fairness.py", description=str(__doc__),
            leading="checkpoint",
        )  # fmt: skip
        return exit_status(fairness(known, output, machine))


def fairness(known: KnownPeople, output: Output, machine: Machine) -> Results:
    """Errors of shape, similarity and tone by slider group, in results.json, tables and a figure."""
    machine, checkpoint = machine.resolved(), known.checkpoint
    content = load_regressor(checkpoint)[1]
    judge, retouched = judge_name(known.judge, content), shows_retouched(known.retouched, content)
    of_checkpoint = {"checkpoint_sha256": sha256_of_file(checkpoint), "method": checkpoint.stem}
    settings = plain(of_checkpoint | settings_of_options(known) | settings_of_retouching(retouched))

    def compute(_: OutputFolder) -> Report:
        loaded = load_reconstructor(checkpoint, device=machine.device).readings["likeness"]
        chosen = load_network(judge).to(machine.device)
        people = photographed(loaded, chosen, known, machine)
        return fairness_report(loaded, chosen, people, settings, machine)

    return evaluate(
        COMMAND, settings, compute, inputs=[*read_for(checkpoint, None), place_of_network(judge)],
        output=output, layout=LAYOUT, notice=NOTICE,
    )  # fmt: skip


def photographed(
    loaded: Reconstructor, judge: RecognitionNetwork, known: KnownPeople, machine: Machine
) -> SliderPeople:
    """The people, photographed, aligned, with their features.

    Raises:
        ValueError: if the checkpoint was not trained with the open model, or fewer than two faces are found.
    """
    model = load_morphable_model("open")
    if loaded.model.provenance.sha256 != model.provenance.sha256:
        raise ValueError(
            f"the sliders are those of {model.provenance.name}, and the checkpoint was trained with "
            f"{loaded.model.provenance.name}; give one that was trained with `open`"
        )
    networks = list({network.name: network for network in (judge, loaded.encoder)}.values())
    people = SliderPeople(
        model, networks, count=known.people, seed=known.seed, cache_folder=machine.cache_folder,
        workers=machine.workers, progress=machine.progress,
    )  # fmt: skip
    people.prepare_data()
    people.setup()
    if len(people.dataset) < 2:
        raise ValueError(f"{len(people.dataset)} of the photographs show a face, at least 2 are needed")
    return people


def fairness_report(
    loaded: Reconstructor,
    judge: RecognitionNetwork,
    people: SliderPeople,
    settings: Mapping[str, Any],
    machine: Machine,
) -> Report:
    """Everything, over the people whose photograph shows a face and whose reconstruction can be rendered."""
    retouched = settings.get("retouched", True)
    rendered = embed_reconstructions(
        loaded, settings["checkpoint_sha256"], people.dataset, judge, np.arange(len(people.dataset)),
        retouched=retouched, cache_folder=machine.cache_folder, progress=machine.progress,
    )  # fmt: skip
    usable = np.flatnonzero(rendered.usable)
    numbers = people.dataset.faces.photograph[usable]
    truth = truth_of_people(people, judge, numbers, retouched=retouched)
    seen = rendered.embeddings[torch.from_numpy(usable)]
    made = made_by(loaded, judge, people, usable, seen, retouched=retouched)
    photographs = photographs_of(people, judge, usable)
    measurements = measurements_of(settings["method"], people, photographs, truth, made)
    sliders = Identities(*(part[numbers] for part in people.cast.sliders))
    groupings = slider_groupings(sliders, truth.cheeks)
    title = labelled(
        f"{settings['method']} on {len(usable)} synthetic people of known sliders, judged by {judge.name}"
        f"{written_retouching(retouched)}",
        stand_in=True,
    )
    panel = panel_of(
        measurements, groupings, numbers, title=title, least_people=settings["smallest_group"], items="people"
    )
    failed = failures(people, rendered, whole=True)
    rows = [tone_row(people, usable, truth, measurements[0].protocol), *whole_rows(measurements), *panel.rows]
    results = Results(
        COMMAND, title, settings, Counts(people.count, people.count - sum(failed.values()), failed), rows,
        provenance(checkpoint={name: loaded.content[name] for name in KEPT if name in loaded.content},
                   judge=network_entry(judge.name, judge.sha256), data=people.provenance()),
        stand_in=True,
    )  # fmt: skip
    items = {"people": items_of(people, rendered, measurements, groupings), "groups": panel.table}
    return Report(results, items, {"groups": panel.figure})


def tone_row(people: SliderPeople, usable: np.ndarray, truth: TrueFaces, protocol: str) -> Row:
    """How far a photograph's skin tone follows that of the albedo: what bands by photograph are worth."""
    colours = cheek_colours(people.dataset, usable, progress=False)
    value = float(spearmanr(angles_of(colours), angles_of(truth.cheeks)).statistic)
    return Row("photographs", protocol, "rank correlation of ITA with the albedo's", "", value, n=len(usable))


def whole_rows(measurements: Sequence[Measurement]) -> list[Row]:
    """The mean over all people, with the standard deviation over them."""
    return [
        Row(m.method, m.protocol, m.metric, m.unit, float(m.values.mean()), float(m.values.std(ddof=1)),
            n=len(m.values))
        for m in measurements
    ]  # fmt: skip


def items_of(
    people: SliderPeople,
    rendered: Embedded,
    measurements: Sequence[Measurement],
    groupings: Sequence[Grouping],
) -> pd.DataFrame:
    """A line for each person: sliders, groups, figures, or why there are none."""
    faces, cast = people.dataset.faces, people.cast.sliders
    frame = pd.DataFrame({"photograph": [path.stem for path in people.dataset.paths]})
    frame[list(ETHNICITIES)] = cast.ethnicity
    frame["gender"], frame["age"], frame["reason"] = cast.gender, cast.age, None
    reasons = dict(faces.failures) | {
        int(number): reason
        for number, reason in zip(faces.photograph, rendered.reasons, strict=True)
        if reason
    }
    frame["reason"] = [reasons.get(number) for number in range(len(frame))]
    numbers = faces.photograph[rendered.usable]
    for groups in groupings:
        frame.loc[numbers, groups.label] = np.array(groups.names)[groups.group]
    for m in measurements:
        frame.loc[numbers, f"{m.metric}, {m.method}"] = m.values
    return frame


if __name__ == "__main__":
    sys.exit(main())
