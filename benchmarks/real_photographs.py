"""Judges checkpoints on Labeled Faces in the Wild by a network that they were not trained with.

    python -m benchmarks.real_photographs --data lfw:DIR --checkpoints full=A.ckpt,stage1=B.ckpt

The project's reporting protocol: people outside peopleDevTrain (or, with --development, in it) with at least
two photographs; the query is the frontal rendering of the first, the gallery holds both. Beside the
checkpoints: the mean face, the full model's faces shuffled, and closed-form ridge regression on the synthetic
faces of the checkpoints' own stage 1 (for each encoder among them), its coefficients times 1 and times 1.5.
Differences to the first checkpoint are paired over people. Then coefficients against the prior and skin tone
against the median of a person's other photographs. Writes a Markdown file and, with --sheet, a contact sheet
that shows the photographs and must stay with whoever has them.
"""

import argparse
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from sklearn.linear_model import RidgeCV
from torch import Tensor

from ablations.runs import components
from ablations.runs.execution import Execution
from ablations.runs.settings import Settings
from datamodules.cheeks import cheek_colours
from datamodules.face_data import FaceBatch
from datamodules.lfw import LFW
from datamodules.synthetic_faces import VALIDATION
from evaluation.likeness.judged_people import Judged, judge_faces
from evaluation.metrics.moments import moments, moments_of_normal_draws
from evaluation.metrics.reporting_protocol import Scores, compare
from evaluation.metrics.skin_tone import ToneAgreement, individual_typology_angle, lab, tone_agreement
from evaluation.shared.judge import judge_name
from lightning_modules.checkpoints import load_regressor
from lightning_modules.contact_sheets import contact_sheet, picture
from lightning_modules.plain.even_choice import evenly_chosen
from lightning_modules.plain.output_file import check_new
from lightning_modules.prediction import Prediction
from lightning_modules.pretraining import explained_variance
from lightning_modules.recognition.encoder_names import EncoderName
from lightning_modules.rendered_faces import render_from_the_front
from lightning_modules.skin_tone import albedo_angles
from lightning_modules.teachers import Teachers

REPORT = Path(__file__).with_suffix(".md")
Decode = Callable[[Tensor], Prediction]
AT_ONCE = 32
SHEET_PAIRS, SHEET_PIXELS = 4, 160  # of photograph and face in a row of the sheet
PEOPLE_FOR_TONE = 8  # photographs that a person must have
SHOWN = {
    "area_under_roc": "AUC", "area_under_roc_both": "AUC, both photographs",
    "mean_same": "same", "mean_different": "different", "top1": "top-1",
    "top5": "top-5", "top1_without_source": "top-1, source left out",
    "top5_without_source": "top-5, source left out", "distance_to_same": "EMD same",
    "distance_to_different": "EMD different",
}  # fmt: skip


class Method(NamedTuple):
    """Something that turns an encoder's features into coefficients."""

    name: str
    encoder: str
    decode: Decode

    def of(self, faces: FaceBatch) -> Prediction:
        """The coefficients of faces."""
        return self.decode(faces.features[self.encoder])


