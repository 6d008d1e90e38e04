import csv
import json
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from torch import Tensor

from datamodules.alignment import face_cache
from datamodules.alignment.detection import Detection
from evaluation import verification
from evaluation.likeness.published_figures import ALL_PAIRS
from evaluation.reporting.results import Counts, Results, Row
from evaluation.shared import judge
from evaluation.verification import blocks_of, in_ten_folds, main
from lightning_modules.recognition.frame import CANONICAL_POINTS, WHOLE_FRAME
from lightning_modules.recognition.network import RecognitionNetwork
from tests.evaluation.untouched import inputs_untouched


class ColourNetwork(RecognitionNetwork):
    """Recognises people by their colour."""

    name = "dlib"
    crop = WHOLE_FRAME
    feature_width = embedding_width = 3

    def __init__(self) -> None:
        super().__init__("ab" * 32)
        self.register_buffer("shift", torch.tensor(0.4), persistent=False)

    def describe(self, images: Tensor) -> tuple[Tensor, Tensor]:
        mean = images.mean((2, 3))
        return mean, mean - self.shift


def write_person(folder: Path, name: str, colour: np.ndarray, generator: np.random.Generator) -> None:
    for number in range(1, 4):
        path = folder / name / f"{name}_{number:04d}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        picture = np.full((80, 80, 3), colour, float) + generator.normal(0, 2, (80, 80, 3))
        cv2.imwrite(str(path), picture.clip(0, 255).astype(np.uint8))


