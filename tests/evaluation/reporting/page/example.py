"""A report of eight variants without a study: made-up scores, faces of the miniature model."""

from pathlib import Path

import numpy as np
import torch
from PIL import Image

from evaluation.reporting.figures import Line, line_figure
from evaluation.reporting.page.document import contact_sheet, document, figure, figures, paragraphs, table
from evaluation.reporting.page.faces import viewer
from evaluation.reporting.studies import (
    Metric,
    Study,
    attribution,
    caveats,
    comparison_grid,
    differences,
    mean_grid,
)
from lightning_modules.faces.morphable_model import MorphableModel
from tests import miniatures

OFF = [(), ("a",), ("b",), ("c",), ("a", "b"), ("a", "c"), ("b", "c"), ("a", "b", "c")]
SWITCHES = {"a": "batch_distribution", "b": "loopback", "c": "multi_view"}


def made_up_study(metrics: int = 6, people: int = 40) -> Study:
    """Scores in which the second switch matters."""
    draws = np.random.default_rng(0)
    variants = [tuple(SWITCHES[name] for name in off) for off in OFF]
    effect = np.array([-0.2 * ("loopback" in off) for off in variants]).reshape(-1, 1, 1)
    names = ["similarity", "AUC", "top-1", "|mean - target|", "EMD to one person", "shape error"][:metrics]
    return Study(
        variants,
        [0, 1, 2],
        [
            Metric(name, "mm" if name == "shape error" else "share", "LFW, 40 people, judge sface",
                   effect + 0.1 * draws.normal(size=(8, 3, people)), name == "shape error")
            for name in names
        ],
        "full",
    )  # fmt: skip


def write_example(file: Path, model: MorphableModel | None = None) -> Path:
    """The report."""
    study = made_up_study()
    changes, (method, worth) = differences(study), attribution(study)
    sections = [
        ("Scores", table(mean_grid(study, "Means"), "means") + paragraphs(caveats(study, None, {}))),
        ("Differences", table(comparison_grid(changes, "Each variant minus full", "Variant"))
         + paragraphs(caveats(study, len(changes), {}))),
        (method, table(comparison_grid(worth, method, "Switch"))),
    ]  # fmt: skip
    steps = np.arange(0, 100, 10)
    drawn, _ = line_figure("", "step", "similarity", [Line("full", steps, steps / 100)], y_from_zero=False)
    sections.append(("Training", figures([figure(drawn, "similarity")] * 2)))
    tiles = [[Image.new("RGB", (112, 112), (20 * v, 30 * p, 90)) for v in range(8)] for p in range(3)]
    sections.append(("People", contact_sheet(study.names, tiles, "The same people by every variant")))
    model = miniatures.small_model(skin=True) if model is None else model
    drawn_faces = [
        [model.sample(1, torch.Generator().manual_seed(10 * p + v)) for v in range(8)] for p in range(2)
    ]
    faces = [[model(face.shape, face.albedo) for face in person] for person in drawn_faces]
    sections.append(
        ("Faces in 3-D", viewer(
            model.triangles.numpy(),
            np.array([[face.vertices[0].numpy() for face in person] for person in faces]),
            np.array([[face.albedo[0].numpy() for face in person] for person in faces]),
            ["1", "2"], study.names, "Drag to turn.",
        ))
    )  # fmt: skip
    file.write_text(document("STAND-IN: <an> example & more", ["Made up."], sections), encoding="utf-8")
    return file
