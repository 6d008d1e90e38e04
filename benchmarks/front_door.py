"""Runs the README's three commands as they stand there, with empty caches, and says how long each takes.

    python -m benchmarks.front_door

They run in a temporary folder with links to the repository's own files, and with its own caches, so that
nothing of an earlier run helps. Writes benchmarks/front_door.md; fails if a command does.
"""

import argparse
import os
import re
import resource
import shlex
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from evaluation.reporting.provenance import machine
from lightning_modules.plain.files import written_atomically

ROOT = Path(__file__).resolve().parents[1]
HEADING, RESULTS = "## Three commands", "runs"


def main(arguments: list[str] | None = None) -> None:
    """Run, measure, write."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--output", type=Path, default=Path(__file__).with_suffix(".md"))
    file = parser.parse_args(arguments).output
    commands = commands_of((ROOT / "README.md").read_text(encoding="utf-8"))
    lines = [
        "# The README's three commands",
        "",
        f"`python -m benchmarks.front_door`, one after the other, from empty caches; {described()}.",
        "",
        "| command | wall time, s | processor time, s |",
        "|---|---:|---:|",
    ]
    with tempfile.TemporaryDirectory() as folder:
        for entry in ROOT.iterdir():
            if entry.name != RESULTS:
                (Path(folder) / entry.name).symlink_to(entry)
        for command in commands:
            wall, processor = times_of(command, Path(folder))
            lines.append(f"| `{command}` | {wall:.0f} | {processor:.0f} |")
    with written_atomically(file) as temporary:
        temporary.write_text("\n".join([*lines, ""]), encoding="utf-8")
    print("\n".join(lines))


def described() -> str:
    """The machine, and how busy it was before."""
    own = machine()
    return f"{own['cores']} cores of {own['processor']}, load {os.getloadavg()[0]:.1f} before the start"


def commands_of(readme: str) -> list[str]:
    """The lines of the first block below the heading."""
    below = readme[readme.index(HEADING) :]
    return re.search(r"^```\n(.*?)^```$", below, re.MULTILINE | re.DOTALL)[1].splitlines()


def times_of(command: str, folder: Path) -> tuple[float, float]:
    """Wall and processor time in seconds of a command that runs in a folder.

    Raises:
        subprocess.CalledProcessError: if it fails.
    """
    caches = {"XDG_CACHE_HOME": str(folder / "caches"), "NUMBA_CACHE_DIR": str(folder / "caches" / "numba")}
    program, *arguments = shlex.split(command)
    assert program == "python", command
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run([sys.executable, *arguments], cwd=folder, env=os.environ | caches, check=True)
    wall, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    return wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


if __name__ == "__main__":
    main()
