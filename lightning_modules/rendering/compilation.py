"""Compiled kernels, one image each, on a pool of threads.

Numba's own parallel loops abort when two threads enter them or after a fork, so a kernel here works on one
image without holding the interpreter's lock, and a pool of this process hands out the images. An image's
result does not depend on which thread made it, or on how many there are.
"""

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import wraps
from typing import Any

import numba
import numpy as np
import torch
from torch import Tensor

from ..plain.interruption import interruption_deferred

_pools: dict[tuple[int, int], ThreadPoolExecutor] = {}


def compiled(function: Callable, *, contract: bool = False, reorder: bool = False) -> Callable:
    """A numba kernel without the interpreter's lock, compiled at its first call and cached if possible.

    Numba looks for a writable folder beside the source, then in the user's cache; where neither is writable,
    it refuses, and this compiles without a cache. Its cache notices changes of the kernel's own file only, so
    kernels call no kernel of another file.

    Args:
        function: in the subset of Python that numba compiles.
        contract: let a product and a sum be rounded once, as one instruction.
        reorder: let the terms of a sum be added in an order that suits vector instructions, always the same.
    """
    liberties = {name for name, taken in (("contract", contract), ("reassoc", reorder)) if taken}
    options: dict[str, Any] = {"nogil": True, "error_model": "numpy", "fastmath": liberties or False}
    try:
        kernel = numba.njit(cache=True, **options)(function)
    except RuntimeError as error:
        if "no locator available" not in str(error):
            raise
        kernel = numba.njit(cache=False, **options)(function)
    kernel.compile = _uninterrupted(kernel.compile)
    return kernel


def _uninterrupted(compile_kernel: Callable) -> Callable:
    """Compilation that Ctrl-C and SIGTERM wait for.

    LLVM calls back into Python: an exception there is swallowed, or what it leaves behind hangs the process.
    """

    @wraps(compile_kernel)
    def deferring(*arguments: Any) -> Any:  # noqa: ANN401 - numba's
        with interruption_deferred():
            return compile_kernel(*arguments)

    return deferring


def vertex_ids(triangles: Tensor) -> np.ndarray:
    """Triangles [T, 3] as the kernels take them: int32, contiguous, on the CPU; converted without threads."""
    return np.ascontiguousarray(triangles.cpu().numpy(), dtype=np.int32)


def for_each(task: Callable[[int], Any], count: int) -> None:
    """Call `task` with 0 to count - 1, on as many threads as torch may use; the first error is raised.

    A task may not call this itself: threads that wait would leave none to work.
    """
    threads = min(torch.get_num_threads(), count)
    numbers = iter(range(count))  # shared: each number goes to the thread that is free first

    def work() -> None:
        for number in numbers:
            task(number)

    # The thread that asks works, too; a step asks a dozen times, and waking threads takes a while.
    others = [_pool(torch.get_num_threads()).submit(work) for _ in range(threads - 1)]
    try:
        work()
    finally:
        errors = [other.exception() for other in others]  # once each has ended
    for error in errors:
        if error is not None:
            raise error


def _pool(threads: int) -> ThreadPoolExecutor:
    # Threads do not survive a fork, so a child makes a pool of its own.
    key = (os.getpid(), threads)
    if key not in _pools:
        _pools.setdefault(key, ThreadPoolExecutor(threads, thread_name_prefix="rendering"))
    return _pools[key]
