from pathlib import Path

import pytest

from ablations.runs.output_folders import LOCK, alone_in, claim
from evaluation.reporting.results import RESULTS, STARTED


def own(name: str) -> bool:
    return name in (STARTED, RESULTS, "pictures")


def claimed(folder: Path, *, overwrite: bool = False) -> set[str]:
    """What is in the folder once it is claimed."""
    claim(folder, "run", {"seed": 1}, owner="a run's", overwrite=overwrite, is_own=own)
    return {path.name for path in folder.iterdir()}


def test_a_folder_that_is_not_there_or_empty_or_holds_own_files_is_claimed(tmp_path: Path) -> None:
    assert claimed(tmp_path / "new") == {STARTED}
    (tmp_path / "tried" / "pictures").mkdir(parents=True)
    assert claimed(tmp_path / "tried") == {STARTED, "pictures"}


@pytest.mark.parametrize("overwrite", [False, True])
def test_a_folder_of_others_is_refused_and_left_as_it_is(tmp_path: Path, overwrite: bool) -> None:
    (tmp_path / "letter.txt").write_text("dear")
    with pytest.raises(ValueError, match=r"holds other files than a run's, such as letter.txt; name another"):
        claimed(tmp_path, overwrite=overwrite)
    assert [path.name for path in tmp_path.iterdir()] == ["letter.txt"]


def test_overwriting_deletes_own_files_only(tmp_path: Path) -> None:
    claimed(tmp_path)
    (tmp_path / "pictures").mkdir()
    (tmp_path / "pictures" / "step.png").write_text("")
    (tmp_path / "letter.txt").write_text("dear")
    assert claimed(tmp_path) == {STARTED, "pictures", "letter.txt"}
    assert claimed(tmp_path, overwrite=True) == {STARTED, "letter.txt"}


def test_one_program_at_a_time_works_in_a_folder(tmp_path: Path) -> None:
    with alone_in(tmp_path / "run", "run.py"):
        with (
            pytest.raises(ValueError, match=r"another run.py is at work in .*run; wait for it, or stop it"),
            alone_in(tmp_path / "run", "run.py"),
        ):
            raise AssertionError
        assert (tmp_path / "run" / LOCK).exists()
        (tmp_path / "run" / "result").write_text("")
    with alone_in(tmp_path / "run", "run.py"):
        pass
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["result"]


def test_nothing_is_left_of_work_that_left_nothing(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError), alone_in(tmp_path / "runs" / "run" / "1", "run.py"):
        raise RuntimeError
    assert not list(tmp_path.iterdir())


def test_where_nothing_can_be_written_another_folder_is_asked_for(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for folder in (tmp_path / "file", tmp_path / "file" / "below"):
        with (
            pytest.raises(ValueError, match=r"nothing can be written in .*file.* \(.+\); name another --ou"),
            alone_in(folder, "run.py"),
        ):
            raise AssertionError
