"""The files of a person's folder: through links, without hidden ones."""

import os
from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path


def visible_files(folder: Path, pattern: str = "**/*") -> list[Path]:
    """All that is no folder below a folder, sorted, by a glob pattern; hidden files and folders are left out.

    Names that begin with a dot belong to a system or a program: thumbnails, the `._` files that macOS leaves
    on other disks. Links to folders are followed, each folder once, by its own name where it has one here.

    Args:
        folder: to look in.
        pattern: of the path below it; ** stands for any folders.

    Raises:
        OSError: if a folder cannot be read.
    """
    wanted = tuple(Path(pattern).parts)
    found = [path for path in _walk(folder) if _matches(path.relative_to(folder).parts, wanted)]
    return sorted(found, key=lambda path: path.relative_to(folder).as_posix())


def _walk(folder: Path) -> Iterator[Path]:
    seen: set[tuple[int, int]] = set()
    waiting = [folder]
    while waiting:
        links: list[Path] = []
        for start in waiting:
            for place, folders, files in os.walk(start, onerror=_raise):
                identity = os.stat(place)
                if (identity.st_dev, identity.st_ino) in seen:
                    folders.clear()
                    continue
                seen.add((identity.st_dev, identity.st_ino))
                folders[:] = sorted(name for name in folders if not name.startswith("."))
                links += [Path(place, name) for name in folders if Path(place, name).is_symlink()]
                yield from (Path(place, name) for name in files if not name.startswith("."))
        waiting = links  # after everything that has a name of its own here


def _raise(error: OSError) -> None:
    raise error


def _matches(parts: tuple[str, ...], pattern: tuple[str, ...]) -> bool:
    if not pattern:
        return not parts
    if pattern[0] == "**":
        return _matches(parts, pattern[1:]) or (bool(parts) and _matches(parts[1:], pattern))
    return bool(parts) and fnmatchcase(parts[0], pattern[0]) and _matches(parts[1:], pattern[1:])
