"""Options from YAML files, as `--config` reads them."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

# Far above what all options of a command take.
LARGEST, MOST_VALUES = 2**20, 10_000


@dataclass(frozen=True)
class Nested:
    """A mapping inside a file of options: an option's value, or options whose names begin with its key.

    Attributes:
        pairs: the options in the second case, `trainer.benchmark` of `trainer: {benchmark: true}`.
        value: the option's value in the first.
    """

    pairs: list[tuple[str, Any]]
    value: dict[Any, Any]


def options_in_file(file: Path, of: str = "--config ") -> list[tuple[str, Any]]:
    """The options of a YAML mapping in its order, each with its name as the file writes it and its value.

    Args:
        file: of YAML.
        of: what sentences say before its name.

    Raises:
        ValueError: if it is no such file, says an option twice, or unfolds to more than options need.
    """
    called = f"{of}{file}"
    if file.is_dir():
        raise ValueError(f"{called} is a folder; give a YAML file of options")
    with file.open("rb") as stream:
        content = stream.read(LARGEST + 1)
    if len(content) > LARGEST:
        raise ValueError(f"{called} is larger than 1 MiB, which is no file of options")
    try:
        node = yaml.compose(content.decode("utf-8-sig"), yaml.SafeLoader)
        if node is None:
            return []
        if not isinstance(node, yaml.MappingNode):
            raise ValueError(f"{called} must hold lines such as `max-steps: 100`, one an option")
        _check_size(node, called)
        return list(_pairs(node, called))
    except UnicodeDecodeError as error:
        raise ValueError(f"{called} is not UTF-8 text ({error.reason} at byte {error.start})") from error
    except yaml.YAMLError as error:
        raise ValueError(f"{called} is not YAML: {' '.join(str(error).split())}") from error
    except RecursionError as error:
        raise ValueError(f"{called} is nested too deeply for a file of options") from error


def as_text(value: Any) -> str:  # noqa: ANN401 - what YAML holds
    """A value from YAML as a command line has it."""
    if value is None:
        return "null"
    if isinstance(value, (bool, list, dict)):
        return json.dumps(value, default=str)
    return str(value)


def _pairs(node: yaml.MappingNode, called: str, place: str = "") -> Iterator[tuple[str, Any]]:
    said = set()
    for key, value in node.value:
        if not isinstance(key, yaml.ScalarNode):
            raise ValueError(f"{called} has a line whose option is no name")
        name = f"{place}{key.value}"
        if name.replace("-", "_") in said:
            raise ValueError(f"{called} sets {name} twice")
        said.add(name.replace("-", "_"))
        if isinstance(value, yaml.MappingNode):
            yield name, Nested(list(_pairs(value, called, f"{name}.")), _constructed(value, called))
        else:
            yield name, _constructed(value, called)


def _constructed(node: yaml.Node, called: str) -> Any:  # noqa: ANN401 - what YAML holds
    loader = yaml.SafeLoader("")
    try:
        return loader.construct_document(node)
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError) as error:
        # YAML takes 2001-13-45 for a date, and `!!int x` for a number.
        line = node.start_mark.line + 1
        raise ValueError(
            f"{called}, line {line}: a value is none of the kind that YAML takes it for ({error}); put it in "
            "quotes"
        ) from error


def _check_size(root: yaml.Node, called: str) -> None:
    """Count nodes as often as aliases repeat them, and stop before they are too many."""
    waiting, seen = [root], 0
    while waiting:
        node = waiting.pop()
        seen += 1
        if seen > MOST_VALUES:
            raise ValueError(
                f"{called} unfolds to more than {MOST_VALUES:,} values; write them without aliases"
            )
        if isinstance(node, yaml.MappingNode):
            waiting += [part for pair in node.value for part in pair]
        elif isinstance(node, yaml.SequenceNode):
            waiting += node.value
