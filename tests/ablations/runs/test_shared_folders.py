import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from torch.distributed import HashStore

from ablations.runs import shared_folders
from ablations.runs.execution import Execution
from ablations.runs.processes import Meeting
from ablations.runs.settings import Settings
from ablations.runs.shared_folders import SharedFolder, check_shared, folders_to_share

Ends = list[BaseException | None]


@pytest.fixture(autouse=True)
def no_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shared_folders, "SECONDS_TO_APPEAR", 0.3)


def of(path: Path) -> SharedFolder:
    return SharedFolder(path, "the output folder", "name one by --output")


def checked_by(*folders: dict[str, SharedFolder]) -> Ends:
    """How the check ends in each of several processes, here threads, that are given these folders."""
    store, ends = HashStore(), [None] * len(folders)

    def check(rank: int) -> Callable[[], None]:
        def run() -> None:
            try:
                check_shared(folders[rank], Meeting(store, len(folders)), rank)
            except BaseException as error:
                ends[rank] = error

        return run

    threads = [threading.Thread(target=check(rank)) for rank in range(len(folders))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    return ends


def test_one_folder_that_all_see_is_accepted_and_left_as_it_was(tmp_path: Path) -> None:
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / "kept").touch()
    folders = {"cache": of(tmp_path / "cache"), "output": of(tmp_path / "new" / "run")}
    assert checked_by(folders, folders, folders) == [None, None, None]
    assert [path.name for path in tmp_path.rglob("*")] == ["cache", "kept"]


def test_another_folder_of_one_machine_ends_all_with_one_sentence(tmp_path: Path) -> None:
    cache, here, there = (tmp_path / name for name in ("cache", "here", "there"))
    there.mkdir()  # and empty, as it is on a machine where nothing was mounted
    same, other = ({"cache": of(cache), "output": of(place)} for place in (here, there))
    first, second, third = checked_by(same, same, other)
    assert isinstance(first, ValueError)
    assert isinstance(third, ValueError)
    assert str(first) == str(third)
    assert str(third).startswith("process 2 (counted from 0, on ")
    assert f"does not see in the output folder {there} what the first process (on " in str(third)
    assert str(third).endswith("all machines of a run need one shared folder: name one by --output")
    assert isinstance(second, SystemExit)
    assert second.code == 2
    assert list(there.iterdir()) == []


def test_a_folder_that_appears_late_is_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shared_folders, "SECONDS_TO_APPEAR", 10.0)
    place, late = tmp_path / "place", tmp_path / "late"
    place.mkdir()
    timer = threading.Timer(0.3, lambda: late.symlink_to(place))
    timer.start()
    assert checked_by({"output": of(place)}, {"output": of(late)}) == [None, None]
    timer.join()


def test_a_cache_that_can_only_be_read_is_not_looked_at(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(self: Path, exist_ok: bool) -> None:
        raise PermissionError(13, "Permission denied", str(self))

    monkeypatch.setattr(Path, "touch", refuse)
    assert checked_by({"cache": of(tmp_path)}, {"cache": of(tmp_path / "elsewhere")}) == [None, None]


def test_cache_output_and_stage_1_are_shared_unless_they_are_not_used(tmp_path: Path) -> None:
    places = tmp_path / "out", tmp_path / "pretraining"
    execution = Execution(cache_folder=tmp_path / "cache")
    folders = folders_to_share(Settings(), execution, *places)
    assert [folder.path for folder in folders.values()] == [tmp_path / "cache", *places]
    without = folders_to_share(Settings(pretraining=False), execution, *places)
    assert list(without) == ["cache", "output"]
    passing = folders_to_share(Settings(), Execution(fast_dev_run=True), *places)
    assert list(passing) == ["cache"]
