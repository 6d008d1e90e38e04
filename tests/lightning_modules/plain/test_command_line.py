import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pytest

from lightning_modules.plain.command_line import one_sentence_for_bad_input, parse_settings


@dataclass(frozen=True)
class Greeting:
    """Who is greeted, and how.

    Attributes:
        name: whom.
        loud_voice: whether to shout.
        times: how often.
        height: of the bow.
        manner: of speaking.
    """

    name: str
    loud_voice: bool = False
    times: int = 1
    height: float | None = None
    manner: Literal["kind", "formal"] = "kind"


def parse(*argv: str, leading: str | Sequence[str] | None = "name") -> Greeting:
    return parse_settings((Greeting,), argv, program="greet.py", description="Greets.", leading=leading)[0]


@pytest.mark.parametrize("option", ["--loud-voice", "--loud_voice", "--loud-voice=true"])
def test_a_switch_is_turned_on_in_either_spelling(option: str) -> None:
    assert parse("ann", option).loud_voice


@pytest.mark.parametrize("option", ["--no-loud-voice", "--no_loud_voice", "--loud_voice=false"])
def test_a_switch_is_turned_off_in_either_spelling(option: str) -> None:
    assert not parse("ann", "--loud-voice", option).loud_voice


def test_values_are_left_as_they_are() -> None:
    assert parse("mary-ann", "--times=2") == Greeting("mary-ann", times=2)


@pytest.mark.parametrize("given", ["--place=", "--place", "place"])
def test_a_path_of_nothing_is_not_the_current_folder(given: str, capsys: pytest.CaptureFixture[str]) -> None:
    @dataclass(frozen=True)
    class Visit:
        """Where.

        Attributes:
            place: a folder.
        """

        place: Path | None = None

    words = [given] if given.endswith("=") else [given, ""] if given.startswith("-") else [""]
    with pytest.raises(SystemExit, match="2"):
        parse_settings((Visit,), words, program="visit.py", description="Visits.", leading="place")
    assert "error: --place: expected a path, got nothing" in capsys.readouterr().err


def test_options_without_a_default_are_required(capsys: pytest.CaptureFixture[str]) -> None:
    assert parse("--loud-voice", "--name", "ann", leading=None) == Greeting("ann", loud_voice=True)
    assert parse("--name=ann") == Greeting("ann")
    for leading, said in ((None, "--name is required"), ("name", "NAME is required")):
        with pytest.raises(SystemExit) as stop:
            parse("--loud-voice", leading=leading)
        assert stop.value.code == 2
        assert said in capsys.readouterr().err


def test_every_option_that_is_missing_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    @dataclass(frozen=True)
    class Journey:
        """Where from and where to.

        Attributes:
            start: a place.
            end: another.
            way_back: whether there is one.
        """

        start: Path
        end: Path
        way_back: bool

    for words, said in (
        ([], "error: START and END and --way-back are required;"),
        (["home"], "error: END and --way-back are required;"),
        (["home", "away"], "error: --way-back is required;"),
        (["--way-back"], "error: START and END are required;"),
    ):
        with pytest.raises(SystemExit, match="2"):
            parse_settings((Journey,), words, program="go.py", description="Goes.", leading=("start", "end"))
        assert said in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["ann", "--times=x"], "--times: expected a whole number, got x"),
        (["ann", "--height=x"], "--height: expected a number, got x"),
        (["ann", "--manner=rude"], "--manner: expected kind or formal, got rude"),
        (["ann", "--volume=3"], "--volume is no option of this command"),
    ],
)
def test_an_option_that_does_not_fit_is_one_sentence(
    arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stop:
        parse(*arguments)
    assert stop.value.code == 2
    assert capsys.readouterr().err == f"error: {said}; --help lists all options\n"


def ending(error: BaseException) -> Callable[[], None]:
    def command() -> None:
        with one_sentence_for_bad_input():
            raise error

    return command


@pytest.mark.parametrize(
    "error",
    [
        ImportError("scikit-learn is not installed; pip install it"),
        ValueError("times must be at least 1, got 0"),
        FileNotFoundError("absent.ckpt does not exist"),
    ],
)
def test_bad_input_is_one_sentence_and_status_2(error: Exception, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        ending(error)()
    assert stop.value.code == 2
    assert capsys.readouterr().err == f"error: {error}\n"


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (
            PermissionError(13, "Permission denied", "cache"),
            "cache: Permission denied; change who may read and write there, or name another place\n",
        ),
        (OSError(30, "Read-only file system", "a"), "a: Read-only file system; change who may read and"),
        (IsADirectoryError(21, "Is a directory", "a.png"), "a.png: Is a directory\n"),
        (
            OSError(28, "No space left on device"),
            "a file: No space left on device; free some space and start",
        ),
        (MemoryError(), "there is not enough memory (the system gave none); take less at a time"),
    ],
)
def test_what_the_system_says_is_a_sentence_without_its_number(
    error: Exception, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stop:
        ending(error)()
    assert stop.value.code == 2
    assert capsys.readouterr().err.startswith(f"error: {said}")


def test_a_name_that_is_no_utf_8_can_be_printed() -> None:
    program = (
        "from lightning_modules.plain.command_line import one_sentence_for_bad_input\n"
        "with one_sentence_for_bad_input(): print('caf\\udce9.jpg')"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"caf\\udce9.jpg\n", b"")


def test_an_option_that_is_no_utf_8_is_said_to_be_none(capsys: pytest.CaptureFixture[str]) -> None:
    for words in (["--folder=caf\udce9"], ["--folder", "caf\udce9"], ["caf\udce9"]):
        with pytest.raises(SystemExit, match="2"):
            parse_settings((Place,), words, program="some.py", description="", leading="folder")
        error = capsys.readouterr().err
        assert error.startswith(
            "error: --folder: the name caf\\udce9 is not UTF-8; rename it, or name a link"
        )


@dataclass(frozen=True)
class Place:
    """A place.

    Attributes:
        folder: of it.
    """

    folder: Path


def test_an_interrupted_command_ends_with_status_130() -> None:
    with pytest.raises(SystemExit) as stop:
        ending(KeyboardInterrupt())()
    assert stop.value.code == 130


def test_a_sentence_holds_no_word_of_pages(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit), one_sentence_for_bad_input():
        raise ValueError(f"line 2 of a.txt is {'[' * 5000}; export it again")
    said = capsys.readouterr().err
    assert len(said) < 200
    assert said.endswith("[... export it again\n")
