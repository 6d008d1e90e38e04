import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from pandas import read_csv

from datamodules.alignment.detection import Detection
from evaluation import robustness
from evaluation.damage import movements, pictures, responses
from evaluation.damage.corruptions import CENTRE, CONTEXT, CORRUPTIONS, POINTS, STRENGTHS
from evaluation.damage.movements import DIFFERENT, SAME
from evaluation.damage.responses import Responses, found_again
from evaluation.robustness import main
from lightning_modules.recognition.frame import CANONICAL_POINTS
from tests.datamodules.conftest import write_photograph

from .small_checkpoint import (
    checkpoint,
    detect_two_by_colour,
    saw_in_training,
    small_network,
    status_of,
    was_trained_with,
)

__all__ = ["checkpoint"]
Run = Callable[..., int]
# As many as tests can afford.
FEW = tuple(kind for kind in CORRUPTIONS if kind.name in ("noise", "less colour"))
DAMAGES = len(FEW) * STRENGTHS


def detect(image: np.ndarray) -> list[Detection]:
    """A face that fills photographs and lies in the middle of contexts; none where it is very noisy."""
    if len(image) != CONTEXT.size:
        return detect_two_by_colour(image)
    steps = np.abs(np.diff(image.astype(int), axis=1)).mean()
    return [] if steps > 40 else [Detection(np.array([50, 50, 270, 270]), POINTS, 0.9)]


