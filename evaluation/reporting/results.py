"""results.json: what a command measured, checked against its schema on every write and read."""

import json
import math
from collections.abc import Mapping, Sequence
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jsonschema import Draft202012Validator
from jsonschema.exceptions import best_match
from torch import Tensor

from lightning_modules.plain.files import write_whole
from lightning_modules.plain.output_folder import OutputFolder
from lightning_modules.plain.quotations import shortened

RESULTS, STARTED = "results.json", "started.json"
# The reason of a row whose data set is absent: nothing failed.
NOT_MEASURED = "not measured"
# What the reason of a difference begins with that groups are too small for: likewise.
NOT_COMPARED = "not compared"
SCHEMA_VERSION = 1
# Of what a schema's check says, which quotes the whole value that is wrong.
LONGEST_MESSAGE = 300


class Row(NamedTuple):
    """One number of a table.

    Attributes:
        method: what was scored.
        protocol: data set and way of measuring.
        metric: what was measured.
        unit: such as mm, share (of 1), similarity, degrees, count.
        value: None or NaN where there is none.
        sd: its spread: the standard deviation over items, or the standard error where the command says so.
        interval: lower and upper bound.
        n: how many items the value is made of.
        quoted: whether it is copied from a publication.
        reason: why there is no value.
    """

    method: str
    protocol: str
    metric: str
    unit: str
    value: float | None
    sd: float | None = None
    interval: tuple[float, float] | None = None
    n: int | None = None
    quoted: bool = False
    reason: str | None = None

    def as_dict(self) -> dict[str, Any]:
        """As in results.json: what is not finite becomes null, a value's null with its reason."""
        value, reason = _finite(self.value), self.reason
        if value is None and reason is None and self.value is not None:
            reason = f"the computation gave {float(self.value)}"
        interval = None if self.interval is None else [_finite(bound) for bound in self.interval]
        return {
            "method": self.method,
            "quoted": self.quoted,
            "protocol": self.protocol,
            "metric": self.metric,
            "unit": self.unit,
            "value": value,
            "sd": _finite(self.sd),
            "interval": None if interval is None or None in interval else interval,
            "n": self.n,
        } | ({} if reason is None else {"reason": reason})


class Counts(NamedTuple):
    """What became of the items.

    Attributes:
        total: items that were asked for.
        used: items that the rows are made of.
        failed: how many failed, by reason.
    """

    total: int
    used: int
    failed: Mapping[str, int]


class Results(NamedTuple):
    """All that results.json holds.

    Attributes:
        command: its name, such as verification.
        title: of tables and figures; begins with STAND-IN where `stand_in`.
        settings: every setting that the result depends on.
        counts: of the items.
        rows: the numbers.
        provenance: see `provenance.provenance`.
        stand_in: whether a synthetic data set stands in for a real one.
    """

    command: str
    title: str
    settings: Mapping[str, Any]
    counts: Counts
    rows: Sequence[Row]
    provenance: Mapping[str, Any]
    stand_in: bool = False

    def as_dict(self) -> dict[str, Any]:
        """As in results.json: strings, numbers, lists and dictionaries only.

        Raises:
            ValueError: if a setting or a provenance entry is not finite.
        """
        return plain(
            {
                "schema": SCHEMA_VERSION,
                "command": self.command,
                "stand_in": self.stand_in,
                "title": self.title,
                "provenance": self.provenance,
                "settings": self.settings,
                "counts": self.counts._asdict(),
                "rows": [row.as_dict() for row in self.rows],
            }
        )

    @classmethod
    def from_dict(cls, document: Mapping[str, Any]) -> "Results":
        """The results that `as_dict` gave."""
        return cls(
            document["command"],
            document["title"],
            document["settings"],
            Counts(**document["counts"]),
            [
                Row(**row | {"interval": None if row["interval"] is None else tuple(row["interval"])})
                for row in document["rows"]
            ],
            document["provenance"],
            document["stand_in"],
        )


def write_results(results: Results, folder: OutputFolder) -> Path:
    """The results.json written into a folder, whole or not at all.

    Raises:
        ValueError: if the results do not follow the schema, or the counts do not add up.
    """
    document = results.as_dict()
    check(document)
    return write_whole(folder.claim(RESULTS), json.dumps(document, indent=2, ensure_ascii=False) + "\n")


def read_results(folder: Path) -> Results:
    """The results that lie in a folder.

    Raises:
        FileNotFoundError: if there are none.
        ValueError: if the file is no JSON or does not follow the schema.
    """
    file = folder / RESULTS
    document = _read(file)
    check(document, str(file))
    return Results.from_dict(document)


def finished_results(
    folder: Path, command: str, settings: Mapping[str, Any], *, overwrite: bool = False
) -> Results | None:
    """The results of the same command in its output folder; None where it has to start or to continue.

    Args:
        folder: the output folder, which need not exist.
        command: its name.
        settings: every setting that the result depends on.
        overwrite: start anew, whatever lies there.

    Raises:
        ValueError: if the folder holds finished or unfinished work of another command or other settings.
    """
    if overwrite:
        return None
    results = read_results(folder) if (folder / RESULTS).is_file() else None
    if results is not None:
        _check_same(folder / RESULTS, results.command, results.settings, command, settings)
    elif (folder / STARTED).is_file():
        _check_same(folder / STARTED, *_started(folder / STARTED), command, settings)
    return results


