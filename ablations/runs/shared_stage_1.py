"""Work that several runs share is done by one of them, while the others wait for it."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from datamodules.long_work.shares import Share
from lightning_modules.plain.one_at_a_time import one_at_a_time

LOCK = "lock"


@contextmanager
def one_run_at_a_time(folder: Path, share: Share | None = None) -> Iterator[None]:
    """Enters when no other run trains in the folder; by then it may have finished there.

    All processes of a run enter together: its first one holds the lock, which ends with it however it ends.

    Args:
        folder: of the shared stage.
        share: of this process; None where it is alone.
    """
    if share is not None and not share.is_first:
        share.wait()
        yield
        return
    folder.mkdir(parents=True, exist_ok=True)
    with one_at_a_time(folder / LOCK, "trains the same stage 1"):
        if share is not None:
            share.wait()
        yield
