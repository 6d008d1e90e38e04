import os
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
