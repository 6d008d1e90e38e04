"""Whether the quick tests pass with the lowest versions that pyproject.toml allows.

    python -m benchmarks.lowest_versions --environment DIR

Makes an environment (Python 3.11) in which every package that pyproject.toml names has the lowest version
that it allows, and what those need the newest one that fits (`uv pip compile --resolution lowest-direct`);
installs this checkout into it and runs the quick tests. Extras that pin torch to one version are left out.
Deprecation warnings, which old releases give among newer ones, are no errors here; all else is as in
`pytest`. Downloads about 4 GB. An environment that is there is brought up to date. Writes
benchmarks/lowest_versions.md.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import NamedTuple
from xml.etree import ElementTree

from packaging.requirements import Requirement
from packaging.version import Version

from evaluation.reporting.provenance import machine

ROOT = Path(__file__).resolve().parents[1]
REPORT = Path(__file__).with_suffix(".md")
PYTHON = "3.11"
LEFT_OUT = {"pytorch3d", "facenet", "all"}
IGNORED = ("ignore::DeprecationWarning",)


class Outcome(NamedTuple):
    """What the tests gave: counts, and the names of those that failed."""

    passed: int
    skipped: int
    failed: list[str]


def main(arguments: Sequence[str] | None = None) -> int:
    """Install, test, write the report; the exit status is 1 where a test failed."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--environment", type=Path, help="its folder; a temporary one by default")
    parser.add_argument("--nice", type=int, default=0, help="how much other work goes first")
    options = parser.parse_args(arguments)
    os.nice(options.nice)
    with tempfile.TemporaryDirectory() as temporary:
        folder = (options.environment or Path(temporary) / "environment").absolute()
        versions = install(folder)
        outcome = run_tests(folder, Path(temporary) / "tests.xml")
    REPORT.write_text(report(requirements(), versions, outcome), encoding="utf-8")
    print(f"{outcome.passed:,} passed, {outcome.skipped:,} skipped, {len(outcome.failed):,} failed; {REPORT}")
    return 1 if outcome.failed else 0


def requirements() -> list[Requirement]:
    """What pyproject.toml names, extras included, but for what is left out."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = [names for extra, names in project["optional-dependencies"].items() if extra not in LEFT_OUT]
    named = [*project["dependencies"], *(name for names in extras for name in names)]
    return sorted(map(Requirement, named), key=lambda requirement: requirement.name.lower())


def install(folder: Path) -> dict[str, str]:
    """Bring the environment to the lowest versions; returns the version of every package in it."""
    if not (folder / "bin" / "python").exists():
        subprocess.run([f"python{PYTHON}", "-m", "venv", folder], check=True)
    tools = folder / "tools"  # apart from what is tested
    python = folder / "bin" / "python"
    subprocess.run(
        [python, "-m", "pip", "install", "--quiet", "--target", tools, "--upgrade", "uv"], check=True
    )
    uv, pins = tools / "bin" / "uv", folder / "lowest.txt"
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    wanted = [f"--extra={extra}" for extra in extras["optional-dependencies"] if extra not in LEFT_OUT]
    compiled = [uv, "pip", "compile", "--quiet", "--resolution=lowest-direct", f"--python-version={PYTHON}"]
    subprocess.run([*compiled, *wanted, ROOT / "pyproject.toml", f"--output-file={pins}"], check=True)
    subprocess.run([uv, "pip", "sync", "--quiet", f"--python={python}", pins], check=True)
    own = [uv, "pip", "install", "--quiet", f"--python={python}", "--no-deps", "--editable", ROOT]
    subprocess.run(own, check=True)
    lines = pins.read_text(encoding="utf-8").splitlines()
    pairs = [line.split("==") for line in lines if "==" in line and not line.lstrip().startswith("#")]
    return {name.lower(): version.split()[0] for name, version in pairs}


def run_tests(folder: Path, results: Path) -> Outcome:
    """Run the quick tests in the environment, on one thread each."""
    command = [folder / "bin" / "python", "-m", "pytest", "-q", f"--junit-xml={results}"]
    warnings = [f"-W={each}" for each in IGNORED]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    environment.pop("PYTHONPATH", None)
    subprocess.run([*command, *warnings], cwd=ROOT, env=environment, check=False)
    cases = list(ElementTree.parse(results).getroot().iter("testcase"))
    outcomes = {f"{case.get('classname')}::{case.get('name')}": {part.tag for part in case} for case in cases}
    failed = [name for name, parts in outcomes.items() if parts & {"failure", "error"}]
    skipped = sum("skipped" in parts for parts in outcomes.values())
    return Outcome(len(outcomes) - len(failed) - skipped, skipped, failed)


def report(named: Sequence[Requirement], versions: dict[str, str], outcome: Outcome) -> str:
    """The outcome and the versions as Markdown."""
    of = machine()
    lines = [
        "# Lowest versions", "",
        "`python -m benchmarks.lowest_versions`: the quick tests with the lowest version that pyproject.toml "
        f"allows of every package that it names, and the newest one of what those need. Python {PYTHON}, "
        f"{of['system']}, {of['processor']}, {of['cores']} cores, {date.today():%Y-%m-%d}. Extras left out, "
        f"since they pin torch to one newer version: {', '.join(sorted(LEFT_OUT - {'all'}))}.", "",
        f"{outcome.passed:,} passed, {outcome.skipped:,} skipped, {len(outcome.failed):,} failed.", "",
        *(f"- failed: `{name}`" for name in outcome.failed), *([""] if outcome.failed else []),
        "| package | allowed | tested |", "|---|---|---|",
    ]  # fmt: skip
    for requirement in named:
        version = versions[requirement.name.lower().replace("_", "-")]
        lowest = [each.version for each in requirement.specifier if each.operator in (">=", "==")]
        higher = "" if is_lowest(version, lowest) else " (higher: another package needs it)"
        lines.append(f"| {requirement.name} | {requirement.specifier} | {version}{higher} |")
    return "\n".join(lines) + "\n"


def is_lowest(version: str, lowest: Sequence[str]) -> bool:
    """Whether a version is the bound, or its first release that has files for this Python."""
    bound, found = Version(lowest[0]).release, Version(version).release
    return found[: len(bound)] == bound


if __name__ == "__main__":
    sys.exit(main())