def settings_of_work(folder: Path, command: str) -> Mapping[str, Any]:
    """The settings of a command's finished or unfinished work in its output folder.

    Raises:
        FileNotFoundError: if there is none.
        ValueError: if it is another command's.
    """
    if (folder / RESULTS).is_file():
        results = read_results(folder)
        owner, settings = results.command, results.settings
    elif (folder / STARTED).is_file():
        owner, settings = _started(folder / STARTED)
    else:
        raise FileNotFoundError(f"{folder} holds no work of {command}.py: neither {RESULTS} nor {STARTED}")
    if owner != command:
        raise ValueError(
            f"{folder} belongs to the command {owner}, not {command}; name a folder of {command}.py"
        )
    return settings


def mark_started(folder: OutputFolder, settings: Mapping[str, Any]) -> None:
    """Note whose unfinished work a folder holds, and remove older results.

    For commands that continue: call it once their input is checked, before the first partial file.
    """
    folder.claim(RESULTS).unlink(missing_ok=True)
    document = plain({"command": folder.command, "settings": settings})
    write_whole(folder.claim(STARTED), json.dumps(document, indent=2, ensure_ascii=False) + "\n")


def default_output(command: str, settings: Mapping[str, Any]) -> Path:
    """The output folder where none is named: runs/<command>/<digest of the settings>."""
    digest = sha256(json.dumps(plain(settings), sort_keys=True).encode()).hexdigest()
    return Path("runs") / command / digest[:12]


def check(document: Mapping[str, Any], name: str = RESULTS) -> None:
    """Raise a ValueError if a document does not follow the schema, or its counts do not add up."""
    error = best_match(_validator().iter_errors(document))
    if error is not None:
        message = (
            error.message
            if len(error.message) <= LONGEST_MESSAGE
            else f"{error.message[:LONGEST_MESSAGE]} ..."
        )
        raise ValueError(f"{name} does not follow its schema at {error.json_path}: {message}")
    counts = document["counts"]
    if counts["total"] != counts["used"] + sum(counts["failed"].values()):
        raise ValueError(
            f"the counts of {name} do not add up: {counts['total']} in total, {counts['used']} used, failed "
            f"{counts['failed']}; give each item that is not used its reason"
        )


def plain(value: Any) -> Any:  # noqa: ANN401 - whatever settings hold
    """A value as it comes back from JSON: paths as strings, tuples and arrays as lists.

    Raises:
        ValueError: if a number is not finite.
    """
    return json.loads(json.dumps(value, default=_plain_object, allow_nan=False))


@cache
def _validator() -> Draft202012Validator:
    schema = json.loads(Path(__file__).with_name("results.schema.json").read_text(encoding="utf-8"))
    return Draft202012Validator(schema)


def settings_that_differ(found: Mapping[str, Any], wanted: Mapping[str, Any], within: str = "") -> list[str]:
    """What differs between settings, each in words; groups of settings are compared one by one.

    Args:
        found: as they were.
        wanted: as they are asked for.
        within: the group, with a full stop behind.
    """
    changed = []
    for name in sorted(found.keys() | wanted.keys()):
        before, now = found.get(name), wanted.get(name)
        if before == now and (name in found) == (name in wanted):
            continue
        if isinstance(before, Mapping) and isinstance(now, Mapping):
            changed += settings_that_differ(before, now, f"{within}{name}.")
        else:
            changed.append(f"{within}{name}: {shortened(repr(before))} there, {shortened(repr(now))} now")
    return changed


def _check_same(
    file: Path, found_command: str, found: Mapping, command: str, settings: Mapping[str, Any]
) -> None:
    wanted = plain(settings)
    if found_command != command:
        raise ValueError(
            f"{file} belongs to the command {found_command}, not {command}; name another --output"
        )
    if found != wanted:
        changed = ", ".join(settings_that_differ(found, wanted))
        raise ValueError(
            f"{file} was computed with other settings ({changed}); name another --output, or pass --overwrite"
        )


def _read(file: Path) -> Any:  # noqa: ANN401 - whatever the file holds
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        reason = "nested too deep" if isinstance(error, RecursionError) else error
        raise ValueError(f"{file} is not JSON ({reason}); remove it, or pass --overwrite") from error


def _started(file: Path) -> tuple[str, dict[str, Any]]:
    """The command and the settings that `mark_started` noted."""
    document = _read(file)
    if not _says_what_was_started(document):
        raise ValueError(
            f"{file} does not say what was started here: expected `command` and `settings`; remove it, or "
            "pass --overwrite"
        )
    return document["command"], document["settings"]


def _says_what_was_started(document: object) -> bool:
    """Whether a document is what `mark_started` writes."""
    if not isinstance(document, dict):
        return False
    return isinstance(document.get("command"), str) and isinstance(document.get("settings"), dict)


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None


def _plain_object(value: object) -> object:
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray | Tensor):
        return value.tolist()
    raise TypeError(f"{type(value).__name__} does not go into JSON; give a string, a number or a list")
