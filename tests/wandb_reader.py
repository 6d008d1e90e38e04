"""What W&B's own reader, `wandb leet inspect`, finds in the files that it wrote to the disk."""

import json
import os
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any, NamedTuple

import pytest

STEP = "trainer/global_step"


class ReadRun(NamedTuple):
    """One start of a run.

    Attributes:
        identifier: of the run.
        run: its first record: group, job type, display name, configuration.
        rows: of the history, flat.
        exit_code: with which it ended; None of one that did not.
        alerts: title, text and level of each.
        metrics: how each is summarised.
        summary: as it was at the end, flat.
        deprecated: names of deprecated features that were used.
    """

    identifier: str
    run: dict[str, Any]
    rows: list[dict[str, Any]]
    exit_code: int | None
    alerts: list[dict[str, Any]]
    metrics: dict[str, Any]
    summary: dict[str, Any]
    deprecated: set[str]

    def steps(self) -> Counter[tuple[str, int]]:
        """How often each name was logged at each step of training."""
        return Counter(
            (name, row[STEP]) for row in self.rows if STEP in row for name in row if not name.startswith("_")
        )


def by_agent(monkeypatch: pytest.MonkeyPatch, identifier: str) -> None:
    """What an agent of a sweep puts into the environment of the runs that it starts."""
    import wandb

    wandb.teardown()  # what this process has read of the environment before
    monkeypatch.setenv("WANDB_SWEEP_ID", "sweep1")
    monkeypatch.setenv("WANDB_RUN_ID", identifier)


def read_runs(folder: Path) -> list[ReadRun]:
    """All starts below a run's folder, the earliest first."""
    return [read_run(file) for file in files_of(folder)]


def files_of(folder: Path) -> list[Path]:
    """What W&B wrote of all starts below a run's folder, the earliest first."""
    return sorted(folder.glob("wandb/*run-*/run-*.wandb"), key=lambda file: file.stat().st_mtime_ns)


def read_run(file: Path) -> ReadRun:
    """A run that has ended; its last records may be written a little later than that."""
    program = "import sys; from wandb.cli.cli import cli; sys.exit(cli())"
    records: list[dict[str, Any]] = []
    for _ in range(50):
        printed = subprocess.run(
            [sys.executable, "-c", program, "leet", "inspect", "--json", str(file)],
            check=True, capture_output=True, text=True, env=os.environ | {"WANDB_MODE": "offline"},
        ).stdout  # fmt: skip
        records = [json.loads(line) for line in printed.splitlines()]
        if any(record["type"] == "exit" for record in records):
            break
        time.sleep(0.2)
    of: dict[str, list[dict[str, Any]]] = {}
    for record in records:
        of.setdefault(record["type"], []).append(record[record["type"]])
    (run,) = of["run"]
    codes = [end.get("exit_code", 0) for end in of.get("exit", [])]
    summary: dict[str, Any] = {}
    for change in of.get("summary", []):
        summary |= change.get("update", {})
    deprecated = {name for one in of.get("telemetry", []) for name in one.get("deprecated", {})}
    return ReadRun(
        file.stem.removeprefix("run-"),
        run,
        [row["item"] for row in of.get("history", [])],
        codes[0] if codes else None,
        of.get("alert", []),
        {one["name"]: one.get("summary", {}) for one in of.get("metric", []) if "name" in one},
        summary,
        deprecated,
    )
