import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from lightning.pytorch.utilities import rank_zero_only

from ablations.runs.fitting import FINAL
from ablations.runs.shared_stage_1 import one_run_at_a_time
from lightning_modules.checkpoints import read_checkpoint

from ..conftest import Start


def in_thread(work: Callable[[], None]) -> threading.Thread:
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    return thread


def test_a_second_run_waits_and_then_finds_it_finished(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, seen = tmp_path / "shared", []

    def second() -> None:
        with one_run_at_a_time(folder, "second"):
            seen.append((folder / FINAL).is_file())

    with one_run_at_a_time(folder, "first"):
        thread = in_thread(second)
        time.sleep(0.3)
        assert seen == []
        (folder / FINAL).touch()
    thread.join(20)
    assert seen == [True]
    assert capsys.readouterr().err == (f"another run trains the same stage 1 in {folder}: waiting for it\n")


def test_a_run_that_fails_lets_the_next_one_in(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="gone wrong"), one_run_at_a_time(tmp_path, "first"):
        raise ValueError("gone wrong")
    with one_run_at_a_time(tmp_path, "second"):
        pass


@pytest.mark.parametrize("event", ["its first process enters", "another run has finished"])
def test_a_run_s_other_processes_wait_for_its_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, event: str
) -> None:
    with one_run_at_a_time(tmp_path, "another"):
        pass
    entered = []

    def other_process() -> None:
        with one_run_at_a_time(tmp_path, "mine"):
            entered.append(True)

    with monkeypatch.context() as patch:
        patch.setattr(rank_zero_only, "rank", 1)
        thread = in_thread(other_process)
        time.sleep(0.3)
    assert entered == []
    if event == "another run has finished":
        (tmp_path / FINAL).touch()
    else:
        with one_run_at_a_time(tmp_path, "mine"):
            thread.join(20)
    thread.join(20)
    assert entered == [True]


def test_runs_that_share_stage_1_train_it_once(start: Start, tmp_path: Path) -> None:
    assert start("--output", "first") == 0
    (shared,) = (tmp_path / "runs" / "pretraining").iterdir()
    before = (shared / FINAL).stat().st_mtime_ns
    assert start("--output", "second", "--no-identity") == 0
    assert (shared / FINAL).stat().st_mtime_ns == before
    assert (shared / "owner.txt").read_text() == str(tmp_path / "second")
    assert read_checkpoint(shared / FINAL)["global_step"] == 4
