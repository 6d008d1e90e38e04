import csv
import multiprocessing
import os
import random
import shutil
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from ablations import run
from ablations.runs.fitting import CHECKPOINTS
from evaluation.reporting.results import read_results
from lightning_modules.checkpoints import KEY, read_checkpoint
from lightning_modules.pretraining import Pretraining
from lightning_modules.regression import Regression
from tests.datamodules.conftest import write_photograph
from tests.miniatures import SmallBatch

from .. import small_run
from ..conftest import Start

KILLS = 20


def stop_before(
    patch: pytest.MonkeyPatch, step: int, stop: Callable[[], None], stage: type = Regression
) -> None:
    """Makes a stage stop before a step."""
    training_step = stage.training_step

    def until(module: Regression, batch: SmallBatch, index: int) -> Tensor:
        if module.trainer.global_step == step:
            stop()
        return training_step(module, batch, index)

    patch.setattr(stage, "training_step", until)


def interrupted() -> None:
    """As Ctrl-C does."""
    os.kill(os.getpid(), signal.SIGINT)


def terminated() -> None:
    os.kill(os.getpid(), signal.SIGTERM)


def broken() -> None:
    """As a machine that fails: nothing is put in order."""
    raise RuntimeError("struck by lightning")


def assert_same_weights(first: Path, second: Path) -> None:
    """Bit for bit, with a moving average those that are averaged, too, the random state and the results."""
    for name in ("final.ckpt", f"{CHECKPOINTS}/last.ckpt"):
        one, other = (read_checkpoint(folder / name) for folder in (first, second))
        for key in ("state_dict", "current_model_state") if "last" in name else ("state_dict",):
            assert one.get(key, {}).keys() == other.get(key, {}).keys()
            for weight, value in one.get(key, {}).items():
                assert torch.equal(value, other[key][weight]), f"{name} {key} {weight}"
    assert torch.equal(one[KEY]["random_state"], other[KEY]["random_state"])
    assert read_results(first).rows == read_results(second).rows


def steps_logged(folder: Path) -> set[int]:
    steps = set()
    for file in folder.glob("logs/*/metrics.csv"):
        with file.open() as stream:
            steps |= {int(row["step"]) for row in csv.DictReader(stream) if row.get("train/loss/total")}
    return steps


@pytest.fixture
def straight(start: Start, tmp_path: Path) -> Path:
    """The folder of a run that nothing stopped."""
    assert start("--output", "straight") == 0
    return tmp_path / "straight"


