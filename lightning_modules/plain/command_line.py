"""Commands: options from dataclasses, one sentence for bad input, exit statuses."""

import re
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import fields, is_dataclass
from io import TextIOWrapper
from pathlib import Path
from typing import Any, NoReturn, get_type_hints

from jsonargparse import ArgumentParser, Namespace

from .completion import completion_script
from .declared_options import Option, options_of
from .files import FORBIDDEN, FULL, as_characters, is_text
from .help_page import help_page
from .interruption import INTERRUPTED, SAID, interruptible
from .number_types import plain_values
from .quotations import shortened
from .spelling import CommandLine, is_number, is_whole_number

BAD_INPUT = 2
LONG_WORD = re.compile(r"\S{1000,}")  # longer than most paths
BAD = (ValueError, OSError, ImportError, MemoryError)  # what a user can mend


def parse_settings(
    classes: Sequence[type],
    argv: Sequence[str] | None,
    *,
    program: str,
    description: str,
    leading: str | Sequence[str] | None = None,
) -> tuple[Any, ...]:
    """An instance of each dataclass from one flat command line; their fields' names must differ.

    An option is written with hyphens or underscores. A switch `x: bool` is turned on by `--x` and off by
    `--no-x`; one that takes several values has them separated by blanks. `--config FILE` reads options from
    YAML, `--print-config` prints them, `--print-shtab bash` what completes them.

    A dataclass may say more of its options: `title` and `headings` (by the field under which a heading
    stands) for `--help`, `resolved_defaults()` (what a default of None becomes, in words), and `refused`
    (options that are not taken, with the reason). A field that is a dataclass has its name and a dot in front
    of its options.

    Args:
        classes: dataclasses whose docstrings say under "Attributes" what each field is.
        argv: the arguments; None takes the process's own.
        program: its name, for `--help`.
        description: of the command, likewise; indented lines stay as they are.
        leading: the option that a first argument without hyphens sets, or several in their order.

    Raises:
        SystemExit: with status 2 and a sentence for bad options, with 0 for `--help`.
    """
    parser = _Parser(
        program=program,
        description=description,
        options=options_of(classes),
        leading=[leading] if isinstance(leading, str) else leading or [],
        refused=_refused(classes),
    )
    for cls in classes:
        parser.add_class_arguments(cls, as_group=False)
    given = parser.options_given(argv)
    return tuple(_instance(cls, given) for cls in classes)


@contextmanager
def one_sentence_for_bad_input() -> Iterator[None]:
    """Turns errors that a user can mend into a sentence and an exit status.

    Raises:
        SystemExit: with status 2 for bad input, with 130 when interrupted.
    """
    if isinstance(sys.stdout, TextIOWrapper):
        # Names of files may hold bytes that are no characters.
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        with interruptible():
            yield
    except BAD as error:
        print(as_characters(f"error: {in_one_sentence(error)}"), file=sys.stderr)
        raise SystemExit(BAD_INPUT) from error
    except KeyboardInterrupt:
        print(SAID, file=sys.stderr)
        raise SystemExit(INTERRUPTED) from None


def in_one_sentence(error: Exception) -> str:
    """An error in words, without the number that the system has for it, and with no word of pages."""
    return LONG_WORD.sub(lambda word: shortened(word[0]), _in_words(error))


def _in_words(error: Exception) -> str:
    if isinstance(error, MemoryError):
        return f"there is not enough memory ({str(error) or 'the system gave none'}); take less at a time"
    if not isinstance(error, OSError) or error.strerror is None:
        return str(error)
    files = " and ".join(str(file) for file in (error.filename, error.filename2) if file is not None)
    sentence = f"{files or 'a file'}: {error.strerror}"
    if error.errno in FULL:
        return f"{sentence}; free some space and start the same command again: what is finished is kept"
    if error.errno in FORBIDDEN:
        return f"{sentence}; change who may read and write there, or name another place"
    return sentence


