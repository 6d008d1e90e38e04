"""Output folders of runs and studies: whose work they hold, and that one process works there."""

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from evaluation.reporting.results import mark_started
from lightning_modules.distributed import is_first_process
from lightning_modules.plain.output_folder import OutputFolder

LOCK = ".lock"


def claim(
    folder: OutputFolder, identity: dict[str, Any], *, overwrite: bool, older: Sequence[str] = ()
) -> None:
    """Note whose unfinished work a folder holds; with `overwrite`, delete what was written there before.

    Args:
        folder: checked before, see `OutputFolder.check`.
        identity: every setting that the result depends on.
        overwrite: whether to start anew.
        older: see `OutputFolder.begin`.
    """
    if not is_first_process():
        return
    kept = folder.begin(overwrite=overwrite, older=older)
    if kept:
        print(kept, file=sys.stderr)
    mark_started(folder, identity)


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
    if not is_first_process():
        yield
        return
    found = folder / LOCK
    if found.is_symlink() or (found.exists() and (not found.is_file() or found.stat().st_size)):
        raise ValueError(f"{found} is no lock of {program}; name another --output")
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
