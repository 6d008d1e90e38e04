"""A contact sheet of a morphable model, as the literature shows them.

    python -m lightning_modules.faces.show open --output sheet.png

Mean in seven poses, fourteen random faces, plus and minus three standard deviations of the first components,
random expressions, and the mean with its 68 landmarks.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

if __name__ == "__main__":
    from lightning_modules.plain.interruption import end_when_interrupted

    end_when_interrupted()

import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from lightning_modules.faces.loading import load_morphable_model, place_of_model
from lightning_modules.faces.morphable_model import MorphableModel
from lightning_modules.faces.portraits import BACKGROUND, studio_lights
from lightning_modules.plain.command_line import one_sentence_for_bad_input, parse_settings
from lightning_modules.plain.files import written_atomically
from lightning_modules.plain.number_types import NonNegativeInt, PositiveInt, SeedInt
from lightning_modules.plain.output_file import check_picture, mark_of
from lightning_modules.rendering.camera import (
    Cameras,
    focal_length_from_field_of_view,
    image_centre,
    look_at,
    project,
)
from lightning_modules.rendering.renderer import render

COLUMNS = 7
POSES = (-80.0, -50.0, -25.0, 0.0, 25.0, 50.0, 80.0)  # degrees of yaw
DEVIATIONS = 3.0
EXPRESSION_DEVIATIONS = 2.0
CAMERA_DISTANCE_MM = 1_200.0
MARGIN = 1.15  # of the field of view around the mean face
INK, LANDMARK_INK = (40, 40, 40), (0, 150, 60)


class SheetRow(NamedTuple):
    """Seven pictures: vertices [7, V, 3] mm, albedo [7, V, 3], yaw [7] in degrees, and what they show."""

    title: str
    vertices: Tensor
    albedo: Tensor
    yaw: Tensor
    mark_landmarks: bool = False


@dataclass(frozen=True)
class Sheet:
    """What is drawn.

    Attributes:
        model: open, open:2, basel:FILE, bfm-front:FILE, ict:DIR, flame:FILE or gnm:FILE.
        output: PNG to write; a file of that name is replaced only if this command drew it.
        size: width of each picture in pixels.
        seed: of the random faces.
        shape_components: how many to load; all if not given.
        albedo_components: how many to load; all if not given.
        expression_components: how many to load; all if not given.
        landmarks: a landmark file that replaces the model's own landmarks; none if not given.
    """

    model: str
    output: Path = Path("sheet.png")
    size: PositiveInt = 224
    seed: SeedInt = 0
    shape_components: NonNegativeInt | None = None
    albedo_components: NonNegativeInt | None = None
    expression_components: NonNegativeInt | None = None
    landmarks: Path | None = None


def show(sheet: Sheet) -> Path:
    """Draw a contact sheet of a morphable model; returns the file that was written."""
    check_picture(sheet.output, "show", [place_of_model(sheet.model), sheet.landmarks])
    loaded = load_morphable_model(
        sheet.model,
        shape_components=sheet.shape_components,
        albedo_components=sheet.albedo_components,
        expression_components=sheet.expression_components,
        landmarks=sheet.landmarks,
    )
    with written_atomically(sheet.output) as temporary:
        contact_sheet(loaded, size=sheet.size, seed=sheet.seed).save(temporary, pnginfo=mark_of("show"))
    print(f"{loaded.describe()}\nwrote {sheet.output}")
    return sheet.output


def contact_sheet(model: MorphableModel, *, size: int = 224, seed: int = 0) -> Image.Image:
    """The contact sheet, seven pictures wide, with a title above each row."""
    rows = contact_rows(model, torch.Generator().manual_seed(seed))
    title_height = size // 9
    sheet = Image.new("RGB", (COLUMNS * size, len(rows) * (size + title_height)), (255, 255, 255))
    pen, font = ImageDraw.Draw(sheet), ImageFont.load_default(title_height * 0.7)
    for index, row in enumerate(rows):
        top = index * (size + title_height)
        pen.text((title_height * 0.4, top + title_height * 0.1), row.title, fill=INK, font=font)
        for column, picture in enumerate(_pictures(model, row, size)):
            sheet.paste(picture, (column * size, top + title_height))
    return sheet


@torch.no_grad()
def contact_rows(model: MorphableModel, generator: torch.Generator) -> list[SheetRow]:
    """What the sheet shows, row by row; rows that the model has no components for are left out."""
    level, poses = torch.zeros(COLUMNS), torch.tensor(POSES)
    none = torch.zeros(COLUMNS, 0)
    mean = model(none, none)
    sample = model.sample(2 * COLUMNS, generator)
    faces = model(sample.shape, sample.albedo)
    glances = torch.tensor([20.0, -20.0]).repeat(COLUMNS)
    rows = [SheetRow("mean", mean.vertices, mean.albedo, poses)]
    for part in (slice(0, COLUMNS), slice(COLUMNS, None)):
        rows.append(SheetRow("random faces", faces.vertices[part], faces.albedo[part], glances[part]))
    for name in ("shape", "albedo"):
        count = min(COLUMNS, model.components(name).variance.numel())
        for sign in (1, -1) if count else ():
            coefficients = sign * DEVIATIONS * torch.eye(COLUMNS, count)
            shown = model(coefficients, none) if name == "shape" else model(none, coefficients)
            title = f"{name} components 1 to {count}, {sign * DEVIATIONS:+.0f} standard deviations"
            rows.append(SheetRow(title, shown.vertices, shown.albedo, 0.5 * glances[:COLUMNS].abs()))
    if count := min(COLUMNS, model.expression_variance.numel()):
        expression = EXPRESSION_DEVIATIONS * torch.eye(COLUMNS, count)
        shown = model(none, none, expression)
        title = f"expression components 1 to {count}, {EXPRESSION_DEVIATIONS:+.0f} standard deviations"
        rows.append(SheetRow(title, shown.vertices, shown.albedo, level))
    if not model.no_landmarks:
        shapes = torch.cat([torch.zeros(3, sample.shape.shape[1]), sample.shape[:4]])
        yaw = torch.tensor([-60.0, 0.0, 60.0, 0.0, 0.0, 0.0, 0.0])
        title = "68 landmarks on the mean and on random shapes"
        rows.append(SheetRow(title, model.vertices(shapes), mean.albedo, yaw, mark_landmarks=True))
    return rows


def frontal_cameras(model: MorphableModel, yaw: Tensor, size: int) -> Cameras:
    """Cameras [B, 1] that see the mean face turned to its left by `yaw` [B] degrees, filling the picture."""
    mean = model.neutral_mean.view(-1, 3)
    centre = 0.5 * (mean.amin(0) + mean.amax(0))
    turn = torch.deg2rad(yaw)
    # Turning the face to its left is walking round it to its right.
    direction = torch.stack([-turn.sin(), torch.zeros_like(turn), turn.cos()], -1)
    eyes = centre + CAMERA_DISTANCE_MM * direction
    rotations, translations = look_at(eyes, centre.expand_as(eyes), torch.tensor([0.0, 1.0, 0.0]))
    extent = MARGIN * (mean - centre).norm(dim=-1).max() * 2
    fov = torch.rad2deg(2 * torch.atan(0.5 * extent / CAMERA_DISTANCE_MM))
    focal = focal_length_from_field_of_view(fov, size).expand(len(yaw))
    centres = image_centre((size, size), like=mean).expand(len(yaw), 2)
    return Cameras(*(value[:, None] for value in (rotations, translations, focal, centres)))


def _pictures(model: MorphableModel, row: SheetRow, size: int) -> list[Image.Image]:
    cameras = frontal_cameras(model, row.yaw, size)
    images = render(
        row.vertices,
        model.triangles,
        model.normals(row.vertices),
        row.albedo,
        cameras,
        studio_lights(cameras),
        (size, size),
        background=torch.full((3, 1, 1), BACKGROUND),
        samples_per_axis=3,
    )
    levels = (images[:, 0].permute(0, 2, 3, 1) * 255).round().to(torch.uint8).numpy()
    pictures = [Image.fromarray(picture) for picture in levels]
    if row.mark_landmarks:
        points = project(cameras, model.landmarks.on(row.vertices))[:, 0, :, :2]
        for picture, marks in zip(pictures, points.tolist(), strict=True):
            pen = ImageDraw.Draw(picture)
            for x, y in marks:
                pen.ellipse([x - 1, y - 1, x + 1, y + 1], fill=LANDMARK_INK)
    return pictures


def main(argv: Sequence[str] | None = None) -> None:
    """Parse the command line and draw."""
    with one_sentence_for_bad_input():
        (sheet,) = parse_settings(
            (Sheet,), argv, program="show.py", description=str(__doc__), leading="model"
        )
        show(sheet)


if __name__ == "__main__":
    main()
