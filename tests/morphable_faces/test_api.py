import json
from pathlib import Path

import numpy as np
import pytest
import torch

from evaluation import micc
from evaluation.metrics.scan_protocols import TRAN
from evaluation.reconstruct import main as reconstruct_command
from evaluation.scans import landmarks as scan_landmarks
from lightning_modules.faces.mesh import Mesh
from lightning_modules.faces.mesh_files.any_format import read_mesh
from lightning_modules.reconstruction import load_reconstructor
from morphable_faces import api
from morphable_faces.api import reconstruct_photograph, score_mesh
from tests.datamodules.conftest import write_photograph
from tests.evaluation.metrics.face_like import face_like
from tests.evaluation.scanned_people import face_like_model, vertex_ids, write_face, write_scan
from tests.evaluation.seen_faces_of_meshes import detector_at, five_of_model
from tests.evaluation.small_checkpoint import checkpoint  # noqa: F401

# ---------------------------------------------------------------------- photograph -> face


def test_a_photograph_s_face_is_the_one_that_the_command_writes(
    checkpoint: Path,  # noqa: F811 - the fixture
    tmp_path: Path,
) -> None:
    photograph = tmp_path / "a.png"
    write_photograph(photograph, 0)
    caches = f"--cache-folder={tmp_path / 'cache'}"
    options = ["--workers=0", "--preview-size=48", f"--output={tmp_path / 'faces'}", caches]
    assert reconstruct_command([str(checkpoint), str(photograph), *options]) == 0
    face = reconstruct_photograph(str(checkpoint), str(photograph), cache_folder=tmp_path / "other cache")
    kept = json.loads((tmp_path / "faces/a.json").read_text())
    np.testing.assert_allclose(face.coefficients.shape, kept["shape"], rtol=1e-6)
    np.testing.assert_allclose(face.coefficients.albedo, kept["albedo"], rtol=1e-6)
    written = read_mesh(tmp_path / "faces/a.obj")
    torch.testing.assert_close(face.mesh.vertices, written.vertices)
    torch.testing.assert_close(face.mesh.colours, written.colours)
    assert torch.equal(face.mesh.triangles, written.triangles)


def test_a_loaded_checkpoint_gives_the_same_face_and_carries_its_landmarks(
    checkpoint: Path,  # noqa: F811 - the fixture
    tmp_path: Path,
) -> None:
    write_photograph(tmp_path / "a.png", 0)
    loaded = load_reconstructor(checkpoint)
    face = reconstruct_photograph(loaded, tmp_path / "a.png", cache_folder=tmp_path)
    same = reconstruct_photograph(checkpoint, tmp_path / "a.png", cache_folder=tmp_path)
    assert torch.equal(face.mesh.vertices, same.mesh.vertices)
    ids = loaded.model.landmarks.vertex_ids[:, 0]
    torch.testing.assert_close(face.landmarks, face.mesh.vertices[ids])


def test_a_photograph_that_cannot_be_used_is_named_with_its_reason(
    checkpoint: Path,  # noqa: F811 - the fixture
    tmp_path: Path,
) -> None:
    write_photograph(tmp_path / "sky.png", 9, face=False)
    write_photograph(tmp_path / "two.png", 8, two_faces=True)
    with pytest.raises(ValueError, match=r"sky\.png: no face"):
        reconstruct_photograph(checkpoint, tmp_path / "sky.png", cache_folder=tmp_path)
    with pytest.raises(ValueError, match=r"two\.png: several faces \(2"):
        reconstruct_photograph(checkpoint, tmp_path / "two.png", cache_folder=tmp_path)
    largest, other = (
        reconstruct_photograph(checkpoint, tmp_path / "two.png", face=face, cache_folder=tmp_path)
        for face in ("largest", 1)
    )
    assert not torch.equal(largest.coefficients.shape, other.coefficients.shape)
    with pytest.raises(ValueError, match="face must be largest or a number from 0"):
        reconstruct_photograph(checkpoint, tmp_path / "two.png", face="all")
    with pytest.raises(FileNotFoundError, match=r"absent\.png does not exist; expected a photograph"):
        reconstruct_photograph(checkpoint, tmp_path / "absent.png")


# ---------------------------------------------------------------------- mesh, scan -> millimetres


