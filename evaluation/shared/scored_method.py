"""What an evaluation scores: a checkpoint of ours, or any other method's meshes or renderings."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal, NamedTuple

from lightning_modules.plain.files import require_file, sha256_of_file
from lightning_modules.plain.folder_walk import visible_files
from lightning_modules.plain.letters import composed
from lightning_modules.plain.output_folder import without_outputs

Kind = Literal["checkpoint", "meshes", "renderings"]
# Of one mesh in several formats the first is read: OBJ keeps colours whole. reconstruct.py writes all three.
MESH_PREFERENCE = (".obj", ".ply", ".glb")
MESH_SUFFIXES = frozenset(MESH_PREFERENCE)
# Commands whose output is scored.
FACE_MAKERS = ("reconstruct", "fit")


class Scored(NamedTuple):
    """What is scored.

    Attributes:
        kind: a checkpoint, or a folder of meshes or of renderings.
        path: of it.
        method: its name in tables.
    """

    kind: Kind
    path: Path
    method: str

    def settings(self) -> dict[str, Any]:
        """What results depend on: a checkpoint's content, whatever its name; a folder's path."""
        if self.kind == "checkpoint":
            return {"checkpoint": self.path.name, "checkpoint_sha256": sha256_of_file(self.path)}
        return {self.kind: str(self.path)}


class Pairing(NamedTuple):
    """Files of another method, paired with what they reconstruct.

    Attributes:
        found: by item's name, the file.
        missing: names of items without a file.
        unmatched: files that name no item.
    """

    found: Mapping[str, Path]
    missing: list[str]
    unmatched: list[Path]


def what_is_scored(
    checkpoint: Path | None, meshes: Path | None, renderings: Path | None, *, method: str | None = None
) -> Scored:
    """The one of the three that is given.

    Args:
        checkpoint: of ablations/run.py.
        meshes: a folder of OBJ, PLY or GLB files.
        renderings: a folder of pictures.
        method: its name in tables; by default the checkpoint's or folder's name.

    Raises:
        FileNotFoundError: if it does not exist.
        ValueError: unless exactly one is given.
    """
    choices: dict[Kind, Path | None] = {
        "checkpoint": checkpoint, "meshes": meshes, "renderings": renderings,
    }  # fmt: skip
    given = {kind: path for kind, path in choices.items() if path is not None}
    if len(given) != 1:
        raise ValueError(
            f"give one of a checkpoint, --meshes DIR and --renderings DIR, got {', '.join(given) or 'none'}"
        )
    ((kind, path),) = given.items()
    if kind == "checkpoint":
        require_file(path, "a checkpoint that ablations/run.py wrote")
        return Scored(kind, path, method or path.stem)
    if not path.is_dir():
        raise FileNotFoundError(f"--{kind} {path} is no folder; expected one file for each item")
    return Scored(kind, path, method or path.resolve().name)


def files_by_name(folder: Path, suffixes: Iterable[str] = MESH_SUFFIXES) -> dict[str, Path]:
    """All such files at any depth, by their path in the folder without its suffix, see `composed`.

    Of a mesh in several formats, one is taken (MESH_PREFERENCE). In output folders below the folder, faces of
    reconstruct.py and fit.py count; what other commands wrote there, such as heat-maps, is left out.
    A link to nowhere counts: it fails when it is read.

    Raises:
        ValueError: if there is none, or two pictures that differ in their suffix only.
    """
    suffixes = frozenset(suffixes)
    files: dict[str, Path] = {}
    found = [path for path in visible_files(folder) if path.suffix.lower() in suffixes and not path.is_dir()]
    for path in sorted(without_outputs(found, folder, made_by=FACE_MAKERS)):
        name = composed(path.relative_to(folder).with_suffix("").as_posix())
        files[name] = _one_of(name, files.get(name, path), path)
    if not files:
        raise ValueError(f"{folder} holds no file ending in {', '.join(sorted(suffixes))}")
    return files


def paired(files: Mapping[str, Path], names: Iterable[str]) -> Pairing:
    """Each item's file: named as the item (Name/Name_0001), or as the last part of its name (Name_0001).

    Args:
        files: by path without suffix, see `files_by_name`.
        names: of the items.

    Raises:
        ValueError: if no file names any item, or one name fits several items or files.
    """
    names = list(names)
    by_last_part: dict[str, list[str]] = {}
    for name in files:
        by_last_part.setdefault(name.rpartition("/")[2], []).append(name)
    chosen: dict[str, str] = {}
    for name in names:
        spelt = composed(name)
        candidates = [spelt] if spelt in files else by_last_part.get(spelt.rpartition("/")[2], [])
        if len(candidates) > 1:
            raise ValueError(f"{name} could be {' or '.join(candidates)}; name files as the items are named")
        if candidates:
            chosen[name] = candidates[0]
    used: dict[str, str] = {}
    for name, file in chosen.items():
        if file in used:
            raise ValueError(f"{files[file]} could be {used[file]} or {name}; name it as the item is named")
        used[file] = name
    if not chosen:
        example = f"{names[0]}{next(iter(files.values())).suffix}" if names else "an item"
        raise ValueError(f"none of the {len(files)} files names an item; expected names such as {example}")
    return Pairing(
        {name: files[file] for name, file in chosen.items()},
        [name for name in names if name not in chosen],
        [path for name, path in files.items() if name not in used],
    )


def _one_of(name: str, first: Path, second: Path) -> Path:
    """The preferred one of two files of one name, which may be the same file."""
    suffixes = {path.suffix.lower() for path in (first, second)}
    if first != second and (len(suffixes) == 1 or not suffixes <= MESH_SUFFIXES):
        raise ValueError(f"{first} and {second} are both {name}; keep one of them")
    if first == second:
        return first
    return min(first, second, key=lambda path: MESH_PREFERENCE.index(path.suffix.lower()))
