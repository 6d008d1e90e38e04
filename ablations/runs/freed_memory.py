"""Keeps the memory that a training step frees for the next step."""

import ctypes
import platform

# Of glibc's malloc.h: how much free memory at the end of the heap is given back to the system, and from what
# size on a block is mapped by itself and given back as soon as it is freed.
TRIM_THRESHOLD, MMAP_THRESHOLD = -1, -3
LARGEST_MMAP_THRESHOLD = 32 * 2**20  # that glibc takes; in the standard budget every tensor is smaller


def keep_freed_memory() -> bool:
    """Let this process keep what it frees, for the next allocation; whether the C library can.

    Otherwise a step's tensors are given back to the system one by one and mapped again, and the system fills
    each page with zeros once more: some 15,000 pages in a step of the standard budget, a tenth to a sixth of
    its time. No number changes; the process stays as large as it has ever been.
    """
    if platform.libc_ver()[0] != "glibc":
        return False
    library = ctypes.CDLL(None)
    return bool(
        library.mallopt(TRIM_THRESHOLD, -1) and library.mallopt(MMAP_THRESHOLD, LARGEST_MMAP_THRESHOLD)
    )
