import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from datamodules.alignment import face_cache
from evaluation import reporting_people, robustness
from evaluation.likeness import judged_people
from evaluation.likeness.judged_people import coefficient_statistics, judge_faces, shape_errors
from evaluation.metrics.moments import moments
from evaluation.metrics.reporting_protocol import hits
from evaluation.reporting.results import Results
from evaluation.shared import lifecycle
from lightning_modules.checkpoints import KEY, checkpoint_content
from lightning_modules.faces.alignment import SimilarityOfFaces
from lightning_modules.plain.output_folder import OutputFolder
from lightning_modules.prediction import Prediction
from lightning_modules.regressor import Regressor
from tests import miniatures
from tests.datamodules.conftest import detect_by_colour, write_photograph

from .small_checkpoint import saw_in_training, status_of, was_trained_with
from .small_people import small_network, with_miniatures

FIGURES = (
    "similarity", "AUC", "top-1", "top-5", "top-1, source left out", "top-5, source left out",
    "EMD to one person", "EMD to two people", "fooling gap", "|mean - target|", "|variance - target|",
    "variance", "beyond 3 sd",
)  # fmt: skip


@pytest.fixture
def checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkpoint of miniatures with weights that were never trained."""
    with_miniatures(monkeypatch.setattr)
    monkeypatch.chdir(tmp_path)
    torch.manual_seed(0)
    regressor = Regressor(20, 4, 3, hidden_width=16)
    encoder, judge = small_network("dlib"), small_network("sface")
    content = checkpoint_content(
        stage=2,
        regressor=regressor,
        model=miniatures.small_model(skin=True),
        networks={"encoder": encoder, "identity": encoder, "judge": judge},
        centres={},
        settings={"morphable_model": "open"},
        tone={"mean": 0.5, "variance": 0.25},
        commit=None,
    )
    weights = {f"regressor.{name}": value for name, value in regressor.state_dict().items()}
    torch.save({"state_dict": weights, "global_step": 7, KEY: content}, tmp_path / "final.ckpt")
    return tmp_path / "final.ckpt"


@pytest.fixture
def lfw(tmp_path: Path) -> Path:
    """Eight people with two photographs, of whom two are for development, and one with a single one."""
    root = tmp_path / "lfw"
    for person in range(9):
        for number in range(1 if person == 8 else 2):
            file = root / "lfw-deepfunneled" / f"P{person}" / f"P{person}_{number + 1:04d}.jpg"
            write_photograph(file, 10 * person + number)
    (root / "peopleDevTrain.txt").write_text("2\nP2\t2\nP5\t2\n")
    return root


def score(checkpoint: Path, *more: object) -> tuple[int, dict, pd.DataFrame]:
    output = checkpoint.parent / "output"
    options = ["--workers=0", f"--cache-folder={checkpoint.parent / 'cache'}", f"--output={output}"]
    status = status_of(reporting_people.main, [checkpoint, *options, *more])
    if not (output / "results.json").is_file() or status == 2:
        return status, {}, pd.DataFrame()
    return (
        status,
        json.loads((output / "results.json").read_text()),
        pd.read_csv(output / "people.csv"),
    )


def test_lfw_s_reported_people_are_scored_and_a_column_s_mean_is_the_figure(
    checkpoint: Path, lfw: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    status, results, people = score(checkpoint, "--data", f"lfw:{lfw}")
    assert status == 0
    assert people["person"].tolist() == ["P0", "P1", "P3", "P4", "P6", "P7"]
    assert tuple(people.columns[1:]) == FIGURES
    rows = {row["metric"]: row for row in results["rows"] if row["method"] == "checkpoint"}
    assert tuple(rows) == FIGURES
    for metric, row in rows.items():
        assert people[metric].mean() == pytest.approx(row["value"], abs=1e-9)
        assert people[metric].std() / np.sqrt(6) == pytest.approx(row["sd"], abs=1e-9)
        assert row["protocol"] == "LFW, 6 people, judge sface"
    assert {row["method"] for row in results["rows"]} == {"checkpoint", "its faces shuffled", "mean face"}
    assert not results["stand_in"]
    assert results["counts"] == {"total": 6, "used": 6, "failed": {}}
    assert "Reporting protocol: two photographs of 6 people (LFW)" in capsys.readouterr().out


def test_the_title_says_how_many_photographs_were_trained_on(checkpoint: Path, lfw: Path) -> None:
    saw_in_training(checkpoint, sorted((lfw / "lfw-deepfunneled" / "P0").iterdir()))
    _, results, _ = score(checkpoint, "--data", f"lfw:{lfw}")
    assert results["title"].endswith("(LFW); TRAINED ON 2 of these 12 photographs")


def test_networks_see_faces_as_in_training_unless_it_is_asked_otherwise(checkpoint: Path, lfw: Path) -> None:
    data = (f"--data=lfw:{lfw}", "--overwrite")
    usual = score(checkpoint, *data)[1]["rows"]
    was_trained_with(checkpoint, retouched=False)
    _, plain, _ = score(checkpoint, *data)
    assert plain["title"].endswith("(LFW), faces shown as rendered")
    assert score(checkpoint, *data, "--retouched")[1]["rows"] == usual
    changed = {
        old["method"]: old["value"] != new["value"]
        for old, new in zip(usual, plain["rows"], strict=True)
        if old["metric"] == "similarity"
    }
    assert changed == {"checkpoint": True, "its faces shuffled": True, "mean face": True}


def test_every_figure_has_its_place_in_a_table() -> None:
    placed = [metric for metrics in reporting_people.TABLES.values() for metric in metrics]
    assert sorted(placed) == sorted({*FIGURES, "shape error"})


def test_development_people_are_others_and_said_so(checkpoint: Path, lfw: Path) -> None:
    (lfw / "peopleDevTrain.txt").write_text("3\nP2\t2\nP5\t2\nP7\t2\n")
    _, results, people = score(checkpoint, "--data", f"lfw:{lfw}", "--development")
    assert people["person"].tolist() == ["P2", "P5", "P7"]
    assert {row["protocol"] for row in results["rows"]} == {"LFW, development, 3 people, judge sface"}


def test_the_stand_in_knows_its_people_s_shapes_and_says_what_it_is(
    checkpoint: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    status, results, people = score(checkpoint, "--data", "stand-in", "--people", 5, "--renderings", 3)
    assert status == 0
    assert results["stand_in"]
    assert results["title"].startswith("STAND-IN: ")
    assert tuple(people.columns[1:]) == (*FIGURES, "shape error")
    (row,) = [row for row in results["rows"] if row["metric"] == "shape error"]
    assert row["unit"] == "mm"
    assert row["value"] == pytest.approx(people["shape error"].mean())
    printed = capsys.readouterr().out.strip().splitlines()
    assert printed[0].startswith("STAND-IN: ")
    assert printed[-1].startswith("STAND-IN: ")


def test_faces_are_kept_and_no_photograph(checkpoint: Path) -> None:
    score(checkpoint, "--data", "stand-in", "--people", 5, "--renderings", 3)
    output = checkpoint.parent / "output"
    kept = np.load(output / "coefficients.npz")
    assert kept["shape"].shape == (5, 4)
    assert kept["albedo"].shape == (5, 3)
    pictures = sorted((output / "renderings").iterdir())
    assert [file.name for file in pictures] == ["00000.png", "00001.png", "00003.png"]
    with Image.open(pictures[0]) as picture:
        assert picture.size == (224, 224)


@pytest.mark.parametrize(("wanted", "kept"), [(0, []), (2, [0, 2]), (4, [0, 1, 2, 3]), (9, [0, 1, 2, 3])])
def test_renderings_are_of_people_evenly_taken_each_once(
    tmp_path: Path, wanted: int, kept: list[int]
) -> None:
    reporting_people.keep_faces(
        faces(4), miniatures.small_model(), wanted, OutputFolder(tmp_path, "reporting_people")
    )
    assert [int(file.stem) for file in sorted(tmp_path.glob("renderings/*.png"))] == kept


def test_a_person_without_a_face_is_left_out_and_counted(
    checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked = []

    def detect(image: np.ndarray) -> list:
        looked.append(1)
        return [] if len(looked) == 4 else detect_by_colour(image)

    monkeypatch.setattr(face_cache, "load_detector", lambda name: detect)
    status, results, people = score(checkpoint, "--data", "stand-in", "--people", 5)
    assert status == 1
    assert results["counts"]["failed"] == {"no face found in one of two photographs": 1}
    assert people["person"].tolist() == ["person 0", "person 2", "person 3", "person 4"]


def test_two_people_are_too_few(checkpoint: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, _, _ = score(checkpoint, "--data", "stand-in", "--people", 2)
    assert status == 2
    assert "the protocol needs at least three people, got 2 with two faces" in capsys.readouterr().err


def test_the_training_network_is_no_judge(checkpoint: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, _, _ = score(checkpoint, "--data", "stand-in", "--people", 3, "--judge", "dlib")
    assert status == 2
    assert "trained with dlib" in capsys.readouterr().err


def test_figures_go_to_the_run_that_made_the_checkpoint(
    checkpoint: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    given = []

    def publish(results: Results, folder: OutputFolder, content: dict, project: str) -> str:
        given.append((results.command, folder.path.name, content["stage"], project))
        return "added to a run"

    monkeypatch.setattr(lifecycle, "publish", publish)
    score(checkpoint, "--data", "stand-in", "--people", 3, "--wandb", "--wandb-project", "mine")
    assert given == [("reporting_people", "output", 2, "mine")]
    assert "added to a run" in capsys.readouterr().out


def test_a_missing_checkpoint_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, _, _ = score(tmp_path / "gone.ckpt", "--data", "stand-in")
    assert status == 2
    assert "gone.ckpt does not exist" in capsys.readouterr().err


def test_another_command_with_the_same_cache_folder_detects_no_face_again(
    checkpoint: Path, lfw: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert score(checkpoint, "--data", f"lfw:{lfw}")[0] == 0

    def again(image: np.ndarray) -> None:
        raise AssertionError("detected again")

    monkeypatch.setattr(face_cache, "load_detector", lambda name: again)
    monkeypatch.setattr(robustness, "load_network", small_network)
    # Of damaged photographs, which no cache holds.
    monkeypatch.setattr(robustness, "load_detector", lambda name: detect_by_colour)
    given = ["--people=3", "--pictures=0", "--workers=0", f"--data=lfw:{lfw}", "--output=damaged"]
    shared = f"--cache-folder={checkpoint.parent / 'cache'}"
    assert robustness.main([str(checkpoint), *given, shared]) in (0, 1)
    with pytest.raises(AssertionError, match="detected again"):
        robustness.main([str(checkpoint), *given, "--overwrite", "--cache-folder=another"])


# ---------------------------------------------------------------------- scores


def faces(count: int = 6) -> Prediction:
    generator = torch.Generator().manual_seed(0)
    return Prediction(*(torch.randn(count, width, generator=generator) for width in (4, 3)))


class Gallery:
    """Photographs that look exactly like the faces, each person's two alike."""

    def __init__(self, people: Prediction) -> None:
        model = miniatures.small_model()
        names = ("dlib", "sface")
        seen = {name: judged_people.embed(small_network(name), people, model) for name in names}
        self.embeddings = {name: values.repeat_interleave(2, 0) for name, values in seen.items()}


