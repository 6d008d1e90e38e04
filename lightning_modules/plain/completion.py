"""Scripts that complete a command's options in a shell, made by shtab."""

from argparse import SUPPRESS, ArgumentParser
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, get_args, get_origin

from .declared_options import Option

SHELLS = ("bash", "zsh", "tcsh")


def completion_script(program: str, options: Sequence[Option], shell: str) -> str:
    """The script of a shell, with options as users write them.

    Raises:
        ValueError: if the shell is another.
    """
    if shell not in SHELLS:
        raise ValueError(
            f"--print-shtab must be {', '.join(SHELLS[:-1])} or {SHELLS[-1]}, got {shell or 'nothing'}"
        )
    import shtab

    parser = ArgumentParser(program, allow_abbrev=False)
    # shtab reads what completes an option from this attribute.
    setattr(parser.add_argument("--config"), "complete", shtab.FILE)  # noqa: B010 - argparse has no such name
    for option in options:
        if option.is_switch:
            parser.add_argument(f"--{option.spelling}", f"--{option.opposite}", action="store_true")
            continue
        kinds = option.alternatives if option.element is None else (option.element,)
        choices = [str(choice) for kind in kinds if get_origin(kind) is Literal for choice in get_args(kind)]
        nargs = None if option.element is None else "*"
        argument = parser.add_argument(
            f"--{option.spelling}", nargs=nargs, default=SUPPRESS, choices=choices or None
        )
        if Path in kinds:
            setattr(argument, "complete", shtab.FILE)  # noqa: B010 - likewise
    return shtab.complete(parser, shell)
