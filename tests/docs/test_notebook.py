"""The notebook runs the README's three commands, and keeps nothing of a run."""

import json
import os
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from benchmarks.front_door import commands_of

ROOT = Path(__file__).parents[2]
NOTEBOOK = json.loads((ROOT / "docs" / "notebook.ipynb").read_text(encoding="utf-8"))
CODE = ["".join(cell["source"]) for cell in NOTEBOOK["cells"] if cell["cell_type"] == "code"]
COMMANDS = [cell.removeprefix("!") for cell in CODE if cell.startswith("!")]


def test_its_commands_are_those_of_the_readme() -> None:
    assert commands_of((ROOT / "README.md").read_text(encoding="utf-8")) == COMMANDS
    assert len(COMMANDS) == 3


def test_it_holds_neither_outputs_nor_what_other_programs_need() -> None:
    for cell in NOTEBOOK["cells"]:
        assert set(cell) - {"cell_type", "id", "metadata", "source"} <= {"execution_count", "outputs"}
        assert cell["metadata"] == {}
        if cell["cell_type"] == "code":
            assert cell["outputs"] == []
            assert cell["execution_count"] is None
    assert (NOTEBOOK["nbformat"], NOTEBOOK["nbformat_minor"]) == (4, 5)
    assert len({cell["id"] for cell in NOTEBOOK["cells"]}) == len(NOTEBOOK["cells"])


def test_what_it_shows_is_what_its_commands_write() -> None:
    outputs = [shlex.split(command)[-1] for command in COMMANDS]
    shown = [cell for cell in CODE if "runs/" in cell and not cell.startswith("!")]
    assert [output for output, cell in zip(outputs, shown, strict=True) if f'"{output}/' in cell] == outputs


@pytest.mark.slow
def test_its_first_cells_run_and_show_the_face(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for entry in ROOT.iterdir():
        if entry.name != "runs":
            (tmp_path / entry.name).symlink_to(entry)
    (tmp_path / "deeper").mkdir()
    monkeypatch.chdir(tmp_path / "deeper")
    monkeypatch.setenv("PATH", os.environ["PATH"])  # the first cell changes it
    state: dict[str, Any] = {}
    first, command, shown = CODE[:3]
    exec(compile(first, "first cell", "exec"), state)
    assert Path.cwd() == tmp_path
    program, *words = shlex.split(command.removeprefix("!"))
    assert Path(program).name == "python"
    subprocess.run([sys.executable, *words], check=True)
    picture = eval(compile(shown, "third cell", "eval"), state)
    assert isinstance(picture, Image.Image)
    assert picture.width > 1000
    picture.close()
