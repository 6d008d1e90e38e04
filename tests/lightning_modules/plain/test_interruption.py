import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from lightning_modules.plain import interruption
from lightning_modules.plain.command_line import one_sentence_for_bad_input

ROOT = Path(interruption.__file__).parents[2]
COMMANDS = [
    *sorted(file for folder in ("evaluation", "ablations") for file in (ROOT / folder).glob("[!_]*.py")),
    ROOT / "lightning_modules" / "faces" / "show.py",
    ROOT / "lightning_modules" / "faces" / "open_model" / "__main__.py",
]
# In place of what loads for seconds: a package whose import swallows exceptions.
SCRIPT = """
import os, signal
from lightning_modules.plain.interruption import end_when_interrupted
end_when_interrupted()
try:
    os.kill(os.getpid(), signal.SIGINT)
    for _ in range(10**6):
        pass
except BaseException:
    pass
"""


def test_an_interruption_while_packages_load_is_a_word_and_status_130() -> None:
    ended = subprocess.run([sys.executable, "-c", SCRIPT], cwd=ROOT, capture_output=True, text=True)
    assert (ended.returncode, ended.stderr) == (130, "interrupted\n")


def test_inside_a_command_an_interruption_is_python_s_again(capsys: pytest.CaptureFixture[str]) -> None:
    before = signal.getsignal(signal.SIGINT)
    with interruption.ending_when_interrupted():
        with pytest.raises(SystemExit) as end, one_sentence_for_bad_input():
            signal.raise_signal(signal.SIGINT)
        assert end.value.code == 130
        assert signal.getsignal(signal.SIGINT) is not before
    assert signal.getsignal(signal.SIGINT) is before
    assert capsys.readouterr().err == "interrupted\n"


@pytest.mark.parametrize("kind", [signal.SIGINT, signal.SIGTERM])
def test_what_an_interruption_would_ruin_ends_first(kind: signal.Signals) -> None:
    done = []

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    @interruption.interruption_deferred()
    def interrupted_twice() -> None:
        signal.raise_signal(kind)
        signal.raise_signal(kind)
        done.append("all of it")

    before = signal.signal(kind, interrupt)
    try:
        with pytest.raises(KeyboardInterrupt):
            interrupted_twice()
        assert signal.getsignal(kind) is interrupt
    finally:
        signal.signal(kind, before)
    assert done == ["all of it"]


def test_an_error_inside_puts_the_handlers_back() -> None:
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(ZeroDivisionError), interruption.interruption_deferred():
        raise ZeroDivisionError
    assert signal.getsignal(signal.SIGINT) is before


def test_a_thread_that_is_never_interrupted_defers_nothing() -> None:
    def inside() -> object:
        with interruption.interruption_deferred():
            return signal.getsignal(signal.SIGINT)

    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(inside).result() is signal.getsignal(signal.SIGINT)


@pytest.mark.parametrize("command", COMMANDS, ids=lambda file: file.stem)
def test_every_command_says_so_before_it_imports_what_takes_time(command: Path) -> None:
    lines = command.read_text(encoding="utf-8").splitlines()
    said = next(number for number, line in enumerate(lines) if line.strip() == "end_when_interrupted()")
    imported = [
        line.split()[1].partition(".")[0] for line in lines[:said] if line.startswith(("import ", "from "))
    ]
    assert set(imported) <= sys.stdlib_module_names
