import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

import pytest
import torch

from datamodules.long_work.processes import map_in_processes


class Adder(NamedTuple):
    """Adds, and says where and on how many threads."""

    amount: int

    def add(self, value: int) -> tuple[int, int, int]:
        if value < 0:
            raise ValueError("expected a number from 0")
        return value + self.amount, os.getpid(), torch.get_num_threads()


def test_one_worker_computes_here() -> None:
    results = list(map_in_processes(Adder(2).add, [1, 5], 1))
    assert [value for value, _, _ in results] == [3, 7]
    assert {process for _, process, _ in results} == {os.getpid()}


@pytest.mark.slow
def test_two_workers_keep_the_order_and_compute_on_one_thread_each() -> None:
    results = list(map_in_processes(Adder(2).add, range(20), 2))
    assert [value for value, _, _ in results] == list(range(2, 22))
    assert os.getpid() not in {process for _, process, _ in results}
    assert {threads for _, _, threads in results} == {1}
    with pytest.raises(ValueError, match="expected a number from 0"):
        list(map_in_processes(Adder(2).add, [3, -1, 4], 2))


class Sleeper:
    """Says who it is, and then works for long."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def work(self, seconds: float) -> None:
        (self.folder / f"{os.getpid()}.pid").touch()
        time.sleep(seconds)


def is_alive(process: int) -> bool:
    """Whether a process is there, and no zombie that nobody asks for."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="asks Linux which processes there are")
@pytest.mark.parametrize("kind", [signal.SIGKILL, signal.SIGTERM])
def test_workers_end_when_their_parent_is_killed(tmp_path: Path, kind: signal.Signals) -> None:
    program = (
        "from pathlib import Path; from tests.datamodules.long_work.test_processes import Sleeper\n"
        "from datamodules.long_work.processes import map_in_processes\n"
        "if __name__ == '__main__':\n"
        f"    list(map_in_processes(Sleeper(Path({str(tmp_path)!r})).work, [0, 60], 2))\n"
    )
    (tmp_path / "main.py").write_text(program)
    paths = os.pathsep.join([str(Path(__file__).parents[3]), os.environ.get("PYTHONPATH", "")])
    parent = subprocess.Popen([sys.executable, tmp_path / "main.py"], env=os.environ | {"PYTHONPATH": paths})
    until = time.monotonic() + 120
    while not (workers := list(tmp_path.glob("*.pid"))) and time.monotonic() < until:
        time.sleep(0.1)
    time.sleep(1)  # the idle one and the busy one are both there by now
    workers = [int(file.stem) for file in tmp_path.glob("*.pid")]
    assert workers
    parent.send_signal(kind)
    parent.wait(20)
    until = time.monotonic() + 20
    while any(map(is_alive, workers)) and time.monotonic() < until:
        time.sleep(0.1)
    assert not any(map(is_alive, workers))
