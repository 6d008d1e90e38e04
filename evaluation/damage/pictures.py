"""Pictures of robustness: people under one strength of every damage, and one person under all strengths."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from evaluation.damage.corruptions import CORRUPTIONS, STRENGTHS
from evaluation.damage.photograph_pairs import DamagedPeople
from evaluation.damage.responses import Responses, prediction_of, versions_of
from evaluation.reconstruction.neutral_faces import preview_images
from lightning_modules.contact_sheets import contact_sheet, picture
from lightning_modules.plain.even_choice import evenly_chosen
from lightning_modules.plain.files import written_atomically
from lightning_modules.plain.output_folder import OutputFolder
from lightning_modules.plain.stand_in_label import labelled
from lightning_modules.reconstruction import Reconstructor

SIZE = 128
MIDDLE = 3  # the strength at which several people are shown
SHOWN_STRENGTHS = (1, 3, 5)
FILTERED = "Paint and pencil: filtered photographs, no artwork. Empty: no face found."


def draw_pictures(
    people: DamagedPeople,
    responses: Mapping[int, Responses],
    loaded: Reconstructor,
    folder: OutputFolder,
    *,
    checkpoint: str,
    seed: int,
    most: int,
) -> None:
    """Write people.png, which is the paper's Figure 6, and strengths.png.

    Args:
        people: whose photographs were damaged.
        responses: by face of the data set.
        loaded: the checkpoint.
        folder: of the pictures.
        checkpoint: its name.
        seed: of the damage, as measured.
        most: people in people.png.
    """
    faces = [int(face) for face in people.first if responses[int(face)].found[0]]
    chosen = [faces[place] for place in evenly_chosen(len(faces), most)]
    columns = ["no damage", *(kind.name for kind in CORRUPTIONS)]
    places = [0, *(place_of(number, MIDDLE) for number in range(len(CORRUPTIONS)))]
    rows: list[list[Image.Image | None]] = []
    for face in chosen:
        photographs, drawn = pictures_of(people, responses[face], loaded, face, seed)
        rows += [[images[place] for place in places] for images in (photographs, drawn)]
    title = f"Damage of strength {MIDDLE}, and what {checkpoint} makes of it"
    title = labelled(title, people.provenance["stand_in"])
    save(contact_sheet(rows, columns=columns, title=title, footnote=FILTERED), folder.claim("people.png"))
    photographs, drawn = pictures_of(people, responses[chosen[0]], loaded, chosen[0], seed)
    columns = [
        "no damage",
        "its face",
        *(text for s in SHOWN_STRENGTHS for text in (f"strength {s}", "face")),
    ]
    rows = []
    for number in range(len(CORRUPTIONS)):
        shown = [0, *(place_of(number, strength) for strength in SHOWN_STRENGTHS)]
        rows.append([images[place] for place in shown for images in (photographs, drawn)])
    title = f"Damage of three strengths, and what {checkpoint} makes of it"
    title = labelled(title, people.provenance["stand_in"])
    captions = [kind.name for kind in CORRUPTIONS]
    sheet = contact_sheet(rows, columns=columns, row_captions=captions, title=title, footnote=FILTERED)
    save(sheet, folder.claim("strengths.png"))


def place_of(kind: int, strength: int) -> int:
    """Where a kind's strength stands among a photograph's versions."""
    return 1 + kind * STRENGTHS + strength - 1


def pictures_of(
    people: DamagedPeople, response: Responses, loaded: Reconstructor, face: int, seed: int
) -> tuple[list[Image.Image], list[Image.Image | None]]:
    """Every version of a photograph, and the face that was made of it."""
    versions = versions_of(people.dataset, face, seed)
    drawn: list[Image.Image | None] = [None] * len(response.found)
    places = np.flatnonzero(response.found)
    for place, image in zip(places, fronts(response.coefficients[places], loaded), strict=True):
        drawn[place] = picture(image, SIZE)
    return [picture(version, SIZE) for version in versions], drawn


@torch.inference_mode()
def fronts(coefficients: np.ndarray, loaded: Reconstructor) -> Tensor:
    """The faces of coefficients [B, K] from the front, as people are shown them."""
    faces = loaded.faces(prediction_of(torch.from_numpy(coefficients), loaded))
    return preview_images(faces, loaded.model, SIZE, yaw_degrees=(0.0,))[:, 0]


def save(sheet: Image.Image, file: Path) -> None:
    """Write a picture, whole or not at all."""
    with written_atomically(file) as temporary:
        sheet.save(temporary)
