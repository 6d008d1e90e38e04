"""Adds to a checkpoint what shapes are to be expected of photographs, for `--geometry expected`.

    python ablations/expected_shape.py final.ckpt final_with_expected_shape.ckpt --unlabelled DIR

Synthetic people of the checkpoint's own morphable model are drawn and photographed several times each, as the
stand-in's are. A regression learns their shapes from the encoder's features and its network's feature map,
and from the landmarks of the unlabelled photographs, without those that the checkpoint's training held back;
the expected shape lies between it and the checkpoint's own prediction. No scan takes part. The checkpoint's
weights stay as they are, except with --calibrated-tone: then skin tones of the same people get their true
mean and spread (docs/fairness.md says what that costs); and with --encoder-crops: then photographs are looked
at more than once, and coefficients get the mean and spread back that they had over the unlabelled ones.
"""

import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
    from lightning_modules.plain.interruption import end_when_interrupted

    end_when_interrupted()

import numpy as np
import torch
from torch import Tensor

from datamodules.alignment.mediapipe_landmarks import FaceMesh, find_landmark_model
from datamodules.long_work.progress import progress_bar
from datamodules.photographs import Photographs, features_of_folder
from datamodules.stand_in_photographs import StandInPhotographs
from lightning_modules.checkpoints import with_content
from lightning_modules.expected_shape import LEAST_PEOPLE, ExpectedShape
from lightning_modules.initialisation import CoefficientMoments, give_moments, rescale_first_albedo
from lightning_modules.photographed_landmarks import LandmarkTarget
from lightning_modules.plain.command_line import one_sentence_for_bad_input, parse_settings
from lightning_modules.plain.number_types import AtLeastTwo, CropCount, NonNegativeInt, SeedInt
from lightning_modules.plain.writable_places import require_writable_file
from lightning_modules.prediction import Prediction
from lightning_modules.recognition.encoder_names import EncoderName
from lightning_modules.recognition.network import RecognitionNetwork
from lightning_modules.recognition.networks import with_crops, with_map
from lightning_modules.recognition.weight_files import WeightFileError
from lightning_modules.reconstruction import Reconstructor, load_reconstructor
from lightning_modules.shape_regression import STEPS, MarkedPhotographs, learn_shapes
from lightning_modules.skin_tone import ToneCalibration

# The people's seed is no data set's: those that others are scored on come from seed 0.
SEED = 501


@dataclass(frozen=True)
class LearntExpectation:
    """Which checkpoint learns from how many synthetic people, and where it is written.

    Attributes:
        source: a checkpoint that ablations/run.py or export.py wrote.
        destination: the new file; an existing one is kept.
        people: synthetic ones; 2,000, of four photographs each, take a quarter of an hour of one core.
        photographs: of each, of which one to all are looked at together: features of several are averaged.
        unlabelled: folder of photographs of real people, such as those of the training.
        landmarks: whether their landmarks are learnt from; --no-landmarks needs no landmark network.
        feature_map: whether the encoder's map is read, too, where its network gives one, see
            `recognition.mapped`.
        encoder_crops: of a photograph, over which the encoder's features are averaged from now on, every
            second one mirrored; needs --unlabelled.
        calibrated_tone: whether the weights change, too, so that predicted skin tones spread as true ones do:
            errors are smaller for the darkest and the lightest, and larger on average.
        seed: of people and photographs.
        morphable_model: where the checkpoint's morphable model lies, if elsewhere than in training.
        cache_folder: root of all caches; the user's cache folder if not given.
        workers: processes that align photographs; all cores if not given.
        progress: whether to show progress bars.
    """

    source: Path
    destination: Path
    people: AtLeastTwo = 2000
    photographs: AtLeastTwo = 4
    unlabelled: Path | None = None
    landmarks: bool = True
    feature_map: bool = True
    encoder_crops: CropCount | None = None
    calibrated_tone: bool = False
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
    require_writable_file(chosen.destination)
    if chosen.people < LEAST_PEOPLE:
        raise ValueError(f"--people must be at least {LEAST_PEOPLE}, got {chosen.people}")
    if chosen.unlabelled is not None:
        Photographs(chosen.unlabelled).photographs()
        if chosen.landmarks:
            require_landmark_model()
    elif chosen.encoder_crops is not None:
        raise ValueError(
            "--encoder-crops changes the weights by what is predicted of photographs: give a folder of them "
            "by --unlabelled, such as those of the training"
        )
    loaded = load_reconstructor(chosen.source, morphable_model=chosen.morphable_model)
    if chosen.calibrated_tone and "tone_calibration" in loaded.content:
        raise ValueError(
            f"the skin tone of {chosen.source} is calibrated already; leave --calibrated-tone out"
        )
    more: dict[str, Any] = {}
    if chosen.encoder_crops is not None:
        encoder = more_crops(loaded, chosen)
        loaded, more = look_again(loaded, encoder, unlabelled_features(chosen, loaded.encoder, encoder))
    photographs = marked_photographs(loaded, chosen)
    people = photographed_people(loaded, chosen)
    learnt = learn(loaded, people, photographs, chosen)
    more |= {"expected_shape": learnt._asdict()}
    if chosen.calibrated_tone:
        more |= calibrate(loaded, people)
    changed = chosen.calibrated_tone or chosen.encoder_crops is not None
    with_content(chosen.source, chosen.destination, loaded.regressor if changed else None, **more)
    real = f"landmarks of {learnt.photographs:,} photographs"
    if not learnt.photographs:
        real = "no photograph: of real ones these shapes are worth little (docs/results.md)"
    print(f"written: {chosen.destination}; learnt from {learnt.people:,} synthetic people and {real}")
    return learnt


