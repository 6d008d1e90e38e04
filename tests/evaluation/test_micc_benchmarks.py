"""micc.py on miniatures in the layouts of NoW and FG2018."""

import csv
import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from datamodules.photograph_digests import CONTENT, kept_digests
from evaluation import leaderboard
from evaluation.metrics.scan_protocols import FG2018, NOW
from evaluation.metrics.scan_score import score_scan
from evaluation.micc import main
from evaluation.scans import evaluation
from evaluation.scans.submission import completeness, incomplete
from lightning_modules.faces.mesh_files.units import read_mesh_in_mm
from tests.evaluation.benchmark_miniatures import (
    FG2018_IMAGES,
    FG2018_PEOPLE,
    NOW_PEOPLE,
    fg2018_folder,
    fg2018_predictions,
    now_folder,
    now_names,
    now_predictions,
    photograph,
)
from tests.evaluation.metrics.face_like import face_like
from tests.evaluation.micc_miniatures import checkpoint, only_the_face_like_model
from tests.evaluation.scanned_people import face_like_model
from tests.evaluation.untouched import inputs_untouched

__all__ = ["checkpoint", "only_the_face_like_model"]


@pytest.fixture
def now(tmp_path: Path) -> Path:
    return now_folder(tmp_path / "now")


def run(tmp_path: Path, *more: object, name: str = "out") -> tuple[int, dict]:
    given = list(map(str, more))
    checkpoint = given[: not given[0].startswith("-")]
    arguments = [
        *checkpoint, "--no-progress", "--workers=0", "--heat-maps=1", f"--output={tmp_path / name}",
        f"--cache-folder={tmp_path / 'cache'}", *given[len(checkpoint) :],
    ]  # fmt: skip
    with inputs_untouched(arguments):
        status = main(arguments)
    file = tmp_path / name / "results.json"
    return status, json.loads(file.read_text()) if file.exists() else {}


def row(results: dict, place: str, metric: str, method: str = "theirs") -> dict:
    found = [
        r for r in results["rows"] if (r["method"], r["protocol"], r["metric"]) == (method, place, metric)
    ]
    assert len(found) == 1
    return found[0]


def expected_distances(error_mm: float) -> dict[str, np.ndarray]:
    """Of each photograph the distances of its scan's vertices to its mesh, without any file."""
    distances = {}
    for number, name in enumerate(now_names()):
        person = name.partition("/")[0]
        mesh = face_like(5.0, nose_mm=NOW_PEOPLE[person] + error_mm * (1 + number / 10))
        plain = face_like(4.0, nose_mm=NOW_PEOPLE[person], scattered=True)
        score = score_scan(plain, mesh, NOW)
        assert score.scan_to_mesh is not None
        distances[name] = score.scan_to_mesh.values_mm[score.scan_to_mesh.counted]
    return distances


def test_now_is_scored_by_its_own_protocol_with_all_photographs_and_each_challenge(
    tmp_path: Path, now: Path
) -> None:
    theirs = now_predictions(tmp_path / "theirs", error_mm=4.0)
    status, results = run(tmp_path, "--meshes", theirs, "--data", f"now:{now}", "--unit=m")
    assert status == 0
    assert results["counts"]["failed"] == {}
    assert results["title"] == "theirs against scans of NoW's 3 people on 6 photographs (now)"
    distances = expected_distances(4.0)
    heap = np.concatenate(list(distances.values()))
    pooled = row(results, "NoW all photographs, now", "mean of all points")
    assert pooled["value"] == pytest.approx(heap.mean(), abs=0.01)
    assert pooled["sd"] == pytest.approx(heap.std(), abs=0.01)
    median = row(results, "NoW all photographs, now", "median of all points")
    assert median["value"] == pytest.approx(np.median(heap), abs=0.02)
    neutral = np.concatenate([each for name, each in distances.items() if "neutral" in name])
    assert row(results, "NoW neutral, now", "mean of all points")["value"] == pytest.approx(
        neutral.mean(), abs=0.01
    )
    counts = {
        condition: row(results, f"NoW {condition}, now", "mean")["n"]
        for condition in ("all photographs", "neutral", "expressions", "occlusions", "selfie")
    }
    assert list(counts.values()) == [6, 3, 1, 1, 1]
    assert row(results, "NoW neutral, now", "mean", "mean face")["n"] == 3


