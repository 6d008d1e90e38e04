"""How far checkpoints' faces lie from the landmarks of photographs that were held back from training.

    python -m benchmarks.photographed_landmarks --photographs DIR --checkpoints none=A.ckpt,landmark=B.ckpt

Geometry without a scan or a label: what the landmark loss of training takes (lightning_modules/
photographed_landmarks.py), on photographs that no run trained on. The root of the mean squared distance, in
percent of the distance between the outer corners of the eyes, after pose and expression were fitted: of each
photograph's own face, of its shape times some factors (0 is the mean face), and of other people's faces. The
expected shape of a checkpoint that keeps one has a row of its own. Offsets are of the training photographs.
Each checkpoint sees photographs as its own encoder does. Differences are paired over photographs.
"""

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ablations.runs import components
from ablations.runs.execution import Execution
from datamodules.photographs import Photographs
from lightning_modules.photographed_landmarks import LandmarkTarget
from lightning_modules.plain.output_file import check_new
from lightning_modules.reconstruction import Reconstructor, load_reconstructor

from .real_photographs import settings_of

REPORT = Path(__file__).with_suffix(".md")
FACTORS = (0.0, 0.25, 0.5, 0.75, 1.0)


@torch.inference_mode()
def main(arguments: list[str] | None = None) -> None:
    """Measure, write the report."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--photographs", required=True, help="what the checkpoints were trained on")
    parser.add_argument("--checkpoints", required=True, help="NAME=FILE,NAME=FILE; the first is compared")
    parser.add_argument("--output", type=Path, default=REPORT)
    options = parser.parse_args(arguments)
    check_new(options.output, but=REPORT)
    named = dict(item.split("=", 1) for item in options.checkpoints.split(","))
    loaded = {name: load_reconstructor(Path(file)).readings for name, file in named.items()}
    shown = {name: shown_to(each["likeness"], options.photographs) for name, each in loaded.items()}
    for name, photographs in shown.items():
        trained = loaded[name]["likeness"].content["training_data"]["digest"]
        if trained != photographs.provenance()["digest"]:
            raise SystemExit(f"error: {name} was not trained on the photographs of {options.photographs}")
    first = next(iter(named))
    photographs = shown[first]
    training = photographs.dataset.batch(components.training_sample(photographs))
    target = LandmarkTarget.fit(training.landmarks, loaded[first]["likeness"].model)
    held_back = photographs.dataset.batch(photographs.validation)
    shapes = {}
    for name, readings in loaded.items():
        own = shown[name]
        if not np.array_equal(own.validation, photographs.validation):
            raise SystemExit(f"error: {name} had other photographs held back than {first}")
        seen = own.dataset.batch(own.validation)
        for reading, each in readings.items():
            shape = each.coefficients(seen.features[each.encoder.name]).shape
            shapes[name if reading == "likeness" else f"{name}, {reading}"] = shape
    lines = report_lines(target, shapes, held_back.landmarks, photographs.landmark_detector.name)
    options.output.write_text("\n".join(lines) + "\n", encoding="utf-8")
    print(options.output.read_text(encoding="utf-8"))


def shown_to(loaded: Reconstructor, folder: str) -> Photographs:
    """Photographs as a checkpoint's own encoder sees them, with landmarks."""
    # A weight has the landmarks looked for.
    settings = replace(settings_of(loaded.content), photographs=folder, landmark_weight=1.0).resolved()
    teachers = components.load_teachers(settings, Execution(device="cpu"))._replace(encoder=loaded.encoder)
    photographs = components.photographs_of(settings, Execution(), teachers)
    photographs.prepare_data()
    photographs.setup()
    return photographs


def report_lines(
    target: LandmarkTarget, shapes: dict[str, Tensor], landmarks: Tensor, detector: str
) -> list[str]:
    """The report, line by line.

    Args:
        target: fitted to training photographs.
        shapes: by checkpoint [N, Ks].
        landmarks: [N, 68, 2], of the photographs held back.
        detector: names itself.
    """
    seen = landmarks.isfinite().all(-1).all(-1)
    landmarks = landmarks[seen]
    squares = {
        name: {factor: distances(target, factor * shape[seen], landmarks) for factor in FACTORS}
        for name, shape in shapes.items()
    }
    others = {name: distances(target, shape[seen].roll(1, 0), landmarks) for name, shape in shapes.items()}
    head = " | ".join(f"shape times {factor:g}" for factor in FACTORS)
    lines = [
        "# Faces against the landmarks of photographs that were held back", "",
        f"`python -m benchmarks.photographed_landmarks`: {len(landmarks):,} photographs held back, landmarks "
        f"by {detector}. Distance in percent of that between the outer corners of the eyes, root of the mean "
        "square; in brackets the difference to the first checkpoint's squares in standard errors, paired "
        "over photographs.", "",
        f"| checkpoint | {head} | another person's |", "|---|" + "---|" * (len(FACTORS) + 1),
    ]  # fmt: skip
    first = next(iter(squares))
    for name, by_factor in squares.items():
        pairs = [(by_factor[factor], squares[first][factor]) for factor in FACTORS]
        pairs.append((others[name], others[first]))
        lines.append(f"| {name} | " + " | ".join(cell(*pair) for pair in pairs) + " |")
    return lines


def distances(target: LandmarkTarget, shape: Tensor, landmarks: Tensor) -> Tensor:
    """The mean squared distance [N] of each photograph's landmarks."""
    return target.squared_distances(shape, landmarks)[0].mean(1)


def cell(squares: Tensor, first: Tensor) -> str:
    """A distance in percent, and how it differs from the first checkpoint's."""
    difference = squares - first
    text = f"{100 * float(squares.mean().sqrt()):.2f}"
    error = float(difference.std()) / len(difference) ** 0.5
    return text if error == 0 else f"{text} ({float(difference.mean()) / error:+.1f})"


if __name__ == "__main__":
    main()
