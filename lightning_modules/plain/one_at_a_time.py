"""Work that only one process does at a time: the others say that they wait."""

import errno
import multiprocessing
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from .files import FORBIDDEN

SECONDS_IN_SILENCE = 2.0


@contextmanager
def one_at_a_time(lock_file: Path, work: str) -> Iterator[None]:
    """Enters once no other process is inside; whoever waits for longer than a moment says so on stderr.

    The lock ends with the process that holds it, however that ends.

    Args:
        lock_file: that all of them name; its folder is there.
        work: of whoever is inside, such as "aligns the same photographs".

    Raises:
        RuntimeError: in a process that was started to help, and imports a script that does the work as it is
            imported: it would wait for its own parent for ever.
        OSError: naming the file, where its disk knows no locks or something else lies there.
    """
    if getattr(multiprocessing.current_process(), "_inheriting", False):  # as multiprocessing itself asks
        raise RuntimeError(
            "a script that starts several processes is imported by each of them: put what it does under "
            "`if __name__ == '__main__':`, or give workers=0"
        )
    lock = FileLock(lock_file)
    try:
        lock.acquire(timeout=SECONDS_IN_SILENCE)
    except Timeout:
        print(f"another process {work}: waiting for it ({lock_file})", file=sys.stderr, flush=True)
        lock.acquire()
    except OSError as error:
        if error.errno in FORBIDDEN:  # who only reads goes on without a lock
            raise
        reason = os.strerror(error.errno or errno.ENOLCK)
        raise OSError(
            f"{lock_file} cannot be locked ({reason}), so two processes could do the same work at once; "
            "delete it if it is no lock, or name a folder on another disk"
        ) from error
    try:
        yield
    finally:
        lock.release()