class _Parser(ArgumentParser):
    """Reads options as users write them, and says what is wrong with one in one sentence.

    jsonargparse checks types and reads docstrings; spelling, files and help are ours.
    """

    # jsonargparse makes parsers of its own class for dataclasses inside dataclasses, without arguments.
    def __init__(
        self,
        *arguments: Any,  # noqa: ANN401 - of the base class
        program: str | None = None,
        options: Sequence[Option] = (),
        leading: Sequence[str] = (),
        refused: dict[str, str] | None = None,
        **more: Any,  # noqa: ANN401 - of the base class
    ) -> None:
        super().__init__(*arguments, prog=program, allow_abbrev=False, **more)
        self.known = {option.name: option for option in options}
        self.leading, self.refused_names = leading, refused
        self.words: list[str] = []
        if options:
            self.add_argument("--config", action="config")

    def options_given(self, argv: Sequence[str] | None) -> Namespace:
        """All options with their defaults; ends where help or a list of options is asked for."""
        words = sys.argv[1:] if argv is None else list(argv)
        reader = CommandLine(list(self.known.values()), self.leading, self.refused_names)
        try:
            shell = _shell(words)
            if shell is not None:
                print(completion_script(self.prog, list(self.known.values()), shell))
                raise SystemExit(0)
            self.words = reader.spelled_out(words)
            self._refuse_paths_of_nothing()
        except (ValueError, OSError) as error:
            self.error(str(error), error)
        return self.parse_args(self.words)

    def _refuse_paths_of_nothing(self) -> None:
        """An empty path, as a variable that is not set leaves it, would be the current folder."""
        for word in self.words:
            name, equals, value = word.removeprefix("--").partition("=")
            option = self.known.get(name)
            if equals and not value and option is not None and Path in option.alternatives:
                raise ValueError(f"--{option.spelling}: expected a path, got nothing")

    def format_help(self, formatter: object = None) -> str:
        """The page of `--help`; it has a layout of its own."""
        texts = {action.dest: action.help or "" for action in self._actions}
        return help_page(self.prog, self.description or "", list(self.known.values()), texts, self.leading)

    def dump(self, *arguments: Any, **more: Any) -> str:  # noqa: ANN401 - of the base class
        """The options as YAML, in hyphens."""
        text = super().dump(*arguments, **more)
        return re.sub(r"^( *)([a-z_0-9]+):", lambda key: key[0].replace("_", "-"), text, flags=re.MULTILINE)

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        """End with the sentence and status 2."""
        sentence = as_characters(f"error: {self._plainly(message)}; --help lists all options")
        print(sentence, file=sys.stderr)
        raise SystemExit(BAD_INPUT) from ex

    def _as_shown(self, name: str) -> str:
        """An option as the help page has it."""
        spelling = self.known[name].spelling
        return spelling.upper() if name in self.leading else f"--{spelling}"

    def _plainly(self, message: str) -> str:
        """What jsonargparse says of an option, in the words of users."""
        missing = re.search(r'Key "([^"]+)" is required|arguments? (?:is|are) required: (.+)', message)
        if missing:
            names = (missing[1] or missing[2]).split(", ")
            shown = [self._as_shown(name) for name in names]
            return f"{' and '.join(shown)} {'is' if len(shown) == 1 else 'are'} required"
        named = re.search(r'Parser key "([^"]+)"', message)
        option = self.known.get(named[1]) if named else None
        if option is None:
            return " ".join(message.split())
        given = next(word for word in reversed(self.words) if word.startswith(f"--{option.name}="))
        value = given.partition("=")[2]
        if not is_text(Path(value)):
            return f"--{option.spelling}: the name {value} is not UTF-8; rename it, or name a link to it"
        is_of_its_kind = is_whole_number if option.is_whole_number else is_number
        if option.limits is not None and is_of_its_kind(value):
            return f"--{option.spelling} must be {option.limits}, got {value}"
        return f"--{option.spelling}: expected {option.expected}, got {value}"


def _shell(words: Sequence[str]) -> str | None:
    """The shell whose completion is asked for; None where none is."""
    for number, word in enumerate(words):
        name, equals, value = word.replace("_", "-").partition("=")
        if name == "--print-shtab":
            return value if equals else " ".join(words[number + 1 : number + 2])
    return None


def _refused(classes: Sequence[type], place: str = "") -> dict[str, str]:
    """Options that dataclasses refuse by name, with the reasons."""
    refused: dict[str, str] = {}
    for cls in classes:
        refused |= {f"{place}{name}": reason for name, reason in getattr(cls, "refused", {}).items()}
        for name, kind in get_type_hints(cls).items():
            if isinstance(kind, type) and is_dataclass(kind):
                refused |= _refused([kind], f"{place}{name}.")
    return refused


def _instance(cls: type, given: Namespace) -> Any:  # noqa: ANN401 - of the class
    hints = get_type_hints(cls)
    return cls(
        **{
            field.name: _instance(hints[field.name], given[field.name])
            if is_dataclass(hints[field.name])
            else plain_values(given[field.name])
            for field in fields(cls)
        }
    )
