"""What `--help` prints: options in groups, as users write them, with ranges and defaults."""

import shutil
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import MISSING

from .declared_options import Option, in_words

INDENT, WIDEST = 24, 100
GENERAL = (
    ("-h, --help", "Print this page."),
    ("--config FILE", "Read options from a YAML file; what is written behind it wins."),
    ("--print-config", "Print all options as such a file, and end."),
    ("--print-shtab SHELL", "Print what completes options in bash, zsh or tcsh, and end (see below)."),
)


def help_page(
    program: str,
    description: str,
    options: Sequence[Option],
    texts: Mapping[str, str],
    leading: Sequence[str],
) -> str:
    """The page, as wide as the terminal.

    Args:
        program: its name.
        description: paragraphs that are reflowed, and indented lines that are kept.
        options: in the order of their groups.
        texts: what each option is, by name.
        leading: the options that may be given without their names.
    """
    width = min(shutil.get_terminal_size().columns, WIDEST)
    first = [_of_leading(option) for name in leading for option in options if option.name == name]
    lines = [f"usage: {' '.join([program, *first, '[options]'])}", "", *_description(description, width)]
    group = None
    for option in options:
        if option.group != group:
            group = option.group
            lines += ["", f"{group}:"]
        lines += _entry(_invocation(option), _told(option, texts.get(option.name, ""), leading), width)
    lines += ["", "Help and files of options:"]
    for invocation, text in GENERAL:
        lines += _entry(invocation, text, width)
    lines += ["", *_paragraph(_NOTES, width), ""]
    lines += [f"    alias {program}='python PATH/{program}'", f'    eval "$({program} --print-shtab bash)"']
    return "\n".join(lines) + "\n"


_NOTES = (
    "Options may be written with hyphens or underscores. Several values are separated by blanks; in "
    "a file they are a YAML list. Options complete in bash after these two lines:"
)


def _description(text: str, width: int) -> list[str]:
    """Paragraphs reflowed, indented lines as they are."""
    lines: list[str] = []
    for block in textwrap.dedent(text).strip().split("\n\n"):
        prose: list[str] = []
        for line in block.splitlines():
            if line.startswith((" ", "\t")):
                lines += [*_paragraph(" ".join(prose), width), line]
                prose = []
            else:
                prose.append(line)
        lines += [*_paragraph(" ".join(prose), width), ""]
    return lines[:-1]


def _paragraph(text: str, width: int) -> list[str]:
    return textwrap.wrap(text, width, break_long_words=False, break_on_hyphens=False)


def _of_leading(option: Option) -> str:
    name = option.spelling.upper() + (" ..." if option.element is not None else "")
    return name if option.default is MISSING else f"[{name}]"


def _invocation(option: Option) -> str:
    if option.is_switch:
        return f"--{option.spelling}, --{option.opposite}"
    return f"--{option.spelling} {option.placeholder}"


def _told(option: Option, text: str, leading: Sequence[str]) -> str:
    """What an option is, with its range and its default."""
    facts = [] if option.limits is None else [option.limits]
    if option.name in leading:
        facts.append("may be given first, without its name")
    if option.default is MISSING:
        facts.append("required")
    elif option.default is not None:
        facts.append(f"default: {in_words(option.default)}")
    elif option.resolved is not None:
        facts.append(f"default: {option.resolved}")
    text = " ".join(text.split())
    return f"{text.rstrip('.')} ({'; '.join(facts)})" if facts else text


def _entry(invocation: str, text: str, width: int) -> list[str]:
    wrapped = _paragraph(text, width - INDENT)
    head = f"  {invocation}"
    lines = [head] if len(head) <= width else _broken(head, width)
    if len(lines) == 1 and len(head) <= INDENT - 2 and wrapped:
        lines, wrapped = [f"{head:{INDENT}}{wrapped[0]}"], wrapped[1:]
    return [*lines, *(f"{'':{INDENT}}{line}" for line in wrapped)]


def _broken(head: str, width: int) -> list[str]:
    """An option with more choices than a line holds."""
    words = head.strip().replace("|", "| ")
    lines = textwrap.wrap(words, width - 6, break_long_words=False, break_on_hyphens=False)
    return [
        f"{'  ' if number == 0 else '      '}{line.replace('| ', '|')}" for number, line in enumerate(lines)
    ]
