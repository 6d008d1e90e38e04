import os
import shutil
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest
from lightning.pytorch.utilities import rank_zero_only
from PIL import Image

from ablations.runs import run_report, wandb_runs
from ablations.runs.execution import Execution
from ablations.runs.fitting import CHECKPOINTS, FINAL
from ablations.runs.settings import Settings
from ablations.runs.wandb_files import FILE_HEADER, local_runs
from lightning_modules.callbacks import PICTURE_PIXELS
from lightning_modules.checkpoints import KEY, read_checkpoint
from lightning_modules.regression import Regression
from tests.wandb_reader import STEP, ReadRun, by_agent, files_of, read_run, read_runs

from .. import small_run
from ..conftest import Start
from ..offline_run import OfflineRun, read_offline_run

SCORE = "validation/judge_similarity"

pytestmark = pytest.mark.usefixtures("offline")


def stop_at(monkeypatch: pytest.MonkeyPatch, step: int, error: BaseException) -> None:
    """Ends stage 2 with an error before a step."""
    train = Regression.training_step

    def training_step(module: Regression, batch: object, batch_idx: int) -> object:
        if module.global_step == step:
            raise error
        return train(module, batch, batch_idx)

    monkeypatch.setattr(Regression, "training_step", training_step)


def curves(*runs: ReadRun) -> Counter[tuple[str, int]]:
    """How often each curve, picture and histogram was logged at each step, over all parts of a run.

    Rows that repeat an epoch, the results at the end, and the norms of gradients, which are repeated until
    they are measured again, are no curves.
    """
    counts = sum((run.steps() for run in runs), Counter())
    others = ("epoch", STEP, "results", "contact_sheet", "train/gradient_norm")
    return Counter({key: count for key, count in counts.items() if not key[0].startswith(others)})


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


def test_stage_1_is_a_run_of_its_own_whichever_command_trains_it(start: Start, tmp_path: Path) -> None:
    assert start("--wandb", "--stage", 1, "--output", "first") == 0
    (stage_1,) = (tmp_path / "runs" / "pretraining").iterdir()
    (run,) = offline_runs(stage_1)
    assert run.about["job_type"] == run.about["group"] == "stage 1"
    assert list(run.artifacts.values()) == [["final.ckpt"]]
    assert start("--wandb", "--no-loopback", "--output", "mine") == 0  # shares it
    assert len(offline_runs(stage_1)) == 1
    shutil.rmtree(stage_1)
    assert start("--wandb", "--output", "other") == 0
    (run,) = read_runs(stage_1)
    assert (run.run["run_group"], run.run["display_name"], run.exit_code) == ("stage 1", "stage 1, seed 0", 0)
    assert {"train/loss/parameter", "validation/explained_shape"} <= {name for name, _ in run.steps()}
    (run,) = offline_runs(tmp_path / "other")
    assert run.about["job_type"] == "stage 2"
    assert run.configuration["training_data"]["count"] == 24


