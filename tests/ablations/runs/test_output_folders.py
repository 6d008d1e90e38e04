from pathlib import Path

import pytest

from ablations.runs.output_folders import LOCK, alone_in, claim
from evaluation.reporting.results import STARTED
from lightning_modules.plain.manifests import MANIFEST
from lightning_modules.plain.output_folder import OutputFolder


def test_a_claimed_folder_says_whose_work_it_holds(tmp_path: Path) -> None:
    claim(OutputFolder(tmp_path / "new", "run"), {"seed": 1}, overwrite=False)
    assert {path.name for path in (tmp_path / "new").iterdir()} == {STARTED, MANIFEST}
    assert '"seed": 1' in (tmp_path / "new" / STARTED).read_text()


def test_overwriting_deletes_own_files_only_and_says_what_it_kept(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = OutputFolder(tmp_path, "run")
    claim(folder, {}, overwrite=False)
    folder.claim("pictures/step.png").write_text("")
    (tmp_path / "letter.txt").write_text("dear")
    claim(folder, {}, overwrite=False)
    assert (tmp_path / "pictures" / "step.png").exists()
    assert not capsys.readouterr().err
    claim(OutputFolder(tmp_path, "run"), {}, overwrite=True)
    assert {path.name for path in tmp_path.iterdir()} == {STARTED, MANIFEST, "letter.txt"}
    assert capsys.readouterr().err == f"kept in {tmp_path}, since run.py did not write it: letter.txt\n"


@pytest.mark.parametrize("kind", ["file", "link", "folder"])
def test_a_lock_of_somebody_else_is_left_as_it_is(tmp_path: Path, kind: str) -> None:
    (tmp_path / "mine.txt").write_text("dear")
    if kind == "file":
        (tmp_path / LOCK).write_text("dear")
    elif kind == "link":
        (tmp_path / LOCK).symlink_to("mine.txt")
    else:
        (tmp_path / LOCK).mkdir()
    with pytest.raises(ValueError, match=r"\.lock is no lock of run\.py; name"), alone_in(tmp_path, "run.py"):
        raise AssertionError
    assert (tmp_path / LOCK).is_dir() or (tmp_path / LOCK).read_text() == "dear"


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
