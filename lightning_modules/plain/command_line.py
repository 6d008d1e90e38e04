"""Commands: options from a signature or from dataclasses, one sentence for bad input, exit statuses."""

import re
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import fields
from inspect import signature
from typing import Any, NoReturn

from jsonargparse import ArgumentParser, auto_cli

BAD_INPUT, INTERRUPTED = 2, 130


def run_command(
    command: Callable,
    argv: Sequence[str] | None = None,
    *,
    positional: bool = True,
    leading: str | None = None,
) -> Any:  # noqa: ANN401 - the command's own
    """What `command` returns when called with the options that the command line gives.

    Parameters without a default are positional (or required options), the others are options, written with
    hyphens or underscores.
    A switch `x: bool` is turned on by `--x` and off by `--no-x`. `--config FILE` reads options from YAML.

    Args:
        command: a function with annotated parameters and a docstring, which becomes `--help`.
        argv: the arguments; None takes the process's own.
        positional: whether parameters without a default are positional, or required options.
        leading: the option that a first argument without hyphens sets: it is positional, and may be left out.

    Raises:
        SystemExit: with status 2 and the error's sentence for bad input, with 130 when interrupted.
    """
    switches = {
        name for name, parameter in signature(command).parameters.items() if parameter.annotation is bool
    }
    arguments = [_spelled_out(argument, switches) for argument in (sys.argv[1:] if argv is None else argv)]
    arguments = _with_leading(arguments, leading)
    with one_sentence_for_bad_input():
        return auto_cli(command, args=arguments, as_positional=positional, parser_class=_Parser)


def parse_settings(
    classes: Sequence[type],
    argv: Sequence[str] | None,
    *,
    program: str,
    description: str,
    leading: str | None = None,
) -> tuple[Any, ...]:
    """An instance of each dataclass from one flat command line; their fields' names must differ.

    Written as for `run_command`; `--config FILE` reads options from YAML, `--print_config` prints them.

    Args:
        classes: dataclasses whose docstrings say under "Attributes" what each field is.
        argv: the arguments; None takes the process's own.
        program: its name, for `--help`.
        description: of the command, likewise.
        leading: the option that a first argument without hyphens sets.
    """
    switches = {field.name for cls in classes for field in fields(cls) if field.type in (bool, bool | None)}
    parser = _Parser(prog=program, description=description)
    parser.add_argument("--config", action="config", help="a YAML file of options")
    for cls in classes:
        parser.add_class_arguments(cls, as_group=False)
    arguments = [_spelled_out(argument, switches) for argument in (sys.argv[1:] if argv is None else argv)]
    options = parser.parse_args(_with_leading(arguments, leading))
    return tuple(cls(**{field.name: options[field.name] for field in fields(cls)}) for cls in classes)


@contextmanager
def one_sentence_for_bad_input() -> Iterator[None]:
    """Turns errors that a user can mend into a sentence and an exit status.

    Raises:
        SystemExit: with status 2 for bad input, with 130 when interrupted.
    """
    try:
        yield
    except (ValueError, OSError, ImportError) as error:
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(BAD_INPUT) from error
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        raise SystemExit(INTERRUPTED) from None


class _Parser(ArgumentParser):
    """Says what is wrong with an option in one sentence, without the usage of all of them."""

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        """End with the sentence and status 2."""
        print(f"error: {_plainly(message)}; --help lists all options", file=sys.stderr)
        raise SystemExit(BAD_INPUT) from ex


def _plainly(message: str) -> str:
    """What jsonargparse says of an option, without Python's names of types where they are understood."""
    option = re.search(r'Parser key "([^"]+)"', message)
    given = re.search(r"(?:Given|Got) value: (.*)", message)
    expected = re.findall(r"Expected an? (?:typing\.Literal\[(.+?)\]|<class '(\w+)'>)", message)
    kinds = [choices.replace("'", "") or kind for choices, kind in expected if kind != "NoneType"]
    if option and given and kinds:
        name = option[1].replace("_", "-")
        return f"--{name}: expected {' or '.join(dict.fromkeys(kinds))}, got {given[1]}"
    return " ".join(message.split())


def _with_leading(arguments: list[str], option: str | None) -> list[str]:
    """The arguments, the first one as an option where it has no hyphens and one is named."""
    if option is None or not arguments or arguments[0].startswith("-"):
        return arguments
    return [f"--{option}={arguments[0]}", *arguments[1:]]


def _spelled_out(argument: str, switches: set[str]) -> str:
    """An option in underscores; a switch's `--x` or `--no-x` as `--x=true` or `--x=false`."""
    if not argument.startswith("--"):
        return argument
    name, equals, value = argument[2:].partition("=")
    name = name.replace("-", "_")
    if not equals and name in switches:
        return f"--{name}=true"
    if not equals and name.removeprefix("no_") in switches:
        return f"--{name.removeprefix('no_')}=false"
    return f"--{name}{equals}{value}"
