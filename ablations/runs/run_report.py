"""What a finished run says: results.json, a table, a contact sheet."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from rich.console import Console
from torch import Tensor

from ablations.runs import components
from ablations.runs.execution import Execution, identity_of
from ablations.runs.settings import FOLLOWING, METHODS, PRESETS, Settings
from ablations.runs.wandb_runs import FULL, SWITCHES, variant
from datamodules.photograph_statistics import distance_from_photographs
from datamodules.photographs import Photographs
from evaluation.metrics.moments import moments
from evaluation.metrics.paired import mean_and_standard_error
from evaluation.metrics.retrieval import found, rank
from evaluation.reporting.blocks import Block, blocks_by_protocol
from evaluation.reporting.provenance import provenance
from evaluation.reporting.results import Counts, Results, Row, write_results
from evaluation.reporting.tables import Layout, page_of, print_page, say
from lightning_modules.checkpoints import content_of, read_checkpoint
from lightning_modules.contact_sheets import contact_sheet as laid_out
from lightning_modules.contact_sheets import picture
from lightning_modules.distributed import is_first_process
from lightning_modules.faces.aligned_rendering import render_frontal
from lightning_modules.plain.files import written_atomically
from lightning_modules.plain.output_folder import OutputFolder
from lightning_modules.plain.stand_in_label import labelled
from lightning_modules.prediction import Prediction
from lightning_modules.pretraining import explained_variance
from lightning_modules.recognition.frame import WHOLE_FRAME
from lightning_modules.recognition.similarity import cosine_similarity
from lightning_modules.regression import Regression
from lightning_modules.regressor import Regressor
from lightning_modules.rendered_faces import frame_of, render_for_judge
from lightning_modules.teachers import Teachers

SHEET, SHEET_PEOPLE, SHEET_YAW = "contact_sheet.png", 12, (0.0, -35.0, 35.0)
SHEET_OF_RENDERINGS = "contact_sheet_renderings.png"
AT_ONCE = 32
CENTRED = ", centred"  # behind a protocol


def show(results: Results, folder: Path) -> None:
    """Print a finished run's table and name its files."""
    items = "synthetic faces" if results.settings.get("stage") == "1" else "photographs"
    print_page(page_of(results, Layout(blocks_of, items, "standard error over photographs")), Console())
    files = [file.name for file in (folder / "final.ckpt", folder / SHEET) if file.exists()]
    say(f"{folder}: results.json {' '.join(files)}")


def blocks_of(results: Results) -> list[Block]:
    """A table for each network and for the coefficients, a line a method.

    Centred similarities stand beside the same network's other figures.
    """
    rows = [
        row._replace(protocol=row.protocol.removesuffix(CENTRED), metric=f"{row.metric}{CENTRED}")
        if row.protocol.endswith(CENTRED)
        else row
        for row in results.rows
    ]
    return blocks_by_protocol(results._replace(rows=rows))