@pytest.fixture
def scanned(tmp_path: Path) -> Path:
    """A folder of a scan with its landmarks and a mesh in metres, whose nose is 3 mm too high."""
    write_scan(tmp_path / "scans/ann.obj", face_like(4.0, scattered=True))
    write_face(tmp_path / "meshes/ann.obj", face_like(5.0, nose_mm=25.0), scale=0.001)
    vertex_ids(tmp_path / "ids.json")
    return tmp_path


def test_a_mesh_s_score_is_the_one_that_micc_reports(scanned: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(api, "open_model", face_like_model)
    score = score_mesh(scanned / "meshes/ann.obj", scanned / "scans/ann.obj", landmarks=scanned / "ids.json")
    assert (score.mesh_unit, score.scan_unit) == ("m", "mm")
    assert (score.mesh_landmarks, score.scan_landmarks) == ("completed", "completed")
    assert 0.1 < score.millimetres < 1.0
    assert score.details.value_mm == score.millimetres
    output = scanned / "results"
    options = ["--mesh-landmarks", scanned / "ids.json", "--data", f"scans:{scanned}", "--output", output]
    monkeypatch.setattr("evaluation.scans.evaluation.open_model", face_like_model)
    monkeypatch.setattr(
        "evaluation.scans.evaluation.load_morphable_model", lambda *_, **__: face_like_model()
    )
    given = ["--meshes", scanned / "meshes", *options, "--workers=0", "--heat-maps=0", "--no-progress"]
    micc.main([*map(str, given), f"--cache-folder={scanned / 'cache'}"])
    rows = json.loads((output / "results.json").read_text())["rows"]
    (reported,) = [row["value"] for row in rows if (row["method"], row["metric"]) == ("meshes", "mean")]
    # micc.py carries the landmarks of the first mesh over to all of its topology, on vertices in float32: the
    # fit that completes them may end a step, of a few micrometres, earlier or later.
    assert reported == pytest.approx(score.millimetres, abs=5e-4)


def test_without_landmark_files_a_detector_finds_them(scanned: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(api, "open_model", face_like_model)
    monkeypatch.setattr(scan_landmarks, "load_detector", lambda name: detector_at(five_of_model()))
    score = score_mesh(scanned / "meshes/ann.obj", scanned / "scans/ann.obj")
    assert score.mesh_landmarks == "detected"
    assert 0.1 < score.millimetres < 1.0


def test_a_protocol_is_named_or_given(scanned: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(api, "open_model", face_like_model)
    given = (scanned / "meshes/ann.obj", scanned / "scans/ann.obj")
    marks = {"landmarks": scanned / "ids.json"}
    assert score_mesh(*given, TRAN, **marks).millimetres == score_mesh(*given, "tran", **marks).millimetres
    with pytest.raises(ValueError, match="there is no protocol 'paper'; give one of genova, tran"):
        score_mesh(*given, "paper", **marks)


def test_meshes_in_memory_are_in_millimetres(scanned: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(api, "open_model", face_like_model)
    face = face_like(5.0, nose_mm=25.0)
    mesh = Mesh(torch.from_numpy(face.vertices).float(), torch.from_numpy(face.triangles), None)
    score = score_mesh(mesh, scanned / "scans/ann.obj", landmarks=scanned / "ids.json")
    of_file = score_mesh(
        scanned / "meshes/ann.obj", scanned / "scans/ann.obj", landmarks=scanned / "ids.json"
    )
    assert score.mesh_unit == "mm"
    assert score.millimetres == pytest.approx(of_file.millimetres, abs=1e-3)


def test_what_cannot_be_scored_is_an_error_and_never_a_number(
    scanned: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(api, "open_model", face_like_model)
    with pytest.raises(ValueError, match="implausible size"):
        score_mesh(scanned / "meshes/ann.obj", scanned / "scans/ann.obj", unit="mm")
    with pytest.raises(FileNotFoundError, match=r"absent\.obj does not exist"):
        score_mesh(scanned / "absent.obj", scanned / "scans/ann.obj")
    mirrored = json.loads((scanned / "ids.json").read_text())
    mirrored = [mirrored[index] for index in (3, 2, 1, 0, 4, 6, 5, 7)]
    (scanned / "mirrored.json").write_text(json.dumps(mirrored))
    with pytest.raises(ValueError, match=r"mirrored\.json: left and right are swapped"):
        score_mesh(scanned / "meshes/ann.obj", scanned / "scans/ann.obj", landmarks=scanned / "mirrored.json")