def test_faces_that_are_the_photographs_are_found_and_fool_nobody() -> None:
    people = faces()
    networks = small_network("sface"), small_network("dlib")
    judged = judge_faces(people, Gallery(people), miniatures.small_model(), *networks)
    assert judged.scores.mean_same.value == pytest.approx(1, abs=1e-6)
    assert judged.scores.top1.value == 1
    assert judged.scores.area_under_roc.value == pytest.approx(1)
    assert judged.fooling_gap.value == pytest.approx(0, abs=1e-6)
    assert judged.scores.distance_to_same.value == pytest.approx(0, abs=1e-6)


def test_shuffled_faces_are_another_s() -> None:
    people = faces()
    networks = small_network("sface"), small_network("dlib")
    judged = judge_faces(people, Gallery(people), miniatures.small_model(), *networks, shuffled=True)
    assert judged.scores.top1.value == 0
    embeddings = Gallery(people).embeddings["sface"]
    rolled = embeddings[::2].roll(1, 0) @ embeddings.T
    assert judged.scores.top5.value == hits(rolled.numpy()).top5.mean()


def test_coefficients_are_held_against_the_photographs_tone() -> None:
    people = faces()
    statistics = coefficient_statistics(people, {"mean": 0.5, "variance": 0.25})
    mean, variance = torch.zeros(7), torch.ones(7)
    mean[4], variance[4] = 0.5, 0.25
    whole = moments(torch.cat(people, 1), target_mean=mean, target_variance=variance)
    assert statistics.mean_distance.value == pytest.approx(whole.mean_distance)
    assert statistics.variance_distance.value == pytest.approx(whole.variance_distance)
    plain = coefficient_statistics(people, None)
    assert plain.mean_distance.value == pytest.approx(moments(torch.cat(people, 1)).mean_distance)


class Moved:
    """A model whose faces are one shape, moved by what their first coefficients say."""

    def vertices(self, shape: torch.Tensor) -> torch.Tensor:
        points = torch.randn(50, 3, generator=torch.Generator().manual_seed(0)) * 40
        points = points + 10 * shape[0, 1] * torch.nn.functional.normalize(points, dim=1)
        turned = SimilarityOfFaces(1.3, np.diag([1.0, -1.0, -1.0]), np.array([5.0, 6.0, 7.0]))
        moved = turned.of(points.numpy()) if shape[0, 0] else points.numpy()
        return torch.from_numpy(np.asarray(moved, np.float32))[None]


def test_place_turn_and_size_are_no_error_of_shape() -> None:
    truth = torch.tensor([[0.0, 0.0], [0.0, 0.0]])
    errors = shape_errors(torch.tensor([[1.0, 0.0], [1.0, 0.5]]), truth, Moved())
    assert errors[0] == pytest.approx(0, abs=1e-3)
    assert errors[1] > 0.5
