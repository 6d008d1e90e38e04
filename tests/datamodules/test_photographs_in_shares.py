"""Photographs that the jobs of an array, or the processes of a run, prepare together."""

import signal
import sqlite3
import threading
from multiprocessing import get_context
from pathlib import Path

import pytest

from datamodules.long_work.shares import Share

from .conftest import write_photograph
from .share_job import photographs_in, run_job

COLUMNS = {"files": "path, size, modified, digest", "photographs": "*", "faces": "*"}


def photographs(folder: Path, count: int) -> Path:
    """Some have two faces or none; one is a copy, and one cannot be read."""
    for index in range(count - 2):
        write_photograph(folder / f"{index:03}.png", index, face=index % 9 != 4, two_faces=index % 5 == 2)
    write_photograph(folder / "copy.png", 0)
    (folder / "text.jpg").write_text("not a photograph")
    (folder / "huge.jpg").symlink_to(folder / "gone.jpg")
    return folder


def content(cache: Path) -> dict[str, object]:
    """Everything that preparing leaves, but for times of its own."""
    (root,) = cache.glob("photographs/*")
    found: dict[str, object] = {}
    with sqlite3.connect(root / "records.sqlite") as records:
        for table, columns in COLUMNS.items():
            found[table] = sorted(records.execute(f"SELECT {columns} FROM {table}").fetchall())
    records.close()
    kept = [*root.glob("crops/**/*.png"), *root.glob("features/*/*.bin"), *root.glob("failures/*.csv")]
    kept += root.glob("manifests/*/*/*.npy")
    for file in kept:
        place = file.relative_to(root)
        # The folder of a manifest's arrays is named by the time.
        name = str(place) if place.parts[0] != "manifests" else file.name
        found[name] = file.read_bytes()
    return found


def one_process(folder: Path, cache: Path) -> dict[str, object]:
    photographs_in(folder, cache, None).prepare_data()
    return content(cache)


def killed(folder: Path, cache: Path, number: int, count: int, **after: int) -> None:
    """A job that is killed in the middle of its work."""
    job = get_context("spawn").Process(target=run_job, args=(folder, cache, number, count), kwargs=after)
    job.start()
    job.join(120)
    assert job.exitcode == -signal.SIGKILL


@pytest.mark.usefixtures("stub_detector")
def test_three_jobs_equal_one_process_bit_for_bit(tmp_path: Path) -> None:
    folder, cache = photographs(tmp_path / "photographs", 110), tmp_path / "shares"
    # The last job finds all photographs aligned, and computes its part of the features.
    assert [run_job(folder, cache, number, 3) for number in (2, 1, 3)] == [False, False, True]
    assert [run_job(folder, cache, number, 3) for number in (1, 2, 3)] == [True, True, True]
    assert content(cache) == one_process(folder, tmp_path / "one")
    assert not list(cache.glob("**/shares/*/*.bin"))
    assert not list(cache.glob("**/shares/*/*.sqlite"))


@pytest.mark.slow
@pytest.mark.usefixtures("stub_detector")
def test_four_jobs_of_which_one_is_killed_and_restarted_equal_one_process(tmp_path: Path) -> None:
    folder, cache = photographs(tmp_path / "photographs", 200), tmp_path / "shares"
    assert not run_job(folder, cache, 3, 4)
    killed(folder, cache, 2, 4, photographs=20)
    assert [run_job(folder, cache, number, 4) for number in (4, 2)] == [False, False]
    killed(folder, cache, 1, 4, faces=32)  # after the first of its two batches
    assert [run_job(folder, cache, number, 4) for number in (4, 3, 1, 2)] == [True] * 4
    assert content(cache) == one_process(folder, tmp_path / "one")


@pytest.mark.usefixtures("stub_detector")
def test_a_start_does_what_jobs_have_left(tmp_path: Path) -> None:
    folder, cache = photographs(tmp_path / "photographs", 60), tmp_path / "shares"
    run_job(folder, cache, 1, 3)
    expected = one_process(folder, tmp_path / "one")
    assert one_process(folder, cache) == expected


def test_processes_that_run_together_align_each_photograph_once(
    tmp_path: Path, stub_detector: list[int]
) -> None:
    folder = photographs(tmp_path / "photographs", 40)
    expected = one_process(folder, tmp_path / "one")
    looked = len(stub_detector)
    barrier = threading.Barrier(2, timeout=60)
    both = [
        photographs_in(folder, tmp_path / "two", Share(number, 2, lambda: barrier.wait() and None))
        for number in (1, 2)
    ]
    listed: list[int] = []
    list_files = both[1].photographs
    both[1].photographs = lambda: listed.append(1) or list_files()  # type: ignore[method-assign]
    threads = [threading.Thread(target=each.prepare_data) for each in both]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert content(tmp_path / "two") == expected
    # Copies on both sides are looked at twice at most.
    assert len(stub_detector) - looked in (looked, looked + 1)
    assert listed == []
    for each in both:
        each.setup()
    assert both[0].training.tolist() == both[1].training.tolist()
