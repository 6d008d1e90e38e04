"""--devices 2: run.py starts itself a second time, so the test has to run it as a script."""

import csv
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
import torch

from ablations.runs.fitting import CHECKPOINTS
from evaluation.reporting.results import read_results
from lightning_modules.checkpoints import read_checkpoint

from . import small_run

LOSSES = ("identity", "batch_distribution", "loopback", "parameter")
Run = Callable[..., subprocess.Popen]


@pytest.fixture
def run(tmp_path: Path, options: list[str]) -> Iterator[Run]:
    """Starts runs on miniatures as a user does; none of their processes outlives the test."""
    started = []

    def run(*more: object) -> subprocess.Popen:
        command = [sys.executable, small_run.__file__, *options, "--no-progress", *map(str, more)]
        environment = os.environ | {"OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE"}
        process = subprocess.Popen(
            command, cwd=tmp_path, env=environment, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL,
            text=True, start_new_session=True,
        )  # fmt: skip
        started.append(process)
        return process

    yield run
    for process in started:
        kill_session(process)
        process.communicate()


def kill_session(process: subprocess.Popen) -> None:
    """End what is left of it."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


def no_process_is_left(process: subprocess.Popen) -> bool:
    """Whether all of a run's processes have ended, or do so soon."""
    for _ in range(400):
        try:
            os.killpg(process.pid, 0)
        except ProcessLookupError:
            return True
        time.sleep(0.1)
    return False


def ended(process: subprocess.Popen) -> tuple[int, list[str]]:
    """Exit status and what was said, without waiting for what hangs."""
    _, error = process.communicate(timeout=600)  # however busy the machine is
    return process.returncode, error.splitlines()


def assert_close_weights(first: Path, second: Path) -> None:
    """Rounding apart: sums over processes are taken in another order."""
    one, other = (read_checkpoint(folder / "final.ckpt")["state_dict"] for folder in (first, second))
    for name, value in one.items():
        torch.testing.assert_close(value, other[name], rtol=1e-4, atol=1e-6)


def gradient_norms(folder: Path) -> dict[str, float]:
    """Of each loss, where they were first measured."""
    (file,) = folder.glob("logs/*/metrics.csv")
    with file.open() as stream:
        rows = [
            {name: float(value) for name, value in row.items() if "gradient_norm" in name and value}
            for row in csv.DictReader(stream)
        ]
    return next(row for row in rows if row)


def validated(folder: Path) -> list[dict[str, float]]:
    """What every validation logged."""
    (file,) = folder.glob("logs/*/metrics.csv")
    with file.open() as stream:
        rows = [
            {name: float(value) for name, value in row.items() if name.startswith("validation/") and value}
            for row in csv.DictReader(stream)
        ]
    return [row for row in rows if row]


def test_two_processes_train_what_one_does(run: Run, tmp_path: Path) -> None:
    """Also where the photographs of neither part can be halved: 19 are trained on, 5 held back."""
    odd = ("--validation-fraction", 0.3, "--validation-photographs", 5)
    status, said = ended(run("--devices", 2, "--output", "two", *odd))
    assert status == 0
    few, cosines = said  # each once, however many processes there are
    assert few.startswith("warning: the batch distribution sees 8 photographs a step, over all processes")
    assert cosines == "fewer than 500 training photographs: the identity loss compares raw cosines"
    (tmp_path / "runs").rename(tmp_path / "runs of two")
    assert ended(run("--output", "one", *odd))[0] == 0
    assert_close_weights(tmp_path / "one", tmp_path / "two")
    scores = [validated(tmp_path / name) for name in ("one", "two")]
    assert len(scores[0]) == len(scores[1]) > 0
    for one, two in zip(*scores, strict=True):
        assert one == pytest.approx(two, abs=1e-3)
    norms = [gradient_norms(tmp_path / name) for name in ("one", "two")]
    assert norms[0] == pytest.approx(norms[1], rel=1e-3)
    rows = [read_results(tmp_path / name).rows for name in ("one", "two")]
    assert [row.value for row in rows[0]] == pytest.approx([row.value for row in rows[1]], abs=1e-3)
    assert {row.n for row in rows[0] + rows[1]} == {5}


