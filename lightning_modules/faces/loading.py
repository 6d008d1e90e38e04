"""One way to name any morphable model: `open`, `basel:FILE`, `ict:FOLDER`, `flame:FILE` and others."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from lightning_modules.faces.loaders.basel import load_basel
from lightning_modules.faces.loaders.bfm_front import load_bfm_front
from lightning_modules.faces.loaders.flame import load_flame
from lightning_modules.faces.loaders.gnm import load_gnm
from lightning_modules.faces.loaders.ict import load_ict
from lightning_modules.faces.morphable_model import MorphableModel

SPECIFICATIONS = (
    "`open`, `open:2` (a finer mesh), `basel:FILE` (.h5 or .mat), `ict:FOLDER`, `flame:FILE` (.pkl or .npz), "
    "`gnm:FILE` (.npz) or `bfm-front:FILE` (.mat)"
)
# Kinds whose specification names a file or folder.
KINDS = ("basel", "ict", "flame", "gnm", "bfm-front")


def load_morphable_model(
    specification: str,
    *,
    shape_components: int | None = None,
    albedo_components: int | None = None,
    expression_components: int | None = None,
    landmarks: Path | None = None,
    ict_subset: str = "face",
    ict_albedo: str = "constant",
    flame_subset: str = "face",
    gnm_subset: str = "skin",
    device: str | torch.device = "cpu",
) -> MorphableModel:
    """The morphable model that a specification names.

    Args:
        specification: `open` or `open:LEVEL` (built on first use, then cached), `basel:FILE`, `ict:FOLDER`,
            `flame:FILE`, `gnm:FILE`, `bfm-front:FILE`.
        shape_components: how many to keep, the first ones; None keeps all.
        albedo_components: likewise.
        expression_components: likewise.
        landmarks: a landmark file of the model's mesh, in place of its own landmarks.
        ict_subset: which part of ICT-FaceKit, see `load_ict`.
        ict_albedo: `constant` or `open`, see `load_ict`.
        flame_subset: which part of FLAME, see `load_flame`.
        gnm_subset: which part of GNM Head, see `load_gnm`.
        device: where the model goes.

    Raises:
        FileNotFoundError: if the file or folder is missing.
        ValueError: if the specification is none of these, or the file is bad.
    """
    check_specification(specification)
    kind, _, place = specification.partition(":")
    counts: dict[str, Any] = {
        "shape_components": shape_components,
        "albedo_components": albedo_components,
        "expression_components": expression_components,
    }
    if kind == "open":
        try:
            model = load_basel(_open_model_file(int(place or 1)), landmarks=landmarks, **counts)
        except ValueError as error:
            # Nobody gives it out.
            built = re.sub(r"get (it|the file) again", "delete the file: it is built again", str(error))
            raise ValueError(built) from error
    elif kind == "basel":
        model = load_basel(Path(place), landmarks=landmarks, open_model=_open_model(albedo=0), **counts)
    elif kind == "bfm-front":
        model = load_bfm_front(Path(place), landmarks=landmarks, open_model=_open_model(albedo=0), **counts)
    elif kind == "flame":
        model = load_flame(
            Path(place),
            subset=flame_subset,
            landmarks=landmarks,
            open_model=_open_model(albedo=albedo_components),
            **counts,
        )
    elif kind == "gnm":
        model = load_gnm(
            Path(place),
            subset=gnm_subset,
            landmarks=landmarks,
            open_model=_open_model(albedo=albedo_components),
            **counts,
        )
    else:
        model = load_ict(
            Path(place),
            subset=ict_subset,
            albedo=ict_albedo,
            landmarks=landmarks,
            open_model=_open_model(albedo=albedo_components),
            **counts,
        )
    return model.to(device)


def check_specification(specification: str) -> None:
    """Refuse a specification that names no morphable model; nothing is read.

    Raises:
        ValueError: if it is of no known kind.
    """
    kind, _, place = specification.partition(":")
    if kind == "open" and place in {"", "1", "2"}:
        return
    if kind not in KINDS or not place:
        raise ValueError(f"the morphable model {specification!r} is not known; give {SPECIFICATIONS}")


def place_of_model(specification: str | None) -> Path | None:
    """The file or folder that a specification names; None for the open model, or where nothing is given."""
    _, _, place = (specification or "").partition(":")
    return Path(place) if place and not place.isdigit() else None


def _open_model_file(level: int) -> Path:
    # Only here, so that the recipe and what it reads are imported when it is needed.
    from lightning_modules.faces.open_model.cache import open_model_file

    return open_model_file(level)


def _open_model(albedo: int | None) -> Callable[[], MorphableModel]:
    """Gives the open model with no more than a transfer takes from it: mean, landmarks, albedo components."""
    return lambda: load_basel(
        _open_model_file(1), shape_components=0, albedo_components=albedo, expression_components=0
    )