def test_the_tables_are_of_photographs_and_intervals_of_people(
    tmp_path: Path, now: Path, capsys: pytest.CaptureFixture
) -> None:
    theirs = now_predictions(tmp_path / "theirs", error_mm=4.0)
    _, results = run(tmp_path, "--meshes", theirs, "--data", f"now:{now}", "--unit=m")
    printed = capsys.readouterr().out
    assert "now: error in mm, mean over photographs" in printed
    assert "now: error in mm, all points pooled: median; mean ± sd" in printed
    assert "intervals resample people" in printed
    # One person alone is on the photographs of a challenge: no interval.
    assert row(results, "NoW selfie, now", "mean")["interval"] is None
    low, high = row(results, "NoW all photographs, now", "mean")["interval"]
    assert low < row(results, "NoW all photographs, now", "mean")["value"] < high
    with (tmp_path / "out/subjects.csv").open() as file:
        lines = [line for line in csv.DictReader(file) if line["method"] == "theirs"]
    assert [line["subject"] for line in lines] == now_names()
    assert {line["person"] for line in lines} == set(NOW_PEOPLE)
    assert (tmp_path / "out/heat_maps/sheet.png").is_file()
    assert (tmp_path / "out/curve_all_photographs.png").is_file()


def test_a_missing_prediction_fails_alone_and_is_named(tmp_path: Path, now: Path) -> None:
    theirs = now_predictions(tmp_path / "theirs")
    (theirs / f"{now_names()[3]}.obj").unlink()
    status, results = run(tmp_path, "--meshes", theirs, "--data", f"now:{now}", "--unit=m")
    assert (status, results["counts"]["failed"]) == (1, {"no mesh": 1})
    assert row(results, "NoW neutral, now", "failed")["value"] == 1
    assert row(results, "NoW all photographs, now", "failed")["n"] == 6


