import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from ablations.runs.fitting import FINAL
from ablations.runs.shared_stage_1 import LOCK, one_run_at_a_time
from datamodules.long_work.shares import Share
from lightning_modules.checkpoints import read_checkpoint
from lightning_modules.plain import one_at_a_time

from ..conftest import Start


def in_thread(work: Callable[[], None]) -> threading.Thread:
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    return thread


def test_a_second_run_waits_and_then_finds_it_finished(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(one_at_a_time, "SECONDS_IN_SILENCE", 0.0)
    folder, seen = tmp_path / "shared", []

    def second() -> None:
        with one_run_at_a_time(folder):
            seen.append((folder / FINAL).is_file())

    with one_run_at_a_time(folder):
        thread = in_thread(second)
        time.sleep(0.3)
        assert seen == []
        (folder / FINAL).touch()
    thread.join(20)
    assert seen == [True]
    said = f"another process trains the same stage 1: waiting for it ({folder / LOCK})\n"
    assert capsys.readouterr().err == said


def test_a_run_that_fails_lets_the_next_one_in(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="gone wrong"), one_run_at_a_time(tmp_path):
        raise ValueError("gone wrong")
    with one_run_at_a_time(tmp_path):
        pass


def test_a_run_s_other_processes_wait_for_its_first_which_waits_for_another_run(tmp_path: Path) -> None:
    entered, barrier = [], threading.Barrier(2)

    def process(number: int) -> None:
        with one_run_at_a_time(tmp_path, Share(number, 2, lambda: barrier.wait(20) and None)):
            entered.append(number)

    with one_run_at_a_time(tmp_path):
        threads = [in_thread(lambda number=number: process(number)) for number in (1, 2)]
        time.sleep(0.3)
        assert entered == []
    for thread in threads:
        thread.join(20)
    assert sorted(entered) == [1, 2]


def test_runs_that_share_stage_1_train_it_once(start: Start, tmp_path: Path) -> None:
    assert start("--output", "first") == 0
    (shared,) = (tmp_path / "runs" / "pretraining").iterdir()
    before = (shared / FINAL).stat().st_mtime_ns
    assert start("--output", "second", "--no-identity") == 0
    assert (shared / FINAL).stat().st_mtime_ns == before
    assert read_checkpoint(shared / FINAL)["global_step"] == 4
