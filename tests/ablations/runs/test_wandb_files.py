"""Our reader of W&B's files against W&B's own."""

import os
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


def test_a_changed_byte_costs_its_block_and_never_counts(tmp_path: Path) -> None:
    file = written(tmp_path, 100)
    content = file.read_bytes()
    last = content.rindex(b"train/loss/total", 0, 32768)  # a row of the first of several blocks
    for offset in (0, 16, 20, 30):
        changed = bytearray(content)
        changed[last + offset] ^= 1
        file.write_bytes(changed)
        (run,) = local_runs(tmp_path)
        assert run.last_steps["train/loss/total"] == 99
    # Nothing of the file fits: no step is known, and all of them are sent.
    file.write_bytes(bytes(len(content)))
    assert local_runs(tmp_path)[0].last_steps == {}


@pytest.mark.parametrize("kind", ["pipe", "folder", "link to nothing"])
def test_what_only_has_the_name_of_a_run_is_no_run(tmp_path: Path, kind: str) -> None:
    place = tmp_path / "wandb" / "offline-run-20260101_000000-abc" / "run-abc.wandb"
    place.parent.mkdir(parents=True)
    if kind == "pipe":
        os.mkfifo(place)
    elif kind == "folder":
        place.mkdir()
    else:
        place.symlink_to("nowhere")
    assert local_runs(tmp_path) == []


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