def of_run(
    module: Regression,
    photographs: Photographs,
    settings: Settings,
    content: dict[str, Any],
    folder: OutputFolder,
) -> Results:
    """The scores of held-back photographs, and a contact sheet of them."""
    module.eval()
    teachers = module.teachers
    held_back = photographs.judged_validation
    batch = held_back.batch(np.arange(len(held_back)))
    encoded = batch.features[teachers.encoder.name].to(teachers.model.shape_mean.device)
    # In the model's precision, whatever the trainer's was.
    decoded = Prediction(*(part.to(teachers.model.shape_mean) for part in module.regressor(encoded)))
    rows = []
    training_networks = [("training network", network) for network in teachers.identity_networks]
    for role, network in [("judge", teachers.judge), *training_networks]:
        rows += similarity_rows(
            f"{role} {network.name}", module, decoded, batch.embeddings[network.name], network
        )
    rows += coefficient_rows(module, decoded, content)
    own = photographs.provenance()
    if own["stand_in"]:
        everyone = photographs.dataset.batch(components.training_sample(photographs))
        distance = distance_from_photographs(everyone.features[teachers.encoder.name], teachers.encoder)
        rows.append(
            Row("stand-in", "encoder feature means", "distance from real photographs", "standard deviations",
                distance, n=len(everyone.index),
                reason=None if distance is not None else f"no statistics of {teachers.encoder.name}")
        )  # fmt: skip
    shown = held_back.images(range(min(SHEET_PEOPLE, len(held_back))))
    heading = labelled("held-back photographs, and their faces from three sides", own["stand_in"])
    contact_sheet(module, shown, decoded, folder.claim(SHEET), heading)
    heading = labelled("faces of held-back photographs from three sides", own["stand_in"])
    contact_sheet(module, None, decoded, folder.claim(SHEET_OF_RENDERINGS), heading)
    total, trained = len(held_back.paths), len(photographs.training)
    failures = len({index for index, _ in photographs.dataset.faces.failures})
    title = f"{described(settings)}, trained on {trained:,} photographs"
    return Results(
        "run",
        labelled(title, own["stand_in"]),
        content["settings"],
        Counts(total, total - failures, {"no usable face": failures} if failures else {}),
        rows,
        provenance(
            departures=settings.departures,
            **{name: value for name, value in content.items() if name not in ("centres", "commit")},
        ),
        own["stand_in"],
    )


def resumed_from(execution: Execution) -> dict[str, Any]:
    """What results say of a checkpoint that was asked for: its settings may have been others."""
    if execution.resume is None:
        return {}
    checkpoint = read_checkpoint(execution.resume)
    content = content_of(checkpoint)
    own = {"step": int(checkpoint["global_step"]), "settings": content["settings"]}
    return {"resumed_from": {"name": execution.resume.name, **own}}


def described(settings: Settings) -> str:
    """A run in words: its method, what is switched off or else than the method has it, and its budget."""
    words = [f"{settings.method} method"]
    if variant(settings) != FULL:
        words.append(variant(settings))
    usual = METHODS[settings.method] | {
        name: getattr(settings, followed) for name, followed in FOLLOWING[settings.method].items()
    }
    said = (*SWITCHES, *(() if settings.multi_view else ("views",)))  # by the variant's name
    for name, value in usual.items():
        if name not in said and getattr(settings, name) != value:
            words.append(f"{name.replace('_', ' ')} {getattr(settings, name)}")
    if settings.views == 1:
        words.append("identity and loopback both see one view")
    budget = f"{settings.preset} preset"
    if settings.max_steps != PRESETS[settings.preset]["max_steps"]:
        budget += f" with {settings.max_steps:,} steps"
    return ", ".join([*words, budget])


def of_stage_1(
    regressor: Regressor, teachers: Teachers, settings: Settings, execution: Execution, folder: OutputFolder
) -> Results | None:
    """What stage 1 alone explains of faces that it was not trained on."""
    if execution.fast_dev_run or not is_first_process():
        return None
    synthetic = components.synthetic_of(settings, execution, teachers.model, teachers.encoder, stage=1)
    synthetic.prepare_data()
    synthetic.setup()
    faces = synthetic.validation_faces()
    with torch.inference_mode():
        predicted = regressor.cpu()(faces.features)
    rows = []
    for part in Prediction._fields:
        explained = explained_variance(getattr(predicted, part), getattr(faces, part))
        for name, some in (("all components", explained), ("first ten", explained[:10])):
            rows.append(
                Row("stage 1", "held-out synthetic faces", f"explained variance of {part}, {name}", "share",
                    float(some.mean()), n=len(faces.features))
            )  # fmt: skip
    count = len(faces.features)
    results = Results(
        "run", "Stage 1 alone, on synthetic faces", identity_of(settings, execution),
        Counts(count, count, {}), rows,
        provenance(departures=settings.departures, morphable_model=teachers.model.describe()),
    )  # fmt: skip
    write_results(results, folder)
    return results


