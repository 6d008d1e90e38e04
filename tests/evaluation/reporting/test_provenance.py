import os
import socket
import subprocess
from pathlib import Path

import pytest

from evaluation.reporting import provenance as module
from evaluation.reporting.provenance import commit, machine, model_entry, network_entry, provenance, versions


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """With one committed file."""
    # A hook may have named another repository.
    for name in [name for name in os.environ if name.startswith("GIT_")]:
        monkeypatch.delenv(name)
    (tmp_path / "code.py").write_text("1")
    for command in (
        ["init", "-q"],
        ["add", "."],
        [
            "-c",
            "user.name=n",
            "-c",
            "user.email=e@example.org",
            "commit",
            "-q",
            "--no-gpg-sign",
            "-m",
            "first",
        ],
    ):
        subprocess.run(["git", *command], cwd=tmp_path, check=True)
    return tmp_path


def test_commit_tells_uncommitted_changes(repository: Path) -> None:
    head = subprocess.run(["git", "rev-parse", "HEAD"], cwd=repository, capture_output=True, text=True)
    file = repository / "code.py"
    assert commit(file) == head.stdout.strip()
    (repository / "untracked").write_text("")
    assert commit(file) == head.stdout.strip()
    file.write_text("2")
    assert commit(file) == head.stdout.strip() + "+dirty"


def test_a_repository_around_installed_code_is_not_its(repository: Path) -> None:
    installed = repository / "site-packages" / "code.py"
    installed.parent.mkdir()
    installed.write_text("1")
    assert commit(installed) is None


def test_there_is_no_commit_outside_git_or_without_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    (tmp_path / "code.py").write_text("1")
    assert commit(tmp_path / "code.py") is None
    monkeypatch.setenv("PATH", str(tmp_path))
    assert commit() is None


def test_versions_name_what_is_missing() -> None:
    found = versions(["numpy", "no-such-package"])
    assert set(found) == {"python", "numpy", "no-such-package"}
    assert found["no-such-package"] is None
    assert found["numpy"][0].isdigit()


def test_machine_names_no_host() -> None:
    found = machine()
    assert found["cores"] >= 1
    assert found["processor"]
    assert socket.gethostname() not in found.values()


def test_processor_is_read_where_the_system_says_it(tmp_path: Path) -> None:
    (tmp_path / "cpuinfo").write_text("processor\t: 0\nmodel name\t: Fast: 3000\n")
    assert module._processor(tmp_path / "cpuinfo") == "Fast: 3000"
    assert module._processor(tmp_path / "absent")


def test_entries_stand_beside_commit_versions_and_machine() -> None:
    model = model_entry("basel", Path("/models/model2017.h5"), "cd" * 32, components={"shape": 80})
    found = provenance(network=network_entry("dlib", "ab" * 32), model=model)
    assert set(found) == {"network", "model", "commit", "versions", "machine"}
    assert found["network"] == {"name": "dlib", "sha256": "ab" * 32}
    assert found["model"]["recipe_or_file"] == "model2017.h5"
    assert model_entry("open", "anny-0.6.2", "ef", components={})["recipe_or_file"] == "anny-0.6.2"
