import ast
import importlib.metadata
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from morphable_faces import __main__ as commands
from morphable_faces.__main__ import COMMANDS, main, overview

ROOT = Path(__file__).parents[2]


def python(*arguments: str) -> str:
    """What a fresh process prints."""
    done = subprocess.run(
        [sys.executable, *arguments], cwd=ROOT, check=True, capture_output=True, text=True, timeout=300
    )
    return done.stdout


def test_every_command_of_the_suite_has_a_name_here() -> None:
    files = [*ROOT.glob("evaluation/*.py"), *ROOT.glob("ablations/*.py")]
    modules = {f"{file.parent.name}.{file.stem}" for file in files if file.stem != "__init__"}
    named = {entry.module for entry in COMMANDS.values()}
    assert len(modules) > 10
    assert modules <= named
    for name, entry in COMMANDS.items():
        file = ROOT / f"{entry.module.replace('.', '/')}.py"
        functions = {
            node.name for node in ast.parse(file.read_text()).body if isinstance(node, ast.FunctionDef)
        }
        assert "main" in functions, f"{name}: {file} has no main"


def test_the_overview_lists_every_command_with_its_question_in_eighty_columns() -> None:
    lines = overview().splitlines()
    for name, entry in COMMANDS.items():
        assert entry.question.endswith("?")
        assert any(line.split()[:1] == [name] and line.endswith(entry.question) for line in lines)
    assert max(map(len, lines)) <= 80


def test_the_overview_is_printed_without_loading_what_a_command_needs() -> None:
    code = (
        "import sys; from morphable_faces.__main__ import main; main(['--help']);"
        "print(sorted({'torch', 'numpy', 'lightning'} & set(sys.modules)))"
    )
    printed = python("-c", code)
    assert printed.startswith("usage: morphable-faces COMMAND")
    assert printed.endswith("[]\n")


@pytest.mark.parametrize(("returned", "status"), [(1, 1), (0, 0), (None, 0)])
def test_arguments_and_exit_status_are_the_command_s_own(
    monkeypatch: pytest.MonkeyPatch, returned: int | None, status: int
) -> None:
    calls = []

    def command(arguments: list[str]) -> int | None:
        calls.append(arguments)
        return returned

    modules = {"evaluation.micc": SimpleNamespace(main=command)}
    monkeypatch.setattr(commands.importlib, "import_module", modules.__getitem__)
    assert main(["micc", "a.ckpt", "--subjects", "3", "--help"]) == status
    assert calls == [["a.ckpt", "--subjects", "3", "--help"]]


def test_an_unknown_command_is_bad_input_in_one_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["recontruct", "a.ckpt"]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: there is no command 'recontruct'; give one of run, factorial")
    assert error.count("\n") == 1


def test_no_command_at_all_prints_the_overview(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 0
    assert capsys.readouterr().out == overview() + "\n"


def test_a_command_s_own_help_comes_through() -> None:
    printed = python("-m", "morphable_faces", "export", "--help")
    assert printed.startswith("usage: export.py ")
    assert "--terms" in printed


def test_the_installed_script_is_this_program() -> None:
    script = Path(sys.executable).with_name("morphable-faces")
    if not script.exists():
        pytest.skip("installed before the script existed: run pip install -e . again")
    (entry,) = importlib.metadata.entry_points(group="console_scripts", name="morphable-faces")
    assert entry.load() is main
    done = subprocess.run([script, "--help"], check=True, capture_output=True, text=True, timeout=300)
    assert done.stdout == overview() + "\n"
    options = {"capture_output": True, "text": True, "timeout": 300}
    refused = subprocess.run([script, "export", "absent.ckpt", "x.ckpt"], check=False, **options)
    assert refused.returncode == 2
    assert refused.stderr.startswith("error: ")
