"""DiffuseMaterial files of OBJ, and the names by which files beside them go."""

import os
import re
import warnings
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path, PureWindowsPath
from typing import NamedTuple
from urllib.parse import unquote

import numpy as np
from numpy.typing import NDArray

from lightning_modules.faces.mesh_files.colours import as_fractions
from lightning_modules.faces.mesh_files.text import text_of, uncommented
from lightning_modules.plain.letters import composed
from lightning_modules.plain.quotations import shortened

# Options of a texture and how many words may follow each; some take fewer.
_OPTIONS = {
    "-s": 3, "-o": 3, "-t": 3, "-mm": 2, "-blendu": 1, "-blendv": 1, "-bm": 1, "-boost": 1, "-cc": 1,
    "-clamp": 1, "-imfchan": 1, "-texres": 1, "-type": 1, "-colorspace": 1,
}  # fmt: skip
_UP_TO_THREE = {"-s", "-o", "-t"}


class DiffuseMaterial(NamedTuple):
    """What colours a surface.

    Attributes:
        folder: of the library, in which the texture lies.
        diffuse: [3], sRGB; None if it has none.
        texture: its file's name.
        scale: [2], of texture coordinates.
        offset: [2], of texture coordinates.
        clamped: whether the texture's border goes on beyond it, instead of the texture again.
    """

    folder: Path
    diffuse: NDArray | None = None
    texture: str | None = None
    scale: NDArray = np.ones(2)
    offset: NDArray = np.zeros(2)
    clamped: bool = False


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
        raise ValueError(
            f"{place}: the diffuse colour {shortened(' '.join(words))!r} is not r g b; export it again"
        )
    return as_fractions(place, numbers, what="diffuse colour")


def _textured(material: DiffuseMaterial, rest: str) -> DiffuseMaterial:
    """A material with the texture of a `map_Kd` statement, whose options stand before the file's name."""
    scale, offset, clamped = material.scale, material.offset, False
    while rest.startswith("-"):
        option, *after = rest.split(None, 1)
        option, rest = option.lower(), after[0] if after else ""
        words: list[str] = []
        while len(words) < _OPTIONS.get(option, 0) and rest:
            word, *after = rest.split(None, 1)
            if option in _UP_TO_THREE and not _is_number(word):
                break
            words.append(word)
            rest = after[0] if after else ""
        if option == "-s" and words:
            scale = np.array([*map(float, words), 1.0][:2])
        elif option == "-o" and words:
            offset = np.array([*map(float, words), 0.0][:2])
        elif option == "-clamp":
            clamped = words[:1] == ["on"]
    return material._replace(
        texture=rest.strip().strip("\"'") or None, scale=scale, offset=offset, clamped=clamped
    )


def _is_number(word: str) -> bool:
    try:
        float(word)
    except ValueError:
        return False
    return True


def named_texture(folder: Path, name: str) -> Path | None:
    """The file that a texture's name means, see `named_file`; also beside a comment or an unknown option."""
    words = name.split()
    without_words = [" ".join(words[first:]) for first in range(1, len(words))]
    spellings = (name, uncommented(name).strip().strip("\"'"), name.split(" -")[0], *without_words)
    files = (named_file(folder, spelling) for spelling in dict.fromkeys(spellings))
    return next((file for file in files if file is not None), None)


def named_file(folder: Path, name: str) -> Path | None:
    """The file that a name means, seen from a folder; None if there is none.

    Also where the name has backslashes, another computer's path, another case, other accents or coding, or
    the escapes of an address.
    """
    spellings = [other for spelling in _codings(name) for other in (spelling, unquote(spelling))]
    try:
        for spelling in dict.fromkeys(spellings):
            for candidate in (spelling, spelling.replace("\\", "/"), PureWindowsPath(spelling).name):
                if candidate and (folder / candidate).is_file():
                    return folder / candidate
        last = {_alike(PureWindowsPath(spelling).name) for spelling in spellings}
        alike = [path for path in folder.iterdir() if _alike(path.name) in last and path.is_file()]
    except (OSError, ValueError):  # a name that no file can have
        return None
    return min(alike, default=None)


def _codings(name: str) -> Iterator[str]:
    """A name in UTF-8, and what it may be where one program wrote UTF-8 and the other Western letters."""
    yield name
    if not name.isascii():
        with suppress(UnicodeError):
            yield os.fsencode(name).decode("cp1252")
        with suppress(UnicodeError):
            yield os.fsdecode(name.encode("cp1252"))


def _alike(name: str) -> str:
    """What names have in common that differ in case or in how accents are written."""
    return composed(name).lower()


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
