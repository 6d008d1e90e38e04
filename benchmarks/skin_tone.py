"""Where errors of skin tone come from: the light of renderings, and what a single photograph can tell.

    python -m benchmarks.skin_tone final.ckpt --photographs DIR --lfw DIR

Four measurements. The mean colour of cheeks in photographs that the run held back, in the albedo that the
checkpoint gives them, and in its frontal renderings: what the light adds to what the albedo lacks. Then the
synthetic people of evaluation/fairness.py, whose albedo is known: how well the checkpoint knows their skin's
angle, beside predictors that are learnt on other synthetic people from the same features, from parts of them,
and on training's own synthetic faces. A predictor that is best on average regresses to the mean by 1 - R^2;
spread to the people's variance it errs less at the ends, by 1 - r, and more on average. Then, what a
calibration by synthetic people (`expected_shape.py --calibrated-tone`) does to photographs. At last, both
readings of LFW's people with eight photographs or more, from one photograph, against the median angle of the
others. Writes benchmarks/skin_tone.md.
"""

import argparse
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import date
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from scipy.stats import spearmanr
from sklearn.linear_model import RidgeCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import Tensor

from ablations.runs import components
from ablations.runs.execution import Execution
from ablations.runs.settings import Settings
from benchmarks.real_photographs import (
    PEOPLE_FOR_TONE,
    PeopleForTone,
    agreement_from,
    described,
    people_for_tone,
    settings_of,
)
from datamodules.cheeks import cheek_colours, median_cheeks
from datamodules.lfw import LFW
from datamodules.slider_people import SliderPeople
from datamodules.stand_in_photographs import StandInPhotographs
from evaluation.metrics.skin_tone import CLASSES, DARK_BELOW, LIGHT_ABOVE, individual_typology_angle, lab
from evaluation.reporting.provenance import machine
from lightning_modules.checkpoints import load_regressor
from lightning_modules.faces.morphable_model import MorphableModel
from lightning_modules.plain.even_choice import evenly_chosen
from lightning_modules.prediction import Prediction
from lightning_modules.recognition.coloured import CHANNELS
from lightning_modules.regressor import Regressor
from lightning_modules.rendered_faces import render_from_the_front
from lightning_modules.rendering.colour import decode_srgb
from lightning_modules.skin_tone import ToneCalibration, cheek_vertices
from lightning_modules.teachers import Teachers

REPORT = Path(__file__).with_suffix(".md")
PEOPLE = 300  # of evaluation/fairness.py
# Those that predictors and the calibration are learnt on: the people of ablations/expected_shape.py.
TAUGHT_PEOPLE, TAUGHT_EACH, TAUGHT_SEED = 600, 2, 501
POOL, RENDERED, AT_ONCE = 10_000, 200, 16
BOUNDS = (90.0, *(bound for _, bound in CLASSES), -90.0)
REAL_BANDS = ("> 41", "28 to 41", "10 to 28", "< 10")
BANDS = ("> 55", "41 to 55", "28 to 41", "10 to 28", "-30 to 10", "< -30")
Predictor = Callable[[np.ndarray], np.ndarray]


class Known(NamedTuple):
    """Photographs of synthetic people.

    Attributes:
        number: [N], of the photograph; those of one person follow each other.
        features: [N, D], of the encoder.
        photographed: [N], the angle of the photograph's cheeks in degrees.
        albedo: [N, K], true coefficients.
        angles: [N], of the true albedo's cheeks.
    """

    number: np.ndarray
    features: Tensor
    photographed: np.ndarray
    albedo: Tensor
    angles: np.ndarray


