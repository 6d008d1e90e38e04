"""Inputs that a command names but that are not there: refused before anything heavy is loaded."""

from pathlib import Path
from typing import Any

from datamodules.alignment.images import EXTENSIONS
from datamodules.chosen_faces import photographs_at
from datamodules.identity_folder import IdentityFolder
from datamodules.lfw import LFW
from datamodules.mofa import MoFATest
from datamodules.photographs import Photographs
from datamodules.scan_folders import micc_subjects
from evaluation.shared.data_places import Place
from evaluation.shared.scored_method import Scored, files_by_name
from lightning_modules.plain.files import require_file


def require_data(place: Place, *, development_list: bool = False) -> None:
    """Raise what the data set's own loader says of a folder that does not hold it.

    A stand-in is always there.

    Args:
        place: of the data.
        development_list: LFW must also have the list of its development people.

    Raises:
        FileNotFoundError: if the folder is not there, or holds no such data.
        ValueError: likewise.
    """
    if place.folder is None:
        return
    if place.kind == "photographs":
        photographs_at(place.folder)
    elif place.kind == "micc":
        micc_subjects(place.folder)
    else:
        loaders: dict[str, Any] = {"lfw": LFW, "identities": IdentityFolder, "mofa": MoFATest}
        loader = loaders[place.kind](place.folder)
        loader.photographs()
        if development_list and isinstance(loader, LFW):
            loader.development_people()


def require_files(scored: Scored) -> None:
    """Raise a ValueError if a folder of meshes or renderings holds none."""
    if scored.kind == "meshes":
        files_by_name(scored.path)
    elif scored.kind == "renderings":
        files_by_name(scored.path, EXTENSIONS)


def require_centre(folder: Path | None) -> None:
    """Raise a FileNotFoundError or ValueError if `--centre-from` names no photographs; None names none."""
    if folder is not None:
        Photographs(folder).photographs()


def require_optional_file(path: Path | None, what: str) -> None:
    """Raise a FileNotFoundError if a path is given and no file.

    Args:
        path: None is no path.
        what: the file is, for the error.
    """
    if path is not None:
        require_file(path, what)
