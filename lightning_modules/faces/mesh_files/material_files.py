"""DiffuseMaterial files of OBJ, and the names by which files beside them go."""

import re
import warnings
from pathlib import Path, PureWindowsPath
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from lightning_modules.faces.mesh_files.colours import as_fractions
from lightning_modules.faces.mesh_files.text import text_of, uncommented

# Options of a texture and how many words may follow each; only -s, -o and -t take fewer.
_OPTIONS = {
    "-s": 3, "-o": 3, "-t": 3, "-mm": 2, "-blendu": 1, "-blendv": 1, "-bm": 1, "-boost": 1, "-cc": 1,
    "-clamp": 1, "-imfchan": 1, "-texres": 1, "-type": 1, "-colorspace": 1,
}  # fmt: skip


class DiffuseMaterial(NamedTuple):
    """What colours a surface.

    Attributes:
        folder: of the library, in which the texture lies.
        diffuse: [3], sRGB; None if it has none.
        texture: its file's name.
        scale: [2], of texture coordinates.
        offset: [2], of texture coordinates.
    """

    folder: Path
    diffuse: NDArray | None = None
    texture: str | None = None
    scale: NDArray = np.ones(2)
    offset: NDArray = np.zeros(2)


def read_library(library: Path) -> dict[str, DiffuseMaterial]:
    """The materials of a file by name; keys in any case, as programs differ.

    Raises:
        ValueError: naming file and line, if a diffuse colour is none.
    """
    materials: dict[str, DiffuseMaterial] = {}
    name = None
    for number, line in enumerate(text_of(library).split("\n"), 1):
        key, *values = line.split(None, 1)[:2] or [""]
        rest = values[0].strip() if values else ""
        if key.lower() == "newmtl":
            name = rest.strip('"')
            materials[name] = DiffuseMaterial(library.parent)
        elif name is None:
            continue
        elif key.lower() == "kd":
            diffuse = _diffuse(f"{library}, line {number}", uncommented(rest).split())
            materials[name] = materials[name]._replace(diffuse=diffuse)
        elif key.lower() == "map_kd":
            materials[name] = _textured(materials[name], rest)
    return materials


def _diffuse(place: str, words: list[str]) -> NDArray | None:
    """[3] of `r g b` or `r`; None, with a warning, of a spectral curve or CIE XYZ, which nobody measured."""
    if words and words[0].lower() in {"spectral", "xyz"}:
        warnings.warn(
            f"{place}: a diffuse colour is given as {words[0]}; give r g b: no colour", stacklevel=4
        )
        return None
    try:
        numbers = np.array([float(word) for word in words[:3]])
    except ValueError:
        numbers = np.zeros(0)
    if len(numbers) == 1:
        numbers = np.repeat(numbers, 3)
    if len(numbers) != 3:
        raise ValueError(f"{place}: the diffuse colour {' '.join(words)!r} is not r g b; export it again")
    return as_fractions(place, numbers)


def _textured(material: DiffuseMaterial, rest: str) -> DiffuseMaterial:
    """A material with the texture of a `map_Kd` statement, whose options stand before the file's name."""
    scale, offset = material.scale, material.offset
    while rest.startswith("-"):
        option, _, tail = rest.partition(" ")
        numbers = []
        for _ in range(_OPTIONS.get(option.lower(), 0)):
            word, _, after = tail.lstrip().partition(" ")
            if option.lower() in {"-s", "-o", "-t"} and not _is_number(word):
                break  # these take one to three
            numbers.append(word)
            tail = after
        if option.lower() in {"-s", "-o"} and numbers:
            values = [float(word) for word in numbers]
            if option.lower() == "-s":
                scale = np.array([*values, 1.0][:2])
            else:
                offset = np.array([*values, 0.0][:2])
        rest = tail.strip()
    return material._replace(texture=rest.strip('"') or None, scale=scale, offset=offset)


def _is_number(word: str) -> bool:
    try:
        float(word)
    except ValueError:
        return False
    return True


def named_file(folder: Path, name: str) -> Path | None:
    """The file that a name means, seen from a folder; None if there is none.

    Also where the name has backslashes, another computer's path, or another case.
    """
    slashes = name.replace("\\", "/")
    last = PureWindowsPath(name).name
    try:
        for candidate in dict.fromkeys((name, slashes, last)):
            if candidate and (folder / candidate).is_file():
                return folder / candidate
        alike = [path for path in folder.iterdir() if path.name.lower() == last.lower() and path.is_file()]
    except (OSError, ValueError):  # a name that no file can have
        return None
    return min(alike, default=None)


def named_files(folder: Path, statement: str) -> tuple[list[Path], list[str]]:
    """The files that `mtllib` names, and the names of those that are missing.

    Several names are separated by blanks, which a single one may hold, too; quotes stand about some, and a
    comment may follow.
    """
    for whole in (statement, statement.split("#", 1)[0].strip(), statement.strip('"')):
        if (file := named_file(folder, whole)) is not None:
            return [file], []
    words = [quoted or plain for quoted, plain in re.findall(r'"([^"]+)"|(\S+)', statement.split("#", 1)[0])]
    found, missing = [], []
    while words:
        # The longest run of words that is a file's name.
        for end in range(len(words), 0, -1):
            file = named_file(folder, " ".join(words[:end]))
            if file is not None:
                found.append(file)
                break
        else:
            end = 1
            missing.append(words[0])
        words = words[end:]
    if not found:
        return [], [statement.split("#", 1)[0].strip().strip('"')]
    return found, missing
