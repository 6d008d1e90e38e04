"""Ctrl-C while packages load: a word and status 130, in place of Python's traceback.

A command says so in its first lines, before it imports what takes seconds; from `main` on Ctrl-C is
Python's KeyboardInterrupt again, which saves and tidies up on its way. Where an exception out of nowhere
would be lost, it waits (`interruption_deferred`). Imports nothing that takes time.
"""

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import NoReturn

INTERRUPTED, SAID = 130, "interrupted"


def end_when_interrupted() -> None:
    """From now on Ctrl-C ends the process with "interrupted" and status 130; `interruptible` ends that."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _end)


@contextmanager
def ending_when_interrupted() -> Iterator[None]:
    """The same inside only, for a program that loads its command while it runs."""
    before = signal.getsignal(signal.SIGINT)
    end_when_interrupted()
    try:
        yield
    finally:
        if signal.getsignal(signal.SIGINT) is _end:
            signal.signal(signal.SIGINT, before)


@contextmanager
def interruptible() -> Iterator[None]:
    """Makes Ctrl-C Python's KeyboardInterrupt inside, where `end_when_interrupted` had changed that."""
    changed = signal.getsignal(signal.SIGINT) is _end
    if changed:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        if changed:
            signal.signal(signal.SIGINT, _end)


@contextmanager
def interruption_deferred() -> Iterator[None]:
    """Ctrl-C and SIGTERM wait for the end of what is inside, and then do what they would have done.

    For code that swallows an exception which comes out of nowhere, or does not survive it.
    """
    if threading.current_thread() is not threading.main_thread():
        yield  # only the main thread is interrupted
        return
    came: list[int] = []
    handlers = {kind: signal.getsignal(kind) for kind in (signal.SIGINT, signal.SIGTERM)}
    # One that a library in C has set is not known here, and stays.
    before = {kind: handler for kind, handler in handlers.items() if handler is not None}
    for kind in before:
        signal.signal(kind, lambda number, _: came.append(number))
    try:
        yield
    finally:
        for kind, handler in before.items():
            signal.signal(kind, handler)
        if came:
            signal.raise_signal(came[0])


def _end(number: int, frame: FrameType | None) -> NoReturn:
    """Nothing is open yet that would have to be closed; an exception could be swallowed by what loads."""
    print(SAID, file=sys.stderr, flush=True)
    os._exit(INTERRUPTED)