@torch.inference_mode()
def main(arguments: list[str] | None = None) -> None:
    """Judge, write the report."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", required=True, help="lfw:DIR")
    parser.add_argument("--checkpoints", required=True, help="NAME=FILE,NAME=FILE; the first is compared")
    parser.add_argument("--photographs", help="what it was trained on: for the moments of those held back")
    parser.add_argument("--people", type=int, default=300)
    parser.add_argument("--development", action="store_true", help="people on whom choices are made")
    parser.add_argument("--tone", action="store_true", help="skin tone, too")
    parser.add_argument("--sheet", type=Path, help="contact sheet (shows photographs: never publish)")
    parser.add_argument("--output", type=Path, default=REPORT)
    options = parser.parse_args(arguments)
    check_new(options.sheet)
    check_new(options.output, but=REPORT)
    named = dict(item.split("=", 1) for item in options.checkpoints.split(","))
    loaded = {name: load_regressor(Path(file)) for name, file in named.items()}
    first = next(iter(loaded))
    encoders = {name: content["networks"]["encoder"]["name"] for name, (_, content) in loaded.items()}
    # By encoder; ridge regression takes the synthetic faces of the first checkpoint that has it.
    settings = {encoders[name]: settings_of(loaded[name][1]) for name in reversed(loaded)}
    taught = {encoder: components.load_teachers(own, Execution()) for encoder, own in settings.items()}
    teachers = taught[encoders[first]]
    for _, content in loaded.values():
        judge_name(teachers.judge.name, content)
    networks = {network.name: network for one in taught.values() for network in one.by_role.values()}
    data = LFW(Path(options.data.removeprefix("lfw:")), list(networks.values()))
    data.prepare_data()
    data.setup()
    subset = data.retrieval_subset(options.people, development=options.development)
    queries, gallery = data.dataset.batch(subset.query), data.dataset.batch(subset.gallery)
    learnt = [Method(name, encoders[name], regressor) for name, (regressor, _) in loaded.items()]
    methods = [*learnt, mean_face(encoders[first], loaded[first][0])]
    for encoder in dict.fromkeys(encoders.values()):
        of = "" if encoder == encoders[first] else f", {encoder}"
        methods += ridge_methods(settings[encoder], taught[encoder], of)
    kind = "peopleDevTrain (development)" if options.development else "not in peopleDevTrain"
    lines = [
        "# Judged on real photographs", "",
        f"`python -m benchmarks.real_photographs --people {options.people}"
        f"{' --development' if options.development else ''}`: {len(subset.query)} people {kind}, two "
        f"photographs each; judge {teachers.judge.name}, encoder {teachers.encoder.name}. Checkpoints:", "",
        *(f"- {name}: {described(content)}" for name, (_, content) in loaded.items()), "",
    ]  # fmt: skip
    judged = {method.name: judge(method, queries, gallery, teachers) for method in methods}
    judged[f"{first}, shuffled"] = judge(learnt[0], queries, gallery, teachers, shuffled=True)
    lines += score_table(judged, first)
    lines += comparison_table({name: result.scores for name, result in judged.items()}, first)
    everyone = data.dataset.batch(np.arange(len(data.dataset)))
    toned = people_for_tone(data) if options.tone else []
    for method in learnt:
        content = loaded[method.name][1]
        if options.photographs:
            lines += coefficient_lines(method, everyone, content, f"all {len(data.dataset):,} faces of LFW")
            lines += held_back_lines(method, content, taught[method.encoder], options.photographs)
        lines += [tone_line(method, people, data, teachers) for people in toned]
        lines += [""] if toned else []
    if options.sheet:
        shown = subset.query[evenly_chosen(len(subset.query), 24)]
        sheet(learnt[0], data, shown, teachers, options.sheet)
    options.output.write_text("\n".join(lines) + "\n", encoding="utf-8")
    print(options.output.read_text(encoding="utf-8"))


def settings_of(content: dict[str, Any]) -> Settings:
    """The settings of a checkpoint's run."""
    known = Settings.__dataclass_fields__
    settings = Settings(**{name: value for name, value in content["settings"].items() if name in known})
    encoder = EncoderName.of(content["networks"]["encoder"]["name"])
    # A stage 1 has no identity network, and older checkpoints do not say whether their encoder is coloured.
    return replace(
        settings,
        encoder=encoder.network,
        encoder_crops=encoder.crops,
        identity_network=settings.identity_network or encoder.network,
        cheek_colour=encoder.coloured,
    )


def described(content: dict[str, Any]) -> str:
    """A checkpoint in a line: settings that are not the standard's, data, commit."""
    settings, data = content["settings"], content.get("training_data")
    photographs = "synthetic faces only" if data is None else f"{data['count']:,} {data['kind']}"
    steps = settings.get("max_steps") if content["stage"] == 2 else settings["pretraining_steps"]
    seed, commit = settings["seed"], content["commit"]
    runs = f"average of {len(content['averaged'])} runs, " if "averaged" in content else ""
    return f"{runs}stage {content['stage']}, {steps} steps, {photographs}, seed {seed}, commit {commit}"


