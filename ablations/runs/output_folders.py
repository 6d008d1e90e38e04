"""Output folders: whose they are, what may be deleted in them, and that one process works there."""

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout
from lightning.pytorch.utilities import rank_zero_only

from evaluation.reporting.results import RESULTS, STARTED, mark_started

LOCK = ".lock"


@rank_zero_only
def claim(
    folder: Path,
    command: str,
    identity: dict[str, Any],
    *,
    owner: str,
    overwrite: bool,
    is_own: Callable[[str], bool],
) -> None:
    """Note whose folder it is; with `overwrite`, delete what the command makes there, and nothing else.

    Args:
        folder: which need not exist.
        command: its name.
        identity: every setting that the result depends on.
        owner: as in "a run's", for errors.
        overwrite: whether to start anew.
        is_own: whether the command makes files and folders of a name.

    Raises:
        ValueError: if the command never worked there and the folder holds something else.
    """
    entries = {path.name: path for path in folder.iterdir()} if folder.is_dir() else {}
    foreign = sorted(name for name in entries if not (is_own(name) or name.startswith(".")))
    if foreign and not {STARTED, RESULTS} & entries.keys():
        raise ValueError(
            f"{folder} holds other files than {owner}, such as {foreign[0]}; name another --output"
        )
    if overwrite:
        for name, path in entries.items():
            if is_own(name):
                shutil.rmtree(path) if path.is_dir() else path.unlink()
    mark_started(folder, command, identity)


@contextmanager
def alone_in(folder: Path, program: str) -> Iterator[None]:
    """Enters unless another process of the program works in the folder; the lock ends with its process.

    Folders that were made for it and stay empty are removed.

    Args:
        folder: which need not exist.
        program: names itself in the error.

    Raises:
        ValueError: if another one is there, or nothing can be written there.
    """
    if rank_zero_only.rank != 0:
        yield
        return
    made = [path for path in (folder, *folder.parents) if not path.exists()]
    lock = FileLock(folder / LOCK, timeout=0)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except Timeout:
        raise ValueError(f"another {program} is at work in {folder}; wait for it, or stop it") from None
    except OSError as error:
        raise ValueError(
            f"nothing can be written in the output folder {folder} ({error.strerror}); name another --output"
        ) from error
    try:
        yield
    finally:
        (folder / LOCK).unlink(missing_ok=True)
        lock.release()
        for path in made:
            if path.is_dir() and not any(path.iterdir()):
                path.rmdir()
