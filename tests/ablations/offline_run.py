"""Reads what W&B wrote offline: a log of records in LevelDB's format, each a protocol buffer."""

import json
import struct
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

HEADER, BLOCK = 7, 32768


class OfflineRun(NamedTuple):
    """One run's offline files.

    Attributes:
        about: id, group, job type, tags, display name.
        configuration: as it was set.
        history: rows that were logged, nested values as they were written.
        summary: the last value of each name, set ones included.
        artifacts: by name, the files' names.
    """

    about: dict[str, Any]
    configuration: dict[str, Any]
    history: list[dict[str, Any]]
    summary: dict[str, Any]
    artifacts: dict[str, list[str]]


def records(file: Path) -> Iterator[bytes]:
    content = file.read_bytes()
    assert content[:4] == b":W&B"
    place, parts = HEADER, b""
    while place + 7 <= len(content):
        left = BLOCK - place % BLOCK
        if left < 7:
            place += left
            continue
        _, length, kind = struct.unpack("<IHB", content[place : place + 7])
        parts += content[place + 7 : place + 7 + length]
        place += 7 + length
        if kind in (1, 4):  # whole, or a last part
            yield parts
            parts = b""


def read_offline_run(file: Path) -> OfflineRun:
    """A run that has ended; its last record may be written a little later than that."""
    from wandb.proto.wandb_internal_pb2 import Record

    for _ in range(100):
        found = [Record.FromString(content) for content in records(file)]
        if found and found[-1].WhichOneof("record_type") == "exit":
            break
        time.sleep(0.2)
    about, configuration, history, summary, artifacts = {}, {}, [], {}, {}
    for record in found:
        kind = record.WhichOneof("record_type")
        if kind == "run":
            run = record.run
            about = {
                "id": run.run_id,
                "group": run.run_group,
                "job_type": run.job_type,
                "tags": list(run.tags),
                "name": run.display_name,
            }
            configuration |= _items(run.config.update)
        elif kind == "config":
            configuration |= _items(record.config.update)
        elif kind == "history":
            history.append(_items(record.history.item))
        elif kind == "summary":
            for name, value in _items(record.summary.update).items():
                summary[name] = summary[name] | value if isinstance(summary.get(name), dict) else value
        elif kind == "artifact":
            names = [entry.path for entry in record.artifact.manifest.contents]
            artifacts[record.artifact.name] = sorted(names)
    return OfflineRun(about, configuration, history, summary, artifacts)


def _items(items: Iterable[Any]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for item in items:
        *outer, last = item.nested_key or [item.key]
        place = values
        for name in outer:
            place = place.setdefault(name, {})
        place[last] = json.loads(item.value_json)
    return values
