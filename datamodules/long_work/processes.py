"""One method of one object, mapped over items by several processes; workers that end with their parent."""

import os
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context, parent_process
from multiprocessing.connection import wait
from typing import Any, TypeVar

import cv2

Item = TypeVar("Item")
Result = TypeVar("Result")
ORPHANED = 1  # the exit status of a worker whose parent is gone
_of_this_process: list[Any] = []


def map_in_processes(
    method: Callable[[Item], Result], items: Sequence[Item], workers: int
) -> Iterator[Result]:
    """What a bound method gives for each item, in order; its object is sent once to each process.

    Each process computes on one thread. Items that no process has begun are dropped where the caller stops.

    Args:
        method: bound to an object that can be pickled.
        items: to call it with.
        workers: processes; 1 or fewer computes here.
    """
    if workers <= 1:
        yield from map(method, items)
        return
    with worker_processes(workers, _keep, method) as pool:
        try:
            yield from pool.map(_call, items)
        finally:
            pool.shutdown(cancel_futures=True)


def worker_processes(
    workers: int, begin: Callable[..., None] | None = None, *arguments: object
) -> ProcessPoolExecutor:
    """A pool of processes that compute on one thread each, and end at once when this process does.

    Args:
        workers: how many.
        begin: called first in each of them.
        *arguments: of `begin`.
    """
    # spawn: forked children of a process that runs torch or OpenCV threads may hang.
    context = get_context("spawn")
    return ProcessPoolExecutor(workers, context, initializer=_begin, initargs=(begin, arguments))


def _begin(begin: Callable[..., None] | None, arguments: Sequence[object]) -> None:
    # A worker that waits for work does not see that nobody will send any.
    threading.Thread(target=_end_with_parent, daemon=True).start()
    cv2.setNumThreads(1)
    # It came with the method, or is not needed: alignment works without it, and saves its memory.
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(1)
    if begin is not None:
        begin(*arguments)


def _end_with_parent() -> None:
    parent = parent_process()
    assert parent is not None
    wait([parent.sentinel])
    os._exit(ORPHANED)


def _keep(method: Callable[[Any], Any]) -> None:
    _of_this_process[:] = [method]


def _call(item: Any) -> Any:  # noqa: ANN401 - whatever the method takes
    return _of_this_process[0](item)
