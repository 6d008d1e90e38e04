"""A command line's words as `--name=value`, one an option, whatever spelling a user chose.

Hyphens or underscores; `--x` and `--no-x` of switches; several words after an option that takes a list; files
of options in the place of the `--config` that names them. Values also as W&B's agents write them, which is as
Python prints them: `--no-x=True` or `--no-x=1`, `--seed=1.0`, `--views=None`.
"""

import difflib
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

from .declared_options import Option
from .yaml_options import Nested, as_text, options_in_file

CONFIG, PRINT_CONFIG = "config", "print_config"
TRUE, FALSE = ("true", "yes", "1", "1.0"), ("false", "no", "0", "0.0")


class CommandLine:
    """Reads words into settings of known options.

    Args:
        options: those of the command.
        leading: options that are set by words without hyphens, in this order; one that takes a list takes all
            that are left.
        refused: options of others, and what to say where one is given.
    """

    def __init__(
        self, options: Sequence[Option], leading: Sequence[str] = (), refused: Mapping[str, str] | None = None
    ) -> None:
        self.options = {option.name: option for option in options}
        self.opposites = {_name(option.opposite): option for option in options if option.is_switch}
        self.leading, self.refused = tuple(leading), refused or {}

    def spelled_out(self, words: Sequence[str]) -> list[str]:
        """Each option as `--name=value` with its name as in Python.

        Raises:
            ValueError: naming an option that does not exist, or has no value.
        """
        given: list[str] = []
        waiting, left = list(self.leading), list(words)
        while left:
            word = left.pop(0)
            if word in ("-h", "--help"):
                return ["--help"]
            if not word.startswith("--"):
                if not waiting:
                    raise ValueError(f"unexpected argument {word!r}{_of_switch(given)}")
                option = self.options[waiting.pop(0)]
                values = [word, *_values(left)] if option.element is not None else [word]
                given.append(f"--{option.name}={_listed(option, values)}")
                continue
            name, equals, value = word[2:].partition("=")
            given += self._given(_name(name), value if equals else None, left, shown=name)
        return given

    def _given(self, name: str, value: str | None, left: list[str], *, shown: str) -> Iterator[str]:
        """One option's setting; words that belong to it are taken from those that are left."""
        if name in self.opposites:
            yield f"--{self.opposites[name].name}={_turned_round(value, shown)}"
            return
        if name == PRINT_CONFIG:
            yield f"--{PRINT_CONFIG}" + ("" if value is None else f"={value}")
            return
        option = self.options.get(name)
        if option is None and name != CONFIG:
            self._refuse(name, f"--{shown}")
        if option is not None and option.is_switch and value is None:
            value = "true"
        elif option is not None and option.element is not None:
            value = _listed(option, _values(left) if value is None else [value])
        elif value is None:
            if not left or left[0].startswith("--"):
                raise ValueError(
                    f"--{shown} needs a value: {'a file' if option is None else option.expected}"
                )
            value = left.pop(0)
        if option is None:
            for key, content in options_in_file(Path(value)):
                yield from self._in_file(key, content, value)
            return
        yield f"--{name}={_of_its_kind(option, value)}"

    def _in_file(self, key: str, content: Any, file: str) -> Iterator[str]:  # noqa: ANN401 - YAML's
        name = _name(key)
        if isinstance(content, Nested):
            if name not in self.options and any(one.startswith(f"{name}.") for one in self.options):
                for inner in content.pairs:
                    yield from self._in_file(*inner, file)
                return
            content = content.value
        option = self.options.get(name)
        if name in self.opposites:
            yield f"--{self.opposites[name].name}={_turned_round(as_text(content), key)}"
        elif option is None:
            self._refuse(name, f"{file}: {key}")
        elif option.element is not None and content is not None and not isinstance(content, list):
            raise ValueError(f"{file}: {key} takes a list, such as [{as_text(content)}]")
        else:
            yield f"--{name}={_of_its_kind(option, as_text(content))}"

    def _refuse(self, name: str, shown: str) -> NoReturn:
        for prefix, advice in self.refused.items():
            if name == prefix:
                raise ValueError(f"{shown} is not taken: {advice}")
        names = {option.spelling: option.spelling for option in self.options.values()}
        names |= {option.opposite: option.opposite for option in self.opposites.values()}
        near = difflib.get_close_matches(name.replace("_", "-"), names, 1)
        suggestion = f"; did you mean --{near[0]}?" if near else ""
        raise ValueError(f"{shown} is no option of this command{suggestion}")


def _name(spelling: str) -> str:
    return spelling.replace("-", "_")


def _values(left: list[str]) -> list[str]:
    """The words up to the next option, taken from those that are left."""
    values = []
    while left and not left[0].startswith("--"):
        values.append(left.pop(0))
    return values


def _listed(option: Option, values: Sequence[str]) -> str:
    """The words of an option that takes a list, as YAML has it."""
    if option.element is None:
        return values[0]
    if len(values) == 1 and values[0][:1] == "[":
        return values[0]  # as machines write lists
    whole = isinstance(option.element, type) and issubclass(option.element, int)
    numbers = whole or (isinstance(option.element, type) and issubclass(option.element, float))
    written = [_without_point(value) if whole else value for value in values]
    return f"[{', '.join(value if numbers and is_number(value) else json.dumps(value) for value in written)}]"


def _of_its_kind(option: Option, value: str) -> str:
    """A value as the option's type has it, where Python wrote it as another: None, 1.0 for 1, 1 for true."""
    if value == "None" and option.takes_none:
        return "null"
    if option.is_switch and value in (*TRUE, *FALSE):
        return "true" if value in TRUE else "false"
    return _without_point(value) if option.may_be_whole_number else value


def _without_point(value: str) -> str:
    """A whole number without a point or an exponent; anything else as it is."""
    try:
        int(value)
    except ValueError:
        try:
            return str(int(float(value))) if float(value).is_integer() else value
        except ValueError:
            return value
    return value


def is_whole_number(word: str) -> bool:
    """Whether a word is one, with or without a point."""
    return _without_point(word).lstrip("-").isdecimal()


def is_number(word: str) -> bool:
    """Whether a word is one, also as YAML writes infinity (.inf)."""
    try:
        float(word.replace(".inf", "inf").replace(".nan", "nan"))
    except ValueError:
        return False
    return True


def _turned_round(value: str | None, shown: str) -> str:
    """What `--no-x` sets x to, where it may have a value of its own."""
    if value is None or value.lower() in TRUE:
        return "false"
    if value.lower() in FALSE:
        return "true"
    raise ValueError(f"--{shown} takes no value, or true or false; got {value}")


def _of_switch(given: Sequence[str]) -> str:
    if given and given[-1].endswith("=true"):
        name = given[-1][2:].partition("=")[0].replace("_", "-")
        return f" after --{name}, which takes no value"
    return ""
