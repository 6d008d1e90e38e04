"""People with several photographs each: LFW's, a folder's, or synthetic ones whose shapes are known."""

from collections.abc import Mapping
from typing import Any, NamedTuple, Unpack

import numpy as np
import torch
from torch import Tensor

from datamodules.face_data import FaceDataset, FaceOptions
from datamodules.identity_folder import IdentityFolder
from datamodules.lfw import LFW
from datamodules.slider_people import SliderPeople
from datamodules.stand_in_photographs import StandInPhotographs
from evaluation.likeness.photographs_of_people import NAMES
from evaluation.shared.data_places import Place
from lightning_modules.faces.loading import load_morphable_model
from lightning_modules.plain.even_choice import evenly_chosen
from lightning_modules.reconstruction import Reconstructor

# Of the stand-in: no training, no command and no factor of an expected shape draws its people with this seed.
SEED = 20_181
# Faces whose shape is known are made so many at a time.
AT_ONCE = 16


class PhotographSets(NamedTuple):
    """I people with 2N photographs each, as two sets.

    Attributes:
        dataset: of all faces.
        names: [I], of the people.
        first: [I, N], faces of the data set.
        others: [I, N], other faces of the same people.
        true: [I, V, 3] in mm, what is known of their neutral faces; None where nobody knows.
        people: who they are, in words.
        failed: people who were left out, by reason.
        provenance: which photographs these are.
    """

    dataset: FaceDataset
    names: list[str]
    first: np.ndarray
    others: np.ndarray
    true: Tensor | None
    people: str
    failed: Mapping[str, int]
    provenance: Mapping[str, Any]


def photograph_sets(
    place: Place, loaded: Reconstructor, *, most: int, each: int, **options: Unpack[FaceOptions]
) -> PhotographSets:
    """At most so many people, taken evenly, with twice so many photographs each, encoded.

    Args:
        place: lfw (outside peopleDevTrain), identities, or the stand-in.
        loaded: the checkpoint, whose encoder's features are wanted.
        most: of people.
        each: photographs in each of a person's two sets.
        **options: see FaceOptions.

    Raises:
        ValueError: if nobody has so many photographs.
    """
    if place.is_stand_in:
        return _stand_in(loaded, most, each, **options)
    assert place.folder is not None
    kinds: dict[str, Any] = {"lfw": LFW, "identities": IdentityFolder}
    data = kinds[place.kind](place.folder, [loaded.encoder], **options)
    data.prepare_data()
    data.setup()
    development = data.development_people() if isinstance(data, LFW) else set()
    enough = [
        faces
        for name, faces in zip(data.people, _by_person(data.identity, len(data.people)), strict=True)
        if len(faces) >= 2 * each and name not in development
    ]
    if not enough:
        raise ValueError(
            f"nobody in {place} has {2 * each} photographs with a face; give fewer --photographs"
        )
    chosen = [enough[number] for number in evenly_chosen(len(enough), most)]
    return PhotographSets(
        data.dataset, [data.people[data.identity[faces[0]]] for faces in chosen],
        np.stack([faces[:each] for faces in chosen]), np.stack([faces[each : 2 * each] for faces in chosen]),
        None, f"{NAMES[place.kind]}, {len(chosen)} people", {}, data.provenance(),
    )  # fmt: skip


def _by_person(identity: np.ndarray, people: int) -> list[np.ndarray]:
    order = np.argsort(identity, kind="stable")
    return np.split(order, np.cumsum(np.bincount(identity, minlength=people))[:-1])


@torch.no_grad()
def _stand_in(loaded: Reconstructor, most: int, each: int, **options: Unpack[FaceOptions]) -> PhotographSets:
    """People of the open model's sliders where the checkpoint's model is that; else of the model's prior."""
    settings: dict[str, Any] = {"count": 2 * each * most, "photographs_per_person": 2 * each, "seed": SEED}
    data: StandInPhotographs
    if follows_sliders(loaded):
        data = SliderPeople(load_morphable_model("open"), [loaded.encoder], **settings, **options)
        people = "people of known sliders"
    else:
        data = StandInPhotographs(loaded.model.cpu(), [loaded.encoder], **settings, **options)
        people = "people of the model's prior"
    data.prepare_data()
    data.setup()
    faces = [found[: 2 * each] for found in _by_person(data.identity, most)]
    whole = [number for number, found in enumerate(faces) if len(found) == 2 * each]
    if not whole:
        raise ValueError(f"none of {most} stand-in people shows a face in all of {2 * each} photographs")
    photographs = [2 * each * number for number in whole]
    pieces = [photographs[start : start + AT_ONCE] for start in range(0, len(photographs), AT_ONCE)]
    true = torch.cat([true_vertices(data, piece) for piece in pieces])
    chosen = np.stack([faces[number] for number in whole])
    lost = most - len(whole)
    return PhotographSets(
        data.dataset, [data.people[number] for number in whole], chosen[:, :each], chosen[:, each:], true,
        f"{len(whole)} {people}", {"a photograph without a face": lost} if lost else {}, data.provenance(),
    )  # fmt: skip


def follows_sliders(loaded: Reconstructor) -> bool:
    """Whether the checkpoint's model is the open one of level 1, which sliders are known of."""
    own = loaded.model.provenance
    return own.kind == "open" and own.sha256 == load_morphable_model("open").provenance.sha256


def true_vertices(data: StandInPhotographs, photographs: list[int]) -> Tensor:
    """The neutral faces [B, V, 3] in mm of the people in these photographs."""
    if isinstance(data, SliderPeople):
        return data.true_faces(photographs).vertices
    shape = torch.cat([data.person(number).coefficients.shape for number in photographs])
    return data.model.vertices(shape)