def require_landmark_model() -> None:
    """Raise what `find_landmark_model` would, and say how to do without."""
    try:
        find_landmark_model()
    except WeightFileError as error:
        raise WeightFileError(f"{error}; or learn from no photograph's landmarks: --no-landmarks") from error


def more_crops(loaded: Reconstructor, chosen: LearntExpectation) -> RecognitionNetwork:
    """The encoder that looks at as many crops as are asked for.

    Raises:
        ValueError: if the checkpoint's own does already.
    """
    assert chosen.encoder_crops is not None
    encoder = with_crops(loaded.encoder, chosen.encoder_crops)
    if encoder.name == loaded.encoder.name:
        raise ValueError(
            f"{chosen.source} averages over {chosen.encoder_crops} crops of a photograph already; leave "
            "--encoder-crops out"
        )
    return encoder


def look_again(
    loaded: Reconstructor, encoder: RecognitionNetwork, seen: dict[str, Tensor]
) -> tuple[Reconstructor, dict[str, Any]]:
    """The same with another encoder of the same network; what a checkpoint keeps of it.

    Args:
        loaded: whose regressor changes in place.
        encoder: the new one.
        seen: what both say of photographs, see `unlabelled_features`.
    """
    had = CoefficientMoments.of(loaded.regressor, seen[loaded.encoder.name])
    give_moments(loaded.regressor, seen[encoder.name], had)
    named = {"name": encoder.name, "sha256": encoder.sha256}
    networks = {
        role: named if kept["name"] == loaded.encoder.name else kept
        for role, kept in loaded.content["networks"].items()
    }
    settings = loaded.content["settings"] | {"encoder_crops": EncoderName.of(encoder.name).crops}
    again = {"networks": networks, "settings": settings}
    return loaded._replace(encoder=encoder, content=loaded.content | again), again


class PhotographedPeople(NamedTuple):
    """Synthetic people, and what an encoder says of them.

    Attributes:
        true: [P, K] shape and albedo coefficients.
        features: [P, N, D], of each one's N photographs, with the encoder's map if it has one.
    """

    true: Prediction
    features: Tensor


def learn(
    loaded: Reconstructor,
    people: PhotographedPeople,
    photographs: MarkedPhotographs | None,
    chosen: LearntExpectation,
) -> ExpectedShape:
    """Learn from people and photographs.

    Raises:
        ValueError: if too few people's photographs show faces.
    """
    count = len(people.features)
    if count < LEAST_PEOPLE:
        raise ValueError(
            f"all photographs of at least {LEAST_PEOPLE} synthetic people must show a face, got {count} of "
            f"{chosen.people}; give more --people"
        )
    with progress_bar("Learning shapes", STEPS, visible=chosen.progress) as advance:
        regressor = learn_shapes(
            people.features, people.true.shape, loaded.model, photographs, seed=chosen.seed, advance=advance
        )
    real = 0 if photographs is None else len(photographs.features)
    width = encoder_of_regression(loaded, chosen).feature_width - loaded.encoder.feature_width
    return ExpectedShape.keep(regressor, count, chosen.photographs, real, map_width=width)


