"""Whole runs on a GPU where there is one, and on the CPU always: both stages, report, resumption."""

import csv
import shutil
from pathlib import Path

import pytest
import torch

from evaluation.reporting.results import read_results
from lightning_modules.checkpoints import read_checkpoint
from tests.devices import CUDA, ON_EVERY_DEVICE

from .conftest import Start


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return read_checkpoint(folder / "final.ckpt")["state_dict"]


def identity_losses(folder: Path) -> list[float]:
    rows = []
    for file in sorted(folder.glob("logs/*/metrics.csv")):
        with file.open() as stream:
            rows += [
                float(row["train/loss/identity"])
                for row in csv.DictReader(stream)
                if row.get("train/loss/identity")
            ]
    return rows


@ON_EVERY_DEVICE
@pytest.mark.parametrize("method", ["suite", "paper"])
def test_a_whole_run_is_the_cpu_s(start: Start, tmp_path: Path, device: str, method: str) -> None:
    given = ["--method", method, "--ema", 0.5, "--trainer.log-every-n-steps", 1]
    assert start(*given, "--device", "cpu", "--output", "cpu") == 0
    shutil.rmtree(tmp_path / "runs")  # stage 1, which the other run would share
    assert start(*given, "--device", device, "--output", "other") == 0
    one, other = weights(tmp_path / "cpu"), weights(tmp_path / "other")
    for name, value in one.items():
        torch.testing.assert_close(other[name], value, rtol=1e-2, atol=1e-3)
    assert identity_losses(tmp_path / "other") == pytest.approx(identity_losses(tmp_path / "cpu"), rel=1e-2)
    rows = [read_results(tmp_path / name).rows for name in ("cpu", "other")]
    assert [row.metric for row in rows[0]] == [row.metric for row in rows[1]]
    assert (tmp_path / "other" / "contact_sheet.png").is_file()


@ON_EVERY_DEVICE
def test_a_run_without_a_pool_renders_its_faces_on_the_device(
    start: Start, tmp_path: Path, device: str
) -> None:
    assert start("--synthetic-faces", 0, "--device", device, "--output", "fresh") == 0
    assert all(torch.isfinite(value).all() for value in weights(tmp_path / "fresh").values())


@ON_EVERY_DEVICE
def test_a_run_begun_on_a_device_is_continued_on_the_cpu(
    start: Start, tmp_path: Path, device: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert start("--device", "cpu", "--output", "whole") == 0
    shutil.rmtree(tmp_path / "runs")
    assert start("--device", device, "--output", "begun", "--max-steps", 6) == 0
    last = tmp_path / "begun" / "checkpoints" / "last.ckpt"
    halfway = tmp_path / "halfway.ckpt"
    shutil.copyfile(last, halfway)
    assert int(read_checkpoint(halfway)["global_step"]) == 6
    assert start("--device", "cpu", "--output", "continued", "--max-steps", 8, "--resume", halfway) == 0
    assert int(read_checkpoint(tmp_path / "continued" / "final.ckpt")["global_step"]) == 8
    changed = weights(tmp_path / "continued")
    assert any(not torch.equal(value, weights(tmp_path / "begun")[name]) for name, value in changed.items())


@pytest.mark.parametrize("device", [CUDA])
@pytest.mark.parametrize("precision", ["16-mixed", "bf16-mixed"])
def test_a_run_in_mixed_precision_ends_well(
    start: Start, tmp_path: Path, device: str, precision: str
) -> None:
    assert start("--precision", precision, "--device", device, "--output", "mixed") == 0
    assert all(torch.isfinite(value).all() for value in weights(tmp_path / "mixed").values())


@pytest.mark.parametrize("device", [CUDA])
@pytest.mark.slow
def test_the_default_run_ends_well(tmp_path: Path, device: str, monkeypatch: pytest.MonkeyPatch) -> None:
    # The real networks and the open model: minutes.
    from ablations import run

    monkeypatch.chdir(tmp_path)
    assert run.main(["--device", device, "--output", "run", "--cache-folder", "cache", "--no-progress"]) == 0
    assert read_results(tmp_path / "run").rows