@pytest.fixture(autouse=True)
def few_kinds(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (responses, movements, pictures):
        monkeypatch.setattr(module, "CORRUPTIONS", FEW)


@pytest.fixture
def run(checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Measures on photographs of five people; returns the exit status."""
    monkeypatch.setattr(robustness, "load_network", small_network)
    monkeypatch.setattr(robustness, "load_detector", lambda name: detect)
    for index in range(5):
        write_photograph(tmp_path / "photographs" / f"{index}.png", index)

    def run(*more: object) -> int:
        return status_of(
            main,
            [
                checkpoint, f"--data=photographs:{tmp_path / 'photographs'}", "--workers=0",
                f"--cache-folder={tmp_path / 'cache'}", f"--output={tmp_path / 'out'}", "--pictures=0", *more,
            ],
        )  # fmt: skip

    return run


def results(folder: Path) -> dict:
    return json.loads((folder / "out" / "results.json").read_text())


def value(found: dict, protocol: str, metric: str) -> dict:
    return next(
        row for row in found["rows"] if row["protocol"] == protocol and row["metric"].startswith(metric)
    )


def test_no_damage_moves_nothing_and_more_damage_moves_more(run: Run, tmp_path: Path) -> None:
    assert run() == 0
    found = results(tmp_path)
    assert found["counts"] == {"total": 5, "used": 5, "failed": {}}
    for metric in ("shape", "albedo", "mesh"):
        assert value(found, "no damage", metric)["value"] == 0
        other = value(found, DIFFERENT, metric)
        assert other["interval"][0] <= other["value"] <= other["interval"][1]
        grey = [value(found, f"less colour {s} ({s / 5:g} grey)", metric)["value"] for s in (1, 3, 5)]
        assert 0 < grey[0] < grey[1] < grey[2]
    assert value(found, "no damage", "to clean rendering")["value"] == pytest.approx(1)
    assert "Movement of faces by small.ckpt" in found["title"]
    assert found["provenance"]["judge"]["name"] == "sface"
    assert not any(row["protocol"] == SAME for row in found["rows"])


def test_the_judge_sees_faces_as_in_training_unless_it_is_asked_otherwise(
    run: Run,
    checkpoint: Path,
    tmp_path: Path,
) -> None:
    def figure(*more: str) -> tuple[float, bool]:
        assert run("--overwrite", *more) == 0
        found = results(tmp_path)
        shown_as_rendered = "faces shown as rendered" in found["title"]
        return value(found, "no damage", "to photograph")["value"], shown_as_rendered

    usual, plain = figure(), figure("--no-retouched")
    assert (usual[1], plain[1]) == (False, True)
    assert usual[0] != plain[0]
    was_trained_with(checkpoint, retouched=False)
    assert figure() == plain
    assert figure("--retouched") == usual


def test_people_s_distance_is_the_mean_over_all_pairs(run: Run, tmp_path: Path) -> None:
    run()
    files = sorted((tmp_path / "out" / "responses").glob("*.npz"))
    shapes = np.stack([Responses.load(file).coefficients[0, :4] for file in files])
    pairs = np.sqrt(((shapes[:, None] - shapes) ** 2).mean(-1))
    expected = pairs[np.triu_indices(5, 1)].mean()
    assert value(results(tmp_path), DIFFERENT, "shape")["value"] == pytest.approx(expected, rel=1e-5)


def test_faces_that_are_not_found_count_and_have_no_distance(run: Run, tmp_path: Path) -> None:
    run()
    found = results(tmp_path)
    name = "noise 5 (75 of 255)"
    assert value(found, name, "found")["value"] == 0
    assert value(found, name, "mesh")["value"] is None
    assert value(found, name, "mesh")["reason"] == "found in 0 photographs"
    table = read_csv(tmp_path / "out" / "photographs.csv")
    assert len(table) == 5 * (2 + DAMAGES)
    lost = table[table.damage == name]
    assert lost["mesh"].isna().all()
    assert (lost["found"] == 0).all()


def test_a_stopped_run_goes_on_and_comes_out_the_same(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run()
    whole = results(tmp_path)["rows"]
    (tmp_path / "out").rename(tmp_path / "whole")
    asked = []

    def stop_at_the_third(*arguments: object, **options: object) -> Responses:
        asked.append(1)
        if len(asked) == 3:
            raise KeyboardInterrupt
        return responses.respond(*arguments, **options)

    monkeypatch.setattr(robustness, "respond", stop_at_the_third)
    assert run() == 130
    assert len(list((tmp_path / "out" / "responses").glob("*.npz"))) == 2
    damaged = next((tmp_path / "out" / "responses").glob("*.npz"))
    damaged.write_bytes(damaged.read_bytes()[:200])
    assert run() == 0
    assert len(asked) == 3 + 4
    assert results(tmp_path)["rows"] == whole


def test_overwriting_measures_anew(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    run()
    asked = []

    def count(*arguments: object, **options: object) -> Responses:
        asked.append(1)
        return responses.respond(*arguments, **options)

    monkeypatch.setattr(robustness, "respond", count)
    assert run() == 0
    assert asked == []
    assert run("--overwrite") == 0
    assert len(asked) == 5


def test_overwriting_keeps_what_others_put_beside_the_responses(run: Run, tmp_path: Path) -> None:
    assert run() == 0
    (tmp_path / "out" / "responses" / "theirs.npz").write_text("theirs")
    assert run("--overwrite") == 0
    assert (tmp_path / "out" / "responses" / "theirs.npz").read_text() == "theirs"


def test_the_title_says_how_many_photographs_were_trained_on(
    run: Run,
    checkpoint: Path,
    tmp_path: Path,
) -> None:
    saw_in_training(checkpoint, sorted((tmp_path / "photographs").iterdir())[:2])
    assert run() == 0
    assert results(tmp_path)["title"].endswith("; TRAINED ON 2 of these 5 photographs")


def test_pictures_lie_below_the_folder_and_figures_in_it(run: Run, tmp_path: Path) -> None:
    assert run("--pictures=2") == 0
    names = {path.relative_to(tmp_path / "out").as_posix() for path in (tmp_path / "out").rglob("*.png")}
    assert {"pictures/people.png", "pictures/strengths.png", "mesh_image_quality.png"} <= names
    assert not any(name.startswith("people") for name in names)


def test_photographs_without_a_face_are_counted(run: Run, tmp_path: Path) -> None:
    write_photograph(tmp_path / "photographs" / "sky.png", 9, face=False)
    assert run() == 1
    assert results(tmp_path)["counts"] == {"total": 6, "used": 5, "failed": {"no face found": 1}}


def test_a_face_that_is_not_found_again_undamaged_is_a_failure(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked = []

    def miss_the_first(image: np.ndarray) -> list[Detection]:
        looked.append(1)
        return [] if len(looked) == 1 else detect(image)

    monkeypatch.setattr(robustness, "load_detector", lambda name: miss_the_first)
    assert run() == 1
    found = results(tmp_path)
    assert found["counts"]["failed"] == {"not found again in its own crop": 1}
    assert value(found, "no damage", "mesh")["n"] == 4


def test_without_data_a_labelled_stand_in_is_measured(
    checkpoint: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture,
) -> None:
    # The stand-in renders heads; two photographs of each of two people are made here instead.
    from datamodules import stand_in_photographs

    def render(self: stand_in_photographs.StandInPhotographs) -> None:
        for number, file in enumerate(self.photographs()):
            write_photograph(file, number)

    monkeypatch.setattr(stand_in_photographs.StandInPhotographs, "render_missing", render)
    monkeypatch.setattr(robustness, "load_network", small_network)
    monkeypatch.setattr(robustness, "load_detector", lambda name: detect)
    status = status_of(
        main,
        [checkpoint, "--data=stand-in", "--people=3", "--workers=0", "--pictures=0",
         f"--cache-folder={tmp_path / 'cache'}", f"--output={tmp_path / 'out'}"],
    )  # fmt: skip
    assert status == 0
    found = results(tmp_path)
    assert found["stand_in"] is True
    assert found["title"].startswith("STAND-IN: ")
    assert value(found, SAME, "mesh")["value"] > 0
    assert value(found, SAME, "mesh")["n"] == 3
    assert capsys.readouterr().out.startswith("STAND-IN")


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--people=1"], "--people must be at least 2"),
        (["--judge=dlib"], "the checkpoint was trained with dlib"),
        (["--centred"], "the checkpoint keeps no centre of sface"),
        (["--data=micc:x"], "--data micc:x is not known"),
    ],
)
def test_bad_input_is_said_in_a_sentence(
    run: Run, more: list[str], message: str, capsys: pytest.CaptureFixture
) -> None:
    assert run(*more) == 2
    assert message in capsys.readouterr().err


def test_too_few_people_are_refused_with_their_reasons(
    run: Run, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    for index in range(1, 5):
        write_photograph(tmp_path / "photographs" / f"{index}.png", index, face=False)
    assert run() == 2
    assert "has 1 faces to compare, at least 2 are needed; failed: 4 no face found" in capsys.readouterr().err


def test_another_face_nearby_is_not_taken_for_the_person_s() -> None:
    context = np.zeros((CONTEXT.size, CONTEXT.size, 3), np.uint8)
    own = Detection(np.zeros(4), POINTS + 3, 0.7)
    neighbour = Detection(np.zeros(4), POINTS + 90, 0.9)
    assert found_again(context, lambda image: [neighbour]) is None
    assert found_again(context, lambda image: []) is None
    context[tuple((CENTRE + 3).round().astype(int)[::-1])] = 255
    crop = found_again(context, lambda image: [neighbour, own])
    rows, columns = np.nonzero(crop.max(-1) > 60)
    middle = torch.tensor([columns.mean(), rows.mean()])
    torch.testing.assert_close(
        middle.float(), torch.from_numpy(CANONICAL_POINTS.mean(0)).float(), atol=1.0, rtol=0
    )
