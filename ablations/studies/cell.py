"""Works through one cell of a study: its training run, then its evaluations, each a process of its own.

    python ablations/studies/cell.py PLAN

Started by factorial.py, on this machine or by SLURM. It goes on where an earlier start stopped: what has its
results is not started again, and run.py continues by itself. It ends with whoever started it.
"""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from lightning_modules.plain.files import write_whole
from lightning_modules.plain.json_content import read_json
from lightning_modules.plain.one_at_a_time import one_at_a_time

PLAN, STATE, LOG, LOCK = "plan.json", "state.json", "log.txt", "lock"
FINISHED, FAILED, INTERRUPTED = "finished", "failed", "interrupted"
STATUS_FAILED, STATUS_INTERRUPTED = 1, 130
STATE_SCHEMA = {
    "type": "object",
    "required": ["state", "seconds"],
    "properties": {
        "state": {"type": "string"},
        "seconds": {"type": "object", "additionalProperties": {"type": "number"}},
        "reason": {"type": "string"},
    },
}
SECONDS_BETWEEN_LOOKS, SECONDS_TO_STOP = 0.2, 120.0


def main(argv: Sequence[str] | None = None) -> int:
    """The exit status: 0, 1 where a step failed, 130 where it was interrupted."""
    (plan,) = sys.argv[1:] if argv is None else argv
    stopped: list[int] = []
    for kind in (signal.SIGTERM, signal.SIGINT):
        signal.signal(kind, lambda number, _: stopped.append(number))
    starter = os.getppid()
    # A starter that was killed outright cannot say so: then this process belongs to another.
    return work_through(Path(plan), lambda: bool(stopped) or os.getppid() != starter)


def work_through(plan: Path, must_stop: Callable[[], bool]) -> int:
    """Do the plan's steps in order; the exit status.

    Args:
        plan: a file; its folder is the cell's. It holds `steps`: each a `name`, a `command`, and the file
            `results` (relative to the folder) which says that the step is finished.
        must_stop: asked again and again.
    """
    folder = plan.parent
    # An earlier starter may have left one that is about to end.
    with one_at_a_time(folder / LOCK, "works on the same cell"):
        steps = json.loads(plan.read_text(encoding="utf-8"))["steps"]
        seconds = read_state(folder).get("seconds", {})
        for step in steps:
            if (folder / step["results"]).is_file():
                continue
            begun = time.monotonic()
            status = run_step(step["command"], folder / LOG, must_stop)
            seconds[step["name"]] = seconds.get(step["name"], 0.0) + time.monotonic() - begun
            if must_stop() or status == STATUS_INTERRUPTED:
                write_state(folder, INTERRUPTED, seconds)
                return STATUS_INTERRUPTED
            if not (folder / step["results"]).is_file():
                reason = f"{step['name']} ended with status {status}: {last_line(folder / LOG)}"
                write_state(folder, FAILED, seconds, reason)
                return STATUS_FAILED
        write_state(folder, FINISHED, seconds)
    return 0


def run_step(command: Sequence[str], log: Path, must_stop: Callable[[], bool]) -> int:
    """The exit status of a command, whose output is appended to a log; stopped gently when that is asked."""
    with log.open("ab") as stream:
        process = subprocess.Popen(command, stdout=stream, stderr=subprocess.STDOUT)
        until = None
        while process.poll() is None:
            if until is None and must_stop():
                process.terminate()
                until = time.monotonic() + SECONDS_TO_STOP
            if until is not None and time.monotonic() > until:
                process.kill()
            time.sleep(SECONDS_BETWEEN_LOOKS)
    return process.returncode


def last_line(log: Path) -> str:
    """What was said last."""
    lines = log.read_text(encoding="utf-8", errors="replace").split("\n")
    return next((line.strip() for line in reversed(lines) if line.strip()), "it said nothing")


def read_state(folder: Path) -> dict[str, Any]:
    """What is known of a cell: `state`, `seconds` of each step over all starts, and `reason` of a failure."""
    file = folder / STATE
    try:
        return read_json(file, STATE_SCHEMA) if file.is_file() else {}
    except ValueError:  # damaged: then nothing is known of it
        return {}


def write_state(folder: Path, state: str, seconds: dict[str, float], reason: str | None = None) -> None:
    """Note it; a reader sees the old state or the new one."""
    document = {"state": state, "seconds": seconds} | ({} if reason is None else {"reason": reason})
    write_whole(folder / STATE, json.dumps(document, indent=2) + "\n")


if __name__ == "__main__":
    sys.exit(main())
