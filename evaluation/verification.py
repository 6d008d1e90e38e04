"""Ten-fold verification on LFW: the proof that a network, its alignment and its preprocessing are right.

    python evaluation/verification.py --data lfw:DIR --network dlib

Prints accuracy at the threshold of the other folds (mean and its standard error), the area under the ROC
curve, and the true accept rate at fixed false accept rates, for each way to compare two faces. Writes
results.json and the ROC curves into the output folder.
"""

import csv
import json
import platform
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jsonargparse import ArgumentParser
from rich.console import Console
from rich.table import Table
from torch import Tensor

from datamodules.alignment import Selection
from datamodules.detection import DetectorName
from datamodules.lfw import LFW, PairList, PairTable, same_person_pairs
from datamodules.photographs import Photographs
from evaluation.metrics.verification import (
    Curve,
    area_under_curve,
    cross_validated_accuracy,
    roc,
    share_below,
    true_accept_rate_at,
)
from lightning_modules.recognition.network import RecognitionNetwork
from lightning_modules.recognition.networks import NetworkName, load_network
from lightning_modules.recognition.similarity import Centre, centred, cosine_similarity, estimate_centre
from lightning_modules.recognition.vggface import Descriptor

FALSE_ACCEPT_RATES = (0.001, 0.01)
# Genova et al. 2018, section 5: their mean similarity on MoFA-Test, and the shares of LFW's pairs that score
# below it (one person) and above it (two).
CALIBRATION_SIMILARITY, CALIBRATION_SAME_BELOW, CALIBRATION_DIFFERENT_ABOVE = 0.403, 0.227, 0.0004


@dataclass(frozen=True)
class Settings:
    """What is verified, and how.

    Attributes:
        data: LFW's folder, as lfw:DIR or DIR.
        network: dlib, sface, facenet or vggface.
        weights: the weight file, where it does not lie in its usual place.
        descriptor_layer: of vggface: fc6, fc6-relu, fc7 or fc7-relu.
        pairs: pairs is the test; pairsDevTrain and pairsDevTest are for development, split into ten folds.
        centre_from: a folder of training photographs; their mean embedding is subtracted in one more row.
        detector: yunet or mtcnn.
        faces: which face of a photograph.
        output: folder of the results; runs/verification/<digest of the settings> by default.
        overwrite: compute anew although the output folder is finished.
        device: of the network: cpu, cuda, ...
        cache_folder: of aligned faces and features; the user's cache folder by default.
        workers: processes that align; all cores by default.
    """

    data: str
    network: NetworkName
    weights: Path | None = None
    descriptor_layer: Descriptor = "fc7-relu"
    pairs: PairList = "pairs"
    centre_from: Path | None = None
    detector: DetectorName = "yunet"
    faces: Selection = "central"
    output: Path | None = None
    overwrite: bool = False
    device: str = "cpu"
    cache_folder: Path | None = None
    workers: int | None = None

    def identity(self) -> dict[str, Any]:
        """The settings that the result depends on."""
        without = {"output", "overwrite", "device", "cache_folder", "workers"}
        return {name: _plain(value) for name, value in asdict(self).items() if name not in without}

    def output_folder(self) -> Path:
        """Where the results go."""
        digest = sha256(json.dumps(self.identity(), sort_keys=True).encode()).hexdigest()[:12]
        return self.output or Path("runs") / "verification" / digest


def main(arguments: list[str] | None = None) -> int:
    """Parse, verify, report; the exit status is 0, 1 where pairs had no face, or 2 for bad input."""
    parser = ArgumentParser(prog="verification.py", description=__doc__)
    parser.add_argument("--config", action="config", help="a YAML file of options")
    parser.add_class_arguments(Settings, as_group=False)
    options = parser.parse_args(spelled(sys.argv[1:] if arguments is None else arguments))
    settings = Settings(**{field.name: options[field.name] for field in fields(Settings)})
    console = Console()
    try:
        results = finished_results(settings) or verify(settings, console)
    except (ValueError, OSError, ImportError) as error:
        console.print(f"[red]error:[/red] {error}", highlight=False, soft_wrap=True)
        return 2
    print_results(results, console)
    console.print(f"written: {settings.output_folder() / 'results.json'}, roc.csv beside it", soft_wrap=True)
    return 1 if results["counts"]["failed"] else 0


