"""Every evaluation command with its real networks on a GPU; other tests run each on the CPU."""

import json
import math
import shlex
import shutil
from pathlib import Path

import pytest

from benchmarks.same_results import COMMANDS, Side, make_inputs
from tests.devices import CUDA

ROOT = Path(__file__).resolve().parents[2]
# Those that take a device, in an order in which each finds what it reads.
NAMES = [name for name, line in COMMANDS.items() if line.startswith("evaluation/") and name != "validity"]
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def side(tmp_path_factory: pytest.TempPathFactory) -> Side:
    """Folders for this checkout's commands, with the inputs that the first of them makes."""
    folder = tmp_path_factory.mktemp("commands")
    side = Side("before", ROOT, folder)
    for part in (side.results, side.home, folder / "logs"):
        part.mkdir()
    make_inputs(side, folder / "inputs", "once")
    return side


@pytest.mark.parametrize("device", [CUDA])
@pytest.mark.parametrize("name", NAMES)
def test_a_command_works_on_a_device(side: Side, name: str, device: str) -> None:
    check(side, name, device)


def check(side: Side, name: str, device: str) -> None:
    """Run a command of the miniature comparisons on a device."""
    output = side.results / name
    shutil.rmtree(output, ignore_errors=True)
    output.mkdir()
    line = COMMANDS[name].format(
        inputs=side.folder / "inputs", results=side.results, output=output, cache=side.folder / "cache"
    )
    program, *arguments = shlex.split(line)
    status = side.run([str(ROOT / program), *arguments, "--device", device], side.log(name))
    said = side.log(name).read_text()
    assert status <= 1, said
    assert (f"device: {device}:0" in said) == (device == "cuda")
    for file in output.rglob("results.json"):
        rows = json.loads(file.read_text())["rows"]
        assert rows
        assert all(row["value"] is None or math.isfinite(row["value"]) for row in rows)
    assert any(output.rglob("*"))
