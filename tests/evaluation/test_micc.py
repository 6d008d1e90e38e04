import csv
import json
import re
import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from datamodules.stand_in_scans import write_video
from evaluation.metrics import scan_score, triangle_trees
from evaluation.metrics.registration import align
from evaluation.micc import main
from evaluation.scans import evaluation
from evaluation.scans.scoring import Scorer
from tests import miniatures
from tests.datamodules.conftest import detect_by_colour
from tests.evaluation.metrics.face_like import face_like
from tests.evaluation.micc_miniatures import checkpoint, only_the_face_like_model
from tests.evaluation.scanned_people import (
    NOSES_MM,
    mesh_folder,
    micc_folder,
    vertex_ids,
    write_face,
    write_scan,
)
from tests.evaluation.untouched import inputs_untouched

__all__ = ["checkpoint", "only_the_face_like_model"]


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return micc_folder(tmp_path / "micc")


def run(tmp_path: Path, *more: object, name: str = "out") -> tuple[int, dict]:
    output = tmp_path / name
    given = list(map(str, more))
    checkpoint = given[: not given[0].startswith("-")]  # comes first
    arguments = [
        *checkpoint, "--no-progress", "--workers=0", "--heat-maps=0", "--subjects=3", f"--output={output}",
        f"--cache-folder={tmp_path / 'cache'}", *given[len(checkpoint) :],
    ]  # fmt: skip
    with inputs_untouched(arguments):
        status = main(arguments)
    file = output / "results.json"
    return status, json.loads(file.read_text()) if file.exists() else {}


def score_meshes(tmp_path: Path, data: Path, *more: object, error_mm: float = 6.0, **files: object) -> tuple:
    folder = mesh_folder(tmp_path / "theirs", error_mm=error_mm, **files)
    ids = vertex_ids(tmp_path / "ids.json")
    return run(
        tmp_path, "--meshes", folder, "--mesh-landmarks", ids, "--data", f"micc:{data}", *more
    )  # fmt: skip


def value(results: dict, method: str, metric: str = "mean", place: str = "MICC, genova") -> float:
    rows = (
        r for r in results["rows"] if (r["method"], r["protocol"], r["metric"]) == (method, place, metric)
    )
    return next(rows)["value"]


def test_meshes_are_scored_beside_the_mean_a_random_face_and_the_oracle(
    tmp_path: Path, data: Path, capsys: pytest.CaptureFixture
) -> None:
    status, results = score_meshes(tmp_path, data)
    assert status == 0
    assert results["counts"] == {"total": 12, "used": 12, "failed": {}}
    means = {m: value(results, m) for m in ("theirs", "mean face", "random face", "oracle")}
    assert means["oracle"] < 0.1 < means["theirs"]
    assert min(means, key=means.__getitem__) == "oracle"
    assert [value(results, m, "rank") for m in sorted(means, key=means.__getitem__)] == [1, 2, 3, 4]
    assert value(results, "theirs", "kept") > 0.9
    assert results["provenance"]["scan_landmarks"] == {"completed": 3}
    printed = capsys.readouterr().out
    assert "unit of theirs: mm, guessed from the size of subject_01.obj" in printed
    assert "oracle < " in printed
    folder = tmp_path / "out"
    assert {
        "results.md",
        "results.tex",
        "subjects.csv",
        "rankings.csv",
        "curve_any.png",
        "curve_any.pdf",
    } <= {path.name for path in folder.iterdir()}
    with (folder / "subjects.csv").open() as file:
        assert len(list(csv.DictReader(file))) == 12
    assert not any(row["quoted"] for row in results["rows"])  # one mesh for all conditions: none to quote


def test_meshes_in_metres_score_like_meshes_in_millimetres(tmp_path: Path, data: Path) -> None:
    _, in_mm = score_meshes(tmp_path, data)
    folder = mesh_folder(tmp_path / "metres", error_mm=6.0, scale=0.001)
    _, in_m = run(
        tmp_path, "--meshes", folder, "--mesh-landmarks", tmp_path / "ids.json", "--data", data, name="m"
    )
    assert value(in_m, "metres") == pytest.approx(value(in_mm, "theirs"), abs=1e-3)


