from typing import Literal

import pytest

from lightning_modules.plain.command_line import run_command


def greet(name: str, *, loud_voice: bool = False, times: int = 1) -> str:
    """Greet someone.

    Args:
        name: whom.
        loud_voice: whether to shout.
        times: how often, at least once.
    """
    if times < 1:
        raise ValueError(f"times must be at least 1, got {times}")
    return " ".join([name.upper() if loud_voice else name] * times)


@pytest.mark.parametrize("option", ["--loud-voice", "--loud_voice", "--loud-voice=true"])
def test_a_switch_is_turned_on_in_either_spelling(option: str) -> None:
    assert run_command(greet, ["ann", option]) == "ANN"


@pytest.mark.parametrize("option", ["--no-loud-voice", "--no_loud_voice", "--loud_voice=false"])
def test_a_switch_is_turned_off_in_either_spelling(option: str) -> None:
    assert run_command(greet, ["ann", "--loud-voice", option]) == "ann"


def test_values_are_left_as_they_are() -> None:
    assert run_command(greet, ["mary-ann", "--times=2"]) == "mary-ann mary-ann"


def test_parameters_without_a_default_may_be_required_options(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command(greet, ["--loud-voice", "--name", "ann"], positional=False) == "ANN"
    with pytest.raises(SystemExit) as stop:
        run_command(greet, ["--loud-voice"], positional=False)
    assert stop.value.code == 2
    assert "--name is required" in capsys.readouterr().err


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
    def greet(
        name: str, *, times: int = 1, height: float | None = None, manner: Literal["kind", "formal"] = "kind"
    ) -> None:
        """Greet someone."""

    with pytest.raises(SystemExit) as stop:
        run_command(greet, arguments)
    assert stop.value.code == 2
    assert capsys.readouterr().err == f"error: {said}; --help lists all options\n"


def test_a_missing_package_is_one_sentence_and_status_2(capsys: pytest.CaptureFixture[str]) -> None:
    def download() -> None:
        """Needs a package."""
        raise ImportError("scikit-learn is not installed; pip install it")

    with pytest.raises(SystemExit) as stop:
        run_command(download, [])
    assert stop.value.code == 2
    assert capsys.readouterr().err == "error: scikit-learn is not installed; pip install it\n"


def test_bad_input_is_one_sentence_and_status_2(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        run_command(greet, ["ann", "--times", "0"])
    assert stop.value.code == 2
    assert capsys.readouterr().err == "error: times must be at least 1, got 0\n"


def test_an_interrupted_command_ends_with_status_130() -> None:
    def interrupted() -> None:
        """Never ends by itself."""
        raise KeyboardInterrupt

    with pytest.raises(SystemExit) as stop:
        run_command(interrupted, [])
    assert stop.value.code == 130


def score(*, checkpoint: str | None = None, meshes: str | None = None) -> str:
    """Score something.

    Args:
        checkpoint: what.
        meshes: or these.
    """
    return f"{checkpoint} {meshes}"


def test_a_leading_argument_may_be_left_out() -> None:
    assert run_command(score, ["run.ckpt"], positional=False, leading="checkpoint") == "run.ckpt None"
    assert run_command(score, ["--meshes", "x"], positional=False, leading="checkpoint") == "None x"
    assert run_command(score, ["--checkpoint=a"], positional=False, leading="checkpoint") == "a None"