def encoder_of_regression(loaded: Reconstructor, chosen: LearntExpectation) -> RecognitionNetwork:
    """By which the regression sees: the checkpoint's own encoder, with its feature map if that is read."""
    return with_map(loaded.encoder) if chosen.feature_map else loaded.encoder


def marked_photographs(loaded: Reconstructor, chosen: LearntExpectation) -> MarkedPhotographs | None:
    """The unlabelled photographs in which landmarks were seen, but for those that the training held back.

    None if there are none to learn from: without a folder, with --no-landmarks, or of a morphable model that
    has no landmarks, which is said.

    Raises:
        ValueError: if there are too few.
    """
    if chosen.unlabelled is None or not chosen.landmarks:
        return None
    if loaded.model.no_landmarks:
        print(f"no landmarks are learnt from: the morphable model has none ({loaded.model.no_landmarks})")
        return None
    settings = loaded.content["settings"]
    encoder = encoder_of_regression(loaded, chosen)
    data = Photographs(
        chosen.unlabelled, [encoder], landmark_detector=FaceMesh(),
        validation_fraction=settings.get("validation_fraction", 0.0),
        validation_photographs=settings.get("validation_photographs"),
        cache_folder=chosen.cache_folder, workers=chosen.workers, progress=chosen.progress,
    )  # fmt: skip
    data.prepare_data()
    data.setup()
    batch = data.dataset.batch(data.training)
    assert batch.landmarks is not None
    seen = batch.landmarks.isfinite().all(-1).all(-1)
    if seen.sum() < LEAST_PEOPLE:
        raise ValueError(
            f"landmarks must be seen in at least {LEAST_PEOPLE} unlabelled photographs, got {int(seen.sum())}"
            "; give more, or --no-landmarks"
        )
    landmarks = batch.landmarks[seen]
    target = LandmarkTarget.fit(landmarks, loaded.model)
    return MarkedPhotographs(batch.features[encoder.name][seen], landmarks, target)


def calibrate(loaded: Reconstructor, people: PhotographedPeople) -> dict[str, Any]:
    """Calibrate the regressor's skin tone in place; what a checkpoint keeps of it."""
    predicted = loaded.coefficients(people.features.flatten(0, 1)).albedo[:, 0]
    true = people.true.albedo[:, 0].repeat_interleave(people.features.shape[1])
    found = ToneCalibration.learn(true, predicted)
    rescale_first_albedo(loaded.regressor, *found)
    kept: dict[str, Any] = {"tone_calibration": found._asdict()}
    if tone := loaded.content.get("tone"):  # what the batch distribution asked of photographs moves along
        mean, variance = found.factor * tone["mean"] + found.shift, found.factor**2 * tone["variance"]
        kept["tone"] = {"mean": mean, "variance": variance}
    return kept


def photographed_people(loaded: Reconstructor, chosen: LearntExpectation) -> PhotographedPeople:
    """People of whom every photograph shows a face, with what a checkpoint's encoder says of these."""
    each, encoder = chosen.photographs, encoder_of_regression(loaded, chosen)
    data = StandInPhotographs(
        loaded.model, [encoder], count=each * chosen.people, photographs_per_person=each,
        seed=chosen.seed, cache_folder=chosen.cache_folder, workers=chosen.workers, progress=chosen.progress,
    )  # fmt: skip
    data.prepare_data()
    data.setup()
    seen = data.dataset.faces.photograph
    people, counts = np.unique(seen // each, return_counts=True)
    people = people[counts == each]
    faces = np.flatnonzero(np.isin(seen // each, people))
    features = data.dataset.batch(faces).features[encoder.name]
    true = [data.person(int(person) * each).coefficients for person in people]
    return PhotographedPeople(
        Prediction(torch.cat([face.shape for face in true]), torch.cat([face.albedo for face in true])),
        features.view(len(people), each, -1),
    )


def unlabelled_features(chosen: LearntExpectation, *encoders: RecognitionNetwork) -> dict[str, Tensor]:
    """What encoders say of the unlabelled photographs with a face, by name [M, D]."""
    assert chosen.unlabelled is not None
    return features_of_folder(
        chosen.unlabelled, encoders, cache_folder=chosen.cache_folder, workers=chosen.workers,
        progress=chosen.progress,
    )  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())