@torch.inference_mode()
def main(arguments: list[str] | None = None) -> None:
    """Measure, write the report."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("checkpoint", type=Path, help="of the open model, encoder with cheeks' colour")
    parser.add_argument("--photographs", required=True, help="what it was trained on")
    parser.add_argument("--lfw", type=Path, required=True, help="Labeled Faces in the Wild")
    options = parser.parse_args(arguments)
    regressor, content = load_regressor(options.checkpoint)
    # Without the landmarks that training may have compared, and without their detector.
    settings = replace(settings_of(content), photographs=options.photographs, landmark_weight=0.0)
    teachers = components.load_teachers(settings, Execution())
    colours = Cheeks(teachers.model)
    photographs = components.photographs_of(settings, Execution(), teachers)
    photographs.prepare_data()
    photographs.setup()
    held_back = np.asarray(photographs.validation)
    features = photographs.dataset.batch(held_back).features[teachers.encoder.name]
    own = cheek_colours(photographs.dataset, held_back, progress=False)
    predicted = regressor(features)
    model, networks = teachers.model, [teachers.encoder]
    people = known(SliderPeople(model, networks, count=PEOPLE, seed=0), teachers, colours)
    taught = StandInPhotographs(
        model, networks, count=TAUGHT_PEOPLE * TAUGHT_EACH, photographs_per_person=TAUGHT_EACH,
        seed=TAUGHT_SEED,
    )  # fmt: skip
    others = known(taught, teachers, colours)
    by_checkpoint = colours.angles(regressor(people.features).albedo)
    predictors = dict(learnt_predictors(others)) | {
        "training's synthetic faces, all features": pool_predictor(settings, teachers, colours)
    }
    found = ToneCalibration.learn(others.albedo[:, 0], regressor(others.features).albedo[:, 0])
    about = machine()
    lines = [
        "# Skin tone: light, and what a single photograph can tell", "",
        "`python -m benchmarks.skin_tone final.ckpt --photographs DIR --lfw DIR`: "
        f"{described(content)}. Angles are individual typology angles (ITA) in degrees.", "",
        *light_lines(own, predicted, colours, teachers),
        f"## What can be known of {PEOPLE} synthetic people", "",
        "The people and photographs of `evaluation/fairness.py`. Predictors are learnt on "
        f"{len(others.angles):,} photographs of {TAUGHT_PEOPLE} other synthetic people, and on {POOL:,} of "
        "training's synthetic faces. By band of the true angle (and count): how much too light. \"At full "
        "variance\": the same, spread to the people's own mean and deviation.", "",
        *known_lines(people, by_checkpoint, {
            name: predict(people.features.numpy()) for name, predict in predictors.items()
        }),
        several_line(others, regressor, colours), "",
        "## What a calibration would do", "",
        "One map of the first albedo component that gives those other people's predictions the mean and the "
        f"variance of their true values: times {found.factor:.2f}, {found.shift:+.2f}. It keeps every order.",
        "",
        *calibration_lines(
            people, regressor(people.features).albedo, predicted.albedo, own, colours, found
        ),
        *people_lines(options.lfw, teachers, regressor, colours, found),
        f"{date.today()}, {about['processor']}, {about['cores']} cores, torch {torch.__version__}.",
    ]  # fmt: skip
    REPORT.write_text("\n".join(lines) + "\n", encoding="utf-8")
    print(REPORT.read_text(encoding="utf-8"))


class Cheeks:
    """The cheeks of a morphable model's albedo."""

    def __init__(self, model: MorphableModel) -> None:
        self._model, self._vertices = model, cheek_vertices(model)

    def colours(self, albedo: Tensor) -> np.ndarray:
        """The median colour [B, 3] of the cheeks of albedos with coefficients [B, K], sRGB."""
        parts = [
            self._model.albedo(some)[:, self._vertices].clamp(0, 1).median(1).values
            for some in albedo.split(AT_ONCE)
        ]
        return torch.cat(parts).numpy()

    def angles(self, albedo: Tensor) -> np.ndarray:
        """Their angles [B] in degrees."""
        return angles_of(self.colours(albedo))


def angles_of(colours: np.ndarray) -> np.ndarray:
    """The angles [N] of sRGB colours [N, 3]."""
    return individual_typology_angle(lab(colours))


def known(data: StandInPhotographs, teachers: Teachers, cheeks: Cheeks) -> Known:
    """The people whose photograph shows a face."""
    data.prepare_data()
    data.setup()
    faces = np.arange(len(data.dataset))
    albedo = torch.cat(
        [data.person(int(number)).coefficients.albedo for number in data.dataset.faces.photograph]
    )
    return Known(
        data.dataset.faces.photograph, data.dataset.batch(faces).features[teachers.encoder.name],
        angles_of(cheek_colours(data.dataset, faces, progress=False)), albedo, cheeks.angles(albedo),
    )  # fmt: skip


def learnt_predictors(others: Known) -> Iterator[tuple[str, Predictor]]:
    """Ridge regressions of the angle, penalties by leave-one-out, by what they see of the features."""
    features = others.features.numpy()
    parts = {
        "all features": slice(None),
        "without the cheeks' colour": slice(None, -CHANNELS),
        "the cheeks' colour alone": slice(-CHANNELS, None),
    }
    for name, part in parts.items():
        yield f"other synthetic people, {name}", ridge_of(features, others.angles, part)


def pool_predictor(settings: Settings, teachers: Teachers, cheeks: Cheeks) -> Predictor:
    """The same from all features, learnt on training's own synthetic faces."""
    synthetic = components.synthetic_of(settings, Execution(), teachers.model, teachers.encoder, stage=1)
    synthetic.prepare_data()
    synthetic.setup()
    faces = synthetic.pooled(np.arange(min(POOL, synthetic.pool_size or 0)))
    return ridge_of(faces.features.numpy(), cheeks.angles(faces.albedo), slice(None))


