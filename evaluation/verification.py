"""Ten-fold verification on LFW: the proof that a network, its alignment and its preprocessing are right.

    python evaluation/verification.py --data lfw:DIR --network dlib

Prints accuracy at the threshold of the other folds (mean and its standard error), the area under the ROC
curve, and the true accept rate at fixed false accept rates, for each way to compare two faces. Writes
results.json, its tables and the ROC curves into the output folder.
"""

import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
    from lightning_modules.plain.interruption import end_when_interrupted

    end_when_interrupted()

import numpy as np
import pandas as pd
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from datamodules.alignment.crops import Selection
from datamodules.alignment.detection import DetectorName
from datamodules.lfw import LFW, PairList, PairTable
from evaluation.likeness import published_figures
from evaluation.metrics.all_pairs import all_pairs
from evaluation.metrics.verification import (
    Curve,
    area_under_curve,
    cross_validated_accuracy,
    roc,
    true_accept_rate_at,
)
from evaluation.reporting.blocks import Block, block_of, blocks_by_protocol
from evaluation.reporting.figures import Line, line_figure
from evaluation.reporting.provenance import network_entry, provenance
from evaluation.reporting.results import Counts, Results, Row, plain
from evaluation.shared.data_places import place_of
from evaluation.shared.judge import centre_of_photographs
from evaluation.shared.lifecycle import Layout, Report, evaluate, exit_status
from evaluation.shared.options import Machine, Output, settings_of_options
from evaluation.shared.present_inputs import require_centre, require_data, require_optional_file
from lightning_modules.plain.command_line import one_sentence_for_bad_input, parse_settings
from lightning_modules.plain.output_folder import OutputFolder
from lightning_modules.recognition.network import RecognitionNetwork
from lightning_modules.recognition.network_names import NetworkName, check_network, place_of_network
from lightning_modules.recognition.networks import load_network
from lightning_modules.recognition.similarity import Centre, centred, cosine_similarity
from lightning_modules.recognition.vggface import Descriptor

FALSE_ACCEPT_RATES = (0.001, 0.01)
# What the table leaves to results.csv: with the accuracies, means and threshold say nothing new.
DETAILS = ("threshold", "mean, one person", "mean, two people")


def blocks_of(results: Results) -> list[Block]:
    """A line a way of comparing; the judge's calibration, if there is one, in a table of its own."""
    calibration = [row for row in results.rows if row.protocol == published_figures.ALL_PAIRS]
    compared = [row for row in results.rows if row.protocol != published_figures.ALL_PAIRS]
    return [
        block_of(
            [row for row in compared if row.metric not in DETAILS],
            compared[0].protocol.partition(", ")[0],
            corner="Network",
            line=lambda row: f"{row.method}, {row.protocol.partition(', ')[2]}",
        ),
        *blocks_by_protocol(results._replace(rows=calibration)),
    ]


LAYOUT = Layout(blocks_of, "pairs", "standard error over the folds")


@dataclass(frozen=True)
class VerifiedNetwork:
    """Which network is verified on which pairs.

    Attributes:
        network: dlib, sface, facenet, vggface, arcface:FILE, onnx:FILE or torch:FILE.
        data: LFW's folder, as lfw:DIR or DIR; by default what LFW_DIR or the configuration file names.
        weights: the weight file, where it does not lie in its usual place.
        descriptor_layer: of vggface: fc6, fc6-relu, fc7 or fc7-relu.
        pairs: pairs is the test; pairsDevTrain and pairsDevTest are for development, split into ten folds.
        centre_from: a folder of training photographs; their mean embedding is subtracted in one more row.
        detector: yunet or mtcnn.
        faces: which face of a photograph.
    """

    network: NetworkName
    data: str | None = None
    weights: Path | None = None
    descriptor_layer: Descriptor = "fc7-relu"
    pairs: PairList = "pairs"
    centre_from: Path | None = None
    detector: DetectorName = "yunet"
    faces: Selection = "central"


def main(argv: Sequence[str] | None = None) -> int:
    """Parse, verify, report; the exit status is 0, or 1 where pairs had no face."""
    with one_sentence_for_bad_input():
        verified, output, machine = parse_settings(
            (VerifiedNetwork, Output, Machine), argv, program="verification.py", description=str(__doc__)
        )
        return exit_status(verify(verified, output, machine))


def verify(verified: VerifiedNetwork, output: Output, machine: Machine) -> Results:
    """Ten-fold verification on LFW: accuracy, ROC and their table, in results.json."""
    machine = machine.resolved()
    place = place_of(verified.data, ("lfw",))
    if place.is_stand_in:
        raise ValueError("verification needs LFW's pairs; give --data lfw:DIR, or set LFW_DIR")
    require_data(place)
    require_centre(verified.centre_from)
    check_network(verified.network)
    require_optional_file(verified.weights, f"the weights of {verified.network}")
    settings = plain(settings_of_options(verified) | {"data": str(place)})

    def compute(_: OutputFolder) -> Report:
        loaded = load_network(verified.network, verified.weights, descriptor_layer=verified.descriptor_layer)
        loaded.to(machine.device)
        options: dict[str, Any] = {
            "detector": verified.detector, "cache_folder": machine.cache_folder,
            "workers": machine.workers, "progress": machine.progress,
        }  # fmt: skip
        lfw = LFW(place.folder, [loaded], faces=verified.faces, **options)
        lfw.prepare_data()
        lfw.setup()
        centre = None
        if verified.centre_from is not None:
            centre = centre_of_photographs(verified.centre_from, loaded, **options)
        return verification_report(lfw, loaded, settings, centre)

    return evaluate(
        "verification",
        settings,
        compute,
        inputs=[
            place.folder,
            verified.weights,
            place_of_network(verified.network),
            verified.centre_from,
        ],
        output=output,
        layout=LAYOUT,
    )


