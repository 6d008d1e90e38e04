"""Runs a function as a command: options from its signature, one sentence for bad input, exit statuses."""

import sys
from collections.abc import Callable, Sequence
from inspect import signature
from typing import Any

from jsonargparse import auto_cli

BAD_INPUT, INTERRUPTED = 2, 130


def run_command(command: Callable, argv: Sequence[str] | None = None, *, positional: bool = True) -> Any:  # noqa: ANN401 - the command's own
    """What `command` returns when called with the options that the command line gives.

    Parameters without a default are positional (or required options), the others are options, written with
    hyphens or underscores.
    A switch `x: bool` is turned on by `--x` and off by `--no-x`. `--config FILE` reads options from YAML.

    Args:
        command: a function with annotated parameters and a docstring, which becomes `--help`.
        argv: the arguments; None takes the process's own.
        positional: whether parameters without a default are positional, or required options.

    Raises:
        SystemExit: with status 2 and the error's sentence for bad input, with 130 when interrupted.
    """
    switches = {
        name for name, parameter in signature(command).parameters.items() if parameter.annotation is bool
    }
    arguments = [_spelled_out(argument, switches) for argument in (sys.argv[1:] if argv is None else argv)]
    try:
        return auto_cli(command, args=arguments, as_positional=positional)
    except (ValueError, OSError, ImportError) as error:
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(BAD_INPUT) from error
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        raise SystemExit(INTERRUPTED) from None


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
