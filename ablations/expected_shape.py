"""Adds to a checkpoint how far to trust each of its shape coefficients, for `--geometry expected`.

    python ablations/expected_shape.py final.ckpt final_with_expected_shape.ckpt

Synthetic people of the checkpoint's own morphable model are drawn and photographed several times each, as the
stand-in's are; how true and predicted coefficients go together is kept in the new file, and with
`--unlabelled DIR` how much predictions vary over photographs of real people, which earns them less trust. No
scan takes part. The weights stay as they are.
"""

import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
    from lightning_modules.plain.interruption import end_when_interrupted

    end_when_interrupted()

import numpy as np
import torch
from torch import Tensor

from datamodules.photographs import Photographs
from datamodules.stand_in_photographs import StandInPhotographs
from lightning_modules.checkpoints import with_content
from lightning_modules.expected_shape import LEAST_PEOPLE, ExpectedShape
from lightning_modules.plain.command_line import one_sentence_for_bad_input, parse_settings
from lightning_modules.plain.number_types import AtLeastTwo, NonNegativeInt, SeedInt
from lightning_modules.reconstruction import Reconstructor, load_reconstructor

# The people's seed is no data set's: those that others are scored on come from seed 0.
SEED = 501


@dataclass(frozen=True)
class LearntExpectation:
    """Which checkpoint learns from how many synthetic people, and where it is written.

    Attributes:
        source: a checkpoint that ablations/run.py or export.py wrote.
        destination: the new file; an existing one is kept.
        people: synthetic ones; 600, of two photographs each, take about four minutes of one core.
        photographs: of each.
        unlabelled: folder of photographs of real people, such as those of the training.
        seed: of people and photographs.
        morphable_model: where the checkpoint's morphable model lies, if elsewhere than in training.
        cache_folder: root of all caches; the user's cache folder if not given.
        workers: processes that align photographs; all cores if not given.
        progress: whether to show progress bars.
    """

    source: Path
    destination: Path
    people: AtLeastTwo = 600
    photographs: AtLeastTwo = 2
    unlabelled: Path | None = None
    seed: SeedInt = SEED
    morphable_model: str | None = None
    cache_folder: Path | None = None
    workers: NonNegativeInt | None = None
    progress: bool = True


def main(argv: Sequence[str] | None = None) -> int:
    """Parse, learn, write; the exit status is 0."""
    with one_sentence_for_bad_input():
        (chosen,) = parse_settings(
            (LearntExpectation,), argv, program="expected_shape.py", description=str(__doc__),
            leading=("source", "destination"),
        )  # fmt: skip
        add_expected_shape(chosen)
    return 0


def add_expected_shape(chosen: LearntExpectation) -> ExpectedShape:
    """Learn and write, see `LearntExpectation`.

    Raises:
        ValueError: if the destination exists, too few people are asked for or seen, or there are too few
            unlabelled photographs.
    """
    if os.path.lexists(chosen.destination):
        raise ValueError(f"{chosen.destination} exists; give another name")
    if chosen.people < LEAST_PEOPLE:
        raise ValueError(f"--people must be at least {LEAST_PEOPLE}, got {chosen.people}")
    if chosen.unlabelled is not None:
        Photographs(chosen.unlabelled).photographs()
    loaded = load_reconstructor(chosen.source, morphable_model=chosen.morphable_model)
    learnt = learn(loaded, chosen)
    with_content(chosen.source, chosen.destination, expected_shape=learnt.as_dict())
    factors = learnt.factors()
    real = "" if learnt.unlabelled is None else ", and unlabelled photographs"
    print(
        f"written: {chosen.destination}; learnt on {learnt.people} synthetic people{real}; factors of the "
        f"first ten coefficients {factors[:10].mean():.2f}, of all {factors.mean():.2f} on average"
    )
    return learnt


def learn(loaded: Reconstructor, chosen: LearntExpectation) -> ExpectedShape:
    """What a checkpoint's coefficients are worth, on people of whom every photograph shows a face."""
    each = chosen.photographs
    data = StandInPhotographs(
        loaded.model, [loaded.encoder], count=each * chosen.people, photographs_per_person=each,
        seed=chosen.seed, cache_folder=chosen.cache_folder, workers=chosen.workers, progress=chosen.progress,
    )  # fmt: skip
    data.prepare_data()
    data.setup()
    seen = data.dataset.faces.photograph
    people, counts = np.unique(seen // each, return_counts=True)
    people = people[counts == each]
    faces = np.flatnonzero(np.isin(seen // each, people))
    features = data.dataset.batch(faces).features[loaded.encoder.name]
    predicted = loaded.read_as("likeness").coefficients(features).shape
    true = torch.cat([data.person(int(person) * each).coefficients.shape for person in people])
    unlabelled = None if chosen.unlabelled is None else unlabelled_shapes(loaded, chosen)
    return ExpectedShape.learn(true, predicted.view(len(people), each, -1), unlabelled)


def unlabelled_shapes(loaded: Reconstructor, chosen: LearntExpectation) -> Tensor:
    """The shape coefficients [M, K] predicted for the photographs of a folder that show a face."""
    assert chosen.unlabelled is not None
    data = Photographs(
        chosen.unlabelled, [loaded.encoder], validation_fraction=0.0, cache_folder=chosen.cache_folder,
        workers=chosen.workers, progress=chosen.progress,
    )  # fmt: skip
    data.prepare_data()
    data.setup()
    features = data.dataset.batch(np.arange(len(data.dataset))).features[loaded.encoder.name]
    return loaded.read_as("likeness").coefficients(features).shape


if __name__ == "__main__":
    sys.exit(main())
