"""Work that several runs share is done by one of them, while the others wait for it."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from ablations.runs.fitting import FINAL, tell
from lightning_modules.distributed import is_first_process
from lightning_modules.plain.files import write_whole

LOCK, OWNER = "lock", "owner.txt"
SECONDS_BETWEEN_LOOKS = 0.2


@contextmanager
def one_run_at_a_time(folder: Path, run: str) -> Iterator[None]:
    """Enters when no other run trains in the folder; by then it may have finished there.

    All processes of a run enter together: its first one holds the lock, which ends with it however it ends.

    Args:
        folder: of the shared stage.
        run: names this run, the same on all its processes.
    """
    if not is_first_process():
        while not ((folder / FINAL).is_file() or _owner(folder) == run):
            time.sleep(SECONDS_BETWEEN_LOOKS)
        yield
        return
    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / LOCK)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        tell(f"another run trains the same stage 1 in {folder}: waiting for it")
        lock.acquire()
    try:
        write_whole(folder / OWNER, run)
        yield
    finally:
        lock.release()


def _owner(folder: Path) -> str | None:
    file = folder / OWNER
    return file.read_text(encoding="utf-8") if file.is_file() else None
