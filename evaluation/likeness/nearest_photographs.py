"""The five nearest photographs of some renderings, as a picture. It shows photographs: never publish it."""

from pathlib import Path

import cv2
import numpy as np
import torch
from PIL import Image, ImageDraw

from evaluation.likeness.comparison import Measured, Setting
from evaluation.metrics.nearest import nearest
from lightning_modules.plain.even_choice import evenly_chosen
from lightning_modules.plain.files import written_atomically
from lightning_modules.plain.stand_in_label import labelled
from lightning_modules.rendered_faces import render_from_the_front

NEAREST, SIDE, TOP, GAP = 5, 112, 44, 16
RIGHT, WRONG = (0, 130, 60), (190, 60, 0)


def write_examples(setting: Setting, measured: Measured, count: int, file: Path) -> None:
    """A row for each of `count` renderings, evenly taken: photograph, rendering, the nearest photographs.

    Green frames show the same person, red ones another. Only a checkpoint's renderings are drawn.

    Args:
        setting: of the command.
        measured: of the photographs.
        count: of renderings.
        file: PNG.
    """
    queries = evenly_chosen(len(measured.usable), count)
    seen = next(iter(measured.seen.values()))[torch.from_numpy(queries)]
    k = min(NEAREST, len(measured.photographs))
    found = nearest(seen.contiguous(), measured.photographs, k)
    faces = measured.usable[queries]
    dataset = measured.people.dataset
    photographs = to_bytes(dataset.images(faces))
    renderings = rendered(setting, measured, faces)
    sheet = Image.new("RGB", ((2 + k) * SIDE + GAP, TOP + len(queries) * SIDE), "white")
    pen = ImageDraw.Draw(sheet)
    title = labelled(f"photograph, rendering, and its {k} nearest photographs", measured.place.is_stand_in)
    pen.text((4, 4), title, fill="black")
    pen.text(
        (4, 22), "(green: the same person; red: another). Shows photographs: do not publish.", fill="black"
    )
    for row, face in enumerate(faces):
        y = TOP + row * SIDE
        paste(sheet, photographs[row], 0, y)
        if renderings is not None:
            paste(sheet, renderings[row], SIDE, y)
        for place, picture in enumerate(to_bytes(dataset.images(found.index[row]))):
            x = (2 + place) * SIDE + GAP
            paste(sheet, picture, x, y)
            identity = measured.people.identity
            colour = RIGHT if identity[found.index[row, place]] == identity[face] else WRONG
            pen.rectangle((x, y, x + SIDE - 1, y + SIDE - 1), outline=colour, width=4)
    with written_atomically(file) as temporary:
        sheet.save(temporary)


def rendered(setting: Setting, measured: Measured, faces: np.ndarray) -> list[np.ndarray] | None:
    """Pictures of a checkpoint's faces; None for other methods."""
    reconstructor = setting.parts.reconstructor
    if reconstructor is None:
        return None
    features = measured.people.dataset.batch(faces).features[reconstructor.encoder.name]
    with torch.no_grad():
        images = render_from_the_front(
            reconstructor.model, reconstructor.coefficients(features), backend=setting.execution.rasterizer
        )
    return to_bytes(images)


def to_bytes(images: torch.Tensor) -> list[np.ndarray]:
    """Images [B, 3, H, W] as pictures of `SIDE` pixels, 8 bits."""
    pictures = (images.clamp(0, 1).permute(0, 2, 3, 1) * 255).round().byte().cpu().numpy()
    return [cv2.resize(picture, (SIDE, SIDE), interpolation=cv2.INTER_AREA) for picture in pictures]


def paste(sheet: Image.Image, picture: np.ndarray, x: int, y: int) -> None:
    """Put a picture where it belongs."""
    sheet.paste(Image.fromarray(picture), (x, y))
