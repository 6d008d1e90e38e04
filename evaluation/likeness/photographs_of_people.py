"""Photographs of known people, on which recognition scores are measured."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol, Unpack, cast

import numpy as np

from datamodules.face_data import FaceDataset, FaceOptions
from datamodules.identity_folder import IdentityFolder
from datamodules.lfw import LFW
from datamodules.mofa import MoFATest
from datamodules.stand_in_photographs import StandInPhotographs
from evaluation.shared.data_places import Place
from lightning_modules.faces.loading import load_morphable_model
from lightning_modules.faces.morphable_model import MorphableModel
from lightning_modules.recognition.network import RecognitionNetwork

STAND_IN_PEOPLE, STAND_IN_PHOTOGRAPHS = 60, 2
# Another seed than training's stand-ins: no person is shared.
STAND_IN_SEED = 20_000
NAMES = {"lfw": "LFW", "mofa": "MoFA-Test", "micc": "MICC", "identities": "identities"}


class PhotographsOfPeople(Protocol):
    """A set of photographs once it is set up: a data module with the person of each face."""

    kind: str
    dataset: FaceDataset
    identity: np.ndarray
    people: list[str]

    def provenance(self) -> dict[str, Any]:
        """Which photographs these are, for results."""


def load_people(
    place: Place,
    networks: Sequence[RecognitionNetwork],
    *,
    model: MorphableModel | None = None,
    **options: Unpack[FaceOptions],
) -> PhotographsOfPeople:
    """The photographs of a place, aligned, with the features of these networks.

    Args:
        place: see `places.place_of`.
        networks: whose features are wanted.
        model: whose prior a stand-in's people are drawn from; the open model if not given.
        **options: see FaceOptions.
    """
    unique = list({network.name: network for network in networks}.values())
    if place.is_stand_in:
        data = StandInPhotographs(
            load_morphable_model("open") if model is None else model,
            unique,
            count=STAND_IN_PEOPLE * STAND_IN_PHOTOGRAPHS,
            photographs_per_person=STAND_IN_PHOTOGRAPHS,
            validation_fraction=0.0,
            seed=STAND_IN_SEED,
            **options,
        )
    else:
        loaders: dict[str, Any] = {"lfw": LFW, "identities": IdentityFolder, "mofa": MoFATest}
        data = loaders[place.kind](place.folder, unique, **options)
    data.prepare_data()
    data.setup()
    if len(data.dataset) == 0:
        raise ValueError(f"{place} shows no face; the reasons are in {data.failures_file()}")
    return cast(PhotographsOfPeople, data)  # all of these data modules know the person of each face


def item_names(data: PhotographsOfPeople) -> list[str]:
    """Each face's photograph as <its folder>/<its name without suffix>."""
    return [photograph_name(data.dataset.paths[photograph]) for photograph in data.dataset.faces.photograph]


def photograph_name(path: Path) -> str:
    """A photograph as <its folder>/<its name without suffix>."""
    return f"{path.parent.name}/{path.stem}"


def other_people(identity: np.ndarray) -> np.ndarray:
    """For each face [N] a face of another person, each taken once.

    Sorted by person and moved on by the largest number of one person's photographs, no face meets its own
    person.

    Raises:
        ValueError: if one person has more than half of the photographs.
    """
    largest = int(np.bincount(np.unique(identity, return_inverse=True)[1]).max())
    if 2 * largest > len(identity):
        raise ValueError(
            f"one person has {largest} of {len(identity)} photographs, so they cannot all be shuffled to "
            "other people; add photographs of others"
        )
    order = np.argsort(identity, kind="stable")
    other = np.empty(len(identity), np.int64)
    other[order] = np.roll(order, -largest)
    return other
