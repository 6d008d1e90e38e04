"""How schedulers stop a run."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from lightning_modules.callbacks import interrupt


@contextmanager
def stopped_by_termination() -> Iterator[None]:
    """SIGTERM, as schedulers send it, does what Ctrl-C does."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
