"""Our reader of W&B's files against W&B's own."""

from pathlib import Path

import pytest

from ablations.runs.wandb_files import last_steps, local_runs
from tests.wandb_reader import STEP, read_run, read_runs

pytestmark = pytest.mark.usefixtures("offline")


def written(folder: Path, rows: int, **options: object) -> Path:
    """The file of a run with some rows, large enough for several of its blocks."""
    import wandb

    folder.mkdir(exist_ok=True)
    with wandb.init(dir=folder, mode="offline", **options) as run:
        for step in range(rows):
            run.log({"train/loss/total": 1 / (step + 1), f"names/{step % 7}": "x" * 1000, STEP: step})
        run.log({"unstepped": 1})
    (file,) = folder.glob(f"wandb/*run-*/run-{run.id}.wandb")
    assert read_run(file).exit_code == 0  # all of it is there
    return file


def test_both_readers_find_the_same_last_steps(tmp_path: Path) -> None:
    file = written(tmp_path, 100)
    assert file.stat().st_size > 3 * 32768
    (ours,), (theirs,) = local_runs(tmp_path), read_runs(tmp_path)
    assert ours.identifier == theirs.identifier
    expected: dict[str, int] = {}
    for name, step in theirs.steps():
        expected[name] = max(step, expected.get(name, step))
    assert ours.last_steps == expected
    assert expected["train/loss/total"] == 99


def test_of_a_file_that_was_cut_off_what_came_before_counts(tmp_path: Path) -> None:
    file = written(tmp_path, 100)
    content = file.read_bytes()
    for length in (len(content) // 2, len(content) // 2 + 501, 32768 + 3, 5, 0):
        file.write_bytes(content[:length])
        (run,) = local_runs(tmp_path)
        last = run.last_steps.get("train/loss/total", -1)
        assert -1 <= last < 99
        assert (last > 10) is (length > 32768)


def test_a_run_says_which_it_continues_and_whether_it_waits_to_be_sent(tmp_path: Path) -> None:
    first = written(tmp_path, 5, id="first")
    second = written(tmp_path, 9, id="second", config={"first_part": "first"})
    runs = local_runs(tmp_path)
    assert [(run.identifier, run.first_part, run.waits) for run in runs] == [
        ("first", "first", True),
        ("second", "first", True),
    ]
    assert last_steps(runs)["train/loss/total"] == 8
    first.with_name("run-first.wandb.synced").touch()
    second.parent.rename(second.parent.with_name(second.parent.name.removeprefix("offline-")))
    assert [run.waits for run in local_runs(tmp_path)] == [False, False]
    assert local_runs(tmp_path / "nowhere") == []
