"""Cells whose steps are small programs of the test's own."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ablations.studies import cell

WRITES = "import pathlib, sys; pathlib.Path(sys.argv[1]).write_text('{}'); print('done')"
FAILS = "import sys; print('first'); sys.exit('the disk is full')"
# Says that it was asked to stop, as run.py does.
WAITS = (
    "import pathlib, signal, sys, time\n"
    "signal.signal(signal.SIGTERM, lambda *_: sys.exit(130))\n"
    "pathlib.Path(sys.argv[1]).write_text('')\n"
    "while True: time.sleep(.05)"
)


def write_plan(folder: Path, *programs: str) -> Path:
    folder.mkdir(exist_ok=True)
    steps = [
        {"name": f"step {n}", "command": [sys.executable, "-c", program, str(folder / f"{n}.json")],
         "results": f"{n}.json"}
        for n, program in enumerate(programs)
    ]  # fmt: skip
    (folder / cell.PLAN).write_text(json.dumps({"steps": steps}))
    return folder / cell.PLAN


def never() -> bool:
    return False


def test_steps_are_done_in_order_and_their_time_is_kept(tmp_path: Path) -> None:
    assert cell.work_through(write_plan(tmp_path, WRITES, WRITES), never) == 0
    state = cell.read_state(tmp_path)
    assert state["state"] == cell.FINISHED
    assert set(state["seconds"]) == {"step 0", "step 1"}
    assert (tmp_path / cell.LOG).read_text() == "done\ndone\n"


def test_what_is_finished_is_not_started_again(tmp_path: Path) -> None:
    plan = write_plan(tmp_path, FAILS, WRITES)
    (tmp_path / "0.json").write_text("kept")
    assert cell.work_through(plan, never) == 0
    assert (tmp_path / "0.json").read_text() == "kept"


def test_a_step_that_fails_ends_the_cell_with_its_last_words(tmp_path: Path) -> None:
    assert cell.work_through(write_plan(tmp_path, FAILS, WRITES), never) == 1
    state = cell.read_state(tmp_path)
    assert state["state"] == cell.FAILED
    assert state["reason"] == "step 0 ended with status 1: the disk is full"
    assert not (tmp_path / "1.json").exists()


def test_a_step_with_results_counts_though_its_status_tells_of_failed_items(tmp_path: Path) -> None:
    assert cell.work_through(write_plan(tmp_path, f"{WRITES}; sys.exit(1)"), never) == 0


def test_a_step_without_a_word_is_said_to_have_said_nothing(tmp_path: Path) -> None:
    cell.work_through(write_plan(tmp_path, "import sys; sys.exit(3)"), never)
    assert cell.read_state(tmp_path)["reason"] == "step 0 ended with status 3: it said nothing"


def wait_for(file: Path) -> None:
    until = time.monotonic() + 120
    while not file.exists() and time.monotonic() < until:
        time.sleep(0.05)
    assert file.exists()


def started(plan: Path) -> subprocess.Popen:
    return subprocess.Popen([sys.executable, cell.__file__, str(plan)])


def has_ended(plan: Path) -> bool:
    """Whether nobody works on the cell any more, or soon does not."""
    for _ in range(400):
        state = cell.read_state(plan.parent)
        if state:
            return state["state"] == cell.INTERRUPTED
        time.sleep(0.1)
    return False


def test_a_cell_that_is_asked_to_stop_stops_its_step(tmp_path: Path) -> None:
    plan = write_plan(tmp_path, f"{WAITS}")
    steps = json.loads(plan.read_text())
    steps["steps"][0]["results"] = "never.json"
    plan.write_text(json.dumps(steps))
    process = started(plan)
    wait_for(tmp_path / "0.json")
    process.send_signal(signal.SIGTERM)
    assert process.wait(60) == 130
    assert cell.read_state(tmp_path)["state"] == cell.INTERRUPTED


def test_a_cell_whose_starter_was_killed_stops(tmp_path: Path) -> None:
    plan = write_plan(tmp_path, f"{WAITS}")
    steps = json.loads(plan.read_text())
    steps["steps"][0]["results"] = "never.json"
    plan.write_text(json.dumps(steps))
    starter = (
        "import subprocess, sys, time\n"
        f"subprocess.Popen([sys.executable, {cell.__file__!r}, {str(plan)!r}], start_new_session=True)\n"
        "time.sleep(600)"
    )
    process = subprocess.Popen([sys.executable, "-c", starter])
    wait_for(tmp_path / "0.json")
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert has_ended(plan)


def test_a_second_starter_waits_for_what_the_first_left(tmp_path: Path) -> None:
    plan = write_plan(tmp_path, "import time; time.sleep(1)\n" + WRITES)
    first, second = started(plan), started(plan)
    assert (first.wait(120), second.wait(120)) == (0, 0)
    assert (tmp_path / cell.LOG).read_text() == "done\n"


@pytest.mark.parametrize("text", ["", "\n \n"])
def test_no_last_line(tmp_path: Path, text: str) -> None:
    (tmp_path / "log.txt").write_text(text)
    assert cell.last_line(tmp_path / "log.txt") == "it said nothing"