@pytest.fixture
def lfw_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Ten people of ten colours with three photographs each, in two folds; one photograph shows no face."""
    generator = np.random.default_rng(0)
    root, lines = tmp_path / "lfw", ["2\t10"]
    for person in range(10):
        write_person(root / "images", f"P{person}", generator.uniform(30, 220, 3), generator)
    shutil.move(root / "images", root / "lfw-deepfunneled")
    for fold in range(2):
        lines += [f"P{person}\t1\t{fold + 2}" for person in range(10)]
        lines += [f"P{person}\t{fold + 1}\tP{(person + 3) % 10}\t2" for person in range(10)]
    (root / "pairs.txt").write_text("\n".join(lines))

    def detect(image: np.ndarray) -> list[Detection]:
        return [Detection(np.array([0, 0, 80, 80]), CANONICAL_POINTS / 224 * 80, 0.9)]

    monkeypatch.setattr(face_cache, "load_detector", lambda name: detect)
    monkeypatch.setattr(verification, "load_network", lambda *_, **__: ColourNetwork())
    return root


def run(folder: Path, *more: str) -> tuple[int, dict]:
    output = folder.parent / "output"
    arguments = [
        "--data", f"lfw:{folder}", "--network=dlib", "--workers=0", f"--output={output}",
        f"--cache-folder={folder.parent / 'cache'}", *more,
    ]  # fmt: skip
    with inputs_untouched(arguments):
        status = main(arguments)
    file = output / "results.json"
    return status, json.loads(file.read_text()) if file.exists() else {}


def value(results: dict, protocol: str, metric: str) -> float:
    rows = (row for row in results["rows"] if row["protocol"].endswith(protocol))
    return next(row["value"] for row in rows if row["metric"] == metric)


def test_people_who_differ_are_told_apart(lfw_folder: Path, capsys: pytest.CaptureFixture) -> None:
    status, results = run(lfw_folder)
    assert status == 0
    assert results["counts"] == {"total": 40, "used": 40, "failed": {}}
    assert value(results, "Euclidean", "accuracy") == 1.0
    assert value(results, "Euclidean", "area under ROC") == 1.0
    assert value(results, "cosine", "true accepts at 0.001 false") == 1.0
    assert results["provenance"]["network"] == {"name": "dlib", "sha256": "ab" * 32}
    assert results["provenance"]["data"]["count"] == 30
    printed = capsys.readouterr().out
    assert "40 of 40 pairs used; failed: none" in printed
    assert "results.json" in printed
    with (lfw_folder.parent / "output" / "roc.csv").open() as file:
        assert {row["comparison"] for row in csv.DictReader(file)} == {"Euclidean", "cosine"}


def test_pairs_without_a_face_are_counted_and_change_the_exit_status(lfw_folder: Path) -> None:
    (lfw_folder / "lfw-deepfunneled/P4/P4_0001.jpg").write_text("not a photograph")
    status, results = run(lfw_folder)
    assert status == 1
    assert results["counts"] == {"total": 40, "used": 37, "failed": {"no face": 3}}
    assert all(row["n"] == 37 for row in results["rows"])


def test_a_finished_folder_is_printed_and_other_settings_refused(
    lfw_folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    _, first = run(lfw_folder)

    def compute(*_: object) -> tuple:
        raise AssertionError("computed again")

    monkeypatch.setattr(verification, "verification_report", compute)
    assert run(lfw_folder) == (0, first)
    with pytest.raises(SystemExit) as stop:
        run(lfw_folder, "--faces=largest")
    assert stop.value.code == 2
    expected = "computed with other settings (faces: 'central' there, 'largest' now); name another --output"
    assert expected in capsys.readouterr().err
    with pytest.raises(AssertionError, match="computed again"):
        run(lfw_folder, "--overwrite")


def test_a_centre_adds_a_row(lfw_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    estimate = judge.estimate_centre
    monkeypatch.setattr(judge, "estimate_centre", lambda *a, **k: estimate(*a, **k, minimum=5))
    _, results = run(lfw_folder, "--centre_from", str(lfw_folder / "lfw-deepfunneled"))
    assert value(results, "centred cosine", "accuracy") == 1.0
    assert "centre of 30 photographs" in results["title"]


def test_calibration_counts_all_pairs(lfw_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ColourNetwork, "name", "vggface")
    _, results = run(lfw_folder)
    everyone = [row for row in results["rows"] if row["protocol"] == "LFW, all pairs"]
    rows = {(row["method"], row["metric"]): row for row in everyone}
    assert rows["vggface", "one person, below 0.403"]["n"] == 10 * 3
    assert rows["vggface", "two people, above 0.403"]["n"] == 30 * 29 // 2 - 30
    assert rows["vggface", "one person, below 0.403"]["value"] == 0.0
    quoted = rows["Genova et al. 2018", "one person, below 0.403"]
    assert (quoted["value"], quoted["quoted"]) == (0.227, True)
    assert rows["vggface", "mean, one person"]["value"] == pytest.approx(1.0, abs=0.05)


def test_missing_data_is_named(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    absent, output = str(tmp_path / "absent"), str(tmp_path / "out")
    with pytest.raises(SystemExit) as stop:
        main(["--data", absent, "--network", "dlib", "--output", output])
    assert stop.value.code == 2
    assert capsys.readouterr().err.startswith("error: no LFW images in")


def test_options_may_come_from_a_file_and_are_explained(
    lfw_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    (tmp_path / "options.yaml").write_text("faces: largest\n")
    status, results = run(lfw_folder, f"--config={tmp_path / 'options.yaml'}")
    assert status == 0
    assert results["settings"]["faces"] == "largest"
    with pytest.raises(SystemExit) as stop:
        main(["--help"])
    assert stop.value.code == 0
    assert "a folder of training photographs" in " ".join(capsys.readouterr().out.split())


def test_an_unknown_network_is_refused_by_the_parser(capsys: pytest.CaptureFixture) -> None:
    with pytest.raises(SystemExit):
        main(["--data", "x", "--network", "arcface"])
    assert "dlib" in capsys.readouterr().err


def test_development_pairs_are_dealt_to_ten_folds() -> None:
    same = np.repeat([True, False], 25)
    table = in_ten_folds(verification.PairTable(np.arange(50), np.arange(50), same, np.zeros(50, int)))
    for kind in (True, False):
        assert np.bincount(table.fold[same == kind]).tolist() == [3] * 5 + [2] * 5


def test_ways_of_comparing_are_lines_and_the_calibration_has_a_table_of_its_own() -> None:
    rows = [
        Row("vggface", f"LFW pairs, {way}", metric, "share", 0.9, n=4)
        for way in ("Euclidean", "cosine")
        for metric in ("accuracy", "threshold", "area under ROC")
    ]
    rows += [
        Row(name, ALL_PAIRS, "one person, below 0.403", "share", 0.25, quoted=name != "vggface")
        for name in ("vggface", "Genova et al. 2018")
    ]
    first, second = blocks_of(Results("verification", "t", {}, Counts(4, 4, {}), rows, {}))
    assert (first.heading, first.columns) == ("LFW pairs", ["accuracy (%)", "area under ROC (%)"])
    assert [label for label, _ in first.lines] == ["vggface, Euclidean", "vggface, cosine"]
    assert (second.heading, [label for label, _ in second.lines]) == (
        "LFW, all pairs", ["vggface", "Genova et al. 2018 †"],
    )  # fmt: skip