def test_two_processes_align_each_photograph_once_and_both_take_part(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOOKED", str(tmp_path))
    process = run("--devices", 2, "--device", "cpu", "--cache-folder", tmp_path / "cache", "--max-steps", 2)
    assert ended(process)[0] == 0
    looked = [file.read_text().split() for file in tmp_path.glob("looked-*.txt")]
    assert len(looked) == 2
    assert len({*looked[0], *looked[1]}) == len(looked[0]) + len(looked[1]) == 24
    assert not list((tmp_path / "cache").glob("**/shares/*/*.*"))


def test_machines_that_see_different_output_folders_are_told_so_before_any_work(
    tmp_path: Path, options: list[str]
) -> None:
    """Two processes as torchrun starts them on two machines; the second one's working folder is its own."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [
        sys.executable, small_run.__file__, *options, "--no-progress", "--no-pretraining",
        "--devices", "1", "--num-nodes", "2", "--device", "cpu", "--output", "run",
    ]  # fmt: skip
    started = []
    for rank in range(2):
        (tmp_path / f"machine {rank}").mkdir()
        environment = {
            "TORCHELASTIC_RUN_ID": "none", "RANK": str(rank), "GROUP_RANK": str(rank), "WORLD_SIZE": "2",
            "LOCAL_RANK": "0", "LOCAL_WORLD_SIZE": "1", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port),
            "OMP_NUM_THREADS": "1",
        }  # fmt: skip
        started.append(
            subprocess.Popen(
                command,
                cwd=tmp_path / f"machine {rank}",
                env=os.environ | environment,
                stderr=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                text=True,
                start_new_session=True,
            )
        )
    try:
        ends = [ended(process) for process in started]
    finally:
        for process in started:
            kill_session(process)
    assert [status for status, _ in ends] == [2, 2]
    for _, said in ends:
        assert said[-1].startswith("error: process 1 (counted from 0, on ")
        assert f"does not see in the output folder {tmp_path / 'machine 1' / 'run'} what" in said[-1]
    assert not list(tmp_path.glob("machine */*"))


@pytest.mark.slow
def test_two_processes_of_torchrun_share_the_work(
    tmp_path: Path, options: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOOKED", str(tmp_path))
    own = ["--devices", "2", "--device", "cpu", "--cache-folder", str(tmp_path / "cache"), "--output", "two"]
    command = [
        sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "--standalone",
        small_run.__file__, *options, "--no-progress", *own,
    ]  # fmt: skip
    subprocess.run(command, cwd=tmp_path, env=os.environ | {"OMP_NUM_THREADS": "1"}, check=True, timeout=300)
    looked = [file.read_text().split() for file in tmp_path.glob("looked-*.txt")]
    assert len(looked) == 2
    assert len({*looked[0], *looked[1]}) == len(looked[0]) + len(looked[1]) == 24
    assert read_results(tmp_path / "two").rows


@pytest.mark.slow
def test_jobs_that_prepare_leave_what_a_run_trains_on(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = ("--cache-folder", tmp_path / "cache")
    said = [ended(run(*own, "--shard", f"{number}/2")) for number in (1, 2, 1)]
    assert [status for status, _ in said] == [0, 0, 0]
    assert "its photographs are aligned" in said[0][1][-1]
    assert "share 1 of 2 is prepared" in said[2][1][-1]
    monkeypatch.setenv("LOOKED", str(tmp_path))
    assert ended(run(*own, "--output", "shared"))[0] == 0
    assert not list(tmp_path.glob("looked-*.txt"))
    shutil.move(tmp_path / "runs", tmp_path / "runs of shares")
    assert ended(run("--output", "one"))[0] == 0
    one, shared = (
        read_checkpoint(tmp_path / name / "final.ckpt")["state_dict"] for name in ("one", "shared")
    )
    assert all(torch.equal(one[name], shared[name]) for name in one)


@pytest.mark.slow
def test_two_processes_write_one_tensorboard_file_with_every_step_once(run: Run, tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    given = ("--no-pretraining", "--loggers", "tensorboard", "--trainer.log-every-n-steps", 1)
    assert ended(run("--devices", 2, "--output", "two", *given))[0] == 0
    (file,) = (tmp_path / "two" / "tensorboard").glob("events.*")
    events = EventAccumulator(str(file)).Reload()
    assert [event.step for event in events.Scalars("train/loss/total")] == list(range(6))
    assert [event.step for event in events.Scalars("validation/judge_similarity")] == [3]


@pytest.mark.slow
@pytest.mark.parametrize(
    "off",
    [*((name,) for name in LOSSES), ("identity", "loopback"), LOSSES[:3], LOSSES[1:]],
    ids="-".join,
)
def test_no_switch_makes_two_processes_hang(run: Run, tmp_path: Path, off: tuple[str, ...]) -> None:
    given = ["--no-pretraining", *(f"--no-{name}" for name in off)]
    assert ended(run("--devices", 2, "--output", "two", "--strategy", "ddp", *given))[0] == 0
    assert ended(run("--output", "one", *given))[0] == 0
    assert_close_weights(tmp_path / "one", tmp_path / "two")


@pytest.mark.slow
def test_an_exploding_loss_stops_both_processes(run: Run) -> None:
    process = run("--devices", 2, "--no-pretraining", "--learning-rate", "1e25", "--gradient-clip", 0)
    status, said = ended(process)
    assert status == 1
    assert len([line for line in said if line.startswith("error: stopped at step ")]) == 1
    assert no_process_is_left(process)


@pytest.mark.slow
@pytest.mark.parametrize("kind", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_two_processes_stop_together_and_continue(run: Run, tmp_path: Path, kind: signal.Signals) -> None:
    given = ("--devices", 2, "--no-pretraining", "--max-steps", 1000, "--validation-interval", 1000)
    process = run(*given)
    until = time.monotonic() + 100
    while not list(tmp_path.glob(f"runs/run/*/{CHECKPOINTS}/last.ckpt")) and time.monotonic() < until:
        time.sleep(0.05)
    os.kill(process.pid, kind)
    status, said = ended(process)
    if kind == signal.SIGKILL:
        assert status == -kind
    else:
        assert status == 130
        assert len([line for line in said if "the same command continues" in line]) == 1
    assert no_process_is_left(process)
    (last,) = tmp_path.glob(f"runs/run/*/{CHECKPOINTS}/last.ckpt")
    assert read_checkpoint(last)["global_step"] >= 2


@pytest.mark.slow
@pytest.mark.parametrize("when", ["it trains", "it starts"])
def test_a_process_that_is_killed_ends_the_other_with_one_sentence(
    run: Run, tmp_path: Path, when: str
) -> None:
    process = run("--devices", 2, "--no-pretraining", "--max-steps", 1000, "--validation-interval", 1000)
    until = time.monotonic() + 100
    while not (others := started_by(process)) and time.monotonic() < until:
        time.sleep(0.01)
    while when == "it trains" and not list(tmp_path.glob(f"runs/run/*/{CHECKPOINTS}/last.ckpt")):
        assert time.monotonic() < until
        time.sleep(0.05)
    (other,) = others
    os.kill(other, signal.SIGKILL)
    status, said = ended(process)
    assert status == 1
    (sentence,) = [line for line in said if not line.startswith(("warning: the batch", "fewer than 500"))]
    assert sentence.startswith(f"error: stopped {'at step' if when == 'it trains' else 'outside training'}")
    assert ": process 1 (of 2, counted from 0) was killed, as the system does where memory runs" in sentence
    assert sentence.endswith(": the same command continues")
    assert no_process_is_left(process)
    kept = [file.read_text() for file in tmp_path.glob("runs/run/*/traceback-0.txt")]
    assert ["gloo" in text for text in kept] == ([True] if when == "it trains" else [])


def started_by(process: subprocess.Popen) -> list[int]:
    """The second of DDP's processes, once it runs the command itself."""
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    found = []
    for pid in children.read_text().split():
        with suppress(OSError):  # it has ended by now
            environment = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
            found += [int(pid)] if b"LOCAL_RANK=1" in environment else []
    return found