def test_in_a_sweep_the_agent_s_run_is_stage_2_s(
    start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    by_agent(monkeypatch, "agents1")
    assert start("--wandb", "--output", "mine") == 0
    (stage_1,) = (tmp_path / "runs" / "pretraining").iterdir()
    (first,), (second,) = read_runs(stage_1), read_runs(tmp_path / "mine")
    assert second.identifier == "agents1"
    assert (second.run["sweep_id"], second.run["job_type"]) == ("sweep1", "stage 2")
    assert "sweep_id" not in first.run
    assert first.identifier != "agents1"
    assert os.environ["WANDB_RUN_ID"] == "agents1"


def test_of_the_score_by_which_a_checkpoint_is_kept_the_best_counts(tmp_path: Path) -> None:
    logger = wandb_runs.run_logger(
        Execution(), Settings().resolved(), tmp_path, {"stage": 2, "settings": {}}, kept={}, rows=[],
        best_by=SCORE,
    )  # fmt: skip
    wandb_runs.begin([logger])
    for step, score in enumerate((0.2, 0.3, 0.25)):
        logger.log_metrics({SCORE: score, "validation/top1": score}, step)
    wandb_runs.finish(0)
    (run,) = read_runs(tmp_path)
    assert run.summary[SCORE] == {"max": 0.3, "last": 0.25}
    assert run.summary["validation/top1"] == 0.25


# ---------------------------------------------------------------------- how a run ends


def test_a_failed_training_is_a_failed_run_with_an_alert(start: Start, tmp_path: Path) -> None:
    given = ("--no-pretraining", "--learning-rate", "1e25", "--gradient-clip", 0, "--output", "mine")
    assert start("--wandb", *given) == 1
    (run,) = read_runs(tmp_path / "mine")
    assert run.exit_code == 1
    (alert,) = run.alerts
    assert (alert["title"], alert["level"]) == ("training failed", "ERROR")
    assert alert["text"].startswith("stopped at step ")
    assert str(tmp_path) not in alert["text"]


@pytest.mark.parametrize(
    ("error", "status"),
    [(KeyboardInterrupt(), 130), (OSError("disk full"), 2), (MemoryError("no room"), 2)],
)
def test_a_run_that_is_stopped_ends_with_the_command_s_status(
    start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException, status: int
) -> None:
    stop_at(monkeypatch, 3, error)
    assert start("--wandb", "--no-pretraining", "--output", "mine") == status
    (run,) = read_runs(tmp_path / "mine")
    assert run.exit_code == status
    assert run.alerts == []


def test_an_unforeseen_error_is_a_failed_run_too(
    start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stop_at(monkeypatch, 3, RuntimeError("out of memory"))
    with pytest.raises(RuntimeError, match="out of memory"):
        start("--wandb", "--no-pretraining", "--output", "mine")
    (run,) = read_runs(tmp_path / "mine")
    assert run.exit_code == 1


def test_a_process_that_waits_in_vain_ends_its_run_with_its_status(tmp_path: Path) -> None:
    program = f"""
import os, threading, time, wandb
from ablations.runs import lost_processes, processes

def one_is_gone() -> None:
    others = lost_processes._Others(trainer, Path("last.ckpt"), None)
    others._end()

from pathlib import Path
from types import SimpleNamespace
trainer = SimpleNamespace(world_size=2, global_rank=0, global_step=7)
wandb.init(project="p", dir={str(tmp_path)!r}, mode="offline").log({{"loss": 1}})
threading.Thread(target=one_is_gone).start()
time.sleep(600)
"""
    ended = subprocess.run([sys.executable, "-c", program], timeout=120, capture_output=True, text=True)
    assert ended.returncode == 1, ended.stderr
    (run,) = read_runs(tmp_path)
    assert run.exit_code == 1


# ---------------------------------------------------------------------- runs that continue

EVERY_STEP = ("--no-pretraining", "--trainer.log-every-n-steps", 1, "--max-steps", 8)


@pytest.mark.parametrize("stops", [(5,), (1, 5), (5, 5, 7)], ids=str)
def test_the_parts_of_an_offline_run_have_every_step_once_and_ids_of_their_own(
    start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stops: tuple[int, ...]
) -> None:
    assert start("--wandb", *EVERY_STEP, "--output", "whole") == 0
    (whole,) = read_runs(tmp_path / "whole")
    for step in stops:  # a checkpoint was due at the last even one
        with monkeypatch.context() as patch:
            stop_at(patch, step, KeyboardInterrupt())
            assert start("--wandb", *EVERY_STEP, "--output", "mine") == 130
    first = read_runs(tmp_path / "mine")[0]
    assert start("--wandb", *EVERY_STEP, "--output", "mine") == 0
    parts = read_runs(tmp_path / "mine")
    assert parts[0] == first
    assert len({part.identifier for part in parts}) == len(parts) == len(stops) + 1
    assert {part.run["run_group"] for part in parts} == {"no-pretraining"}
    of_parts = [part.run["config"]["update"].get("first_part") for part in parts]
    assert of_parts == [None, *[first.identifier] * len(stops)]
    assert curves(*parts) == curves(whole)
    for name, step in curves(whole):
        if name.startswith(("train/loss", "validation/", "lr", "coefficients/")):
            values = [
                [row[name] for run in runs for row in run.rows if name in row and row[STEP] == step]
                for runs in (parts, [whole])
            ]
            assert values[0] == values[1]


def test_a_part_that_was_killed_before_wandb_wrote_anything_breaks_no_chain(
    start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert start("--wandb", *EVERY_STEP, "--output", "whole") == 0
    for step in (3, 5):
        with monkeypatch.context() as patch:
            stop_at(patch, step, KeyboardInterrupt())
            assert start("--wandb", *EVERY_STEP, "--output", "mine") == 130
    _, file = files_of(tmp_path / "mine")
    size = -1
    while size != file.stat().st_size:  # W&B writes from a process of its own, which may still be at it
        size = file.stat().st_size
        time.sleep(0.5)
    file.write_bytes(file.read_bytes()[:FILE_HEADER])
    assert start("--wandb", *EVERY_STEP, "--output", "mine") == 0
    (whole,) = read_runs(tmp_path / "whole")
    first, last = (read_run(one) for one in files_of(tmp_path / "mine") if one != file)
    assert last.run["config"]["update"]["first_part"] == first.identifier
    ours, theirs = (
        Counter({key: count for key, count in curves(*runs).items() if key[0].startswith(("train", "lr"))})
        for runs in ((first, last), (whole,))
    )
    assert ours == theirs


@pytest.mark.parametrize("waits", [True, False])
def test_where_no_part_says_what_it_is_all_is_logged_again(tmp_path: Path, waits: bool) -> None:
    for second, identifier in enumerate("ab"):
        folder = tmp_path / "wandb" / f"{'offline-' * waits}run-20260101_00000{second}-{identifier}"
        folder.mkdir(parents=True)
        (folder / f"run-{identifier}.wandb").write_bytes(b":W&B\xee\xbe\x00")
    part = wandb_runs._part(tmp_path, {"wandb_id": "b"}, resumed=False, waits=waits)
    assert (part.first, part.already, part.catches_up) == ("a", {}, True)
    assert (part.identifier == "b") is not waits


def test_wandb_that_is_asked_for_later_gets_the_steps_before(
    start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert start("--wandb", *EVERY_STEP, "--output", "whole") == 0
    with monkeypatch.context() as patch:
        stop_at(patch, 5, KeyboardInterrupt())
        assert start(*EVERY_STEP, "--output", "mine") == 130
    assert start("--wandb", *EVERY_STEP, "--output", "mine") == 0
    (whole,), (run,) = read_runs(tmp_path / "whole"), read_runs(tmp_path / "mine")
    logged = [
        {key for key in curves(one) if key[0].startswith(("train", "val", "lr"))} for one in (run, whole)
    ]
    assert logged[0] == logged[1]
    assert set(curves(run).values()) == {1}


def test_a_checkpoint_of_another_folder_begins_a_run_of_its_own(start: Start, tmp_path: Path) -> None:
    assert start("--wandb", *EVERY_STEP, "--output", "mine") == 0
    given = (*EVERY_STEP[:-1], 10, "--resume", tmp_path / "mine" / CHECKPOINTS / "last.ckpt")
    assert start("--wandb", *given, "--output", "longer") == 0
    (before,), (after,) = read_runs(tmp_path / "mine"), read_runs(tmp_path / "longer")
    assert after.identifier != before.identifier
    assert {step for name, step in after.steps() if name == "train/loss/total"} == {8, 9}


@pytest.fixture
def parts_of_a_run(start: Start, tmp_path: Path) -> Path:
    """A folder with one part of a run, offline."""
    assert start("--wandb", *EVERY_STEP, "--output", "mine") == 0
    return tmp_path / "mine"


def test_a_run_keeps_its_id_where_all_of_its_parts_are_at_wandb_s(parts_of_a_run: Path) -> None:
    (run,) = local_runs(parts_of_a_run)

    def part(waits: bool) -> wandb_runs._Part:
        return wandb_runs._part(parts_of_a_run, {}, resumed=False, waits=waits)

    assert part(False).identifier != run.identifier  # it was not sent yet
    (folder,) = parts_of_a_run.glob("wandb/offline-run-*")
    (folder / f"run-{run.identifier}.wandb.synced").touch()
    assert part(False).identifier == run.identifier
    assert part(True).identifier != run.identifier
    (folder / f"run-{run.identifier}.wandb.synced").unlink()
    folder.rename(folder.with_name(folder.name.removeprefix("offline-")))
    assert part(False).identifier == run.identifier
    assert part(False).already == run.last_steps
    assert wandb_runs._part(parts_of_a_run, {}, resumed=True, waits=False).identifier != run.identifier


@pytest.mark.parametrize(
    ("kept_offline", "waits", "keeps"), [(False, False, True), (True, False, False), (False, True, False)]
)
def test_a_checkpoint_names_the_run_where_its_files_lie_elsewhere(
    tmp_path: Path, kept_offline: bool, waits: bool, keeps: bool
) -> None:
    kept = {"wandb_id": "abc", "wandb_offline": kept_offline}
    part = wandb_runs._part(tmp_path, kept, resumed=False, waits=waits)
    assert (part.identifier == "abc") is keeps
    assert (part.first, part.catches_up) == ("abc", False)


def test_a_checkpoint_names_its_run_group_and_whether_it_waits(start: Start, tmp_path: Path) -> None:
    assert start("--wandb", "--no-pretraining", "--no-loopback", "--output", "mine") == 0
    (run,) = offline_runs(tmp_path / "mine")
    content = read_checkpoint(tmp_path / "mine" / FINAL)[KEY]
    assert content["wandb_id"] == run.about["id"]
    assert (content["wandb_group"], content["wandb_offline"]) == (
        "no-loopback+no-pretraining",
        True,
    )


def test_a_run_that_wandb_was_told_not_to_keep_is_named_nowhere(
    start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setenv("WANDB_MODE", "disabled")
        assert start("--wandb", "--no-pretraining", "--output", "mine") == 0
    assert read_checkpoint(tmp_path / "mine" / FINAL)[KEY]["wandb_id"] is None
    assert start("--wandb", "--no-pretraining", "--output", "mine") == 0  # now it is kept
    (run,) = read_runs(tmp_path / "mine")
    assert run.summary[SCORE]["max"] > 0


# ---------------------------------------------------------------------- photographs


def test_no_photograph_is_sent_unless_that_is_asked_for(start: Start, tmp_path: Path) -> None:
    for more, columns, sheet in (
        ((), 3, run_report.SHEET_OF_RENDERINGS),
        (("--wandb-photographs",), 4, run_report.SHEET),
    ):
        output = f"columns{columns}"
        assert start("--wandb", "--no-pretraining", *more, "--output", output) == 0
        (folder,) = (tmp_path / output).glob("wandb/offline-run-*")
        (pictures,) = folder.glob("files/media/images/pictures_*.png")
        with (
            Image.open(pictures) as sent,
            Image.open(tmp_path / output / "pictures/step_0000004.png") as kept,
        ):
            assert (sent.width, kept.width) == (columns * PICTURE_PIXELS, 4 * PICTURE_PIXELS)
            shown = kept.crop((kept.width - sent.width, 0, kept.width, kept.height))
            first_picture = (0, kept.height - PICTURE_PIXELS, sent.width, kept.height)
            assert shown.crop(first_picture).tobytes() == sent.crop(first_picture).tobytes()
        (sent_sheet,) = folder.glob("files/media/images/contact_sheet_*.png")
        assert sent_sheet.read_bytes() == (tmp_path / output / sheet).read_bytes()


# ---------------------------------------------------------------------- W&B's own notices


def test_nothing_that_wandb_deprecates_is_used(
    start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("WANDB_SILENT")
    assert start("--wandb", "--output", "mine") == 0
    (stage_1,) = (tmp_path / "runs" / "pretraining").iterdir()
    for folder in (stage_1, tmp_path / "mine"):
        (run,) = read_runs(folder)
        assert run.deprecated == set()
    printed = capfd.readouterr()
    assert "wandb" in printed.err  # it was not silent
    assert "deprecat" not in (printed.out + printed.err).lower()


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
