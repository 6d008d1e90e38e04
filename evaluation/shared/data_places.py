"""Where the data of an evaluation lies: named by the user, by the environment, by a configuration file."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import platformdirs

from datamodules.lfw import lfw_folder
from lightning_modules.plain.stand_in_label import labelled
from lightning_modules.plain.yaml_options import options_in_file

STAND_IN = "stand-in"
# A data set's kind and the environment variable that names its folder.
VARIABLES = {"lfw": "LFW_DIR", "micc": "MICC_DIR", "mofa": "MOFA_DIR"}


class Place(NamedTuple):
    """A data set.

    Attributes:
        kind: such as lfw, or stand-in.
        folder: None where the suite's own stand-in takes the data set's place.
        origin: who named it, for people.
    """

    kind: str
    folder: Path | None
    origin: str

    @property
    def is_stand_in(self) -> bool:
        """Whether synthetic data takes the data set's place."""
        return self.folder is None

    def __str__(self) -> str:
        return STAND_IN if self.folder is None else f"{self.kind}:{self.folder}"


def place_of(data: str | None, kinds: Sequence[str]) -> Place:
    """The data set of a command.

    Args:
        data: KIND:DIR, DIR (of the first kind), lfw:download or `stand-in`; None looks for the first kind in
            the environment and in the configuration file, and falls back to the stand-in.
        kinds: that the command takes, its own first.

    Whether the folder is one, its loader says best.

    Raises:
        ValueError: if the kind is none of the command's, or no folder is named.
    """
    if data == STAND_IN:
        return Place(STAND_IN, None, "--data")
    if data is None:
        found = known_place(kinds[0])
        return Place(STAND_IN, None, f"no {kinds[0]} is known here") if found is None else found
    kind, colon, folder = data.partition(":")
    if not (folder if colon else kind):
        raise ValueError(f"--data names no folder, got {data!r}; give {kinds[0]}:DIR or {STAND_IN}")
    if not colon or Path(data).exists():
        kind, folder = kinds[0], data
    if kind not in kinds:
        raise ValueError(
            f"--data {data} is not known; give {', '.join(f'{k}:DIR' for k in kinds)} or {STAND_IN}"
        )
    return Place(kind, lfw_folder(folder) if kind == "lfw" else Path(folder).expanduser(), "--data")


def known_place(kind: str) -> Place | None:
    """Where the environment or the configuration file says that a data set lies; None where neither does."""
    variable = VARIABLES.get(kind, f"{kind.upper()}_DIR")
    if os.environ.get(variable):
        return Place(kind, Path(os.environ[variable]).expanduser(), variable)
    file = configuration_file()
    folder = read_configuration(file).get(kind)
    return None if folder is None else Place(kind, Path(folder).expanduser(), str(file))


def configuration_file() -> Path:
    """The user's configuration file: lines such as `lfw: DIR`."""
    return platformdirs.user_config_path("unsupervised-morphable-faces") / "config.yaml"


def read_configuration(file: Path) -> dict[str, str]:
    """The folder of each data set that the file names; none where there is no file.

    Raises:
        ValueError: if it is no YAML of names and folders.
    """
    if not file.is_file():
        return {}
    try:
        content = dict(options_in_file(file, of=""))
    except OSError as error:
        raise ValueError(f"{file} cannot be read ({error.strerror})") from error
    if not all(isinstance(value, str) for value in content.values()):
        raise ValueError(f"{file} must hold lines `KIND: DIR`, such as `lfw: /data/lfw`")
    return content


def notice(place: Place) -> str:
    """What a command says first and last where a stand-in takes a data set's place; else nothing."""
    if not place.is_stand_in:
        return ""
    return labelled(
        f"{place.origin}; synthetic data that the suite makes itself takes its place", stand_in=True
    )
