import os
import subprocess
import sys
from pathlib import Path

import pytest
from lightning.pytorch.utilities import rank_zero_only

from ablations.runs import wandb_runs
from ablations.runs.fitting import FINAL
from ablations.runs.settings import Settings
from lightning_modules.checkpoints import KEY, read_checkpoint

from .. import small_run
from ..conftest import Start
from ..offline_run import OfflineRun, read_offline_run


@pytest.fixture(autouse=True)
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("wandb")
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_SILENT", "true")
    for name in ("WANDB_RUN_GROUP", "WANDB_TAGS"):
        monkeypatch.delenv(name, raising=False)


def offline_runs(folder: Path) -> list[OfflineRun]:
    files = sorted(folder.glob("wandb/offline-run-*/run-*.wandb"))
    return [read_offline_run(file) for file in files]


def test_an_offline_run_holds_configuration_metrics_pictures_weights_and_summary(
    start: Start, tmp_path: Path
) -> None:
    assert start("--wandb", "--no-loopback", "--seed", 3, "--output", "mine") == 0
    (run,) = offline_runs(tmp_path / "mine")
    assert run.about["group"] == "no-loopback"
    assert run.about["job_type"] == "stage 2"
    assert run.about["name"] == "no-loopback, seed 3"
    assert set(run.about["tags"]) == {"suite", "quick", "photographs", "dlib", "no-loopback"}
    assert run.configuration["loopback"] is False
    assert run.configuration["learning_rate"] == Settings().resolved().learning_rate
    assert run.configuration["networks"]["judge"]["name"] == "sface"
    assert run.configuration["training_data"]["count"] == 24
    names = {name for row in run.history for name in row}
    assert names >= {
        f"train/loss/{name}" for name in ("identity", "batch_distribution", "parameter", "total")
    }
    assert names >= {
        f"validation/{name}" for name in ("judge_similarity", "training_similarity", "fooling_gap", "top1")
    }
    assert names >= {f"train/gradient_norm/{name}" for name in ("identity", "parameter")}
    steps = [row["trainer/global_step"] for row in run.history if "pictures" in row]
    assert steps == [4]
    assert run.summary["pictures"]["_type"].startswith("images")
    assert run.summary["contact_sheet"]["_type"] == "image-file"
    assert run.summary["coefficients/shape"]["_type"] == "histogram"
    assert run.summary["results"]["_type"] == "table-file"
    assert run.summary["results"]["nrows"] > 5
    assert run.summary["title"] == (
        "suite method, no-loopback, views 2, quick preset with 6 steps, trained on 16 photographs"
    )
    assert run.artifacts[f"model-{run.about['id']}"] == ["best.ckpt", "final.ckpt"]
    media = {file.suffix for file in (tmp_path / "mine").glob("wandb/offline-run-*/files/media/**/*.*")}
    assert media == {".png", ".json"}


def test_stage_1_is_a_run_only_where_it_is_the_command_s(start: Start, tmp_path: Path) -> None:
    assert start("--wandb", "--stage", 1, "--output", "first") == 0
    (run,) = [run for folder in (tmp_path / "runs" / "pretraining").iterdir() for run in offline_runs(folder)]
    assert run.about["job_type"] == "stage 1"
    assert list(run.artifacts.values()) == [["final.ckpt"]]
    assert start("--wandb", "--output", "mine") == 0
    (run,) = offline_runs(tmp_path / "mine")
    assert run.about["job_type"] == "stage 2"
    assert run.configuration["training_data"]["count"] == 24


def test_a_run_that_is_continued_keeps_its_id(start: Start, tmp_path: Path) -> None:
    assert start("--wandb", "--output", "mine") == 0
    (before,) = offline_runs(tmp_path / "mine")
    (tmp_path / "mine" / "results.json").unlink()
    (tmp_path / "mine" / FINAL).unlink()
    assert start("--wandb", "--output", "mine") == 0
    runs = offline_runs(tmp_path / "mine")
    assert {run.about["id"] for run in runs} == {before.about["id"]}
    assert read_checkpoint(tmp_path / "mine" / FINAL)[KEY]["wandb_id"] == before.about["id"]


@pytest.mark.slow
def test_two_processes_log_once(tmp_path: Path, options: list[str]) -> None:
    command = [sys.executable, small_run.__file__, *options, "--no-progress", "--no-pretraining"]
    subprocess.run(
        [*command, "--wandb", "--devices", "2", "--output", "two"], cwd=tmp_path, check=True, timeout=1200,
        env=os.environ | {"OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE"}, capture_output=True,
    )  # fmt: skip
    (run,) = offline_runs(tmp_path / "two")
    steps = [row["trainer/global_step"] for row in run.history if "validation/judge_similarity" in row]
    assert len(steps) == len(set(steps)) == 1


@pytest.mark.parametrize(
    ("given", "name"),
    [
        ({}, "full"),
        ({"batch_distribution": False}, "no-batch-distribution"),
        ({"loopback": False, "multi_view": False}, "no-loopback+no-multi-view"),
    ],
)
def test_a_variant_is_named_by_what_is_off(given: dict[str, bool], name: str) -> None:
    assert wandb_runs.variant(Settings(**given)) == name


@pytest.mark.parametrize(
    ("photographs", "tag"),
    [
        ("stand-in", "stand-in"),
        ("lfw:/data", "lfw"),
        ("photographs:/data", "photographs"),
        ("/d", "photographs"),
    ],
)
def test_tags_name_the_kind_of_photographs_and_no_folder(
    photographs: str, tag: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WANDB_TAGS", "study 1,extra")
    tags = wandb_runs.tags(Settings(photographs=photographs))
    assert tags == ["suite", "quick", tag, "dlib", "study 1", "extra"]


def test_a_group_of_the_environment_s_is_kept(
    start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WANDB_RUN_GROUP", "mine")
    assert start("--wandb", "--no-pretraining", "--output", "mine") == 0
    (run,) = offline_runs(tmp_path / "mine")
    assert run.about["group"] == "mine"


def test_other_processes_log_no_artifact(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rank_zero_only, "rank", 1)
    assert wandb_runs.log_checkpoints(None, []) is None