def ridge_of(features: np.ndarray, angles: np.ndarray, part: slice) -> Predictor:
    """A ridge regression of angles [N] from a part of features [N, D]."""
    fitted = make_pipeline(StandardScaler(), RidgeCV(np.logspace(0, 4, 9))).fit(features[:, part], angles)
    return lambda others: fitted.predict(others[:, part])


def light_lines(own: np.ndarray, predicted: Prediction, cheeks: Cheeks, teachers: Teachers) -> list[str]:
    """Mean colours of cheeks in photographs, albedo and frontal renderings, and what light makes of it."""
    albedo = cheeks.colours(predicted.albedo)
    shown = evenly_chosen(len(own), RENDERED)
    faces = Prediction(predicted.shape[shown], predicted.albedo[shown])
    parts = zip(faces.shape.split(AT_ONCE), faces.albedo.split(AT_ONCE), strict=True)
    images = [render_from_the_front(teachers.model, Prediction(*some)) for some in parts]
    rendered = torch.cat([median_cheeks(some) for some in images]).numpy()
    lines = [
        f"## Cheeks of {len(own):,} photographs held back", "",
        "| | L* | a* | b* | ITA |", "|---|---:|---:|---:|---:|",
    ]  # fmt: skip
    named = {
        "photographs": own, "albedo of their faces": albedo,
        f"photographs, {RENDERED} of them": own[shown], "albedo of these": albedo[shown],
        "frontal renderings of these": rendered,
    }  # fmt: skip
    for name, colours in named.items():
        values = [*lab(colours).T, angles_of(colours)]
        cells = [f"{part.mean():.1f} ± {part.std():.1f}" for part in values]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    linear = [decode_srgb(torch.from_numpy(part)) for part in (own[shown], albedo[shown], rendered)]
    factors = [
        ", ".join(f"{value:.2f}" for value in (part / linear[1]).median(0).values) for part in linear[::2]
    ]
    return [
        *lines, "",
        f"Linear light of cheeks over their albedo's (red, green, blue; medians): photographs {factors[0]}, "
        f"frontal renderings {factors[1]}.", "",
    ]  # fmt: skip


def known_lines(people: Known, by_checkpoint: np.ndarray, learnt: dict[str, np.ndarray]) -> list[str]:
    """How well each predictor knows the angle, as it is and at full variance."""
    true = people.angles
    counts = [int(inside.sum()) for inside in bands_of(true)]
    header = [f"{band} ({count})" for band, count in zip(BANDS, counts, strict=True)]
    lines = [
        "| angle predicted by | r | R² | rank | mean error | " + " | ".join(header) + " |",
        "|---|" + "---:|" * (4 + len(header)),
    ]
    named = {
        "the checkpoint": by_checkpoint, "the photograph's own cheeks": people.photographed,
        **learnt, "the mean for everybody": np.full(len(true), true.mean()),
    }  # fmt: skip
    for name, angles in named.items():
        lines.append(row(name, angles, true))
        if np.ptp(angles) > 0:
            spread = (angles - angles.mean()) / angles.std() * true.std() + true.mean()
            lines.append(row(f"{name}, at full variance", spread, true))
    return [*lines, ""]


def several_line(others: Known, regressor: Regressor, cheeks: Cheeks) -> str:
    """How much better two photographs tell a person's angle than one, features averaged."""
    person = others.number // TAUGHT_EACH
    whole = np.flatnonzero(np.bincount(person) == TAUGHT_EACH)
    faces = np.flatnonzero(np.isin(person, whole))
    features = others.features[faces].view(len(whole), TAUGHT_EACH, -1)
    true = others.angles[faces[::TAUGHT_EACH]]
    one, two = (
        np.corrcoef(cheeks.angles(regressor(seen).albedo), true)[0, 1]
        for seen in (features[:, 0], features.mean(1))
    )
    return (
        f"Of {len(whole)} of the other people, r is {one:.2f} from one photograph and {two:.2f} from "
        "two, whose features are averaged."
    )


def row(name: str, angles: np.ndarray, true: np.ndarray) -> str:
    """A predictor's figures."""
    varies = np.ptp(angles) > 0
    figures = [
        f"{np.corrcoef(angles, true)[0, 1]:.2f}" if varies else "",
        f"{1 - np.mean((angles - true) ** 2) / true.var():.2f}",
        f"{spearmanr(angles, true).statistic:.2f}" if varies else "",
        f"{np.abs(angles - true).mean():.1f}",
    ]
    figures += [f"{(angles - true)[inside].mean():+.1f}" if inside.any() else "" for inside in bands_of(true)]
    return f"| {name} | " + " | ".join(figures) + " |"


