"""Options as a command's dataclasses declare them: name, type, default, spelling."""

import inspect
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import MISSING, dataclass, fields, is_dataclass
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal, NamedTuple, Union, get_args, get_origin, get_type_hints

from .number_types import range_of


@dataclass(frozen=True)
class Option:
    """One option of a command.

    Attributes:
        name: as in Python, `max_steps`; of a dataclass inside another `trainer.max_steps`.
        kind: its type.
        default: its value if it is not given; MISSING where it has to be.
        group: the title under which `--help` lists it.
        resolved: what a default of None becomes, in words, where the dataclass says so.
    """

    name: str
    kind: Any
    default: Any
    group: str
    resolved: str | None = None

    @property
    def spelling(self) -> str:
        """Its name as users write it, in hyphens and without the two in front."""
        return self.name.replace("_", "-")

    @property
    def opposite(self) -> str:
        """A switch's name when it is turned off: `no-x`, or `trainer.no-x` inside a dataclass."""
        place, dot, last = self.spelling.rpartition(".")
        return f"{place}{dot}no-{last}"

    @property
    def alternatives(self) -> tuple[Any, ...]:
        """The types of which a value has one, without None."""
        if get_origin(self.kind) in (Union, UnionType):
            return tuple(kind for kind in get_args(self.kind) if kind is not NoneType)
        return (self.kind,)

    @property
    def is_switch(self) -> bool:
        """Whether `--x` turns it on and `--no-x` off."""
        return self.alternatives == (bool,)

    @property
    def is_whole_number(self) -> bool:
        """Whether its values are whole numbers."""
        return all(isinstance(kind, type) and issubclass(kind, int) for kind in self.alternatives) and (
            not self.is_switch
        )

    @property
    def may_be_whole_number(self) -> bool:
        """Whether its values may be whole numbers, and no others; text beside them, such as auto."""
        kinds = [kind for kind in self.alternatives if isinstance(kind, type)]
        whole = [issubclass(kind, int) and kind is not bool for kind in kinds]
        return any(whole) and not any(issubclass(kind, float) for kind in kinds)

    @property
    def takes_none(self) -> bool:
        """Whether its value may be none."""
        return NoneType in get_args(self.kind)

    @property
    def element(self) -> Any:  # noqa: ANN401 - any type
        """The type of an element where the option takes several words, or else None."""
        for kind in self.alternatives:
            if get_origin(kind) in (list, tuple, Sequence):
                return get_args(kind)[0]
        return None

    @property
    def placeholder(self) -> str:
        """What stands for a value in `--help`."""
        if self.element is not None:
            return f"{_written(self.element).placeholder} ..."
        return "|".join(_written(kind).placeholder for kind in self.alternatives)

    @property
    def expected(self) -> str:
        """What a value has to be, in words."""
        if self.element is not None:
            return f"{_ranged(self.element)}, or several separated by blanks"
        return " or ".join(map(_ranged, self.alternatives))

    @property
    def limits(self) -> str | None:
        """The range of a number, in words; None without one."""
        kinds = self.alternatives if self.element is None else (self.element,)
        return next(filter(None, map(range_of, kinds)), None)


def options_of(classes: Sequence[type]) -> list[Option]:
    """All options of dataclasses, in their order; a dataclass inside another has its name in front."""
    return [option for cls in classes for option in _of_class(cls)]


def as_words(options: object, *, leave_out: frozenset[str] = frozenset()) -> list[str]:
    """The options of a dataclass' instance that differ from their defaults, as on a command line.

    Args:
        options: the instance.
        leave_out: names of options that are not written.
    """
    words = []
    for option in options_of([type(options)]):
        value: Any = options
        for part in option.name.split("."):
            value = getattr(value, part)
        if option.name in leave_out or value == option.default:
            continue
        if isinstance(value, bool):
            words.append(f"--{option.spelling if value else option.opposite}")
        elif option.element is not None:
            words += [f"--{option.spelling}", *map(str, value)]
        else:
            words.append(f"--{option.spelling}={value}")
    return words


def in_words(value: Any) -> str:  # noqa: ANN401 - of an option
    """A value as users write it."""
    if isinstance(value, bool):
        return "on" if value else "off"
    if value is None:
        return "none"
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, (list, tuple)):
        return " ".join(map(in_words, value)) or "none"
    return str(value)


def _of_class(cls: type, place: str = "") -> Iterator[Option]:
    hints = get_type_hints(cls)
    title, headings = title_of(cls), getattr(cls, "headings", {})
    resolved: Mapping[str, str] = cls.resolved_defaults() if hasattr(cls, "resolved_defaults") else {}
    for field in fields(cls):
        kind = hints[field.name]
        if isinstance(kind, type) and is_dataclass(kind):
            yield from _of_class(kind, f"{place}{field.name}.")
            continue
        title = headings.get(field.name, title)
        default = field.default if field.default_factory is MISSING else field.default_factory()
        yield Option(f"{place}{field.name}", kind, default, title, resolved.get(field.name))


def title_of(cls: type) -> str:
    """The heading of a dataclass' options: its `title`, or the first line of its docstring."""
    return getattr(cls, "title", None) or inspect.cleandoc(cls.__doc__ or cls.__name__).splitlines()[
        0
    ].rstrip(".")


def _ranged(kind: Any) -> str:  # noqa: ANN401 - any type
    """What a value has to be, with the range of a number."""
    limits = range_of(kind)
    return _written(kind).expected + ("" if limits is None else f" that is {limits}")


class _Written(NamedTuple):
    """How a type is written: what stands for a value in `--help`, and what an error expects, in words."""

    placeholder: str
    expected: str


def _written(kind: Any) -> _Written:  # noqa: ANN401 - any type
    if get_origin(kind) is Literal:
        *first, last = map(str, get_args(kind))
        return _Written("|".join([*first, last]), f"{', '.join(first)} or {last}" if first else last)
    if get_origin(kind) is dict:
        return _Written("{KEY: VALUE, ...}", "a mapping such as {key: value}")
    if hasattr(kind, "words"):  # a type of text of a certain form
        return _Written(*kind.words)
    for base, written in _KINDS.items():
        if isinstance(kind, type) and issubclass(kind, base):
            return written
    return _Written("TEXT", "text")


# A bool is an int, too, and comes first.
_KINDS = {
    bool: _Written("true|false", "true or false"),
    int: _Written("N", "a whole number"),
    float: _Written("X", "a number"),
    Path: _Written("PATH", "a path"),
}
