"""What a number comes from: commit, versions, machine, networks, models."""

import os
import platform
import subprocess
from collections.abc import Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

PACKAGES = ("torch", "numpy", "scipy", "lightning", "numba", "opencv-python-headless", "pillow")


def provenance(*, packages: Sequence[str] = PACKAGES, **entries: object) -> dict[str, Any]:
    """The provenance of results: commit, versions, machine and `entries` (network, data, checkpoint)."""
    return {**entries, "commit": commit(), "versions": versions(packages), "machine": machine()}


def commit(file: Path = Path(__file__)) -> str | None:
    """The git commit of this code, "+dirty" with uncommitted changes in tracked files; None outside git.

    Args:
        file: of the code. A repository that does not track it (around an installed package, say) is not its.
    """
    tracked = _git(file.parent, "ls-files", "--error-unmatch", file.name)
    head = _git(file.parent, "rev-parse", "HEAD")
    if not tracked or not head:
        return None
    changes = _git(file.parent, "status", "--porcelain", "--untracked-files=no")
    return head + ("+dirty" if changes else "")


def versions(packages: Sequence[str] = PACKAGES) -> dict[str, str | None]:
    """The version of Python and of each package, None where it is not installed."""
    return {"python": platform.python_version()} | {name: _version(name) for name in packages}


def machine() -> dict[str, Any]:
    """Cores that this process may use, processor and system; nothing that tells whose machine it is."""
    affinity = getattr(os, "sched_getaffinity", None)
    return {
        "cores": len(affinity(0)) if affinity else os.cpu_count(),
        "processor": _processor(),
        "system": platform.system(),
    }


def network_entry(name: str, sha256: str) -> dict[str, str]:
    """A network by its name and its weight file's hash."""
    return {"name": name, "sha256": sha256}


def checkpoint_entry(name: str, sha256: str, content: Mapping[str, Any]) -> dict[str, Any]:
    """A checkpoint by its file's name and hash, and what it was trained with and on."""
    kept = ("stage", "commit", "training_data", "networks", "morphable_model")
    return {"name": name, "sha256": sha256} | {key: content[key] for key in kept if key in content}


def model_entry(
    kind: str, recipe_or_file: str | Path, sha256: str, *, components: dict[str, int]
) -> dict[str, Any]:
    """A morphable model by its kind, its recipe or file name (no folder), its hash and component counts."""
    name = recipe_or_file.name if isinstance(recipe_or_file, Path) else recipe_or_file
    return {"kind": kind, "recipe_or_file": name, "sha256": sha256, "components": dict(components)}


def _git(folder: Path, *arguments: str) -> str | None:
    """What git prints; None where it fails or is not installed."""
    try:
        done = subprocess.run(
            ["git", *arguments], cwd=folder, capture_output=True, text=True, check=False, timeout=60
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _processor(cpuinfo: Path = Path("/proc/cpuinfo")) -> str:
    lines = cpuinfo.read_text().splitlines() if cpuinfo.is_file() else []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, "") or platform.processor() or platform.machine()
