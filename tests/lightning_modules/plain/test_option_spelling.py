"""How options may be written: on the command line, in files, for shells; and what is said of mistakes."""

import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, Literal

import pytest
import yaml

from lightning_modules.plain.command_line import parse_settings
from lightning_modules.plain.declared_options import as_words
from lightning_modules.plain.number_types import NonNegativeFinite, PositiveInt, ShareBelowOne


@dataclass(frozen=True)
class Inner:
    """What is inside.

    Attributes:
        deep_value: a number inside.
    """

    title: ClassVar[str] = "Inside"
    deep_value: PositiveInt = 1


@dataclass(frozen=True)
class Baking:
    """How it is baked.

    Attributes:
        loaf_name: what it is called.
        minutes: how long.
        heat: how hot; chosen by the oven if not given.
        share: of the flour.
        with_salt: whether there is salt in it.
        guests: who eats it.
        sizes: of the slices.
        manner: how it is served.
        ovens: how many, or all.
        inner: see there.
    """

    loaf_name: str = "bread"
    minutes: PositiveInt = 40
    heat: NonNegativeFinite | None = None
    share: ShareBelowOne = 0.5
    with_salt: bool = True
    guests: tuple[str, ...] = ()
    sizes: list[int] = field(default_factory=lambda: [1, 2])
    manner: Literal["plain", "fancy"] = "plain"
    ovens: PositiveInt | str = 1
    inner: Inner = Inner()


DESCRIPTION = """Bakes a loaf of which there is
much to say.

    python bake.py --no-with-salt
    python bake.py --guests ann bob

More."""


def parse(*argv: str, leading: tuple[str, ...] = ()) -> Baking:
    return parse_settings((Baking,), argv, program="bake.py", description=DESCRIPTION, leading=leading)[0]


def printed(capsys: pytest.CaptureFixture[str], *argv: str) -> str:
    with pytest.raises(SystemExit) as end:
        parse(*argv)
    assert end.value.code == 0
    return capsys.readouterr().out


def refused(capsys: pytest.CaptureFixture[str], *argv: str) -> str:
    with pytest.raises(SystemExit) as end:
        parse(*argv)
    assert end.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    return line.removeprefix("error: ").removesuffix("; --help lists all options")


def test_several_values_are_separated_by_blanks() -> None:
    baking = parse("--guests", "ann", "bob, jr", "7", "--sizes", "3", "4")
    assert (baking.guests, baking.sizes) == (("ann", "bob, jr", "7"), [3, 4])
    assert parse("--sizes=[5, 6]").sizes == [5, 6]


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("--no-with-salt=True", False), ("--no-with-salt=true", False), ("--no_with_salt=false", True),
        ("--no-with-salt", False), ("--with-salt=False", False), ("--with_salt", True),
    ],
)  # fmt: skip
def test_a_switch_is_turned_off_in_each_way_that_agents_of_sweeps_write(given: str, expected: bool) -> None:
    assert parse(given).with_salt is expected


@pytest.mark.parametrize(
    ("given", "name", "expected"),
    [
        ("--minutes=30.0", "minutes", 30), ("--minutes=1e2", "minutes", 100), ("--heat=5e-05", "heat", 5e-5),
        ("--heat=2", "heat", 2.0), ("--heat=None", "heat", None), ("--sizes=[3, 4]", "sizes", [3, 4]),
        ("--guests=['ann', 'bob']", "guests", ("ann", "bob")), ("--loaf-name=None", "loaf_name", "None"),
        ("--manner=plain", "manner", "plain"), ("--inner.deep-value=7.0", "inner", Inner(7)),
        ("--with-salt=0", "with_salt", False), ("--with-salt=1.0", "with_salt", True),
        ("--no-with-salt=1", "with_salt", False), ("--no-with-salt=0.0", "with_salt", True),
        ("--ovens=2.0", "ovens", 2), ("--ovens=all", "ovens", "all"), ("--ovens=0,1", "ovens", "0,1"),
    ],
)  # fmt: skip
def test_a_value_is_read_as_python_prints_it(given: str, name: str, expected: object) -> None:
    assert getattr(parse(given), name) == expected