def test_seven_landmarks_suffice_and_no_mesh_is_fitted(
    tmp_path: Path, now: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fitted: list[str] = []
    marked = evaluation.MeshFolder.mesh

    def counting(self: object, subject: object, condition: str) -> object:
        monkeypatch.setattr(
            "evaluation.scans.landmarks.fit_model", lambda *_, **__: fitted.append(subject.name)
        )
        try:
            return marked(self, subject, condition)
        finally:
            monkeypatch.undo()

    monkeypatch.setattr(evaluation.MeshFolder, "mesh", counting)
    theirs = now_predictions(tmp_path / "theirs")
    folder = evaluation.MeshFolder(
        "theirs", theirs, evaluation.Marker(face_like_model, needed=(36, 39, 42, 45, 33, 48, 54)), unit="m"
    )
    (subject, *_) = evaluation.KINDS["now"].data(now).subjects()
    mesh = folder.mesh(subject, "neutral")
    assert not fitted
    assert np.isfinite(mesh.landmarks).all(1).sum() == 7


def test_fg2018_is_scored_by_quality(tmp_path: Path) -> None:
    data = fg2018_folder(tmp_path / "fg2018")
    theirs = fg2018_predictions(tmp_path / "theirs", error_mm=5.0)
    status, results = run(tmp_path, "--meshes", theirs, "--data", f"fg2018:{data}")
    assert status == 0
    scores = []
    for image in FG2018_IMAGES["HQ"]:
        nose_mm = FG2018_PEOPLE[image.partition("_")[0]]
        plain = face_like(4.0, nose_mm=nose_mm, scattered=True)
        scores.append(score_scan(plain, face_like(5.0, nose_mm=nose_mm + 5), FG2018).value_mm)
    assert row(results, "FG2018 HQ, fg2018", "mean")["value"] == pytest.approx(np.mean(scores), abs=0.005)
    assert row(results, "FG2018 LQ, fg2018", "mean")["n"] == 1
    assert row(results, "FG2018 all photographs, fg2018", "mean")["n"] == 3


def test_flat_folders_of_fg2018s_meshes_are_read_as_well(tmp_path: Path) -> None:
    data = fg2018_folder(tmp_path / "fg2018")
    theirs = fg2018_predictions(tmp_path / "theirs", error_mm=5.0)
    for path in [*theirs.rglob("*.obj"), *theirs.rglob("*.txt")]:
        path.rename(theirs / path.name)
    status, _ = run(tmp_path, "--meshes", theirs, "--data", f"fg2018:{data}")
    assert status == 0


def test_what_does_not_belong_together_is_refused_in_one_sentence(
    tmp_path: Path, now: Path, capsys: pytest.CaptureFixture
) -> None:
    theirs = now_predictions(tmp_path / "theirs")
    for given, message in (
        (["--data", f"scans:{now}", "--images=test"], "--images test is for --data now:DIR"),
        (
            ["--data", f"now:{now}", "--groups=skin-tone"],
            "--groups are of people; now:DIR is scored by photo",
        ),
        (["--data", f"now:{now}", "--images=test", "--subjects=1"], "photographs; leave --subjects out"),
        (["--data", f"fg2018:{now}"], "FG2018 is not in"),
        (["--data", f"now:{tmp_path}"], "holds no imagepathsvalidation.txt of NoW"),
    ):
        with pytest.raises(SystemExit) as stop:
            run(tmp_path, "--meshes", theirs, *given)
        assert stop.value.code == 2
        error = capsys.readouterr().err
        assert message in error
        assert len(error.strip().splitlines()) == 1
    assert not (tmp_path / "out").exists()


def test_two_methods_meet_in_a_leaderboard(tmp_path: Path, now: Path, capsys: pytest.CaptureFixture) -> None:
    for name, error_mm in (("good", 2.0), ("bad", 9.0)):
        meshes = now_predictions(tmp_path / "meshes" / name, error_mm=error_mm)
        given = ["--meshes", meshes, "--data", f"now:{now}", "--unit=m", "--protocol=fg2018"]
        run(tmp_path, *given, name=name)
    capsys.readouterr()
    folders = [str(tmp_path / name) for name in ("bad", "good")]
    assert leaderboard.main([*folders, "--output", str(tmp_path / "board")]) == 0
    printed = capsys.readouterr().out
    assert "fg2018, All photographs: over the 6 photographs that all have" in printed
    results = json.loads((tmp_path / "board/results.json").read_text())
    place = "NoW all photographs, fg2018"
    assert row(results, place, "rank", "good")["value"] < row(results, place, "rank", "bad")["value"]
    assert "mean face (good)" not in printed


def test_landmarks_and_scans_in_another_unit_than_each_other_are_put_right(tmp_path: Path, now: Path) -> None:
    theirs = now_predictions(tmp_path / "theirs", error_mm=4.0)
    expected = run(tmp_path, "--meshes", theirs, "--data", f"now:{now}", "--unit=m")[1]
    for file in (now / "scans").rglob("*.obj"):  # whose picked points stay in mm
        lines = [line.split() for line in file.read_text().splitlines()]
        for words in lines:
            words[1:4] = [f"{float(x) / 1000:.9f}" for x in words[1:4]] if words[:1] == ["v"] else words[1:4]
        file.write_text("\n".join(map(" ".join, lines)))
    for file in theirs.rglob("*.txt"):
        np.savetxt(file, 1000 * np.loadtxt(file))
    status, results = run(tmp_path, "--meshes", theirs, "--data", f"now:{now}", "--unit=m", name="again")
    assert (status, results["counts"]["failed"]) == (0, {})
    place = "NoW all photographs, now"
    assert row(results, place, "mean")["value"] == pytest.approx(
        row(expected, place, "mean")["value"], abs=2e-3
    )


# ---------------------------------------------------------------------- submissions


def test_a_submission_has_a_mesh_and_landmarks_for_each_photograph_of_the_test_list(
    tmp_path: Path, now: Path, capsys: pytest.CaptureFixture
) -> None:
    theirs = now_predictions(tmp_path / "theirs")
    status, results = run(tmp_path, "--meshes", theirs, "--data", f"now:{now}", "--images=test", "--unit=m")
    assert status == 0
    assert "submission: complete, meshes and landmarks of all 2 photographs" in capsys.readouterr().out
    names = now_names()[-2:]
    folder = tmp_path / "out/submission"
    assert sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*.*")) == sorted(
        f"{name}{suffix}" for name in names for suffix in (".obj", ".npy")
    )
    written = read_mesh_in_mm(folder / f"{names[1]}.obj", "mm").mesh
    expected = face_like(5.0, nose_mm=NOW_PEOPLE[names[1].partition("/")[0]])
    np.testing.assert_allclose(written.vertices.numpy(), expected.vertices, atol=1e-3)
    points = np.load(folder / f"{names[1]}.npy")
    assert points.shape == (7, 3)
    np.testing.assert_allclose(points, expected.landmarks[[36, 39, 42, 45, 33, 48, 54]], atol=1e-3)
    assert results["counts"] == {"total": 2, "used": 2, "failed": {}}
    # What was written can be scored as it is.
    assert run(tmp_path, "--meshes", folder, "--data", f"now:{now}", name="again")[0] == 1