def bands_of(angles: np.ndarray) -> list[np.ndarray]:
    """Which people [N] have an angle in each band, the lightest first."""
    return [(angles > low) & (angles <= high) for high, low in pairwise(BOUNDS)]


def calibration_lines(
    people: Known, albedo: Tensor, of_photographs: Tensor, own: np.ndarray, cheeks: Cheeks,
    found: ToneCalibration,
) -> list[str]:  # fmt: skip
    """Bias by band and tones of photographs before and after."""
    lines = [
        "| | mean error of synthetic people | " + " | ".join(BANDS)
        + " | photographs' mean angle | dark | light |",
        "|---|" + "---:|" * (4 + len(BANDS)),
    ]  # fmt: skip
    for name, reading in readings(found).items():
        both = [cheeks.angles(reading(part)) for part in (albedo, of_photographs)]
        error = both[0] - people.angles
        cells = [f"{np.abs(error).mean():.1f}"]
        cells += [f"{error[inside].mean():+.1f}" for inside in bands_of(people.angles)]
        lines.append(f"| {name} | " + " | ".join([*cells, *tones(both[1])]) + " |")
    blank = [""] * (1 + len(BANDS))
    lines.append("| the photographs' own cheeks | " + " | ".join([*blank, *tones(angles_of(own))]) + " |")
    return [*lines, ""]


def readings(found: ToneCalibration) -> dict[str, Callable[[Tensor], Tensor]]:
    """What makes albedo coefficients [B, K] of those that are predicted, by name."""

    def calibrated(albedo: Tensor) -> Tensor:
        return torch.cat([found.factor * albedo[:, :1] + found.shift, albedo[:, 1:]], 1)

    return {"as predicted": lambda albedo: albedo, "calibrated": calibrated}


def people_lines(
    folder: Path, teachers: Teachers, regressor: Regressor, cheeks: Cheeks, found: ToneCalibration
) -> list[str]:
    """Both readings of real people, on average over their first photographs as the one that is read."""
    data = LFW(folder, [teachers.encoder])
    data.prepare_data()
    data.setup()
    header = ["people", "rank", "mean error", "light rendered dark", "dark rendered light", *REAL_BANDS]
    lines = [
        "## People of LFW", "",
        f"From one photograph against the median angle of the person's others, for people with "
        f"{PEOPLE_FOR_TONE} or more; averages over the first {PEOPLE_FOR_TONE} as the one. By band of that "
        "median: how much too light.", "",
        "| | " + " | ".join(header) + " |", "|---|" + "---:|" * len(header),
    ]  # fmt: skip
    for people in people_for_tone(data):
        firsts = np.concatenate([mine[:PEOPLE_FOR_TONE] for mine in people.of_people])
        features = data.dataset.batch(people.faces[firsts]).features[teachers.encoder.name]
        albedo = regressor(features).albedo
        for name, reading in readings(found).items():
            angles = np.full(len(people.faces), np.nan)
            angles[firsts] = cheeks.angles(reading(albedo))
            figures = [figures_from(source, people, angles) for source in range(PEOPLE_FOR_TONE)]
            rank, error, light, dark, *bands = np.mean(figures, 0)
            cells = [f"{len(people.of_people)}", f"{rank:.3f}", f"{error:.1f}"]
            cells += [f"{100 * light:.1f} %", f"{100 * dark:.1f} %", *(f"{bias:+.1f}" for bias in bands)]
            lines.append(f"| {people.kind}, {name} | " + " | ".join(cells) + " |")
    return [*lines, ""]


def figures_from(source: int, people: PeopleForTone, angles: np.ndarray) -> list[float]:
    """What `people_lines` averages, of one photograph of each person."""
    agreement = agreement_from(source, people.of_people, angles, people.photographed)
    read = np.array([angles[mine[source]] for mine in people.of_people])
    own = np.array([np.median(people.photographed[np.delete(mine, source)]) for mine in people.of_people])
    bands = [
        own > 41,
        (own > LIGHT_ABOVE) & (own <= 41),
        (own >= DARK_BELOW) & (own <= LIGHT_ABOVE),
        own < DARK_BELOW,
    ]
    return [
        agreement.rank_correlation, float(np.abs(read - own).mean()), agreement.light_rendered_dark,
        agreement.dark_rendered_light, *(float((read - own)[inside].mean()) for inside in bands),
    ]  # fmt: skip


def tones(angles: np.ndarray) -> list[str]:
    """The mean angle, and which part is dark and light."""
    dark, light = (angles < DARK_BELOW).mean(), (angles > LIGHT_ABOVE).mean()
    return [f"{angles.mean():.1f}", f"{100 * dark:.0f} %", f"{100 * light:.0f} %"]


if __name__ == "__main__":
    main()
