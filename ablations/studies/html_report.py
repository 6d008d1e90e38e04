"""The report of a study: one HTML file with tables, curves, contact sheets, and faces in 3-D."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from markupsafe import Markup
from PIL import Image

from evaluation.reporting.figures import Line, line_figure
from evaluation.reporting.grids import Grid
from evaluation.reporting.page.document import contact_sheet, document, figure, figures, paragraphs, table
from evaluation.reporting.page.faces import viewer
from evaluation.reporting.studies import Study
from lightning_modules.faces.morphable_model import MorphableModel
from lightning_modules.plain.files import write_whole
from lightning_modules.reconstruction import load_reconstructor

from .cell_results import PEOPLE, RUN, LossCurve, curves_of
from .designs import Cell

# What is shown of a training, and how its axis is named.
CURVES = {
    "validation/judge_similarity": "similarity by the judge",
    "validation/fooling_gap": "fooling gap",
    "validation/mean_error": "|mean - target| of coefficients",
    "validation/variance_error": "|variance - target| of coefficients",
    "validation/beyond_three_deviations": "share of coefficients beyond 3 sd",
    "train/loss/total": "weighted sum of the losses that are on",
}
SHEET_SIZE, PEOPLE_IN_3D = 112, 3
# Of a noisy curve, so many points are shown, each the mean of its part.
POINTS = 60


def write_report(
    file: Path,
    title: str,
    study: Study,
    tables: Sequence[tuple[Grid, Sequence[str]]],
    missing: Mapping[str, str],
) -> None:
    """Write it beside the cells that it shows.

    Args:
        file: of the report, in the study's folder.
        title: of the page.
        study: whose finished seeds are shown.
        tables: means, differences and attribution, each with its notes.
        missing: cells that are not shown, with their reason.
    """
    folder, seed = file.parent, study.seeds[0]
    cells = [folder / Cell(off, seed).name for off in study.variants]
    headings = ("Scores", "Differences from the full method", tables[2][0].title.rpartition(": ")[2])
    sections = [
        (heading[0].upper() + heading[1:], table(grid, kind) + paragraphs(notes))
        for heading, (grid, notes), kind in zip(headings, tables, ("means", "", ""), strict=True)
    ]
    sections.append(("Training", curve_figures(folder, study)))
    sheet, people = contact_sheet_of(cells, study.names)
    sections.append(("The same people by every variant", sheet))
    sections.append(("Faces in 3-D", faces_in_3d(cells, study.names, people[:PEOPLE_IN_3D])))
    notices = [f"Seeds {', '.join(map(str, study.seeds))}; pictures and faces show seed {seed}."]
    notices += [f"{name} is missing: {reason}" for name, reason in missing.items()]
    write_whole(file, document(title, notices, sections))


def curve_figures(folder: Path, study: Study) -> Markup:
    """A figure for each logged name, a line a variant: the mean over seeds."""
    drawn = []
    logged = {
        name: [curves_of(folder / Cell(off, seed).name, list(CURVES)) for seed in study.seeds]
        for off, name in zip(study.variants, study.names, strict=True)
    }
    for name, label in CURVES.items():
        lines = []
        for variant, seeds in logged.items():
            curves = [curves[name] for curves in seeds if name in curves]
            if curves:
                lines.append(Line(variant, *mean_curve(curves)))
        if lines:
            plot, _ = line_figure("", "step", label, lines, y_from_zero=False)
            drawn.append(figure(plot, f"{label}, mean over seeds ({name})"))
    return figures(drawn)


def mean_curve(curves: Sequence[LossCurve]) -> LossCurve:
    """The mean over seeds at the steps that all have, in at most `POINTS` points."""
    steps = curves[0].steps
    for curve in curves[1:]:
        steps = np.intersect1d(steps, curve.steps)
    values = np.mean([curve.values[np.searchsorted(curve.steps, steps)] for curve in curves], axis=0)
    parts = min(POINTS, len(steps))
    if parts == len(steps):
        return LossCurve(steps, values)
    return LossCurve(*(np.array([part.mean() for part in np.array_split(x, parts)]) for x in (steps, values)))


def contact_sheet_of(cells: Sequence[Path], names: Sequence[str]) -> tuple[Markup, list[int]]:
    """Renderings of the same people by every variant, and who they are."""
    files = sorted((cells[0] / PEOPLE / "renderings").glob("*.png"))
    rows = []
    for file in files:
        pictures = [Image.open(one / PEOPLE / "renderings" / file.name) for one in cells]
        rows.append(
            [picture.resize((SHEET_SIZE, SHEET_SIZE), Image.Resampling.LANCZOS) for picture in pictures]
        )
    caption = "Frontal renderings, a row a person (as Figure 3 of Genova et al. 2018; no photograph is shown)"
    return contact_sheet(names, rows, caption), [int(file.stem) for file in files]


@torch.no_grad()
def faces_in_3d(cells: Sequence[Path], names: Sequence[str], people: Sequence[int]) -> Markup:
    """The viewer with some people's faces by every variant."""
    model = model_of(cells[0])
    vertices, colours = [], []
    for one in cells:
        content = np.load(one / PEOPLE / "coefficients.npz")
        chosen = [torch.from_numpy(content[part][list(people)]) for part in ("shape", "albedo")]
        faces = model(*chosen)
        vertices.append(faces.vertices.numpy())
        colours.append(faces.albedo.clamp(0, 1).numpy())
    return viewer(
        model.triangles.numpy(),
        np.stack(vertices, 1),
        np.stack(colours, 1),
        [f"{number}" for number in range(1, len(people) + 1)],
        names,
        "Drag, or use the arrow keys, to turn both faces.",
    )


def model_of(cell: Path) -> MorphableModel:
    """The morphable model that a cell was trained with."""
    return load_reconstructor(cell / RUN / "final.ckpt").model
