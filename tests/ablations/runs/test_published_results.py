"""Runs that were finished before, at W&B."""

from pathlib import Path

import pytest

from evaluation.reporting.results import RESULTS
from tests.wandb_reader import by_agent, read_runs

from ..conftest import Start

GIVEN = ("--no-pretraining", "--output", "mine")
SCORE = "validation/judge_similarity"

pytestmark = pytest.mark.usefixtures("offline")


def test_a_finished_run_in_a_repeated_sweep_logs_its_curves_and_results_into_the_agent_s_run(
    start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert start("--wandb", *GIVEN) == 0
    stored = (tmp_path / "mine" / RESULTS).read_bytes()
    by_agent(monkeypatch, "again1")
    assert start("--wandb", *GIVEN) == 0
    trained, again = read_runs(tmp_path / "mine")
    assert (again.identifier, again.run["sweep_id"], again.exit_code) == ("again1", "sweep1", 0)
    assert again.summary[SCORE] == trained.summary[SCORE]
    of_names = [
        {key: count for key, count in run.steps().items() if key[0].startswith(("train/loss", "validation/"))}
        for run in (trained, again)
    ]
    assert of_names[0] == of_names[1]
    tables = [run.summary for run in (trained, again)]
    for name in ("results.nrows", "title", "contact_sheet.sha256"):
        assert tables[0][name] == tables[1][name]
    assert (tmp_path / "mine" / RESULTS).read_bytes() == stored


def test_a_finished_run_that_wandb_knows_is_not_logged_again(start: Start, tmp_path: Path) -> None:
    assert start("--wandb", *GIVEN) == 0
    assert start("--wandb", *GIVEN) == 0
    assert len(read_runs(tmp_path / "mine")) == 1


def test_a_run_that_was_finished_without_wandb_is_logged_once(start: Start, tmp_path: Path) -> None:
    assert start(*GIVEN) == 0
    assert start("--wandb", *GIVEN) == 0
    assert start("--wandb", *GIVEN) == 0
    (run,) = read_runs(tmp_path / "mine")
    assert run.summary[SCORE]["max"] > 0
    assert run.run["run_group"] == "no-pretraining"
