"""tests/run looks at the disk before it installs anything."""

import os
import subprocess
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parent / "run"
# What a command line prints; MB free on the project's disk and on the one of temporary files.
FAKES = {
    "df": """echo head; case "$2" in {temporary}) echo {other} 0 0 $(({second} * 1024)) 1% {mount};;
        *) echo here 0 0 $(({first} * 1024)) 1% /;; esac""",
    # As for a folder that is not there.
    "du": "[ {installed} -gt 0 ] || exit 1; echo $(({installed} * 1024)) .venv",
    "dpkg": "exit 0",
    "python3.11": "echo installs >&2; exit 7",
}


def run(tmp_path: Path, *, first: int, second: int | None = None, installed: int = 0) -> tuple[int, str]:
    """The exit status and what was said, on disks with so many MB free; a second one holds TMPDIR."""
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    fields = {
        "temporary": temporary, "installed": installed, "first": first,
        "other": "here" if second is None else "there", "mount": "/" if second is None else "/there",
        "second": first if second is None else second,
    }  # fmt: skip
    for name, text in FAKES.items():
        (tmp_path / name).write_text(f"#!/bin/sh\n{text.format(**fields)}\n")
        (tmp_path / name).chmod(0o755)
    environment = os.environ | {"PATH": f"{tmp_path}:{os.environ['PATH']}", "TMPDIR": str(temporary)}
    done = subprocess.run(["bash", str(SCRIPT)], capture_output=True, text=True, env=environment, check=False)
    return done.returncode, done.stderr


@pytest.mark.parametrize(
    ("disks", "needed"),
    [
        ({"first": 12_000}, 12_400),
        ({"first": 3_000, "installed": 8_000}, 4_400),
        ({"first": 8_000, "second": 90_000}, 8_400),
        ({"first": 90_000, "second": 3_000}, 4_000),
        ({"first": 100, "installed": 9_000}, 4_000),
    ],
)
def test_a_disk_that_is_too_full_is_named_before_anything_is_installed(
    tmp_path: Path, disks: dict[str, int], needed: int
) -> None:
    status, said = run(tmp_path, **disks)
    assert status == 2
    assert said.startswith("error: the disk of ")
    assert said.endswith(
        f" MB free, tests/run needs {needed} there; free some, or let TMPDIR name a folder on another disk\n"
    )
    assert said.count("\n") == 1


@pytest.mark.parametrize(
    "disks",
    [{"first": 12_400}, {"first": 4_400, "installed": 8_000}, {"first": 8_400, "second": 4_000}],
)
def test_with_enough_room_it_goes_on(tmp_path: Path, disks: dict[str, int]) -> None:
    assert run(tmp_path, **disks) == (7, "installs\n")
