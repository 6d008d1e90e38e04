import errno
import fcntl
import subprocess
import sys
import threading
import time
from pathlib import Path

import cv2
import numpy as np
import pytest

from datamodules.alignment.face_cache import TASK
from lightning_modules.plain import one_at_a_time as module
from lightning_modules.plain.one_at_a_time import one_at_a_time

WITHOUT_A_GUARD = """
import sys
from pathlib import Path

from datamodules.alignment.face_cache import FaceCache

folder = Path(sys.argv[1])
FaceCache(folder / "cache").align(sorted(folder.glob("*.png")), workers=2, progress=False)
"""


def test_whoever_waits_says_for_what(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "SECONDS_IN_SILENCE", 0.0)
    order: list[str] = []

    def second() -> None:
        with one_at_a_time(tmp_path / "lock", "counts sheep"):
            order.append("second")

    thread = threading.Thread(target=second)
    with one_at_a_time(tmp_path / "lock", "counts sheep"):
        thread.start()
        while "waiting" not in (said := capsys.readouterr().err):
            time.sleep(0.01)
        order.append("first")
    thread.join()
    assert said == f"another process counts sheep: waiting for it ({tmp_path / 'lock'})\n"
    assert order == ["first", "second"]


def test_who_need_not_wait_says_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for _ in range(2):
        with one_at_a_time(tmp_path / "lock", "counts sheep"):
            pass
    assert capsys.readouterr() == ("", "")


def test_a_script_without_a_guard_ends_with_a_sentence_instead_of_hanging(tmp_path: Path) -> None:
    for number in range(2 * TASK + 1):
        cv2.imwrite(str(tmp_path / f"{number}.png"), np.full((64, 64, 3), number, np.uint8))
    script = tmp_path / "script.py"
    script.write_text(WITHOUT_A_GUARD)
    ended = subprocess.run(
        [sys.executable, script, tmp_path], capture_output=True, text=True, timeout=120, check=False
    )
    assert ended.returncode != 0
    assert "put what it does under `if __name__ == '__main__':`" in ended.stderr


@pytest.mark.parametrize("kind", ["folder", "link", "no locks"])
def test_a_file_that_cannot_be_locked_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    place, letter = tmp_path / "lock", tmp_path / "letter.txt"
    letter.write_text("dear")
    if kind == "folder":
        place.mkdir()
    elif kind == "link":
        place.symlink_to(letter)
    else:

        def refuse(*_: object) -> None:
            raise OSError(errno.ENOLCK, "No locks available")

        monkeypatch.setattr(fcntl, "flock", refuse)
    with (
        pytest.raises(OSError, match=r"lock cannot be locked \(.*\), so two processes could do"),
        one_at_a_time(place, "counts sheep"),
    ):
        raise AssertionError
    assert letter.read_text() == "dear"