def test_whole_numbers_of_lists_and_of_files_may_have_a_point(tmp_path: Path) -> None:
    assert parse("--sizes", "3.0", "4").sizes == [3, 4]
    file = tmp_path / "baking.yaml"
    file.write_text("minutes: 30.0\n")
    assert parse("--config", str(file)).minutes == 30


def test_leading_words_set_options_in_their_order_and_a_list_takes_the_rest() -> None:
    baking = parse("rye", "ann", "bob", "--minutes", "3", leading=("loaf_name", "guests"))
    assert (baking.loaf_name, baking.guests, baking.minutes) == ("rye", ("ann", "bob"), 3)


def test_written_words_are_read_as_the_same_options() -> None:
    baking = Baking("a b", 3, 1.5, 0.25, False, ("x y",), [4], "fancy", 1, Inner(2))
    assert parse(*as_words(baking)) == baking
    assert as_words(Baking()) == []


def test_numbers_have_python_s_own_types() -> None:
    baking = parse("--minutes=3", "--heat=2", "--inner.deep-value=4")
    assert [type(value) for value in (baking.minutes, baking.heat, baking.inner.deep_value)] == [
        int,
        float,
        int,
    ]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["--minutes=0"], "--minutes must be at least 1, got 0"),
        (["--share", "1"], "--share must be at least 0 and below 1, got 1"),
        (["--heat=.inf"], "--heat must be at least 0, got .inf"),
        (["--minutes=1.5"], "--minutes: expected a whole number that is at least 1, got 1.5"),
        (["--minutes=-2.0"], "--minutes must be at least 1, got -2"),
        (["--minutes=.inf"], "--minutes: expected a whole number that is at least 1, got .inf"),
        (["--with-salt=2"], "--with-salt: expected true or false, got 2"),
        (["--minutes=None"], "--minutes: expected a whole number that is at least 1, got None"),
        (["--minutes=long"], "--minutes: expected a whole number that is at least 1, got long"),
        (["--manner=rude"], "--manner: expected plain or fancy, got rude"),
        (["--sizes", "big"], '--sizes: expected a whole number, or several separated by blanks, got ["big"]'),
        (["--inner.deep_value=0"], "--inner.deep-value must be at least 1, got 0"),
        (["--no-with-salt=perhaps"], "--no-with-salt takes no value, or true or false; got perhaps"),
        (["--with-salt", "false"], "unexpected argument 'false' after --with-salt, which takes no value"),
        (["--minute=3"], "--minute is no option of this command; did you mean --minutes?"),
        (["--minutes"], "--minutes needs a value: a whole number that is at least 1"),
        (["--print-shtab=fish"], "--print-shtab must be bash, zsh or tcsh, got fish"),
    ],
)
def test_a_mistake_is_one_sentence_that_names_the_option(
    given: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert refused(capsys, *given) == said


def test_a_file_takes_hyphens_underscores_lists_and_mappings(tmp_path: Path) -> None:
    file = tmp_path / "baking.yaml"
    file.write_text("loaf-name: '5'\nminutes: &n 3\nno-with-salt: true\nguests: [ann, bob c]\nheat: null\n"
                    "sizes: [*n, 9]\ninner:\n  deep-value: 7\n")  # fmt: skip
    expected = Baking("5", 3, None, 0.5, False, ("ann", "bob c"), [3, 9], "plain", 1, Inner(7))
    assert parse("--config", str(file)) == expected
    file.write_text("loaf_name: rye\ninner.deep_value: 8\n")
    assert parse(f"--config={file}", "--loaf-name=white") == Baking("white", inner=Inner(8))


def test_what_print_config_prints_is_such_a_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = printed(capsys, "--guests", "ann", "--no-with-salt", "--inner.deep-value=3", "--print-config")
    content = yaml.safe_load(text)
    assert (content["loaf-name"], content["with-salt"], content["inner"]) == (
        "bread",
        False,
        {"deep-value": 3},
    )
    (tmp_path / "printed.yaml").write_text(text)
    assert parse("--config", str(tmp_path / "printed.yaml")) == Baking(
        with_salt=False, guests=("ann",), inner=Inner(3)
    )


LAUGHS = "a: &a [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{name}: &{name} [{', '.join([f'*{before}'] * 10)}]\n"
    for before, name in zip("abcdefg", "bcdefgh", strict=True)
)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"minuts: 3\n", "{}: minuts is no option of this command; did you mean --minutes?"),
        (b"inner: {deep: 3}\n", "{}: inner.deep is no option of this command"),
        (b"guests: ann\n", "{}: guests takes a list, such as [ann]"),
        (b"loaf-name: a\nloaf_name: b\n", "--config {} sets loaf_name twice"),
        (b"- minutes\n", "--config {} must hold lines such as `max-steps: 100`, one an option"),
        (b"loaf-name: caf\xe9\n", "--config {} is not UTF-8 text (invalid continuation byte at byte 14)"),
        (b"minutes: [\n", "--config {} is not YAML: while parsing"),
        (b"[" * 100_000, "--config {} is nested too deeply for a file of options"),
        (LAUGHS.encode(), "--config {} unfolds to more than 10,000 values; write them without aliases"),
        (b"minutes: 1\nguests: 2001-13-45\n", "--config {}, line 2: a value is none of the kind that YAML"),
        (b"minutes: 1\nguests: !!int x\n", "--config {}, line 2: a value is none of the kind that YAML"),
        (b"minutes: 1\nguests: !!bool x\n", "--config {}, line 2: a value is none of the kind that YAML"),
        (b"guests: &g [*g]\n", "--config {} unfolds to more than 10,000 values; write them without aliases"),
        (b"#" * 2**21, "--config {} is larger than 1 MiB, which is no file of options"),
        (b"minutes: 0\n", "--minutes must be at least 1, got 0"),
    ],
)
def test_a_file_that_is_none_of_options_is_one_sentence(
    tmp_path: Path, content: bytes, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "baking.yaml"
    file.write_bytes(content)
    assert refused(capsys, "--config", str(file)).startswith(said.format(file))


def test_a_folder_and_no_file_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert refused(capsys, "--config", str(tmp_path)).startswith(f"--config {tmp_path} is a folder")
    assert "No such file" in refused(capsys, "--config", str(tmp_path / "none.yaml"))


def test_help_has_groups_both_sides_of_switches_and_examples_as_they_are(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    page = printed(capsys, "--help")
    lines = page.splitlines()
    assert max(map(len, lines)) <= 80
    assert "Bakes a loaf of which there is much to say." in lines
    first = lines.index("    python bake.py --no-with-salt")
    assert lines[first + 1] == "    python bake.py --guests ann bob"
    assert (
        lines.index("How it is baked:") < lines.index("Inside:") < lines.index("Help and files of options:")
    )
    assert "  --with-salt, --no-with-salt" in lines
    text = " ".join(page.split())
    assert "--minutes N how long (at least 1; default: 40)" in text
    assert "--manner plain|fancy how it is served (default: plain)" in text
    assert "--sizes N ... of the slices (default: 1 2)" in text


def test_completion_is_a_script_for_bash_that_knows_every_spelling(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    script = tmp_path / "completion.sh"
    script.write_text(printed(capsys, "--print-shtab=bash"))
    subprocess.run(["bash", "-n", str(script)], check=True)
    asked = (
        f"source {script}; COMP_WORDS=(bake.py --no-w); COMP_CWORD=1; _shtab_bake_py; echo ${{COMPREPLY[@]}}"
    )
    found = subprocess.run(["bash", "-c", asked], check=True, capture_output=True, text=True).stdout
    assert found.split() == ["--no-with-salt"]