def similarity_rows(
    protocol: str,
    module: Regression,
    decoded: Prediction,
    photographs: Tensor,
    network: Any,  # noqa: ANN401
) -> list[Row]:
    """Cosine of photographs and frontal renderings by one network, beside two floors."""
    seen = shown_to(network, module, decoded)
    mean_face = Prediction(*(torch.zeros_like(part[:1]) for part in decoded))
    mean_seen = shown_to(network, module, mean_face).expand_as(seen)
    photographs = photographs.to(seen.device)
    centre = module.centres.get(network.name)
    rows = []
    for method, faces in (
        ("this run", seen), ("its faces shuffled", seen.roll(1, 0)), ("mean face", mean_seen),
    ):  # fmt: skip
        score = mean_and_standard_error(cosine_similarity(photographs, faces, centre).double().cpu().numpy())
        rows.append(
            Row(method, f"held-back photographs, {protocol}{'' if centre is None else CENTRED}",
                "similarity", "similarity", score.value, score.standard_error, n=len(seen))
        )  # fmt: skip
    identity = np.arange(len(seen))
    ranks = rank((seen @ photographs.T).cpu().numpy(), identity, identity)
    for k in (1, 5):
        if k < len(seen):
            rows.append(
                Row("this run", f"held-back photographs, {protocol}", f"top-{k}", "share",
                    float(found(ranks, k).mean()), n=len(seen))
            )  # fmt: skip
    return rows


def shown_to(network: Any, module: Regression, faces: Prediction) -> Tensor:  # noqa: ANN401
    """The embeddings [B, E] of frontal renderings."""
    seen = []
    for start in range(0, len(faces.shape), AT_ONCE):
        some = Prediction(*(part[start : start + AT_ONCE] for part in faces))
        images = render_for_judge(
            module.teachers.model,
            some,
            backend=module.rendering.backend,
            retouched=module.rendering.retouched,
        )
        seen.append(network(images).embedding)
    return torch.cat(seen)


def coefficient_rows(module: Regression, decoded: Prediction, content: dict[str, Any]) -> list[Row]:
    """How far the coefficients of held-back photographs are from the prior."""
    coefficients = torch.cat(decoded, 1).cpu()
    if len(coefficients) < 2:
        return []
    mean, variance = (part.cpu() for part in module.target_moments(torch.cat(decoded, 1)))
    measured = moments(coefficients, target_mean=mean, target_variance=variance)
    names = {
        "mean_distance": "|mean - target|",
        "variance_distance": "|variance - target|",
        "share_beyond": "beyond 3 sd",
    }
    return [
        Row("this run", "held-back photographs, coefficients", title,
            "share" if name == "share_beyond" else "standard deviations", getattr(measured, name),
            n=len(coefficients))
        for name, title in names.items()
    ]  # fmt: skip


def contact_sheet(
    module: Regression, photographs: Tensor | None, decoded: Prediction, file: Path, heading: str
) -> None:
    """Held-back photographs (the user's own, so the sheet stays in the run's folder) and their faces.

    Without photographs, the faces alone.
    """
    count = SHEET_PEOPLE if photographs is None else len(photographs)
    people = Prediction(*(part[:count] for part in decoded))
    model = module.teachers.model
    frame = frame_of(WHOLE_FRAME)
    shown = render_frontal(model, model(*people), frame, yaw_degrees=SHEET_YAW)  # [B, 3, 3, 224, 224]
    columns = [f"yaw {yaw:+.0f}°" if yaw else "front" for yaw in SHEET_YAW]
    if photographs is not None:
        shown = torch.cat([photographs[:, None].to(shown), shown], 1)
        columns = ["photograph", *columns]
    size = shown.shape[-1]
    tiles: list[list[Image.Image | None]] = [[picture(one, size) for one in row] for row in shown]
    if len(tiles) % 2:
        tiles.append([None] * len(columns))
    half = len(tiles) // 2
    rows = [left + right for left, right in zip(tiles[:half], tiles[half:], strict=True)]
    sheet = laid_out(rows, columns=2 * columns, title=heading)
    with written_atomically(file) as temporary:
        sheet.save(temporary)
