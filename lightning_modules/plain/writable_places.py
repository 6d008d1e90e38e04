"""Places where nothing can be written: said before the work whose result would be lost there."""

import errno
import os
import tempfile
from pathlib import Path

LONGEST_NAME = 255  # bytes, on every disk in use


def require_writable_folder(folder: Path) -> None:
    """Refuse an output folder in which no file can be made; it need not exist, and nothing is left there.

    Raises:
        ValueError: naming the folder and the reason.
    """
    if reason := _obstacle(folder):
        raise ValueError(
            f"nothing can be written in the output folder {folder} ({reason}); name another --output"
        )


def require_writable_file(file: Path) -> None:
    """Refuse a file that cannot be made at its place; its folder need not exist.

    Raises:
        ValueError: naming the file and the reason.
    """
    if reason := _obstacle(file.parent, file.name):
        raise ValueError(f"{file} cannot be written ({reason}); name another file")


def _obstacle(folder: Path, name: str = "") -> str:
    """Why no file can be made in a folder; empty where one can.

    Rights alone do not tell: disks are mounted to be read, and file servers have rights of their own. Hence a
    file without a name is made, and gone.
    """
    try:
        # `new/../mine` is `mine`, also before `new` is made.
        real = folder.resolve()
        if max(len(os.fsencode(part)) for part in (*real.parts, name)) > LONGEST_NAME:
            return os.strerror(errno.ENAMETOOLONG)
        if folder.is_symlink() and not real.exists():  # no folder is made at such a link
            return "it is a link to nothing"
        there = next(place for place in (real, *real.parents) if os.path.lexists(place))
        tempfile.TemporaryFile(dir=there).close()
    except (OSError, RuntimeError) as error:  # RuntimeError: links in a circle
        return getattr(error, "strerror", None) or "its links lead in a circle"
    return ""
