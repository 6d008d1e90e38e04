import csv
import json
import logging
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

import pytest
import torch
from PIL import Image
from torch import Tensor

from ablations import run
from ablations.runs import components
from ablations.runs.fitting import CHECKPOINTS
from ablations.runs.output_folders import alone_in
from evaluation.reporting.results import read_results
from lightning_modules import rendered_faces
from lightning_modules.checkpoints import KEY, load_regressor, read_checkpoint
from lightning_modules.plain.manifests import MANIFEST
from lightning_modules.regression import Regression
from tests import miniatures
from tests.datamodules.conftest import write_photograph

from .conftest import Start

LOSSES = {"parameter", "identity", "batch_distribution", "loopback", "contrast", "tone", "known_tone"}


def folder_of(tmp_path: Path) -> Path:
    (folder,) = (tmp_path / "runs" / "run").iterdir()
    return folder


def logged(folder: Path) -> list[dict[str, str]]:
    """All rows of all starts."""
    rows = []
    for file in sorted(folder.glob("logs/*/metrics.csv")):
        with file.open() as stream:
            rows += list(csv.DictReader(stream))
    return rows


def losses_of(folder: Path) -> list[dict[str, float]]:
    prefix = "train/loss/"
    return [
        {name.removeprefix(prefix): float(value) for name, value in row.items() if name.startswith(prefix)}
        for row in logged(folder)
        if row.get("train/loss/total")
    ]


def refused(capsys: pytest.CaptureFixture[str]) -> str:
    """The one sentence that a refused run ends with."""
    lines = capsys.readouterr().err.strip().splitlines()
    assert not any("Traceback" in line for line in lines)
    return lines[-1]


# ---------------------------------------------------------------------- a whole run


