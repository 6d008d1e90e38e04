"""A morphable model's proportions beside those of people.

    python -m lightning_modules.faces.proportions open

Eighteen measures of faces drawn from the model's prior: mean and deviation beside a survey's, how far off the
mean is in the survey's deviations, and the ratio of the deviations; then how the measures correlate.
"""

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass

if __name__ == "__main__":
    from lightning_modules.plain.interruption import end_when_interrupted

    end_when_interrupted()

import torch
from torch import Tensor

from lightning_modules.faces.anthropometry.measures import NAMES, measured
from lightning_modules.faces.anthropometry.survey import CORRELATIONS, FINDINGS, SOURCES
from lightning_modules.faces.loading import load_morphable_model
from lightning_modules.faces.morphable_model import MorphableModel
from lightning_modules.plain.command_line import one_sentence_for_bad_input, parse_settings
from lightning_modules.plain.number_types import AtLeastTwo, SeedInt

FACES_AT_ONCE = 50
WIDTH = 80  # of everything that is printed


@dataclass(frozen=True)
class Proportions:
    """Which model is measured.

    Attributes:
        model: open, open:2, basel:FILE, bfm-front:FILE, ict:DIR, flame:FILE or gnm:FILE.
        faces: how many are drawn from its prior.
        seed: of the faces.
    """

    model: str
    faces: AtLeastTwo = 1000
    seed: SeedInt = 0


@torch.no_grad()
def measures_of(model: MorphableModel, count: int, generator: torch.Generator) -> Tensor:
    """Measures [count, M] in mm, in the order of `NAMES`, of neutral faces drawn from a model's prior.

    Raises:
        ValueError: if the model has no landmarks.
    """
    shapes = model.sample(count, generator).shape
    landmarks = [model.landmarks.on(model.vertices(part)) for part in shapes.split(FACES_AT_ONCE)]
    return measured(torch.cat(landmarks).double())


def comparison(measures: Tensor) -> str:
    """The table of measures [N, M] beside the surveys', in at most 80 columns."""
    means, deviations = measures.mean(0).tolist(), measures.std(0).tolist()
    lines = [
        "                          people       model        off  ratio",
        "    measure             mean    sd   mean    sd   (sd) of sd  source",
    ]
    for index, (name, mean, deviation) in enumerate(zip(NAMES, means, deviations, strict=True)):
        finding = FINDINGS[name]
        people = finding.mixed
        lines.append(
            f"{index + 1:2}  {name:19} {people.mean:5.1f} {people.deviation:5.1f}"
            f" {mean:6.1f} {deviation:5.1f}"
            f" {(mean - people.mean) / people.deviation:+6.2f} {deviation / people.deviation:5.2f}"
            f"  {finding.source}"
        )
    return "\n".join(lines)


def correlations(measures: Tensor) -> str:
    """Correlations of measures [N, M] in hundredths, the lower triangle, in at most 80 columns."""
    matrix = torch.corrcoef(measures.T).mul(100).round().nan_to_num(0).to(torch.int64).tolist()
    lines = ["    " + "".join(f"{column + 1:4}" for column in range(len(NAMES) - 1))]
    lines += [
        f"{row + 1:3} " + "".join(f"{value:4}" for value in matrix[row][:row]) for row in range(1, len(NAMES))
    ]
    for known in CORRELATIONS:
        value = matrix[NAMES.index(known.first)][NAMES.index(known.second)] / 100
        lines.append(
            f"{known.first} with {known.second}: people {known.value:.2f} ({known.source}), model {value:.2f}"
        )
    return "\n".join(lines)


def sources() -> str:
    """Where the numbers of people come from and how sure they are."""
    lines = []
    for name, text in SOURCES.items():
        certainty = {finding.certainty for finding in FINDINGS.values() if finding.source == name}
        lines.append(f"{name} ({', '.join(sorted(certainty))}): {text}")
    lines += [f"{name}: {finding.note}" for name, finding in FINDINGS.items() if finding.note]
    return "\n".join(textwrap.fill(line, WIDTH, subsequent_indent="  ") for line in lines)


def report(proportions: Proportions) -> str:
    """The comparison, the correlations and the sources, as the command prints them."""
    model = load_morphable_model(proportions.model, albedo_components=0, expression_components=0)
    generator = torch.Generator().manual_seed(proportions.seed)
    measures = measures_of(model, proportions.faces, generator)
    return "\n\n".join(
        [
            f"{model.provenance.name}\n{proportions.faces} faces of its prior, in mm; people are half women",
            comparison(measures),
            "Correlations of the model's measures, in hundredths:\n" + correlations(measures),
            sources(),
        ]
    )


def main(argv: Sequence[str] | None = None) -> None:
    """Parse the command line, measure and print."""
    with one_sentence_for_bad_input():
        (proportions,) = parse_settings(
            (Proportions,),
            argv,
            program="proportions.py",
            description=str(__doc__),
            leading="model",
        )
        print(report(proportions))


if __name__ == "__main__":
    main()
