"""What real photographs' features are like, and how far other sets of faces are from them.

    python -m benchmarks.photograph_statistics --photographs DIR --lfw DIR

Writes mean and standard deviation of the features of `dlib` and `sface` over the photographs of a folder to
datamodules/photograph_statistics.json; the distances of LFW, of the stand-in photographs and of training's
synthetic faces from them to benchmarks/photograph_statistics.md; and stand-in photographs, which are pure
renderings, to benchmarks/pictures/stand_in.png.
"""

import argparse
import json
import os
import platform
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from datamodules.face_data import FaceDataModule
from datamodules.lfw import LFW
from datamodules.photograph_statistics import (
    STATISTICS_FILE,
    distance_from_photographs,
    photograph_statistics,
)
from datamodules.photographs import Photographs
from datamodules.stand_in_photographs import StandInPhotographs
from datamodules.synthetic_faces import SyntheticFaces
from lightning_modules.faces.loading import load_morphable_model
from lightning_modules.recognition.network import RecognitionNetwork
from lightning_modules.recognition.networks import load_network

REPORT = Path(__file__).with_suffix(".md")
PICTURES = REPORT.parent / "pictures" / "stand_in.png"
COLUMNS, ROWS, SIDE = 10, 4, 112  # of the pictures
NETWORKS = ("dlib", "dlib-colour", "sface")
DIGITS = 6  # significant ones in the file


def main(arguments: list[str] | None = None) -> None:
    """Write the statistics, then the distances."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--photographs", type=Path, required=True, help="folder of real photographs")
    parser.add_argument("--lfw", type=Path, required=True, help="LFW's folder")
    parser.add_argument("--count", type=int, default=320, help="of stand-in and of synthetic faces")
    parser.add_argument("--cache-folder", type=Path, help="of aligned faces, features and renderings")
    options = parser.parse_args(arguments)
    networks = [load_network(name) for name in NETWORKS]
    photographs = Photographs(options.photographs, networks, cache_folder=options.cache_folder)
    real = features_of(photographs)
    statistics = statistics_of(photographs, real)
    STATISTICS_FILE.write_text(json.dumps(statistics, indent=1) + "\n", encoding="utf-8")
    photograph_statistics.cache_clear()
    REPORT.write_text("\n".join(report(options, networks, real, statistics)), encoding="utf-8")
    print(REPORT.read_text(encoding="utf-8"))


def features_of(faces: FaceDataModule) -> dict[str, Tensor]:
    """All features of a set of photographs, by network."""
    faces.prepare_data()
    faces.setup()
    return faces.dataset.batch(np.arange(len(faces.dataset))).features


def statistics_of(photographs: Photographs, features: dict[str, Tensor]) -> dict:
    """What the statistics file holds."""
    return {
        "what": (
            "Mean and standard deviation of each pooled feature over the faces of unlabelled real "
            "photographs (loosely cropped, at most 240 pixels, the largest face of each as YuNet finds it), "
            "by recognition network and the SHA-256 of its weights; count is of faces, digest the SHA-256 "
            "over the photographs' sorted content hashes. Made by "
            "python -m benchmarks.photograph_statistics."
        ),
        "count": len(photographs.dataset),
        "digest": photographs.dataset.content_digest(),
        "networks": {
            network.name: {
                "sha256": network.sha256,
                "mean": rounded(features[network.name].double().mean(0)),
                "standard_deviation": rounded(features[network.name].double().std(0)),
            }
            for network in photographs.networks
        },
    }


def contact_sheet(stand_in: StandInPhotographs) -> Image.Image:
    """The first stand-in photographs, side by side."""
    sheet = Image.new("RGB", (COLUMNS * SIDE, ROWS * SIDE))
    for number, path in enumerate(stand_in.photographs()[: COLUMNS * ROWS]):
        row, column = divmod(number, COLUMNS)
        sheet.paste(Image.open(path).resize((SIDE, SIDE)), (column * SIDE, row * SIDE))
    return sheet


def rounded(values: Tensor) -> list[float]:
    """Values with the digits that the file keeps."""
    return [float(f"{value:.{DIGITS}g}") for value in values.tolist()]


def report(
    options: argparse.Namespace,
    networks: list[RecognitionNetwork],
    real: dict[str, Tensor],
    statistics: dict,
) -> Iterator[str]:
    """The lines of the report."""
    shuffled = torch.randperm(statistics["count"], generator=torch.Generator().manual_seed(0))
    rows = {
        f"{options.count} of the same photographs": {
            name: features[shuffled[: options.count]] for name, features in real.items()
        }
    }
    rows["LFW"] = features_of(LFW(options.lfw, networks, cache_folder=options.cache_folder))
    model = load_morphable_model("open")
    stand_in = StandInPhotographs(model, networks, count=options.count, cache_folder=options.cache_folder)
    rows["STAND-IN photographs, open model"] = features_of(stand_in)
    contact_sheet(stand_in).save(PICTURES)
    rows["training's synthetic faces, open model"] = {
        network.name: SyntheticFaces(model, network, cache_folder=options.cache_folder)
        .render(range(options.count))
        .features
        for network in networks
    }
    yield "# Real photographs' features, and the distance of other faces from them"
    yield ""
    yield (
        f"`python -m benchmarks.photograph_statistics --photographs DIR --lfw DIR`: {statistics['count']:,} "
        f"faces of real photographs (content digest {statistics['digest'][:16]}). Distance: the root mean "
        "square over features of the difference of means, in units of the feature's standard deviation over "
        "the real photographs."
    )
    yield ""
    yield "| faces | count | " + " | ".join(f"`{network.name}`" for network in networks) + " |"
    yield "|---|---|" + "---|" * len(networks)
    for title, features in rows.items():
        distances = (distance_from_photographs(features[network.name], network) for network in networks)
        count = len(features[networks[0].name])
        yield f"| {title} | {count:,} | " + " | ".join(f"{distance:.3f}" for distance in distances) + " |"
    yield ""
    yield "![STAND-IN: forty stand-in photographs](pictures/stand_in.png)"
    yield ""
    yield (
        f"A YuNet face in {len(stand_in.dataset)} of the {options.count} stand-in photographs "
        f"({100 * len(stand_in.dataset) / options.count:.1f} %)."
    )
    yield ""
    version = torch.__version__.split("+")[0]
    yield f"{date.today()}, {platform.machine()}, {os.cpu_count()} cores, torch {version}."
    yield ""


if __name__ == "__main__":
    main()