def spelled(arguments: list[str]) -> list[str]:
    """Options as the parser spells them: --centre-from as --centre_from, --overwrite as --overwrite=true."""
    result = []
    for argument in arguments:
        name, equals, value = argument.partition("=")
        if name.startswith("--"):
            name = "--" + name[2:].replace("-", "_")
        result.append("--overwrite=true" if argument == "--overwrite" else name + equals + value)
    return result


def finished_results(settings: Settings) -> dict[str, Any] | None:
    """The results that lie in the output folder, if any.

    Raises:
        ValueError: if they were computed with other settings.
    """
    file = settings.output_folder() / "results.json"
    if settings.overwrite or not file.is_file():
        return None
    results = json.loads(file.read_text())
    if results["settings"] != settings.identity():
        raise ValueError(f"{file} was computed with other settings; name another --output, or --overwrite")
    return results


def verify(settings: Settings, console: Console) -> dict[str, Any]:
    """Align, compute embeddings, score the pairs, write the results."""
    network = load_network(settings.network, settings.weights, descriptor_layer=settings.descriptor_layer)
    network.to(settings.device)
    options = {
        "detector": settings.detector,
        "cache_folder": settings.cache_folder,
        "workers": settings.workers,
    }
    data = LFW(Path(settings.data.removeprefix("lfw:")), [network], faces=settings.faces, **options)
    data.prepare_data()
    data.setup()
    centre = None
    if settings.centre_from is not None:
        photographs = Photographs(settings.centre_from, [network], **options)
        photographs.prepare_data()
        photographs.setup()
        everyone = photographs.dataset.batch(np.arange(len(photographs.dataset)))
        centre = estimate_centre(
            everyone.embeddings[network.name],
            network=network.name,
            sha256=network.sha256,
            source=str(settings.centre_from),
        )
    table = in_ten_folds(data.pairs(settings.pairs))
    usable = (table.first >= 0) & (table.second >= 0)
    descriptors = data.dataset.descriptors(network.name, np.arange(len(data.dataset)))
    rows, curves = [], {}
    scored = PairTable(*(field[usable] for field in table))
    for name, similarity in similarities(scored, descriptors, centre):
        curves[name] = roc(similarity, scored.same)
        rows += accuracy_rows(network, f"LFW {settings.pairs}, {name}", similarity, scored, curves[name])
    if network.name == "vggface":
        rows += calibration_rows(network, data, descriptors)
    failed = {"no face": int((~usable).sum())} if not usable.all() else {}
    results = {
        "schema": 1,
        "command": "verification",
        "stand_in": False,
        "title": f"LFW {settings.pairs}: verification with {network.name}"
        + (f" ({settings.descriptor_layer})" if network.name == "vggface" else "")
        + ("" if centre is None else f", centre of {centre.count:,} photographs"),
        "provenance": provenance(network, data),
        "settings": settings.identity(),
        "counts": {"total": len(usable), "used": int(usable.sum()), "failed": failed},
        "rows": rows,
    }
    write(results, curves, settings.output_folder())
    return results


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
) -> list[dict[str, Any]]:
    """Rows of the results for one way of comparing."""
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
    return [row(network.name, protocol, *value, count) for value in values]