def test_an_incomplete_submission_says_what_is_missing(
    tmp_path: Path, now: Path, capsys: pytest.CaptureFixture
) -> None:
    theirs = now_predictions(tmp_path / "theirs")
    missing = now_names()[-1]
    (theirs / f"{missing}.obj").unlink()
    status, results = run(tmp_path, "--meshes", theirs, "--data", f"now:{now}", "--images=test", "--unit=m")
    assert status == 1
    assert results["counts"] == {"total": 2, "used": 1, "failed": {"no mesh": 1}}
    assert f"INCOMPLETE, 1 of 2 photographs lack files: {missing} (.obj .npy)" in capsys.readouterr().out
    with (tmp_path / "out/submission.csv").open() as file:
        lines = {line["photograph"]: line for line in csv.DictReader(file)}
    assert lines[missing]["lacks"] == ".obj .npy"
    assert lines[missing]["failure"] == f"no mesh: theirs has none of {missing}"


def test_a_finished_submission_that_lost_a_file_is_called_incomplete(
    tmp_path: Path, now: Path, capsys: pytest.CaptureFixture
) -> None:
    theirs = now_predictions(tmp_path / "theirs")
    given = ["--meshes", theirs, "--data", f"now:{now}", "--images=test", "--unit=m"]
    assert run(tmp_path, *given)[0] == 0
    lost = tmp_path / f"out/submission/{now_names()[-1]}.npy"
    landmarks = lost.read_bytes()
    lost.unlink()
    with pytest.raises(SystemExit, match="2"):
        run(tmp_path, *given)
    sentence = f"INCOMPLETE, 1 of 2 photographs lack files: {now_names()[-1]} (.npy); --overwrite writes"
    assert sentence in capsys.readouterr().err
    assert run(tmp_path, *given, "--overwrite")[0] == 0
    assert lost.read_bytes() == landmarks


def test_empty_files_and_lone_meshes_are_not_complete(tmp_path: Path) -> None:
    for name in ("a/selfie/1.obj", "a/selfie/1.npy", "a/selfie/2.obj"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("" if name.endswith("1.npy") else "v")
    lacking = incomplete(tmp_path, ["a/selfie/1", "a/selfie/2", "a/selfie/3"])
    assert lacking == {"a/selfie/1": [".npy"], "a/selfie/2": [".npy"], "a/selfie/3": [".obj", ".npy"]}
    many = {str(number): [".obj"] for number in range(7)}
    assert completeness(many, 9).endswith("4 (.obj) and 2 more (submission.csv)")


# ---------------------------------------------------------------------- checkpoints


def test_a_checkpoint_reconstructs_each_photograph(tmp_path: Path, now: Path, checkpoint: Path) -> None:
    blue = now / "NoW_Dataset/final_release_version/iphone_pictures" / f"{now_names()[2]}.jpg"
    picture = np.full((64, 64, 3), 120, np.uint8)
    picture[..., 2] = 255  # where the detector of this test sees no face
    Image.fromarray(picture).save(blue, quality=100)
    blue.with_suffix(".jpg").parent.joinpath("unlisted.jpg").write_bytes(blue.read_bytes())
    status, results = run(tmp_path, checkpoint, "--data", f"now:{now}")
    assert status == 1
    assert results["counts"]["failed"] == {"no face in any frame": 1}
    assert row(results, "NoW neutral, now", "mean", "run")["n"] == 3
    assert row(results, "NoW selfie, now", "mean", "run")["value"] is None


def test_photographs_that_were_trained_on_are_said_in_the_title(
    tmp_path: Path, now: Path, checkpoint: Path
) -> None:
    seen = now / "NoW_Dataset/final_release_version/iphone_pictures" / f"{now_names()[0]}.jpg"
    photograph(seen, grey=121)
    digest = np.frombuffer(hashlib.sha256(seen.read_bytes()).digest(), "V32")
    evaluation.load_reconstructor(checkpoint).content[CONTENT] = kept_digests(digest)
    _, results = run(tmp_path, checkpoint, "--data", f"now:{now}")
    assert results["title"].endswith("(now); TRAINED ON 1 of these 2 photographs")  # the others are alike


def test_a_checkpoints_submission_is_written(tmp_path: Path, now: Path, checkpoint: Path) -> None:
    status, _ = run(tmp_path, checkpoint, "--data", f"now:{now}", "--images=test")
    assert status == 0
    assert len(list((tmp_path / "out/submission").rglob("*.npy"))) == 2
