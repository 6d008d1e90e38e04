import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from torch import distributed

from ablations.runs import lost_processes, processes
from ablations.runs.lost_processes import is_lost_connection, watched
from lightning_modules.callbacks import TrainingFailed
from lightning_modules.plain.output_folder import OutputFolder

GLOO = "[/pytorch/third_party/gloo/gloo/transport/tcp/pair.cc:547] Connection closed by peer [127.0.0.1]:6290"


@pytest.fixture(autouse=True)
def nothing_started(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "started_here", [])


def trainer_with(*started: subprocess.Popen, world_size: int = 3) -> SimpleNamespace:
    """What is asked of a trainer, in a process that started these."""
    processes.started_here.extend(started)
    return SimpleNamespace(world_size=world_size, global_rank=0, global_step=7)


def process_that(does: str) -> subprocess.Popen:
    """A process that has ended, and how."""
    process = subprocess.Popen([sys.executable, "-c", f"import os, sys; {does}"])
    process.wait()
    return process


@pytest.fixture
def folder(tmp_path: Path) -> OutputFolder:
    (tmp_path / "last.ckpt").write_text("")
    return OutputFolder(tmp_path / "out", "run")


@pytest.mark.parametrize(
    ("error", "is_lost"),
    [
        (RuntimeError(GLOO), True),
        (RuntimeError("NCCL communicator was aborted on rank 0"), True),
        (distributed.DistNetworkError("The client has timed out"), True),
        (RuntimeError("mat1 and mat2 shapes cannot be multiplied"), False),
        (ValueError("Connection closed by peer"), False),
    ],
)
def test_a_lost_connection_is_known_from_other_errors(error: Exception, is_lost: bool) -> None:
    assert is_lost_connection(error) is is_lost


@pytest.mark.parametrize(
    ("does", "what"),
    [
        ("os.kill(os.getpid(), 9)", "was killed, as the system does where memory runs out"),
        ("os.kill(os.getpid(), 6)", "was ended by SIGABRT"),
        ("sys.exit(1)", "ended with status 1, for the reason that it gives above"),
    ],
)
def test_who_is_gone_is_named_and_the_traceback_is_kept(folder: OutputFolder, does: str, what: str) -> None:
    last, kept = folder.path.parent / "last.ckpt", folder.path / "traceback-0.txt"
    with (
        pytest.raises(TrainingFailed) as caught,
        watched(trainer_with(process_that("pass"), process_that(does)), folder, last, writes=True),
    ):
        raise RuntimeError(GLOO)
    assert str(caught.value) == (
        f"stopped at step 7: process 2 (of 3, counted from 0) {what} ({kept} has the traceback); the last "
        f"checkpoint is {last}: the same command continues"
    )
    assert GLOO in kept.read_text()
    assert folder.wrote(kept)


def test_a_process_that_was_interrupted_interrupts_the_others(
    folder: OutputFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    with (
        pytest.raises(KeyboardInterrupt),
        watched(trainer_with(process_that("sys.exit(130)")), folder, Path("none"), writes=True),
    ):
        raise RuntimeError(GLOO)
    assert "process 1 (of 3, counted from 0) was interrupted; no checkpoint was" in capsys.readouterr().err
    assert not (folder.path / "traceback-0.txt").exists()


def test_where_no_process_is_seen_to_end_the_connection_is_named(
    folder: OutputFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lost_processes, "ENDING_SECONDS", 0.1)
    with (
        pytest.raises(TrainingFailed, match="process 0 lost the connection to another one; no checkpoint"),
        watched(trainer_with(), folder, Path("none"), writes=False),
    ):
        raise RuntimeError(GLOO)
    assert not folder.path.exists()


@pytest.mark.parametrize("error", [RuntimeError("out of memory"), TrainingFailed("NCCL is in its name")])
def test_other_errors_stay_as_they_are(folder: OutputFolder, error: RuntimeError) -> None:
    with (
        pytest.raises(RuntimeError) as caught,
        watched(trainer_with(), folder, Path("none"), writes=False),
    ):
        raise error
    assert caught.value is error


def test_one_process_has_none_to_lose(folder: OutputFolder) -> None:
    with (
        pytest.raises(RuntimeError, match="gloo"),
        watched(trainer_with(world_size=1), folder, Path("none"), writes=True),
    ):
        raise RuntimeError(GLOO)


@pytest.mark.parametrize(
    ("status", "said"),
    [(-11, "was ended by SIGSEGV"), (-35, "was ended by signal 35"), (-9, "was killed, as the system does")],
)
def test_whatever_signal_ended_a_process_has_words(status: int, said: str) -> None:
    # Python names no real-time signal between the first and the last; a scheduler may send any.
    assert processes.what_became_of({1: status}, 2).startswith(f"process 1 (of 2, counted from 0) {said}")
