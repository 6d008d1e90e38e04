"""What W&B has on this disk of a run: which runs a folder holds, and up to which step each name was logged.

W&B keeps a log of everything that a run sends, offline and online: LevelDB's format, each record a protocol
buffer. `wandb leet inspect` prints the same.
"""

import json
import re
import struct
import zlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

FILE_HEADER, BLOCK, RECORD_HEADER = 7, 32768, 7
WHOLE, FIRST, LAST = 1, 2, 4  # kinds of a record's parts
STEP = "trainer/global_step"  # as Lightning names it
FIRST_PART = "first_part"  # in a run's configuration: the id of the run that it continues
FOLDER = re.compile(r"(?P<mode>offline-)?run-(?P<time>\d{8}_\d{6})-(?P<identifier>[\w-]+)")


@dataclass(frozen=True)
class LocalRun:
    """One start of a run, as W&B wrote it to the disk.

    Attributes:
        identifier: of the run at W&B.
        first_part: the identifier of the run that it continues; its own where it continues none, or where its
            file does not say.
        waits: whether it was written offline, and not sent since.
        last_steps: the last step at which each name was logged.
        begun: whether its file says what run it is; of one that was killed early nothing may be written yet.
    """

    identifier: str
    first_part: str
    waits: bool
    last_steps: Mapping[str, int]
    begun: bool = True


def local_runs(folder: Path) -> list[LocalRun]:
    """What lies below a run's folder, the earliest start first."""
    found = []
    for path in folder.glob("wandb/*run-*/run-*.wandb"):
        name = FOLDER.fullmatch(path.parent.name)
        if name is not None and path.is_file():  # at a pipe a reader would wait for ever
            found.append((name["time"], path.stat().st_mtime_ns, name["mode"] is not None, path))
    return [read_local_run(path, offline=offline) for _, _, offline, path in sorted(found)]


def last_steps(runs: Iterable[LocalRun]) -> dict[str, int]:
    """The last step at which each name was logged in any of several runs."""
    steps: dict[str, int] = {}
    for run in runs:
        for name, step in run.last_steps.items():
            steps[name] = max(step, steps.get(name, step))
    return steps


def read_local_run(file: Path, *, offline: bool) -> LocalRun:
    """One file's run; of one that was cut off or damaged, what is whole of it."""
    from google.protobuf.message import DecodeError
    from wandb.proto.wandb_internal_pb2 import Record  # type: ignore[attr-defined]  # chosen at run time by protobuf's version

    identifier = file.stem.removeprefix("run-")
    first_part, steps, begun = identifier, dict[str, int](), False
    for content in records(file.read_bytes()):
        try:
            record = Record.FromString(content)
            kind = record.WhichOneof("record_type")
            if kind == "run":
                first_part = str(values_of(record.run.config.update).get(FIRST_PART, first_part))
                begun = True
            elif kind == "history":
                row = values_of(record.history.item)
                if isinstance(step := row.get(STEP), int | float):
                    steps |= {name: int(step) for name in row if not name.startswith("_")}
        except (DecodeError, ValueError, OverflowError):
            continue
    waits = offline and not file.with_name(f"{file.name}.synced").exists()
    return LocalRun(identifier, first_part, waits, steps, begun)


def records(content: bytes) -> Iterator[bytes]:
    """The whole records of a file of W&B's; what fits no checksum ends its block, as LevelDB reads it."""
    place = FILE_HEADER
    parts: bytes | None = None
    while place + RECORD_HEADER <= len(content):
        left = BLOCK - place % BLOCK
        if left < RECORD_HEADER:
            place += left
            continue
        checksum, length, kind = struct.unpack("<IHB", content[place : place + RECORD_HEADER])
        part = content[place + RECORD_HEADER : place + RECORD_HEADER + length]
        if len(part) < length or zlib.crc32(bytes([kind]) + part) != checksum:
            place, parts = place + left, None
            continue
        place += RECORD_HEADER + length
        if kind in (WHOLE, FIRST):
            parts = b""
        if parts is None:  # what it goes on from was damaged
            continue
        parts += part
        if kind in (WHOLE, LAST):
            yield parts
            parts = None


def values_of(items: Iterable[Any]) -> dict[str, Any]:
    """Values by name; of a nested one only that it is there."""
    return {
        item.nested_key[0] if item.nested_key else item.key: None
        if len(item.nested_key) > 1
        else json.loads(item.value_json)
        for item in items
    }