def test_closest_points_by_open3d_score_alike(
    tmp_path: Path, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("open3d")
    _, by_libigl = score_meshes(tmp_path, data)
    asked = []
    query = triangle_trees.Open3DTree.query
    monkeypatch.setattr(
        triangle_trees.Open3DTree, "query", lambda tree, points: asked.append(1) or query(tree, points)
    )
    folder, ids = tmp_path / "theirs", tmp_path / "ids.json"
    status, by_open3d = run(
        tmp_path,
        "--meshes",
        folder,
        "--mesh-landmarks",
        ids,
        "--data",
        data,
        "--closest-points=open3d",
        name="o",
    )
    assert status == 0
    assert asked
    assert by_open3d["title"].endswith("(genova), closest points by open3d")
    for method in ("theirs", "mean face", "oracle"):
        assert value(by_open3d, method) == pytest.approx(value(by_libigl, method), abs=2e-3)


def test_closest_points_by_what_is_not_installed_are_refused_at_once(
    tmp_path: Path, data: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.setitem(sys.modules, "open3d", None)
    with pytest.raises(SystemExit) as stop:
        score_meshes(tmp_path, data, "--closest-points", "open3d")
    assert stop.value.code == 2
    assert "pip install -e '.[open3d]', or use libigl" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_what_cannot_be_scored_is_a_row_with_its_reason_and_the_exit_status_says_so(
    tmp_path: Path, data: Path
) -> None:
    (data / "subject_02/Model/frontal1/obj/1.obj").write_text("v 0 0 nan\n")
    status, results = score_meshes(tmp_path, data, skip="subject_01")
    assert status == 1
    assert results["counts"] == {"total": 12, "used": 7, "failed": {"no mesh": 1, "unusable scan": 4}}
    with (tmp_path / "out/subjects.csv").open() as file:
        failures = {(r["subject"], r["method"]): r["failure"] for r in csv.DictReader(file)}
    assert failures["subject_01", "theirs"] == "no mesh: theirs has none of subject_01"
    assert failures["subject_02", "oracle"].startswith("unusable scan: ")
    assert failures["subject_03", "theirs"] == ""
    rows = [r for r in results["rows"] if r["method"] == "theirs"]
    assert next(r for r in rows if r["metric"] == "mean")["n"] == 1
    assert next(r for r in rows if r["metric"] == "failed")["value"] == 2


def test_an_alignment_that_does_not_converge_is_a_row_with_its_reason_and_no_score(
    tmp_path: Path, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of twelve, the first one never ends."""
    aligned = []

    def first_never_ends(*given: Any) -> object:  # noqa: ANN401 - align's arguments
        aligned.append(1)
        *places, settings = given
        return align(*places, settings._replace(tolerance_mm=0.0) if len(aligned) == 1 else settings)

    monkeypatch.setattr(scan_score, "align", first_never_ends)
    status, results = score_meshes(tmp_path, data)
    assert status == 1
    assert results["counts"] == {"total": 12, "used": 11, "failed": {"no convergence": 1}}
    with (tmp_path / "out/subjects.csv").open() as file:
        (lost,) = [row for row in csv.DictReader(file) if row["failure"]]
    assert lost["failure"].startswith("no convergence: 200 iterations were not enough, the last still moved")
    assert (lost["value_mm"], lost["converged"], lost["iterations"]) == ("", "False", "200")
    counted = [row for row in results["rows"] if row["method"] == lost["method"]]
    assert next(row for row in counted if row["metric"] == "mean")["n"] == 2
    assert next(row for row in counted if row["metric"] == "failed")["value"] == 1


@pytest.mark.parametrize(
    ("scale", "kind"), [(8.0, "implausible size"), (float("nan"), "unusable mesh")], ids=["size", "nan"]
)
def test_a_mesh_of_no_size_or_no_number_fails_alone(
    tmp_path: Path, data: Path, scale: float, kind: str
) -> None:
    folder = mesh_folder(tmp_path / "theirs")
    ids = vertex_ids(tmp_path / "ids.json")
    write_face(folder / "subject_02.obj", face_like(5.0), scale=scale)
    status, results = run(tmp_path, "--meshes", folder, "--mesh-landmarks", ids, "--data", data, "--unit=mm")
    assert (status, results["counts"]["failed"]) == (1, {kind: 1})


def test_links_to_nowhere_are_rows_that_name_them(tmp_path: Path, data: Path) -> None:
    folder = mesh_folder(tmp_path / "theirs")
    for lost in (folder / "subject_01.obj", data / "subject_02/Model/frontal1/obj/1.obj"):
        lost.unlink()
        lost.symlink_to(tmp_path / "not-fetched.obj")
    ids = vertex_ids(tmp_path / "ids.json")
    status, results = run(tmp_path, "--meshes", folder, "--mesh-landmarks", ids, "--data", data)
    assert (status, results["counts"]["failed"]) == (1, {"unusable mesh": 1, "unusable scan": 4})


def turned_inward(path: Path) -> None:
    """Winds all triangles of an OBJ file the other way."""
    path.write_text(re.sub(r"(?m)^f (\d+) (\d+) (\d+)$", r"f \1 \3 \2", path.read_text()))


@pytest.mark.parametrize("inward", ["meshes", "scans"])
def test_inward_triangles_change_no_score_and_are_said(
    tmp_path: Path, data: Path, inward: str, capsys: pytest.CaptureFixture
) -> None:
    """Nor those of the oracle, which finds nothing on a surface whose normals point inward."""
    _, right = score_meshes(tmp_path / "right", data)
    folder = mesh_folder(tmp_path / "theirs", error_mm=6.0)
    for path in (folder if inward == "meshes" else data).rglob("*.obj"):
        turned_inward(path)
    given = ["--meshes", folder, "--mesh-landmarks", vertex_ids(tmp_path / "ids.json"), "--data", data]
    status, turned = run(tmp_path, *given)
    assert (status, turned["rows"]) == (0, right["rows"])
    assert "were wound the other way; turned outward" in capsys.readouterr().out


@pytest.mark.parametrize("scale", ["none", "global"])
def test_the_oracle_has_the_size_of_the_scan(tmp_path: Path, scale: str) -> None:
    """Scans 6 % larger than the model's faces: without a scale the fit's own is the oracle's."""
    data = tmp_path / "micc"
    for number, (name, nose) in enumerate(NOSES_MM.items()):
        face = face_like(4.0, nose_mm=nose, scattered=True)
        larger = face._replace(vertices=1.06 * face.vertices, landmarks=1.06 * face.landmarks)
        write_scan(data / name / "Model/frontal1/obj/1.obj", larger, seed=number)
    folder = mesh_folder(tmp_path / "theirs", scale=1.06)
    ids = vertex_ids(tmp_path / "ids.json")
    _, results = run(
        tmp_path, "--meshes", folder, "--mesh-landmarks", ids, "--data", data, "--scale", scale, "--unit=mm"
    )
    means = {row["method"]: row["value"] for row in results["rows"] if row["metric"] == "mean"}
    # The scans' landmarks are found by a fit, whose prior weighs much on so small a model.
    assert means["oracle"] < 0.15 < means["mean face"]


def test_a_missing_subject_fails_for_every_method(tmp_path: Path, data: Path) -> None:
    shutil.rmtree(data / "subject_03")
    status, results = score_meshes(tmp_path, data)
    assert status == 1
    assert results["counts"]["failed"] == {"missing subject": 4}


def test_a_run_that_was_stopped_continues_and_ends_as_one_that_was_not(
    tmp_path: Path, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, whole = score_meshes(tmp_path, data)
    scored: list[str] = []
    score = Scorer.score

    def stopping(self: Scorer, subject: object) -> Path:
        if len(scored) == 2:
            raise KeyboardInterrupt
        scored.append(subject.name)
        return score(self, subject)

    monkeypatch.setattr(Scorer, "score", stopping)
    arguments = ["--meshes", tmp_path / "theirs", "--mesh-landmarks", tmp_path / "ids.json", "--data", data]
    with pytest.raises(SystemExit) as stop:
        run(tmp_path, *arguments, name="stopped")
    assert stop.value.code == 130
    scored.clear()
    monkeypatch.setattr(
        Scorer, "score", lambda self, subject: scored.append(subject.name) or score(self, subject)
    )
    _, continued = run(tmp_path, *arguments, name="stopped")
    assert scored == ["subject_03"]
    assert continued["rows"] == whole["rows"]
    scored.clear()
    run(tmp_path, *arguments, "--overwrite", name="stopped")
    assert scored == ["subject_01", "subject_02", "subject_03"]


def test_overwriting_deletes_only_what_was_written(
    tmp_path: Path, data: Path, capsys: pytest.CaptureFixture
) -> None:
    score_meshes(tmp_path, data)
    for name in ("subjects/thesis.tex", "heat_maps/cat.ply"):
        (tmp_path / "out" / name).parent.mkdir(exist_ok=True)
        (tmp_path / "out" / name).write_text("theirs")
    assert score_meshes(tmp_path, data, "--overwrite")[0] == 0
    assert "since micc.py did not write it: heat_maps, subjects" in capsys.readouterr().out
    assert (tmp_path / "out" / "subjects" / "thesis.tex").read_text() == "theirs"
    assert (tmp_path / "out" / "heat_maps" / "cat.ply").read_text() == "theirs"


def test_results_among_the_meshes_are_no_meshes_of_the_next_start(tmp_path: Path, data: Path) -> None:
    theirs = mesh_folder(tmp_path / "theirs", error_mm=6.0)
    given = [
        "--meshes",
        theirs,
        "--mesh-landmarks",
        vertex_ids(tmp_path / "ids.json"),
        "--data",
        f"micc:{data}",
    ]
    _, first = run(tmp_path, *given, "--heat-maps=1", name="theirs/out")
    assert list((theirs / "out" / "heat_maps").glob("*.ply"))
    _, second = run(tmp_path, *given, "--heat-maps=1", "--overwrite", name="theirs/out")
    assert second["rows"] == first["rows"]


def test_all_protocols_rank_the_same_meshes(tmp_path: Path, data: Path) -> None:
    other = mesh_folder(tmp_path / "worse", error_mm=14.0)
    status, results = score_meshes(tmp_path, data, "--protocol=all", "--also", f"[{other}]")
    assert status == 0
    names = ["genova", "tran", "ganfit", "deng", "now", "fg2018", "realy-like"]
    for protocol in names:
        place = f"MICC, {protocol}"
        # NoW's median over the face disc hardly sees a nose: of either kind nearly the same.
        assert value(results, "theirs", place=place) < value(results, "worse", place=place) + 0.001
    assert value(results, "theirs", "median of all points", "MICC, now") > 0
    with (tmp_path / "out/rankings.csv").open() as file:
        lines = list(csv.DictReader(file))
    assert [line["protocol"] for line in lines] == names
    parts = [
        value(results, "theirs", part, "MICC, realy-like") for part in ("nose", "mouth", "forehead", "cheek")
    ]
    assert value(results, "theirs", place="MICC, realy-like") == pytest.approx(np.mean(parts))
    assert float(lines[0]["agreement"]) == pytest.approx(1)


def test_ganfit_takes_the_better_of_two_scans(tmp_path: Path) -> None:
    data = micc_folder(tmp_path / "micc", second_scans=True)
    _, results = score_meshes(tmp_path, data, "--protocol=ganfit", error_mm=-3.0)
    assert value(results, "theirs", place="MICC, ganfit") < 0.2
    with (tmp_path / "out/subjects.csv").open() as file:
        rows = [r for r in csv.DictReader(file) if (r["subject"], r["method"]) == ("subject_01", "theirs")]
    assert float(rows[1]["value_mm"]) < float(rows[0]["value_mm"])


def test_a_changed_protocol_carries_the_change_in_its_name(tmp_path: Path, data: Path) -> None:
    _, results = score_meshes(tmp_path, data, "--scale=none", "--radius-mm=80")
    value(results, "theirs", place="MICC, genova with scaling=none radius=80.0")


def test_one_scale_for_all_meshes_is_found_in_a_first_pass(tmp_path: Path, data: Path) -> None:
    status, _ = score_meshes(tmp_path, data, "--scale=global")
    assert status == 0
    with (tmp_path / "out/subjects.csv").open() as file:
        scales = {r["scale"] for r in csv.DictReader(file) if r["method"] == "theirs"}
    assert len(scales) == 1


def test_missing_data_is_told_before_anything_is_written(
    tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    with pytest.raises(SystemExit) as stop:
        run(tmp_path, "--meshes", mesh_folder(tmp_path / "theirs"), "--data", tmp_path / "absent")
    assert stop.value.code == 2
    assert "MICC is not in" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
    with pytest.raises(SystemExit):
        run(tmp_path, "--meshes", tmp_path / "theirs", "--data", tmp_path, "--protocol=genoa")
    with pytest.raises(SystemExit):
        run(tmp_path, "--data", tmp_path)
    assert "give one of a checkpoint" in capsys.readouterr().err


# ---------------------------------------------------------------------- checkpoints


@pytest.fixture
def filmed(data: Path) -> None:
    """Everybody's videos show grey pictures, and one that is blue, in which no face is found."""
    for subject in ("subject_01", "subject_02", "subject_03"):
        for name in ("Indoor-Cooperative", "PTZ-Indoor", "PTZ-Outdoor"):
            frames = [np.full((64, 64, 3), 120, np.uint8) for _ in range(3)]
            frames[1][..., 2] = 255
            (data / subject / "Video").mkdir(exist_ok=True)
            write_video(data / subject / "Video" / f"{name}.avi", frames)


@pytest.mark.usefixtures("filmed")
@pytest.mark.parametrize("average", ["embeddings", "coefficients", "meshes"])
def test_a_checkpoint_is_scored_in_three_conditions_beside_the_quoted_rows(
    tmp_path: Path, data: Path, checkpoint: Path, average: str
) -> None:
    status, results = run(tmp_path, checkpoint, "--data", data, "--average", average)
    assert status == 0
    assert not results["stand_in"]
    values = [value(results, "run", place=f"MICC {c}, genova") for c in ("cooperative", "indoor", "outdoor")]
    np.testing.assert_allclose(values, values[0], rtol=1e-6)
    quoted = [row for row in results["rows"] if row["quoted"]]
    assert {(r["protocol"], r["value"]) for r in quoted if r["method"] == "Genova et al. 2018"} == {
        ("MICC cooperative, genova", 1.5), ("MICC indoor, genova", 1.5), ("MICC outdoor, genova", 1.48),
    }  # fmt: skip
    assert value(results, "run", "frames", "MICC indoor, frames") == 9
    assert value(results, "run", "without a face", "MICC indoor, frames") == 3
    assert results["provenance"]["frames"]["indoor"] == {"total": 9, "without": {"no face found": 3}}


@pytest.mark.usefixtures("filmed")
def test_a_checkpoint_with_an_expected_shape_has_two_rows(
    tmp_path: Path, data: Path, checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A regression that says the same strange shape of everybody moves the expected one alone."""
    parts = evaluation.load_reconstructor(checkpoint)
    count = parts.model.shape_variance.numel()
    strange = miniatures.expected_shape(torch.full((count,), 6.0), parts.encoder.feature_width)
    _, before = run(tmp_path, checkpoint, "--data", data, name="before")
    more = parts._replace(content=parts.content | {"expected_shape": strange})
    monkeypatch.setattr(evaluation, "load_reconstructor", lambda *_, **__: more)
    _, after = run(tmp_path, checkpoint, "--data", data, name="after")
    place = "MICC cooperative, genova"
    assert value(after, "run, likeness", place=place) == value(before, "run", place=place)
    expected = value(after, "run, expected", place=place)
    assert expected > value(before, "run", place=place) + 0.05


@pytest.mark.usefixtures("filmed")
def test_missing_and_faceless_videos_are_failures_of_the_checkpoint_alone(
    tmp_path: Path, data: Path, checkpoint: Path
) -> None:
    (data / "subject_01/Video/PTZ-Indoor.avi").unlink()
    blue = np.zeros((64, 64, 3), np.uint8)
    blue[..., 2] = 255
    write_video(data / "subject_02/Video/PTZ-Outdoor.avi", [blue, blue])
    status, results = run(tmp_path, checkpoint, "--data", data, "--protocol=tran")
    assert (status, results["counts"]["failed"]) == (1, {"no footage": 1, "no face in any frame": 1})
    assert not any(row["quoted"] for row in results["rows"])


@pytest.mark.usefixtures("filmed")
def test_heat_maps_are_drawn_and_written(tmp_path: Path, data: Path, checkpoint: Path) -> None:
    run(tmp_path, checkpoint, "--data", data, "--heat-maps=2")
    folder = tmp_path / "out/heat_maps"
    assert sorted(path.name for path in folder.iterdir()) == ["sheet.png", "subject_01.ply", "subject_02.ply"]


def test_other_scans_with_photographs_are_scored_too(tmp_path: Path, checkpoint: Path) -> None:
    root = tmp_path / "mine"
    write_scan(root / "scans/ann.obj", face_like(4.0, scattered=True))
    (root / "photos").mkdir()
    write_video(root / "photos/ann.avi", [np.full((64, 64, 3), 120, np.uint8)])
    status, results = run(tmp_path, checkpoint, "--data", f"scans:{root}")
    assert status == 0
    assert value(results, "run", place="scans photographs, genova") >= 0
    assert not any(row["quoted"] for row in results["rows"])


# ---------------------------------------------------------------------- groups


def labels(tmp_path: Path, text: str) -> Path:
    file = tmp_path / "labels.csv"
    file.write_text(text)
    return file


def test_mean_errors_are_shown_by_group(tmp_path: Path, data: Path) -> None:
    file = labels(tmp_path, "name,sex\nsubject_01,female\nsubject_02,male\nsubject_03,female\nx,male\n")
    _, results = score_meshes(tmp_path, data, "--groups", file, "--smallest-group=2")
    with (tmp_path / "out/subjects.csv").open() as lines:
        errors = {
            r["subject"]: float(r["value_mm"]) for r in csv.DictReader(lines) if r["method"] == "theirs"
        }
    female = value(results, "theirs", place="MICC, genova, sex: female")
    assert female == pytest.approx((errors["subject_01"] + errors["subject_03"]) / 2)
    assert value(results, "theirs", "subjects", "MICC, genova, sex: male") == 1
    (row,) = (r for r in results["rows"] if r["protocol"] == "MICC, genova, largest difference by sex"
              and r["method"] == "theirs")  # fmt: skip
    assert row["reason"] == "not compared: 1 of the groups have 2 or more people"
    assert {r["method"] for r in results["rows"] if "sex: female" in r["protocol"]} == {
        "theirs", "mean face", "oracle",
    }  # fmt: skip
    assert {"groups.csv", "groups.png"} <= {path.name for path in (tmp_path / "out").iterdir()}


def test_a_subject_without_a_score_is_counted_in_its_group(tmp_path: Path, data: Path) -> None:
    file = labels(tmp_path, "name,sex\nsubject_01,female\nsubject_02,male\nsubject_03,female\n")
    score_meshes(tmp_path, data, "--groups", file, skip="subject_01")
    results = json.loads((tmp_path / "out/results.json").read_text())
    missing = {r["method"]: r["value"] for r in results["rows"] if r["metric"] == "without a value"}
    assert missing == {"theirs": 1}
    assert value(results, "theirs", "subjects", "MICC, genova, sex: female") == 1


def test_labels_of_nobody_are_refused_before_anything_is_scored(
    tmp_path: Path, data: Path, capsys: pytest.CaptureFixture
) -> None:
    file = labels(tmp_path, "name,sex\nAnn,female\n")
    with pytest.raises(SystemExit) as stop:
        score_meshes(tmp_path, data, "--groups", file)
    assert stop.value.code == 2
    assert "none of the 1 names in" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.usefixtures("filmed")
def test_skin_tone_comes_from_footage_and_grey_videos_have_none(
    tmp_path: Path, data: Path, checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("datamodules.cheeks.load_detector", lambda name: detect_by_colour)
    tanned = [np.full((64, 64, 3), (200, 140, 110), np.uint8)] * 3
    write_video(data / "subject_02/Video/Indoor-Cooperative.avi", tanned)
    _, results = run(tmp_path, checkpoint, "--data", data, "--groups=skin-tone")
    place = "MICC indoor, genova, skin tone (ITA)"
    assert value(results, "run", "subjects", f"{place}: no label") == 2
    tone = [
        r["protocol"]
        for r in results["rows"]
        if r["metric"] == "subjects" and "no label" not in r["protocol"]
    ]
    assert len(tone) == 3  # conditions
