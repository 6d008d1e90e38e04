import os
import platform
import subprocess
import sys

import pytest

from ablations.runs import freed_memory

# New pages that the system maps while eight tensors of 16 MB are made and freed, ten times.
PAGES = """
import resource, sys, torch
from ablations.runs.freed_memory import keep_freed_memory

def pages() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt

def use() -> None:
    for _ in range(10):
        [torch.ones(2**22) for _ in range(8)]

if sys.argv[1] == "keep":
    assert keep_freed_memory()
use()
before = pages()
use()
print(pages() - before)
"""


def new_pages(how: str) -> int:
    # glibc's own threshold moves with what is freed, so that the heap's layout would decide.
    fixed = {**os.environ, "MALLOC_MMAP_THRESHOLD_": str(2**17)}
    finished = subprocess.run(
        [sys.executable, "-c", PAGES, how], capture_output=True, text=True, check=True, timeout=120, env=fixed
    )
    return int(finished.stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="mallopt is glibc's")
def test_freed_memory_is_used_again() -> None:
    assert new_pages("keep") < 1000
    assert new_pages("give back") > 10_000


def test_another_c_library_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "libc_ver", lambda: ("", ""))
    assert not freed_memory.keep_freed_memory()
