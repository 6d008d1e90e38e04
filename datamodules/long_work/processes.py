"""One method of one object, mapped over items by several processes."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import Any, TypeVar

import cv2
import torch

Item = TypeVar("Item")
Result = TypeVar("Result")
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
    # spawn: forked children of a process that runs torch or OpenCV threads may hang.
    with ProcessPoolExecutor(workers, get_context("spawn"), initializer=_begin, initargs=(method,)) as pool:
        try:
            yield from pool.map(_call, items)
        finally:
            pool.shutdown(cancel_futures=True)


def _begin(method: Callable[[Any], Any]) -> None:
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    _of_this_process[:] = [method]


def _call(item: Any) -> Any:  # noqa: ANN401 - whatever the method takes
    return _of_this_process[0](item)