def verification_report(
    lfw: LFW, network: RecognitionNetwork, settings: Mapping[str, Any], centre: Centre | None
) -> Report:
    """The results of scoring the settings' pairs, and the ROC of each way of comparing."""
    table = in_ten_folds(lfw.pairs(settings["pairs"]))
    usable = (table.first >= 0) & (table.second >= 0)
    scored = PairTable(*(field[usable] for field in table))
    descriptors = lfw.dataset.descriptors(network.name, np.arange(len(lfw.dataset)))
    rows, curves = [], {}
    for name, similarity in similarities(scored, descriptors, centre):
        curves[name] = roc(similarity, scored.same)
        rows += accuracy_rows(network, f"LFW {settings['pairs']}, {name}", similarity, scored, curves[name])
    if network.name == "vggface":
        pairs = all_pairs(centred(descriptors, None), lfw.identity, thresholds=[published_figures.SIMILARITY])
        rows += published_figures.calibration(pairs, network.name).rows
    results = Results(
        command="verification",
        title=f"LFW {settings['pairs']}: verification with {network.name}"
        + (f" ({settings['descriptor_layer']})" if network.name == "vggface" else "")
        + ("" if centre is None else f", centre of {centre.count:,} photographs"),
        settings=settings,
        counts=Counts(
            len(usable), int(usable.sum()), {} if usable.all() else {"no face": int((~usable).sum())}
        ),
        rows=rows,
        provenance=provenance(network=network_entry(network.name, network.sha256), data=lfw.provenance()),
    )
    return Report(results, {"roc": curve_table(curves)}, {"roc": curve_figure(results.title, curves)[0]})


def similarities(
    pairs: PairTable, descriptors: Tensor, centre: Centre | None
) -> Iterator[tuple[str, np.ndarray]]:
    """The ways to compare two faces: dlib's own Euclidean distance (negated), cosine, centred cosine."""
    first, second = descriptors[pairs.first], descriptors[pairs.second]
    yield "Euclidean", -(first - second).norm(dim=1).numpy()
    yield "cosine", cosine_similarity(first, second).numpy()
    if centre is not None:
        units = torch.nn.functional.normalize(descriptors, dim=1)
        yield "centred cosine", cosine_similarity(units[pairs.first], units[pairs.second], centre).numpy()


def accuracy_rows(
    network: RecognitionNetwork, protocol: str, similarity: np.ndarray, pairs: PairTable, curve: Curve
) -> list[Row]:
    """Rows for one way of comparing; the accuracy's `sd` is its standard error over the folds."""
    accuracy = cross_validated_accuracy(similarity, pairs.same, pairs.fold)
    count = len(similarity)
    values = [
        ("accuracy", "share", accuracy.mean, accuracy.standard_error),
        ("threshold", "similarity", float(accuracy.thresholds.mean()), None),
        ("area under ROC", "share", area_under_curve(curve), None),
        *(
            (f"true accepts at {rate:g} false", "share", true_accept_rate_at(curve, rate), None)
            for rate in FALSE_ACCEPT_RATES
        ),
        ("mean, one person", "similarity", float(similarity[pairs.same].mean()), None),
        ("mean, two people", "similarity", float(similarity[~pairs.same].mean()), None),
    ]
    return [Row(network.name, protocol, *value, n=count) for value in values]


def in_ten_folds(pairs: PairTable) -> PairTable:
    """The pairs, those of a development list dealt to ten folds, each with its share of both kinds."""
    if len(np.unique(pairs.fold)) > 1:
        return pairs
    fold = np.zeros(len(pairs.fold), np.int64)
    for kind in (True, False):
        fold[pairs.same == kind] = np.arange((pairs.same == kind).sum()) % 10
    return pairs._replace(fold=fold)


def curve_table(curves: Mapping[str, Curve]) -> pd.DataFrame:
    """Every point of every curve."""
    return pd.concat(
        [pd.DataFrame(curve._asdict()).assign(comparison=name) for name, curve in curves.items()]
    )[["comparison", *Curve._fields]]


def curve_figure(title: str, curves: Mapping[str, Curve]) -> tuple[Figure, Axes]:
    """The curves, false accepts on a logarithmic scale."""
    figure, axes = line_figure(
        title,
        "false accepts (share of pairs of two people)",
        "true accepts (share of pairs of one person)",
        [Line(name, curve.false_accept_rate, curve.true_accept_rate) for name, curve in curves.items()],
    )
    axes.set_xscale("log")
    return figure, axes


if __name__ == "__main__":
    sys.exit(main())