def ridge_methods(settings: Settings, teachers: Teachers, of: str) -> list[Method]:
    """Closed-form ridge regression on stage 1's faces (penalty by leave-one-out), times 1 and times 1.5.

    Args:
        settings: of the run.
        teachers: whose encoder's features it reads.
        of: what is added to the methods' names.
    """
    synthetic = components.synthetic_of(settings, Execution(), teachers.model, teachers.encoder, stage=1)
    synthetic.prepare_data()
    synthetic.setup()
    faces = synthetic.pooled(np.arange(synthetic.pool_size))
    mean, scale = faces.features.mean(0), faces.features.std(0) + 1e-6
    targets = torch.cat([faces.shape, faces.albedo], 1).numpy()
    ridge = RidgeCV(np.logspace(0, 5, 11)).fit(((faces.features - mean) / scale).numpy(), targets)
    held_out = synthetic.pooled(np.arange(synthetic.validation_size), purpose=VALIDATION)

    def decode(features: Tensor, factor: float = 1.0) -> Prediction:
        """The regression's coefficients, times a factor."""
        values = torch.from_numpy(ridge.predict(((features - mean) / scale).numpy())).float() * factor
        return Prediction(*values.split([faces.shape.shape[1], faces.albedo.shape[1]], 1))

    explained = [
        float(explained_variance(predicted, drawn).mean())
        for predicted, drawn in zip(decode(held_out.features), held_out[:2], strict=True)
    ]
    print(f"ridge, penalty {ridge.alpha_:g}: explains {explained} of held-out shape and albedo")
    encoder = teachers.encoder.name
    return [
        Method(f"ridge x 1{of}", encoder, decode),
        Method(f"ridge x 1.5{of}", encoder, lambda features: decode(features, 1.5)),
    ]


def mean_face(encoder: str, regressor: Any) -> Method:  # noqa: ANN401 - a Regressor
    """The mean face for everybody."""
    return Method(
        "mean face",
        encoder,
        lambda features: Prediction(
            features.new_zeros(len(features), regressor.shape_count),
            features.new_zeros(len(features), regressor.albedo_count),
        ),
    )


def judge(
    method: Method, queries: FaceBatch, gallery: FaceBatch, teachers: Teachers, *, shuffled: bool = False
) -> Judged:
    """Scores of a method; shuffled gives each person another's face."""
    return judge_faces(
        method.of(queries), gallery, teachers.model, teachers.judge, teachers.identity_network,
        shuffled=shuffled,
    )  # fmt: skip


def score_table(judged: dict[str, Judged], first: str) -> list[str]:
    """All figures of all methods, with the jackknife's standard error."""
    lines = [
        "| method | "
        + " | ".join(SHOWN.values())
        + " | top-1 / top-5, each side centred by its own mean | same, by the training network (centred) |"
    ]
    lines += ["|" + "---|" * (len(SHOWN) + 3)]
    for name, result in judged.items():
        cells = [
            f"{getattr(result.scores, field).value:.3f} ± {getattr(result.scores, field).standard_error:.3f}"
            for field in SHOWN
        ]
        cells.append(f"{result.centred.top1.value:.3f} / {result.centred.top5.value:.3f}")
        cells.append(f"{result.by_training.mean_same.value:.3f}")
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return [*lines, ""]


def comparison_table(scores: dict[str, Scores], first: str) -> list[str]:
    """How far the first method lies above each other one, in standard errors paired over people."""
    lines = [
        f"`{first}` minus the others, paired over people, in brackets the difference in standard errors:",
        "",
    ]
    lines += ["| against | AUC | top-1 | top-5 |", "|---|---|---|---|"]
    for name, other in scores.items():
        if name != first:
            differences = compare(scores[first], other)
            cells = [
                f"{differences[field].value:+.3f} ({differences[field].standard_errors:+.1f})"
                for field in ("area_under_roc", "top1", "top5")
            ]
            lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return [*lines, ""]


def held_back_lines(method: Method, content: dict[str, Any], teachers: Teachers, folder: str) -> list[str]:
    """The same for the photographs that the run held back from training, of those in the folder."""
    settings = settings_of(content)
    if content["stage"] == 1:
        return []
    # What training compared with landmarks is told without them here, and without their detector.
    settings = replace(settings, photographs=folder, landmark_weight=0.0)
    photographs = components.photographs_of(settings, Execution(), teachers)
    photographs.prepare_data()
    photographs.setup()
    if photographs.provenance()["digest"] != content["training_data"]["digest"]:
        raise SystemExit(f"error: {folder} does not hold the photographs that {method.name} was trained on")
    held_back = photographs.dataset.batch(photographs.validation)
    where = f"the {len(photographs.validation):,} photographs held back"
    return coefficient_lines(method, held_back, content, where)