@pytest.mark.parametrize("stop", [interrupted, terminated])
def test_a_stopped_run_says_where_it_stands_and_the_same_command_continues(
    start: Start, straight: Path, capsys: pytest.CaptureFixture[str], stop: Callable[[], None]
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        stop_before(patch, 5, stop)
        assert start("--output", "stopped") == 130
    last = Path("stopped", CHECKPOINTS, "last.ckpt")
    assert capsys.readouterr().err.splitlines()[-2:] == [
        f"stopped at step 5; the last checkpoint is {last}: the same command continues",
        "interrupted",
    ]
    assert read_checkpoint(last)["global_step"] == 4
    assert start("--output", "stopped") == 0
    assert_same_weights(straight, Path("stopped"))


@pytest.mark.parametrize("stop", [interrupted, terminated])
def test_a_run_that_is_stopped_before_its_first_checkpoint_says_so(
    start: Start, capsys: pytest.CaptureFixture[str], stop: Callable[[], None]
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        stop_before(patch, 1, stop, Pretraining)
        assert start() == 130
    assert "stopped at step 1; no checkpoint was due yet: the same command" in capsys.readouterr().err
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


def test_sigterm_while_photographs_are_read_stops_with_the_same_status(
    start: Start, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(run.components, "prepare", lambda *given: terminated())
        assert start() == 130
    assert capsys.readouterr().err.splitlines()[-1] == "interrupted"


@pytest.mark.parametrize("more", [(), ("--ema", "0.7")], ids=["plain", "ema"])
@pytest.mark.parametrize(
    ("stage", "step"), [(Pretraining, 3), (Regression, 1), (Regression, 3), (Regression, 4)]
)
def test_a_run_that_broke_down_ends_as_if_it_had_not(
    start: Start, tmp_path: Path, more: tuple[str, ...], stage: type, step: int
) -> None:
    assert start("--output", "straight", *more) == 0
    shutil.rmtree(tmp_path / "runs")
    with pytest.MonkeyPatch.context() as patch:
        stop_before(patch, step, broken, stage)
        with pytest.raises(RuntimeError, match="struck by lightning"):
            start("--output", "broken", *more)
    assert start("--output", "broken", *more) == 0
    assert_same_weights(tmp_path / "straight", tmp_path / "broken")


@pytest.mark.parametrize("more", [(), ("--ema", "0.7")], ids=["plain", "ema"])
def test_a_run_that_broke_down_after_its_last_step_reports_the_same(
    start: Start, tmp_path: Path, more: tuple[str, ...]
) -> None:
    assert start("--output", "straight", *more) == 0
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(run.run_report, "of_run", lambda *given: broken())
        with pytest.raises(RuntimeError, match="struck by lightning"):
            start("--output", "broken", *more)
    assert start("--output", "broken", *more) == 0
    assert_same_weights(tmp_path / "straight", tmp_path / "broken")


def test_steps_and_validations_come_in_the_logs_as_without_a_stop(start: Start, tmp_path: Path) -> None:
    given = ("--max-steps", 12, "--checkpoint-interval", 2, "--trainer.log-every-n-steps", 1)
    given += ("--validation-interval", 4)
    for step in (5, 7, 11):
        with pytest.MonkeyPatch.context() as patch:
            stop_before(patch, step, broken)
            with pytest.raises(RuntimeError, match="struck by lightning"):
                start(*given, "--output", "broken")
    assert start(*given, "--output", "broken") == 0
    starts, validated = {}, set()
    for file in (tmp_path / "broken" / "logs").glob("*/metrics.csv"):
        with file.open() as stream:
            rows = list(csv.DictReader(stream))
        starts[file.parent.name] = [int(row["step"]) for row in rows if row.get("train/loss/total")]
        validated |= {int(row["step"]) for row in rows if row.get("validation/judge_similarity")}
    assert validated == {3, 7, 11}
    assert starts == {
        "from_step_0000000": [0, 1, 2, 3, 4],
        "from_step_0000004": [4, 5, 6],
        "from_step_0000006": [6, 7, 8, 9, 10],
        "from_step_0000010": [10, 11],
    }


def test_logs_lose_no_row_that_is_not_done_again(start: Start, tmp_path: Path) -> None:
    for step in (17, 27, 38):
        with pytest.MonkeyPatch.context() as patch:
            stop_before(patch, step, broken)
            with pytest.raises(RuntimeError, match="struck by lightning"):
                start("--max-steps", 40, "--checkpoint-interval", 5, "--output", "broken")
    assert start("--max-steps", 40, "--checkpoint-interval", 5, "--output", "broken") == 0
    assert sorted(steps_logged(tmp_path / "broken")) == [9, 19, 29, 39]
    starts = [file.name for file in sorted((tmp_path / "broken" / "logs").iterdir())]
    assert starts == [f"from_step_{step:07d}" for step in (0, 15, 25, 35)]


# ---------------------------------------------------------------------- --resume


def stopped_at_5(start: Start, *more: object) -> Path:
    """The last checkpoint of a run that broke down."""
    with pytest.MonkeyPatch.context() as patch:
        stop_before(patch, 5, broken)
        with pytest.raises(RuntimeError, match="struck by lightning"):
            start("--output", "stopped", *more)
    return Path("stopped", CHECKPOINTS, "last.ckpt")


def test_a_run_goes_on_from_the_checkpoint_that_is_given_without_stage_1(
    start: Start, straight: Path, tmp_path: Path
) -> None:
    kept = stopped_at_5(start).rename(tmp_path / "kept.ckpt")
    shutil.rmtree(tmp_path / "runs")
    assert start("--output", "resumed", "--resume", kept) == 0
    assert not (tmp_path / "runs").exists()
    assert_same_weights(straight, tmp_path / "resumed")
    (logs,) = (tmp_path / "resumed" / "logs").iterdir()
    assert logs.name == "from_step_0000004"


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (("--morphable-model", "open:1"), "was trained with miniature (000000000000, "),
        (
            ("--encoder", "facenet"),
            "was trained with the encoder dlib-colour (a2e33365da41), this run has facenet-colour (4f43",
        ),
        (
            ("--hidden-width", "8"),
            "'hidden_width': 8, 'linear_path': True}; give the same --hidden-width and -",
        ),
        (
            ("--linear-start", "0"),
            "'linear_path': False}; give the same --hidden-width and --linear-start, or",
        ),
        (
            ("--tone-weight", "0"),
            "was trained with the skin tone loss, this run is without it; give the same",
        ),
        (("--stage=1", "--pretraining-steps=5"), "is of stage 2, and stage 1 cannot go on from it"),
    ],
)
def test_another_run_s_checkpoint_is_refused(
    start: Start, capsys: pytest.CaptureFixture[str], given: tuple[str, str], message: str
) -> None:
    last = stopped_at_5(start)
    assert start("--resume", last, "--output", "other", *given) == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert error.startswith("error: ")
    assert message in error


def test_a_stage_1_checkpoint_does_not_resume_stage_2(
    start: Start, capsys: pytest.CaptureFixture[str]
) -> None:
    stopped_at_5(start)
    (first,) = Path("runs", "pretraining").glob("*/final.ckpt")
    assert start("--resume", first) == 2
    assert f"{first} is of stage 1, and stage 2 cannot go on from it" in capsys.readouterr().err


@pytest.mark.parametrize("content", [None, b"no checkpoint"])
def test_a_checkpoint_that_is_missing_or_damaged_is_refused_before_anything_is_done(
    start: Start, tmp_path: Path, capsys: pytest.CaptureFixture[str], content: bytes | None
) -> None:
    if content is not None:
        (tmp_path / "some.ckpt").write_bytes(content)
    assert start("--resume", "some.ckpt") == 2
    wanted = (
        "does not exist; expected a checkpoint"
        if content is None
        else "is a text file; expected a checkpoint"
    )
    (error,) = capsys.readouterr().err.splitlines()
    assert error.startswith(f"error: some.ckpt {wanted}")
    assert not (tmp_path / "runs").exists()


def damaged(change: Callable[[dict[str, Any]], None]) -> Path:
    """A stopped run's last checkpoint, changed."""
    checkpoint = read_checkpoint(Path("stopped", CHECKPOINTS, "last.ckpt"))
    change(checkpoint)
    torch.save(checkpoint, "damaged.ckpt")
    return Path("damaged.ckpt")


def test_an_optimiser_state_of_other_shapes_is_refused_before_it_is_used(
    start: Start, capsys: pytest.CaptureFixture[str]
) -> None:
    stopped_at_5(start)

    def shrink(checkpoint: dict[str, Any]) -> None:
        checkpoint["optimizer_states"][0]["state"][0]["exp_avg"] = torch.zeros(1)

    assert start("--resume", damaged(shrink), "--output", "more") == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert "damaged.ckpt cannot be continued from: optimizer_states has a exp_avg of parameter 0" in error
    assert not Path("more").exists()


@pytest.mark.parametrize("part", ["fit_loop", "lr_schedulers"])
def test_a_state_that_lightning_cannot_restore_is_one_sentence(
    start: Start, capsys: pytest.CaptureFixture[str], part: str
) -> None:
    stopped_at_5(start)

    def empty(checkpoint: dict[str, Any]) -> None:
        if part == "fit_loop":
            checkpoint["loops"]["fit_loop"] = {"epoch_loop.batch_progress": 3}
        else:
            checkpoint["lr_schedulers"] = [{"last_epoch": 5, "lr_lambdas": 5}]

    assert start("--resume", damaged(empty), "--output", "more") == 2
    said = capsys.readouterr().err
    assert "damaged.ckpt cannot be continued from: the trainer's state in it is damaged" in said
    assert "Traceback" not in said


def test_other_photographs_in_the_same_folder_stop_a_run_from_continuing(
    start: Start, tmp_path: Path, material: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(material / "photographs", tmp_path / "mine")
    given = ("--photographs", tmp_path / "mine")
    stopped_at_5(start, *given)
    write_photograph(tmp_path / "mine" / "new.png", 77)
    assert start("--output", "stopped", *given) == 2
    assert "was trained on 24 photographs, this run has 25 and not the same ones" in capsys.readouterr().err
    (tmp_path / "mine" / "new.png").unlink()
    assert start("--output", "stopped", *given) == 0


# ---------------------------------------------------------------------- killed


def begin(folder: Path, options: list[str]) -> BaseProcess:
    """A run in a process of its own, forked from one that has everything imported."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.ablations.small_run"])
    folder.mkdir(parents=True, exist_ok=True)
    process = context.Process(target=small_run.main_in, args=(folder, options))
    process.start()
    return process


@pytest.mark.slow
@pytest.mark.parametrize("more", [(), ("--ema", "0.9")], ids=["plain", "ema"])
def test_20_kills_at_random_moments_change_no_bit(
    tmp_path: Path, options: list[str], more: tuple[str, ...]
) -> None:
    given = [*options, "--max-steps=60", "--pretraining-steps=30", "--checkpoint-interval=5", "--output=out"]
    given += ["--no-progress", *more]
    folders = {name: tmp_path / name for name in ("warm", "straight")}
    for folder in folders.values():  # the first fills the caches
        began = time.perf_counter()
        process = begin(folder, given)
        process.join(1800)  # however busy the machine is
        assert process.exitcode == 0, (folder / "printed.txt").read_text()
        duration = time.perf_counter() - began
    moments = random.Random(5 if more else 4)
    kills, finished, reached = [], 0, []
    while len(kills) < KILLS:
        folder = tmp_path / f"killed {finished}"
        process = begin(folder, given)
        kind = moments.choice([signal.SIGKILL] * 3 + [signal.SIGTERM, signal.SIGINT])
        process.join(moments.uniform(0, 1.1 * duration))
        if process.is_alive():
            before = last_step(folder / "out")
            with suppress(ProcessLookupError):  # it ended while the checkpoint was read
                os.kill(process.pid, kind)
            process.join(600)  # however busy the machine is
            # A process that ends by itself just then, or before it listens, is no failure.
            assert process.exitcode in ({-kind, 0} if kind == signal.SIGKILL else {130, -kind, 0, 1})
            kills.append(kind)
            reached.append(before)
            assert last_step(folder / "out") >= before
            continue
        assert process.exitcode == 0, (folder / "printed.txt").read_text()
        assert_same_weights(folders["straight"] / "out", folder / "out")
        assert steps_logged(folder / "out") == steps_logged(folders["straight"] / "out")
        finished += 1
    process = begin(folder, given)
    process.join(1800)  # however busy the machine is
    assert process.exitcode == 0, (folder / "printed.txt").read_text()
    assert_same_weights(folders["straight"] / "out", folder / "out")
    assert steps_logged(folder / "out") == steps_logged(folders["straight"] / "out")
    print(f"killed at checkpoints {reached} by {[kind.name for kind in kills]}; {finished + 1} runs finished")


def last_step(folder: Path) -> int:
    """At which the last checkpoint was written, which must be whole; 0 without one."""
    last = folder / CHECKPOINTS / "last.ckpt"
    return int(read_checkpoint(last)["global_step"]) if last.is_file() else 0
