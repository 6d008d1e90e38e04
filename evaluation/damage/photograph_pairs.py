"""One or two photographs of each of some people, from any set of photographs."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple, Unpack

import numpy as np

from datamodules.chosen_faces import ChosenFaces, photographs_at
from datamodules.face_data import FaceDataset, FaceOptions
from datamodules.lfw import LFW
from datamodules.stand_in_photographs import StandInPhotographs
from evaluation.shared.data_places import Place
from lightning_modules.faces.morphable_model import MorphableModel
from lightning_modules.plain.even_choice import evenly_chosen
from lightning_modules.plain.failures import counted_by_kind


class DamagedPeople(NamedTuple):
    """Photographs of different people.

    Attributes:
        dataset: of all faces.
        first: [I], a face of each person.
        second: [I], another of the same person; empty where the set has one of each.
        failed: photographs that were asked for and show no face to use, by reason.
        provenance: which photographs these are.
    """

    dataset: FaceDataset
    first: np.ndarray
    second: np.ndarray
    failed: Mapping[str, int]
    provenance: Mapping[str, Any]


def people_of(
    place: Place, model: MorphableModel, *, most: int, **options: Unpack[FaceOptions]
) -> DamagedPeople:
    """At most so many people, taken evenly: LFW's outside peopleDevTrain, a folder's photographs, stand-ins.

    Args:
        place: of kind lfw or photographs, or the stand-in.
        model: whose faces the stand-in shows.
        most: of people.
        **options: see FaceOptions.

    Raises:
        ValueError: if there are fewer than two people.
    """
    if place.is_stand_in:
        people = _stand_ins(model, most, **options)
    elif place.kind == "lfw":
        assert place.folder is not None
        people = _lfw(place.folder, most, **options)
    else:
        assert place.folder is not None
        people = _photographs(place.folder, most, **options)
    if len(people.first) < 2:
        reasons = ", ".join(f"{count} {reason}" for reason, count in people.failed.items())
        raise ValueError(
            f"{place} has {len(people.first)} faces to compare, at least 2 are needed"
            + (f"; failed: {reasons}" if reasons else "")
        )
    return people


def _lfw(folder: Path, most: int, **options: Unpack[FaceOptions]) -> DamagedPeople:
    data = LFW(folder, **options)
    data.prepare_data()
    data.setup()
    subset = data.retrieval_subset(most)
    return DamagedPeople(data.dataset, subset.query, subset.gallery[1::2], {}, data.provenance())


def _photographs(folder: Path, most: int, **options: Unpack[FaceOptions]) -> DamagedPeople:
    paths = photographs_at(folder)
    data = ChosenFaces([paths[place] for place in evenly_chosen(len(paths), most)], face="largest", **options)
    data.prepare_data()
    data.setup()
    failed = counted_by_kind(reason for _, reason in data.dataset.faces.failures)
    faces = np.arange(len(data.dataset))
    return DamagedPeople(data.dataset, faces, faces[:0], failed, data.provenance())


def _stand_ins(model: MorphableModel, most: int, **options: Unpack[FaceOptions]) -> DamagedPeople:
    data = StandInPhotographs(model, count=2 * most, photographs_per_person=2, **options)
    data.prepare_data()
    data.setup()
    photograph = data.dataset.faces.photograph
    face_of = dict(zip(photograph.tolist(), range(len(photograph)), strict=True))
    pairs = [(face_of.get(2 * person), face_of.get(2 * person + 1)) for person in range(most)]
    both = np.array([pair for pair in pairs if None not in pair], np.int64).reshape(-1, 2)
    failed = {} if len(both) == most else {"a photograph without a face": most - len(both)}
    return DamagedPeople(data.dataset, both[:, 0], both[:, 1], failed, data.provenance())