def calibration_rows(network: RecognitionNetwork, data: LFW, descriptors: Tensor) -> list[dict[str, Any]]:
    """Over all pairs of LFW: the numbers by which the paper's set-up can be told from another."""
    units = centred(descriptors, None)
    same = same_person_pairs(data.identity)
    same_scores = (units[same[:, 0]] * units[same[:, 1]]).sum(1).numpy()
    above, total, sum_of_scores = 0, 0, 0.0
    identity = torch.from_numpy(data.identity)
    for start in range(0, len(units), 1000):
        block = units[start : start + 1000] @ units.T
        later = torch.arange(len(units)) > torch.arange(start, start + len(block))[:, None]
        different = block[later & (identity[start : start + 1000, None] != identity)]
        above += int((different > CALIBRATION_SIMILARITY).sum())
        total += len(different)
        sum_of_scores += float(different.double().sum())
    protocol = "LFW, all pairs"
    one, two = f"one person, below {CALIBRATION_SIMILARITY}", f"two people, above {CALIBRATION_SIMILARITY}"
    paper = "Genova et al. 2018"
    below = share_below(same_scores, CALIBRATION_SIMILARITY)
    mean = float(same_scores.mean())
    return [
        row(network.name, protocol, one, "share", below, None, len(same)),
        row(paper, protocol, one, "share", CALIBRATION_SAME_BELOW, None, None, quoted=True),
        row(network.name, protocol, two, "share", above / total, None, total),
        row(paper, protocol, two, "share", CALIBRATION_DIFFERENT_ABOVE, None, None, quoted=True),
        row(network.name, protocol, "mean, one person", "similarity", mean, None, len(same)),
        row(network.name, protocol, "mean, two people", "similarity", sum_of_scores / total, None, total),
    ]


def row(
    method: str,
    protocol: str,
    metric: str,
    unit: str,
    value: float,
    error: float | None,
    count: int | None,
    *,
    quoted: bool = False,
) -> dict[str, Any]:
    """One row of results.json; `sd` holds the standard error of the mean over folds."""
    return {
        "method": method,
        "quoted": quoted,
        "protocol": protocol,
        "metric": metric,
        "unit": unit,
        "value": value,
        "sd": error,
        "interval": None,
        "n": count,
    }


def in_ten_folds(pairs: PairTable) -> PairTable:
    """The pairs, those of a development list dealt to ten folds, each with its share of both kinds."""
    if len(np.unique(pairs.fold)) > 1:
        return pairs
    fold = np.zeros(len(pairs.fold), np.int64)
    for kind in (True, False):
        fold[pairs.same == kind] = np.arange((pairs.same == kind).sum()) % 10
    return pairs._replace(fold=fold)


def provenance(network: RecognitionNetwork, data: LFW) -> dict[str, Any]:
    """What the numbers come from."""
    commit = subprocess.run(
        ["git", "rev-parse", "HEAD"], capture_output=True, text=True, cwd=Path(__file__).parent, check=False
    )
    packages = ("torch", "numpy", "opencv-python-headless", "pillow")
    return {
        "network": {"name": network.name, "sha256": network.sha256},
        "data": data.provenance(),
        "commit": commit.stdout.strip() or None,
        "versions": {"python": platform.python_version()} | {name: version(name) for name in packages},
    }


def write(results: dict[str, Any], curves: dict[str, Curve], folder: Path) -> None:
    """Write roc.csv and, last, results.json."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "roc.csv").open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["comparison", *Curve._fields])
        for name, curve in curves.items():
            writer.writerows(
                (name, *point) for point in zip(*(field.tolist() for field in curve), strict=True)
            )
    temporary = folder / "results.json.part"
    temporary.write_text(json.dumps(results, indent=2))
    temporary.replace(folder / "results.json")


def print_results(results: dict[str, Any], console: Console) -> None:
    """A table with one column for each way to compare, and the count of pairs without a face."""
    columns: dict[str, dict[str, str]] = {}
    for line in results["rows"]:
        name = f"{line['method']}{' (quoted)' if line['quoted'] else ''}\n{line['protocol']}"
        columns.setdefault(name, {})[line["metric"]] = written_value(line)
    table = Table("", *columns, title=results["title"])
    for metric in dict.fromkeys(line["metric"] for line in results["rows"]):
        table.add_row(metric, *(values.get(metric, "") for values in columns.values()))
    console.print(table)
    counts = results["counts"]
    without = counts["failed"].get("no face", 0)
    console.print(f"{counts['used']:,} of {counts['total']:,} pairs scored; without a face: {without:,}")


def written_value(line: dict[str, Any]) -> str:
    """A row's value with its error: shares in percent."""
    if line["unit"] != "share":
        return f"{line['value']:.3f}"
    return f"{100 * line['value']:.2f} %" + ("" if line["sd"] is None else f" ± {100 * line['sd']:.2f}")


def _plain(value: object) -> object:
    return str(value) if isinstance(value, Path) else value


if __name__ == "__main__":
    sys.exit(main())