def coefficient_lines(method: Method, faces: FaceBatch, content: dict[str, Any], where: str) -> list[str]:
    """The coefficients of photographs against their target, beside exact draws of the same count."""
    coefficients = torch.cat(method.of(faces), 1)
    target_mean, target_variance = torch.zeros(coefficients.shape[1]), torch.ones(coefficients.shape[1])
    tone = content.get("tone")
    if tone is not None:
        place = content["regressor"]["shape_count"]
        target_mean[place], target_variance[place] = tone["mean"], tone["variance"]
    measured = moments(coefficients, target_mean=target_mean, target_variance=target_variance)
    exact = moments_of_normal_draws(
        len(coefficients), coefficients.shape[1], torch.Generator().manual_seed(0),
        target_mean=target_mean, target_variance=target_variance,
    )  # fmt: skip
    return [
        f"Coefficients of `{method.name}` on {where}, none trained on: "
        f"|mean - target| {measured.mean_distance:.3f} (exact draws {exact.mean.mean_distance:.3f}), "
        f"|variance - target| {measured.variance_distance:.3f} ({exact.mean.variance_distance:.3f}), "
        f"beyond 3 sd {100 * measured.share_beyond:.2f} % ({100 * exact.mean.share_beyond:.2f} %).",
        "",
    ]


class PeopleForTone(NamedTuple):
    """People with enough photographs.

    Attributes:
        kind: development people, or others.
        faces: [F], their photographs.
        of_people: places in `faces` of each person's photographs.
        photographed: [F] degrees, of each photograph's cheeks.
    """

    kind: str
    faces: np.ndarray
    of_people: list[np.ndarray]
    photographed: np.ndarray


def people_for_tone(data: LFW) -> list[PeopleForTone]:
    """Development people, then the others, with what their photographs' cheeks say."""
    development, counts = data.development_people(), np.bincount(data.identity)
    found = []
    for kind, is_development in (("development people", True), ("other people", False)):
        people = [
            person
            for person in np.flatnonzero(counts >= PEOPLE_FOR_TONE)
            if (data.people[person] in development) == is_development
        ]
        faces = np.flatnonzero(np.isin(data.identity, people))
        photographed = individual_typology_angle(lab(cheek_colours(data.dataset, faces, progress=False)))
        of_people = [np.flatnonzero(data.identity[faces] == person) for person in people]
        found.append(PeopleForTone(kind, faces, of_people, photographed))
    return found


def tone_line(method: Method, people: PeopleForTone, data: LFW, teachers: Teachers) -> str:
    """Skin tone of the albedo predicted from one photograph against the person's other photographs."""
    albedo = method.of(data.dataset.batch(people.faces)).albedo
    rendered = np.concatenate(
        [albedo_angles(teachers.model, teachers.model.albedo(some)) for some in albedo.split(AT_ONCE)]
    )
    agreements = [
        agreement_from(source, people.of_people, rendered, people.photographed)
        for source in range(PEOPLE_FOR_TONE)
    ]
    first = agreements[0]
    rank, light, dark = (
        np.mean([getattr(agreement, name) for agreement in agreements])
        for name in ("rank_correlation", "light_rendered_dark", "dark_rendered_light")
    )
    return (
        f"- Skin tone of `{method.name}`, {people.kind} ({first.count} with {PEOPLE_FOR_TONE} or more "
        f"photographs): rank correlation {first.rank_correlation:.3f}; light rendered dark "
        f"{first.light_rendered_dark_count} of {first.light_count}, dark rendered light "
        f"{first.dark_rendered_light_count} of {first.dark_count}. That is from each person's first "
        f"photograph; on average over the first {PEOPLE_FOR_TONE} as the one: {rank:.3f}, "
        f"{100 * light:.1f} %, {100 * dark:.1f} %."
    )


def agreement_from(
    source: int, of_people: list[np.ndarray], rendered: np.ndarray, photographed: np.ndarray
) -> ToneAgreement:
    """Tone rendered from one photograph of each person against the median of all others.

    Args:
        source: which of a person's photographs is the one.
        of_people: the photographs of each person.
        rendered: [F] degrees, of the albedo predicted from each photograph.
        photographed: [F] degrees, of each photograph's cheeks.
    """
    predicted = [rendered[mine[source]] for mine in of_people]
    own = [np.median(photographed[np.delete(mine, source)]) for mine in of_people]
    return tone_agreement(np.array(predicted), np.array(own))


def sheet(method: Method, data: LFW, faces: np.ndarray, teachers: Teachers, file: Path) -> None:
    """Photographs and their faces from the front, some pairs a row."""
    decoded = method.of(data.dataset.batch(faces))
    images, photographs = render_from_the_front(teachers.model, decoded), data.dataset.images(faces)
    tiles = [picture(image, SHEET_PIXELS) for pair in zip(photographs, images, strict=True) for image in pair]
    columns = SHEET_PAIRS * ["photograph", "face"]
    rows = [tiles[start : start + len(columns)] for start in range(0, len(tiles), len(columns))]
    contact_sheet(rows, columns=columns).save(file)


if __name__ == "__main__":
    main()
