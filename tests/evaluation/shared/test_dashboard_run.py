from pathlib import Path
from types import SimpleNamespace

import pytest

from evaluation.reporting.results import Counts, Results, Row
from evaluation.shared.dashboard_run import numbers_of, publish
from lightning_modules import dashboard
from lightning_modules.plain.output_folder import OutputFolder
from tests.wandb_reader import read_runs

ROWS = [
    Row("ours", "LFW", "top-1", "share", 0.25),
    Row("ours", "LFW", "similarity", "similarity", None, reason="no face"),
    Row("Genova et al. 2018", "LFW", "top-1", "share", 0.16, quoted=True),
]
RESULTS = Results("clustering", "title", {}, Counts(1, 1, {}), ROWS, {"commit": None, "versions": {}})


class Run:
    id = "abc"

    def __init__(self) -> None:
        self.logged, self.summary = {}, {}

    def __enter__(self) -> "Run":
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def log(self, entries: dict) -> None:
        self.logged |= entries


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> dict:
    """What W&B was asked to start, and the run."""
    asked = {"run": Run()}

    def init(**options: object) -> Run:
        asked["options"] = options
        return asked["run"]

    wandb = SimpleNamespace(init=init, Image=lambda file: file, login=lambda prompt, verify: False)
    monkeypatch.delenv("WANDB_MODE", raising=False)
    monkeypatch.setattr(dashboard, "_wandb", lambda: wandb)
    return asked


def test_only_what_was_measured_is_sent() -> None:
    assert numbers_of(RESULTS) == {"ours, LFW/top-1": 0.25}


def test_numbers_and_figures_go_to_the_run_of_the_checkpoint(
    started: dict, tmp_path: Path, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WANDB_MODE", "online")
    folder = OutputFolder(tmp_path, "clustering")
    for name in ("cmc.png", "photographs/private.png"):
        folder.claim(name).write_bytes(b"")
    (tmp_path / "somebody.png").write_bytes(b"")  # which the command did not write
    line = publish(RESULTS, folder, {"wandb_id": "abc"}, "project")
    assert line == "added to the Weights & Biases run abc, that made the checkpoint"
    assert (started["options"]["id"], started["options"]["resume"]) == ("abc", "allow")
    assert started["options"]["mode"] is None
    assert capsys.readouterr().err == ""
    assert started["run"].logged == {"clustering/cmc": str(tmp_path / "cmc.png")}
    assert started["run"].summary == {"clustering/ours, LFW/top-1": 0.25}


@pytest.mark.parametrize(("mode", "waits"), [(None, False), ("offline", False), ("online", True)])
def test_offline_it_is_a_run_of_its_own_in_the_group_of_the_checkpoint_s(
    started: dict,
    tmp_path: Path,
    capsys: pytest.CaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
    mode: str | None,
    waits: bool,
) -> None:
    monkeypatch.delenv("WANDB_RUN_GROUP", raising=False)
    if mode is not None:
        monkeypatch.setenv("WANDB_MODE", mode)
    content = {"wandb_id": "first", "wandb_group": "no-loopback", "wandb_offline": waits}
    line = publish(RESULTS, OutputFolder(tmp_path, "clustering"), content, "project")
    assert line.endswith("run abc, of its own in the group of first, that made the checkpoint")
    options = started["options"]
    assert "id" not in options
    assert (options["group"], options["job_type"]) == ("no-loopback", "evaluation")
    assert options["name"] == "clustering of first"
    assert options["config"] == {"checkpoint_of": "first"}
    assert ("logging offline" in capsys.readouterr().err) is (mode is None)
    assert options["mode"] == (None if waits else "offline")


def test_without_a_run_one_begins_and_a_stand_in_is_named(started: dict, tmp_path: Path) -> None:
    folder = OutputFolder(tmp_path, "clustering")
    assert publish(RESULTS._replace(stand_in=True), folder, None, "project").endswith("names none")
    assert started["options"]["name"] == "STAND-IN clustering"
    assert "id" not in started["options"]


@pytest.mark.slow
def test_wandb_s_own_reader_finds_two_evaluations_beside_the_checkpoint_s_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("wandb")
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_SILENT", "true")
    monkeypatch.delenv("WANDB_RUN_GROUP", raising=False)
    content = {"wandb_id": "abc", "wandb_group": "full", "wandb_offline": True}
    for name in ("first", "second"):
        publish(RESULTS, OutputFolder(tmp_path / name, "clustering"), content, "project")
    runs = [run for name in ("first", "second") for run in read_runs(tmp_path / name)]
    assert len({run.identifier for run in runs} | {"abc"}) == 3
    for run in runs:
        assert (run.run["run_group"], run.run["job_type"], run.exit_code) == ("full", "evaluation", 0)
        assert run.summary["clustering/ours, LFW/top-1"] == 0.25
        assert run.deprecated == set()
