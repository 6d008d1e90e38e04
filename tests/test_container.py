"""What the Dockerfile says, which no test builds: no container engine is at hand."""

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]
LINES = (ROOT / "Dockerfile").read_text(encoding="utf-8").replace("\\\n", " ").splitlines()
STEPS = [line.split(None, 1) for line in LINES if line.strip() and not line.startswith("#")]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def places(word: str, content: str = "") -> list[int]:
    return [number for number, (key, text) in enumerate(STEPS) if key == word and content in text]


def test_it_starts_from_a_python_that_the_project_takes() -> None:
    (base,) = places("FROM")
    version = re.fullmatch(r"python:(3\.\d+)-slim", STEPS[base][1])[1]
    assert f"Programming Language :: Python :: {version}" in PROJECT["classifiers"]


def test_it_installs_the_cpu_s_torch_before_the_project_and_the_library_that_open3d_loads() -> None:
    (torch,), (project,) = (
        places("RUN", "torch --index-url"),
        places("RUN", "pip install --no-cache-dir -e ."),
    )
    (copied,) = places("COPY")
    assert torch < copied < project
    assert "https://download.pytorch.org/whl/cpu" in STEPS[torch][1]
    assert places("RUN", "libusb-1.0-0")
    assert "libusb-1.0-0" in (ROOT / "tests" / "run").read_text()


def test_it_runs_as_a_user_without_privileges_and_enters_by_the_project_s_own_command() -> None:
    (user,), (entry,), (made,) = places("USER"), places("ENTRYPOINT"), places("RUN", "useradd")
    assert made < user < entry
    assert STEPS[user][1] == "user"
    name = re.fullmatch(r'\["([\w-]+)"\]', STEPS[entry][1])[1]
    assert name in PROJECT["scripts"]


def test_what_is_built_or_private_stays_outside() -> None:
    ignored = set((ROOT / ".dockerignore").read_text().split())
    assert {".git/", ".venv/", "runs/", "wandb/"} <= ignored


def test_the_documented_start_is_the_readme_s_first_command() -> None:
    page = (ROOT / "docs" / "installation.md").read_text(encoding="utf-8").replace("\\\n", " ")
    arguments = re.search(r"^docker run .* morphable-faces\s+reconstruct (.*)$", page, re.MULTILINE)[1]
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert f"python evaluation/reconstruct.py {' '.join(arguments.split())}\n" in readme
