import json
from pathlib import Path

import pytest

from lightning_modules.faces.open_model import __main__ as command


def test_the_command_builds_what_is_asked_for_and_says_what_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = []

    class Model:
        def describe(self) -> dict[str, object]:
            return {"kind": "open", "vertices": 5}

    def build(level: int, *, rebuild: bool) -> Path:
        asked.append((level, rebuild))
        return tmp_path / "open.h5"

    monkeypatch.setattr(command, "open_model_file", build)
    monkeypatch.setattr(command, "load_basel", lambda path: Model())
    command.main(["--level", "2", "--rebuild"])
    said, _, file = capsys.readouterr().out.rstrip().rpartition("\n")
    assert asked == [(2, True)]
    assert json.loads(said) == {"kind": "open", "vertices": 5}
    assert file == str(tmp_path / "open.h5")


def test_another_level_is_refused_in_a_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        command.main(["--level", "7"])
    assert stop.value.code == 2
    assert "level" in capsys.readouterr().err