def test_a_run_leaves_results_checkpoints_pictures_and_logs(
    start: Start, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    assert start() == 0
    folder = folder_of(tmp_path)
    results = read_results(folder)
    assert results.command == "run"
    assert not results.stand_in
    assert results.title == "suite method, views 2, quick preset with 6 steps, trained on 16 photographs"
    assert results.counts == (24, 24, {})
    assert {row.metric for row in results.rows} >= {"similarity", "top-1", "|mean - target|", "beyond 3 sd"}
    assert results.provenance["networks"]["judge"]["name"] == "sface"
    assert "contrast loss" in results.provenance["departures"]
    with Image.open(folder / "contact_sheet.png") as sheet:
        assert sheet.width == 2 * 4 * 224
    assert [file.name for file in (folder / "pictures").iterdir()] == ["step_0000004.png"]
    assert (folder / "histograms.csv").is_file()
    assert {file.name for file in (folder / CHECKPOINTS).iterdir()} == {"last.ckpt", "best.ckpt"}
    names = {name for row in logged(folder) for name, value in row.items() if value}
    assert names >= {f"train/loss/{name}" for name in (*LOSSES, "tone", "total")}
    assert names >= {f"train/gradient_norm/{name}" for name in LOSSES}
    assert names >= {
        f"validation/{name}" for name in ("judge_similarity", "training_similarity", "fooling_gap", "top1")
    }
    printed = capsys.readouterr()
    for word in (
        results.title,
        "judge sface",
        "24 of 24 photographs used",
        "results.json final.ckpt contact_sheet.png",
    ):
        assert word in printed.out
    few, cosines = printed.err.splitlines()
    assert few.startswith("warning: the batch distribution sees 8 photographs a step, over all processes")
    assert cosines == "fewer than 500 training photographs: the identity loss compares raw cosines"


def test_the_same_command_prints_a_finished_result_and_trains_nothing(
    start: Start, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    start()
    before = capsys.readouterr().out
    monkeypatch.setattr(components, "load_teachers", None)
    assert start() == 0
    assert capsys.readouterr().out == before


def test_a_user_sees_no_notice_of_lightning_s(
    start: Start, capfd: pytest.CaptureFixture[str], recwarn: pytest.WarningsRecorder
) -> None:
    levels = [logging.getLogger(name).level for name in ("lightning.pytorch", "lightning.fabric")]
    assert start("--max-steps", 3, "--checkpoint-interval", 1) == 0
    assert [logging.getLogger(name).level for name in ("lightning.pytorch", "lightning.fabric")] == levels
    assert not recwarn.list
    beginnings = [line.split()[0] for line in capfd.readouterr().err.splitlines()]
    assert beginnings == ["warning:", "fewer"]  # of moments and of centres, as in the first test


def test_progress_shows_both_stages(
    start: Start, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    assert start(progress=True) == 0
    printed = capsys.readouterr().out
    for word in ("stage 1", "stage 2", "faces/s", "photographs/s", "4/4", "6/6", "loopback"):
        assert word in printed
    assert printed.count("24 photographs, 24 faces; 0 photographs left out") == 1


def test_a_run_on_stand_ins_says_so_in_its_title(
    start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(components, "STAND_INS", 24)
    assert start("--photographs", "stand-in") == 0
    results = read_results(folder_of(tmp_path))
    assert results.stand_in
    assert results.title.startswith("STAND-IN: suite method")
    assert "STAND-IN: suite method" in capsys.readouterr().out
    distance = next(row for row in results.rows if row.metric == "distance from real photographs")
    assert distance.value is None
    assert distance.reason == "no statistics of dlib-colour"


def test_photographs_without_a_face_are_counted_with_their_reason(
    start: Start, tmp_path: Path, material: Path
) -> None:
    mixed = tmp_path / "mixed"
    shutil.copytree(material / "photographs", mixed)
    write_photograph(mixed / "sky.png", 99, face=False)
    (mixed / "text.jpg").write_text("not a photograph")
    assert start("--photographs", mixed) == 0
    assert read_results(folder_of(tmp_path)).counts == (26, 24, {"no usable face": 2})


def test_a_dry_run_trains_a_few_steps_and_leaves_no_result(start: Start, tmp_path: Path) -> None:
    assert start("--fast-dev-run") == 0
    assert not list(tmp_path.rglob("*.ckpt"))
    assert not list(tmp_path.rglob("*.json"))


# ---------------------------------------------------------------------- switches


@pytest.mark.parametrize("off", [None, *sorted(LOSSES)])
def test_a_switch_removes_exactly_its_term_and_the_sum_stays_right(
    start: Start, tmp_path: Path, off: str | None
) -> None:
    assert start("--no-pretraining", *([] if off is None else [f"--no-{off.replace('_', '-')}"])) == 0
    for losses in losses_of(folder_of(tmp_path)):
        total = losses.pop("total")
        assert set(losses) == LOSSES - {off}
        assert sum(losses.values()) == pytest.approx(total, rel=1e-5)


def test_one_view_removes_no_term_and_is_said_in_the_title(start: Start, tmp_path: Path) -> None:
    assert start("--no-pretraining", "--no-multi-view", "--views", 1) == 0
    folder = folder_of(tmp_path)
    assert all(set(losses) == LOSSES | {"total"} for losses in losses_of(folder))
    assert (
        "no-multi-view+no-pretraining, identity and loopback both see one view" in read_results(folder).title
    )


def test_without_pretraining_there_is_no_stage_1(start: Start, tmp_path: Path) -> None:
    assert start("--no-pretraining") == 0
    assert [file.name for file in (tmp_path / "runs").iterdir()] == ["run"]


def test_stages_can_be_run_one_after_the_other(start: Start, tmp_path: Path) -> None:
    assert start("--output", "at once") == 0
    shutil.rmtree(tmp_path / "runs")
    assert start("--stage", 1, "--output", "first") == 0
    assert read_checkpoint(Path("first", "final.ckpt"))[KEY]["stage"] == 1
    assert read_results(tmp_path / "first").title == "Stage 1 alone, on synthetic faces"
    assert not (tmp_path / "first" / "contact_sheet.png").exists()
    assert start("--stage", 2, "--output", "second") == 0
    at_once, apart = (read_checkpoint(tmp_path / name / "final.ckpt") for name in ("at once", "second"))
    assert_same(at_once["state_dict"], apart["state_dict"])


@pytest.mark.parametrize("tone", [0, 1])
def test_stage_1_starts_from_ridge_regression_and_stage_2_from_a_multiple(
    start: Start, tmp_path: Path, tone: int
) -> None:
    still = (
        "--learning-rate", 0, "--pretraining-learning-rate", 0, "--linear-start", 2, "--tone-weight", tone,
    )  # fmt: skip
    assert start("--stage", 1, *still, "--output", "first") == 0
    assert start("--stage", 2, *still, "--output", "second") == 0
    (pretrained,) = (tmp_path / "runs" / "pretraining").glob("*/final.ckpt")
    before, after = (load_regressor(file)[0] for file in (pretrained, tmp_path / "second" / "final.ckpt"))
    features = torch.randn(5, before.linear.in_features)
    assert not before.layers[-1].weight.any()
    assert float(before.linear.weight.detach().norm()) > 0
    expected, started = (torch.cat(regressor(features), 1) for regressor in (before, after))
    first_albedo = torch.arange(started.shape[1]) == after.shape_count
    torch.testing.assert_close(started[:, ~first_albedo], 2 * expected[:, ~first_albedo])
    # The skin tone's own start is another.
    assert torch.allclose(started[:, first_albedo], 2 * expected[:, first_albedo]) == (not tone)


def test_the_paper_s_method_trains_without_what_it_sets_back(start: Start, tmp_path: Path) -> None:
    assert start("--method", "paper", "--photographs-per-step", 2, "--synthetic-faces", 0) == 0
    folder = folder_of(tmp_path)
    regressor, content = load_regressor(folder / "final.ckpt")
    assert regressor.linear is None
    assert not regressor.feature_mean.any()
    assert torch.equal(regressor.feature_scale, torch.ones_like(regressor.feature_scale))
    assert content["networks"]["encoder"]["name"] == "dlib"
    assert set(losses_of(folder)[0]) == {"parameter", "identity", "batch_distribution", "loopback", "total"}
    departures = read_results(folder).provenance["departures"]
    assert departures == [
        "number of views", "another encoder", "cached features of photographs", "aligned renderings",
        "another morphable model",
    ]  # fmt: skip


@pytest.mark.parametrize("retouched", [True, False])
def test_faces_are_retouched_for_networks_that_score_them_only_where_it_is_asked_for(
    start: Start, monkeypatch: pytest.MonkeyPatch, retouched: bool
) -> None:
    seen = []
    render = rendered_faces.as_judged
    monkeypatch.setattr(rendered_faces, "as_judged", lambda *given: seen.append(1) or render(*given))
    assert start("--retouched" if retouched else "--no-retouched") == 0
    assert bool(seen) == retouched


def test_without_a_linear_start_there_is_no_linear_path(start: Start, tmp_path: Path) -> None:
    assert start("--linear-start", 0) == 0
    assert load_regressor(folder_of(tmp_path) / "final.ckpt")[0].linear is None


def test_runs_that_differ_in_stage_2_share_stage_1(
    start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    start()
    monkeypatch.setattr(run, "Pretraining", None)
    assert start("--no-identity") == 0
    assert len(list((tmp_path / "runs" / "run").iterdir())) == 2


@pytest.mark.parametrize(
    "given",
    [("--method", "paper"), ("--identity-network", "facenet"),
     ("--second-identity-network", "facenet"), ("--landmark-weight", "2"), ("--ema", "0.9"),
     ("--synthetic-faces", "0"),
     ("--gradient-clip", "0"), ("--precision", "64-true"), ("--precision", "bf16-true")],
)  # fmt: skip
def test_options_go_through(start: Start, given: tuple[str, str]) -> None:
    assert start("--photographs-per-step", 2, *given) == 0


def test_a_profile_is_written_beside_the_results(start: Start, tmp_path: Path) -> None:
    assert start("--profiler", "simple") == 0
    assert "run_training_epoch" in (folder_of(tmp_path) / "fit-profile.txt").read_text()


# ---------------------------------------------------------------------- checkpoints


def assert_same(first: dict[str, Tensor], second: dict[str, Tensor]) -> None:
    assert first.keys() == second.keys()
    for name, value in first.items():
        assert torch.equal(value, second[name]), name


def test_checkpoints_hold_what_the_run_was_and_no_tensor_of_the_model(start: Start, tmp_path: Path) -> None:
    assert start("--ema", "0.9") == 0
    folder = folder_of(tmp_path)
    for file in (folder / "final.ckpt", folder / CHECKPOINTS / "last.ckpt"):
        checkpoint = torch.load(file, weights_only=True)
        content = checkpoint[KEY]
        assert content["stage"] == 2
        assert content["settings"] == json.loads((folder / "results.json").read_text())["settings"]
        assert content["morphable_model"]["sha256"] == "00" * 32
        roles = {role: network["name"] for role, network in content["networks"].items()}
        assert roles == {"encoder": "dlib-colour", "identity": "dlib-colour", "judge": "sface"}
        assert content["networks"]["judge"]["sha256"] == "02" * 32
        assert content["training_data"]["count"] == 24
        assert 0 < len(content["training_photographs"]) <= 24  # those that are not held back
        assert content["commit"] is None or len(content["commit"].removesuffix("+dirty")) == 40
        assert set(content["tone"]) == {"mean", "variance"}
        assert all(type(value) is float for value in content["tone"].values())
        vertices = miniatures.small_model().shape_mean.numel()
        for key in ("state_dict", "current_model_state"):
            assert all(value.numel() < vertices for value in checkpoint[key].values())
            assert {name.split(".")[0] for name in checkpoint[key]} == {"regressor", "tone"}


def test_without_the_tone_loss_a_checkpoint_has_no_tone(start: Start, tmp_path: Path) -> None:
    assert start("--tone-weight", 0) == 0
    checkpoint = read_checkpoint(folder_of(tmp_path) / "final.ckpt")
    assert "tone" not in checkpoint[KEY]
    assert {name.split(".")[0] for name in checkpoint["state_dict"]} == {"regressor"}


def test_a_moving_average_is_what_counts(start: Start, tmp_path: Path) -> None:
    assert start("--ema", "0.9") == 0
    folder = folder_of(tmp_path)
    final = read_checkpoint(folder / "final.ckpt")
    last = read_checkpoint(folder / CHECKPOINTS / "last.ckpt")
    assert_same(final["state_dict"], last["state_dict"])
    name = "regressor.layers.0.weight"
    assert not torch.equal(last["current_model_state"][name], final["state_dict"][name])
    regressor, _ = load_regressor(folder / "final.ckpt")
    assert torch.equal(regressor.layers[0].weight, final["state_dict"][name])


# ---------------------------------------------------------------------- bad input


def test_an_unknown_switch_is_refused(start: Start, capsys: pytest.CaptureFixture[str]) -> None:
    assert start("--no-lopback") == 2
    said = "error: --no-lopback is no option of this command; did you mean --no-loopback?"
    assert refused(capsys).startswith(said)


def test_a_judge_that_trains_is_refused(start: Start, capsys: pytest.CaptureFixture[str]) -> None:
    assert start("--judge", "dlib") == 2
    assert refused(capsys).startswith("error: the judge dlib also trains; ")


@pytest.mark.parametrize("fill", ["nothing", "skies", "no folder"])
def test_a_folder_without_faces_is_refused(
    start: Start, tmp_path: Path, capsys: pytest.CaptureFixture[str], fill: str
) -> None:
    folder = tmp_path / "empty"
    if fill != "no folder":
        folder.mkdir()
    if fill == "skies":
        for index in range(3):
            write_photograph(folder / f"{index}.png", index, face=False)
    assert start("--photographs", folder) == 2
    sentence = refused(capsys)
    assert sentence.startswith("error: ")
    assert str(folder) in sentence
    if fill == "skies":
        assert "no face to train on among the 3 photographs" in sentence
    assert not (tmp_path / "runs").exists()


def test_fewer_photographs_than_a_step_takes_are_refused_before_anything_is_trained(
    start: Start, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert start("--photographs-per-step", 100) == 2
    assert refused(capsys).startswith("error: a step takes 100 photographs, and ")
    assert not (tmp_path / "runs").exists()
    start("--photographs-per-step", 100)
    sentence = refused(capsys)
    assert "has 16 faces to train on (8 more are held back); add photographs, or give" in sentence
    assert sentence.endswith("--photographs-per-step and --rendered (which divides it) of at most 16")


def test_too_few_photographs_to_validate_on_are_refused(
    start: Start, capsys: pytest.CaptureFixture[str]
) -> None:
    assert start("--validation-fraction", 0) == 2
    assert refused(capsys).endswith(
        "at least 2 are needed; add photographs, or raise --validation-fraction (0)"
    )


def test_a_batch_of_one_is_refused(start: Start, capsys: pytest.CaptureFixture[str]) -> None:
    assert start("--photographs-per-step", 1, "--rendered", 1) == 2
    assert refused(capsys).startswith("error: a batch of one photograph has no variance: raise")


def test_stage_2_without_stage_1_is_refused(start: Start, capsys: pytest.CaptureFixture[str]) -> None:
    assert start("--stage", 2) == 2
    assert "--stage 2 needs a finished stage 1 of the same settings in runs/pretraining/" in refused(capsys)


def test_an_output_folder_of_other_settings_is_refused_unless_overwritten(
    start: Start, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert start("--output", "mine") == 0
    before = (tmp_path / "mine" / "results.json").read_bytes()
    capsys.readouterr()
    assert start("--output", "mine", "--no-identity") == 2
    sentence = refused(capsys)
    assert "computed with other settings (identity: True there, False now); name another --output" in sentence
    assert (tmp_path / "mine" / "results.json").read_bytes() == before
    assert start("--output", "mine", "--no-identity", "--overwrite") == 0
    assert read_results(tmp_path / "mine").settings["identity"] is False
    assert len(list((tmp_path / "mine" / "logs").iterdir())) == 1


def test_overwrite_deletes_no_folder_but_a_run_s(
    start: Start, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "thesis.tex").write_text("years of work")
    for more in ([], ["--overwrite"]):
        assert start("--output", "thesis", *more) == 2
        assert refused(capsys) == (
            "error: thesis holds other files than those of run.py, such as thesis.tex; name another --output"
        )
    assert [path.name for path in (tmp_path / "thesis").iterdir()] == ["thesis.tex"]


def test_overwrite_leaves_what_others_put_beside_a_run(start: Start, tmp_path: Path) -> None:
    assert start("--output", "mine") == 0
    (tmp_path / "mine" / "micc").mkdir()
    (tmp_path / "mine" / "micc" / "results.json").write_text("{}")
    assert start("--output", "mine", "--overwrite") == 0
    assert (tmp_path / "mine" / "micc" / "results.json").read_text() == "{}"


@pytest.mark.parametrize("given", ["data/pictures", "photographs:data/pictures", "data/list.txt", "link"])
@pytest.mark.parametrize("output", ["data", "data/pictures", "link", "link/.."])
def test_photographs_in_the_output_folder_are_neither_deleted_nor_replaced(
    start: Start,
    material: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    given: str,
    output: str,
) -> None:
    shutil.copytree(material / "photographs", tmp_path / "data" / "pictures")
    (tmp_path / "data" / "list.txt").write_text("pictures/00.png\npictures/01.png\n")
    (tmp_path / "link").symlink_to("data/pictures")
    before = {path: path.read_bytes() for path in (tmp_path / "data").rglob("*.*")}
    for more in ([], ["--overwrite"], ["--fast-dev-run"]):
        assert start("--photographs", given, "--output", output, *more) == 2
        sentence = refused(capsys)
        assert "the output folder" in sentence
        assert "which run.py reads; name another --output" in sentence
    assert {path: path.read_bytes() for path in (tmp_path / "data").rglob("*.*")} == before


def test_a_run_inside_its_photographs_folder_takes_none_of_its_pictures_for_photographs(
    start: Start, material: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(material / "photographs", tmp_path / "mine")
    monkeypatch.chdir(tmp_path / "mine")
    assert start("--photographs", ".", "--output", "out") == 0
    assert (tmp_path / "mine" / "out" / "contact_sheet.png").is_file()
    assert start("--photographs", ".", "--output", "out", "--overwrite") == 0
    assert read_results(tmp_path / "mine" / "out").counts.total == 24


def test_a_run_that_an_older_version_left_goes_on_but_is_not_overwritten(
    start: Start, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert start("--output", "old") == 0
    for file in tmp_path.rglob(MANIFEST):
        file.unlink()
    assert start("--output", "old") == 0
    assert start("--output", "old", "--overwrite") == 2
    assert "old was filled by an older version, which kept no list of what it wrote" in refused(capsys)
    (tmp_path / "old" / "results.json").unlink()
    assert start("--output", "old") == 0
    assert read_results(tmp_path / "old").counts.used == 24


def test_what_others_put_into_a_run_s_folders_survives_overwriting(start: Start, tmp_path: Path) -> None:
    assert start("--output", "mine") == 0
    names = ("checkpoints/theirs.ckpt", "logs/notes.txt", "pictures/cat.png", "wandb/thesis.tex")
    for name in names:
        (tmp_path / "mine" / name).parent.mkdir(exist_ok=True)
        (tmp_path / "mine" / name).write_text("theirs")
    assert start("--output", "mine", "--overwrite", "--max-steps", 4) == 0
    assert {(tmp_path / "mine" / name).read_text() for name in names} == {"theirs"}
    assert read_checkpoint(tmp_path / "mine" / "final.ckpt")["global_step"] == 4


def test_two_runs_in_one_folder_are_refused(
    start: Start, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with alone_in(tmp_path / "mine", "run.py"):
        assert start("--output", "mine") == 2
    assert refused(capsys) == "error: another run.py is at work in mine; wait for it, or stop it"
    assert not (tmp_path / "mine").exists()


def test_a_precision_is_a_run_of_its_own(start: Start, tmp_path: Path) -> None:
    assert start("--output", "mine") == 0
    assert start("--output", "mine", "--precision", "bf16-true") == 2
    assert start("--output", "short", "--precision", "bf16-true") == 0
    assert read_results(tmp_path / "short").settings["precision"] == "bf16-true"
    assert "precision" not in read_results(tmp_path / "mine").settings
    assert len(list((tmp_path / "runs" / "pretraining").iterdir())) == 2


def test_a_finished_run_does_not_go_on_from_another_checkpoint(
    start: Start, capsys: pytest.CaptureFixture[str]
) -> None:
    assert start("--output", "mine") == 0
    assert start("--output", "mine", "--resume", "mine/final.ckpt") == 2
    assert "mine holds this run finished, so nothing goes on from --resume; give anot" in refused(capsys)
    assert start("--output", "mine", "--resume", "mine/final.ckpt", "--overwrite") == 2
    assert refused(capsys) == "error: --overwrite would delete mine/final.ckpt; give another --output"
    assert Path("mine/final.ckpt").is_file()


@pytest.mark.parametrize("left", [0, 1000])
def test_a_finished_run_whose_final_checkpoint_was_cut_off_is_not_finished(
    start: Start, capsys: pytest.CaptureFixture[str], left: int
) -> None:
    assert start("--output", "mine") == 0
    final = Path("mine/final.ckpt")
    final.write_bytes(final.read_bytes()[:left])
    assert start("--output", "mine") == 2
    said = refused(capsys)
    assert said.startswith("error: mine was finished, but mine/final.ckpt is ")
    assert said.endswith("--overwrite trains it anew")
    assert start("--output", "mine", "--overwrite") == 0


@pytest.mark.parametrize("other", ["of another seed", "a folder", "a link to nothing", "of stage 1"])
def test_a_finished_run_whose_final_checkpoint_was_exchanged_is_not_finished(
    start: Start, capsys: pytest.CaptureFixture[str], other: str
) -> None:
    assert start("--output", "mine") == 0
    final = Path("mine/final.ckpt")
    final.unlink()
    if other == "of another seed":
        assert start("--output", "theirs", "--seed", 9) == 0
        final.write_bytes(Path("theirs/final.ckpt").read_bytes())
    elif other == "of stage 1":
        final.write_bytes(next(Path("runs/pretraining").glob("*/final.ckpt")).read_bytes())
    elif other == "a folder":
        final.mkdir()
    else:
        final.symlink_to("nothing")
    assert start("--output", "mine") == 2
    said = refused(capsys)
    assert said.startswith("error: mine was finished, but mine/final.ckpt ")
    assert said.endswith("--overwrite trains it anew")


def test_a_finished_run_says_that_its_final_checkpoint_is_missing(
    start: Start, capsys: pytest.CaptureFixture[str]
) -> None:
    assert start("--output", "mine") == 0
    Path("mine/final.ckpt").unlink()
    capsys.readouterr()
    assert start("--output", "mine") == 0
    said = capsys.readouterr().err.splitlines()
    assert said[0] == "mine/final.ckpt is missing by now; --overwrite trains it anew"


def test_a_finished_run_says_that_nothing_is_trained_and_that_photographs_changed(
    start: Start, material: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "photographs"
    shutil.copytree(material / "photographs", folder)
    assert start("--output", "mine", "--photographs", folder) == 0
    capsys.readouterr()
    assert start("--output", "mine", "--photographs", folder) == 0
    said = "mine was finished before: nothing is trained; --overwrite trains anew"
    assert capsys.readouterr().err.splitlines() == [said]
    (folder / "00.png").unlink()
    assert start("--output", "mine", "--photographs", folder) == 0
    assert capsys.readouterr().err.splitlines() == [
        said,
        f"{folder} holds 23 photographs by now, the run had 24",
    ]


def test_results_say_from_which_checkpoint_a_run_went_on(start: Start, tmp_path: Path) -> None:
    assert start("--output", "mine", "--max-steps", 4) == 0
    assert start("--output", "more", "--resume", "mine/final.ckpt") == 0
    said = read_results(tmp_path / "more").provenance["resumed_from"]
    assert (said["name"], said["step"], said["settings"]["max_steps"]) == ("final.ckpt", 4, 4)
    assert "resumed_from" not in read_results(tmp_path / "mine").provenance


def test_a_component_that_is_not_skin_tone_names_the_option_that_goes_without(
    start: Start, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    colourful = components.load_teachers
    monkeypatch.setattr(
        components, "load_teachers", lambda *given: colourful(*given)._replace(model=miniatures.small_model())
    )
    assert start() == 2
    assert refused(capsys).endswith("train with --tone-weight 0")


# ---------------------------------------------------------------------- a run gone wrong


def spoil(monkeypatch: pytest.MonkeyPatch, at: int, spoilt: Callable[[dict[str, Tensor]], Any]) -> None:
    weighted_sum = Regression.weighted_sum

    def of(module: Regression, losses: dict[str, Tensor], step: int) -> Tensor:
        return weighted_sum(module, spoilt(losses) if step == at else losses, step)

    monkeypatch.setattr(Regression, "weighted_sum", of)


@pytest.mark.parametrize("factor", [float("nan"), float("inf"), 1e30])
def test_a_loss_gone_wrong_names_itself_and_the_last_good_checkpoint(
    start: Start,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    factor: float,
) -> None:
    spoil(
        monkeypatch, 5, lambda values: values | {"batch_distribution": factor * values["batch_distribution"]}
    )
    assert start() == 1
    last = Path("runs", "run", folder_of(tmp_path).name, CHECKPOINTS, "last.ckpt")
    sentence = refused(capsys)
    assert sentence.startswith("error: stopped at step 5: the loss became ")
    assert sentence.endswith(
        f"(batch_distribution); the last good checkpoint is {last}; try a lower --learning-rate, or "
        "smaller weights of the losses"
    )
    checkpoint = read_checkpoint(last)
    assert checkpoint["global_step"] == 4
    assert all(torch.isfinite(value).all() for value in checkpoint["state_dict"].values())
    assert not (folder_of(tmp_path) / "results.json").exists()


def test_faces_that_cannot_be_rendered_any_more_stop_a_run(
    start: Start, capsys: pytest.CaptureFixture[str]
) -> None:
    assert start("--no-pretraining", "--learning-rate", "1e25", "--gradient-clip", 0) == 1
    sentence = refused(capsys)
    assert sentence.startswith("error: stopped at step ")
    assert "the faces cannot be rendered any more (" in sentence
    assert "; no checkpoint was written yet; try a lower --learning-rate" in sentence


@pytest.mark.parametrize("option", ["--linear-start=1e30", "--linear-start=1e15"])
def test_faces_that_cannot_be_rendered_from_the_first_step_name_what_they_start_from(
    start: Start, capsys: pytest.CaptureFixture[str], option: str
) -> None:
    assert start(option) == 2
    sentence = refused(capsys)
    assert "the faces that training starts from cannot be rendered (" in sentence
    assert "; give a smaller --linear-start or --last-layer-scale, a lower --pretraining" in sentence
    assert "camera away" not in sentence


def test_a_diverging_stage_1_is_said_to_need_a_lower_rate_of_its_own(
    start: Start, capsys: pytest.CaptureFixture[str]
) -> None:
    assert start("--pretraining-learning-rate=1e6") == 1
    assert "; try a lower --pretraining-learning-rate, or smaller weights" in refused(capsys)


def test_a_full_disk_is_one_sentence_and_leaves_the_last_checkpoint_whole(
    start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert start("--output", "straight") == 0
    save, count = torch.save, []

    def half(checkpoint: dict, stream: BinaryIO) -> None:
        count.append(stream)
        if len(count) < 3:
            save(checkpoint, stream)
            return
        stream.write(b"half of a checkpoint")
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(torch, "save", half)
        assert start("--output", "full") == 2
    last = Path("full", CHECKPOINTS, "last.ckpt")
    sentence = refused(capsys)
    assert sentence.startswith("error: checkpoint ")
    assert "could not be written ([Errno 28] No space left on device); the one before it is whole" in sentence
    assert read_checkpoint(last)["global_step"] in (2, 4)
    assert [file.name for file in Path("full").rglob(".*") if file.is_file()] == [MANIFEST]
    assert start("--output", "full") == 0
    final = [read_checkpoint(Path(name, "final.ckpt")) for name in ("straight", "full")]
    assert_same(*(checkpoint["state_dict"] for checkpoint in final))


# ---------------------------------------------------------------------- Weights & Biases


def test_wandb_without_an_account_logs_offline_and_says_so(
    start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    wandb = pytest.importorskip("wandb")
    for name in ("WANDB_MODE", "WANDB_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    monkeypatch.setenv("WANDB_SILENT", "true")
    assert start("--wandb", "--no-pretraining") == 0
    wandb.finish()
    assert "no Weights & Biases account is known here: logging offline" in capsys.readouterr().err
    assert list(folder_of(tmp_path).glob("wandb/offline-run-*"))


def test_wandb_without_its_package_is_one_sentence(
    start: Start, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "wandb", None)
    assert start("--wandb", "--no-pretraining") == 2
    assert refused(capsys) == "error: --loggers wandb: wandb is not installed; pip install -e '.[wandb]'"


# ---------------------------------------------------------------------- before anything is loaded


def test_a_dry_run_prints_where_each_setting_comes_from_and_loads_nothing(
    start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(components, "load_teachers", None)
    assert start("--method", "paper", "--dry-run") == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["--max-steps", "6", "given"] in lines
    assert ["--contrast-weight", "0", "method", "paper"] in lines
    assert ["--judge", "sface", "default"] in lines
    assert ["--contrast-weight:", "0", "instead", "of", "2"] in lines
    assert ["another", "encoder:", "no", "option", "sets", "it", "back"] in lines
    assert not any(line[:2] == ["contrast", "loss:"] for line in lines)
    assert any(line[:4] == ["warning:", "the", "batch", "distribution"] for line in lines)
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("--photographs=nowhere", "no folder nowhere; name a folder with photographs"),
        ("--photographs=lfw:nowhere", "no LFW images in nowhere; expected"),
        ("--morphable-model=basle:a.h5", "the morphable model 'basle:a.h5' is not known"),
        ("--morphable-model=basel:a.h5", "--morphable-model basel:a.h5: there is no a.h5"),
    ],
)
@pytest.mark.parametrize("more", [(), ("--dry-run",)])
def test_what_is_not_there_is_refused_before_anything_is_loaded(
    start: Start,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    given: str,
    said: str,
    more: tuple[str, ...],
) -> None:
    monkeypatch.setattr(components, "load_teachers", None)
    assert start(given, *more) == 2
    assert refused(capsys).startswith(f"error: {said}")


# ---------------------------------------------------------------------- loggers and the trainer's options


def test_curves_arrive_in_tensorboard_s_event_file(start: Start, tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    assert start("--loggers", "tensorboard", "--trainer.log-every-n-steps", 1) == 0
    folder = folder_of(tmp_path)
    events = EventAccumulator(str(folder / "tensorboard")).Reload()
    curve = [event.value for event in events.Scalars("train/loss/total")]
    rows = [row["total"] for row in losses_of(folder)]
    assert len(curve) == len(rows) == 6
    assert curve == pytest.approx(rows)
    assert "validation/judge_similarity" in events.Tags()["scalars"]


def tensorboard_curves(folder: Path) -> dict[str, list[tuple[int, float]]]:
    """What TensorBoard shows of a run's losses and validation scores, but for how fast it was."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(folder / "tensorboard")).Reload()
    return {
        name: [(event.step, event.value) for event in events.Scalars(name)]
        for name in events.Tags()["scalars"]
        if name.startswith(("train/loss/", "validation/"))
    }


IN_TENSORBOARD = (
    "--loggers", "tensorboard", "--trainer.log-every-n-steps", 1, "--no-pretraining", "--max-steps", 12
)  # fmt: skip


def test_tensorboard_shows_of_a_run_that_continues_every_step_once(
    start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert start(*IN_TENSORBOARD, "--output", "whole") == 0
    step = Regression.training_step
    for stop in (5, 7, 9):

        def interrupted(module: Regression, batch: object, batch_idx: int, stop: int = stop) -> object:
            if module.global_step == stop:
                raise KeyboardInterrupt
            return step(module, batch, batch_idx)

        with monkeypatch.context() as patch:
            patch.setattr(Regression, "training_step", interrupted)
            assert start(*IN_TENSORBOARD, "--output", "stopped") == 130
    assert start(*IN_TENSORBOARD, "--output", "stopped") == 0
    whole, stopped = (tensorboard_curves(tmp_path / name) for name in ("whole", "stopped"))
    assert [step for step, _ in whole["train/loss/total"]] == list(range(12))
    assert [step for step, _ in whole["validation/judge_similarity"]] == [3, 7, 11]
    assert stopped == whole


def test_overwriting_leaves_nothing_of_the_run_before_in_tensorboard(start: Start, tmp_path: Path) -> None:
    assert start(*IN_TENSORBOARD, "--output", "mine") == 0
    assert start(*IN_TENSORBOARD[:-1], 6, "--output", "mine", "--overwrite") == 0
    assert [step for step, _ in tensorboard_curves(tmp_path / "mine")["train/loss/total"]] == list(range(6))
    assert len(list((tmp_path / "mine" / "tensorboard").glob("events.*"))) == 1


@pytest.mark.parametrize("given", [("--second-identity-network", "facenet"), ("--landmark-weight", 2)])
def test_a_run_with_what_is_off_by_default_survives_a_stop_bit_for_bit(
    start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given: tuple[str, str]
) -> None:
    assert start("--output", "plain") == start(*given, "--output", "whole") == 0
    step = Regression.training_step

    def interrupted(module: Regression, batch: object, batch_idx: int) -> object:
        if module.global_step == 3:
            raise KeyboardInterrupt
        return step(module, batch, batch_idx)

    with monkeypatch.context() as patch:
        patch.setattr(Regression, "training_step", interrupted)
        assert start(*given, "--output", "stopped") == 130
    assert start(*given, "--output", "stopped") == 0
    plain, whole, stopped = (
        load_regressor(tmp_path / name / "final.ckpt")[0].state_dict()
        for name in ("plain", "whole", "stopped")
    )
    assert all(torch.equal(whole[name], stopped[name]) for name in whole)
    assert not all(torch.equal(whole[name], plain[name]) for name in whole)


def test_accumulated_gradients_survive_a_stop_bit_for_bit(
    start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = ("--trainer.accumulate-grad-batches", 2)
    assert start("--output", "plain") == start(*given, "--output", "whole") == 0
    step = Regression.training_step

    def interrupted(module: Regression, batch: object, batch_idx: int) -> object:
        if module.global_step == 3:
            raise KeyboardInterrupt
        return step(module, batch, batch_idx)

    with monkeypatch.context() as patch:
        patch.setattr(Regression, "training_step", interrupted)
        assert start(*given, "--output", "stopped") == 130
    assert start(*given, "--output", "stopped") == 0
    plain, whole, stopped = (
        load_regressor(tmp_path / name / "final.ckpt")[0].state_dict()
        for name in ("plain", "whole", "stopped")
    )
    assert all(torch.equal(whole[name], stopped[name]) for name in whole)
    assert not all(torch.equal(whole[name], plain[name]) for name in whole)
    assert read_results(tmp_path / "whole").settings["trainer_accumulate_grad_batches"] == 2
