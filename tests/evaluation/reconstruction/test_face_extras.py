"""reconstruct.py with --blendshapes, --texture and --viewer, on miniatures."""

import json
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
import trimesh
from PIL import Image

from datamodules import filmed_faces, marked_faces
from datamodules.alignment import face_cache, footage_cache
from datamodules.stand_in_scans import write_video
from evaluation.reconstruct import main
from evaluation.reconstruction import face_extras
from lightning_modules import reconstruction
from lightning_modules.faces.mesh_files.any_format import read_mesh
from lightning_modules.faces.morphable_model import MorphableModel, PrincipalComponents
from tests import miniatures
from tests.datamodules.conftest import write_photograph
from tests.devices import CUDA
from tests.evaluation.small_checkpoint import checkpoint, detect_two_by_colour, status_of  # noqa: F401

Run = Callable[..., int]


def expressive_model() -> MorphableModel:
    """The miniature, with three expressions."""
    model = miniatures.small_model(skin=True)
    moved = torch.zeros(len(model.neutral_mean), 3)
    moved[[100, 201, 302], [0, 1, 2]] = 1.0
    variance = torch.tensor([9.0, 4.0, 1.0])
    return MorphableModel(
        shape=model.components("shape"),
        albedo=model.components("albedo"),
        expression=PrincipalComponents(torch.zeros_like(model.neutral_mean), moved, variance, 14.0),
        triangles=model.triangles,
        landmarks=model.landmarks,
        provenance=model.provenance,
    )


@pytest.fixture
def run(checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:  # noqa: F811 - the fixture
    """Reconstructs photographs into tmp_path / "faces"; returns the exit status."""
    monkeypatch.setattr(reconstruction, "load_morphable_model", lambda *_, **__: expressive_model())
    monkeypatch.setattr(marked_faces, "load_detector", lambda name: detect_two_by_colour)
    monkeypatch.delenv("FACE_LANDMARKER", raising=False)

    def run(photographs: Path, *more: object) -> int:
        common = [f"--cache-folder={tmp_path / 'cache'}", "--workers=0", "--preview-size=48"]
        texture = ["--texture-size=64"] if "--texture" in more else []
        output = f"--output={tmp_path / 'faces'}"
        return status_of(main, [checkpoint, photographs, *more, *texture, *common, output])

    return run


@pytest.fixture
def photograph(tmp_path: Path) -> Path:
    return write_photograph(tmp_path / "photographs" / "a.png", 1, side=90)


def document(folder: Path, name: str = "a") -> dict:
    return json.loads((folder / "faces" / f"{name}.json").read_text())


def pixels(path: Path) -> np.ndarray:
    with Image.open(path) as picture:
        return np.asarray(picture.convert("RGB"))


def target_names(path: Path) -> list[str]:
    content = path.read_bytes()
    length = int.from_bytes(content[12:16], "little")
    return json.loads(content[20 : 20 + length])["meshes"][0]["extras"]["targetNames"]


def test_blendshapes_go_into_the_glb_and_nothing_else_changes(
    run: Run, photograph: Path, tmp_path: Path
) -> None:
    assert run(photograph) == 0
    plain = {path.name: path.read_bytes() for path in (tmp_path / "faces").glob("a.*")}
    assert run(photograph, "--blendshapes", "--overwrite") == 0
    assert target_names(tmp_path / "faces" / "a.glb") == ["expression001", "expression002", "expression003"]
    for name in ("a.obj", "a.ply", "a.png"):
        assert (tmp_path / "faces" / name).read_bytes() == plain[name]
    face = read_mesh(tmp_path / "faces" / "a.glb")
    (tmp_path / "plain.glb").write_bytes(plain["a.glb"])
    assert torch.equal(face.vertices, read_mesh(tmp_path / "plain.glb").vertices)
    assert document(tmp_path)["extras"] == {"blendshapes": True}


def test_a_texture_comes_with_its_files_and_shows_the_photograph(
    run: Run, photograph: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    assert run(photograph, "--texture") == 0
    folder = tmp_path / "faces"
    assert pixels(folder / "a-texture.png").shape == (64, 64, 3)
    face = read_mesh(folder / "a.ply")  # the model's colours at its vertices
    textured = trimesh.load(folder / "a.obj", force="mesh", process=False)
    assert textured.visual.material.image.size == (64, 64)
    assert torch.equal(read_mesh(folder / "a.obj").triangles, face.triangles)
    record = document(tmp_path)["texture"]
    assert record["reason"] is None
    assert 0.05 < record["seen"] < 1
    assert abs(record["yaw_degrees"]) < 40
    assert "NAME.mtl, NAME-texture.png" in capsys.readouterr().out
    # The colour about the nose tip is that of the photograph where the fitted nose tip lies, not the model's.
    colours = read_mesh(folder / "a.obj").colours
    middle = face.vertices[:, :2].norm(dim=1) < 15
    picture = pixels(photograph) / 255
    assert np.abs(colours[middle].mean(0).numpy() - picture[40:70, 35:55].mean((0, 1))).max() < 0.15
    assert float((colours - face.colours)[middle].abs().max()) > 0.05


def test_a_finished_folder_is_read_and_other_extras_are_refused(
    run: Run, photograph: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    run(photograph, "--texture")
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "faces").iterdir()}
    assert run(photograph, "--texture") == 0
    assert before == {path: path.stat().st_mtime_ns for path in (tmp_path / "faces").iterdir()}
    (tmp_path / "faces" / "a-texture.png").unlink()
    assert run(photograph, "--texture") == 0  # a face that lost a file is made again
    assert (tmp_path / "faces" / "a-texture.png").is_file()
    assert run(photograph, "--texture", "--mirror-texture") == 2
    assert "mirror_texture" in capsys.readouterr().err
    assert run(photograph) == 2


def test_a_face_that_the_landmarks_miss_has_the_model_s_colours_and_says_why(
    run: Run,
    photograph: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture,
) -> None:
    monkeypatch.setattr(marked_faces, "load_detector", lambda name: lambda image: [])
    for _ in range(2):  # made, then read
        assert run(photograph, "--texture") == 1
        assert "no photograph in the texture of a: no face found" in capsys.readouterr().out
    assert document(tmp_path)["texture"] == {"seen": 0.0, "reason": "no face found"}
    model, face = read_mesh(tmp_path / "faces" / "a.ply"), read_mesh(tmp_path / "faces" / "a.obj")
    torch.testing.assert_close(face.colours, model.colours, atol=0.05, rtol=0)


def test_landmarks_that_fit_no_face_are_a_reason_too(
    run: Run, photograph: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(face_extras, "DEVIATIONS_MM", (0.0, 0.0))
    assert run(photograph, "--texture") == 1
    assert document(tmp_path)["texture"]["reason"] == "landmarks do not fit a face"


def test_the_page_has_the_face_with_its_expressions_and_the_photograph(
    run: Run, photograph: Path, tmp_path: Path
) -> None:
    assert run(photograph, "--viewer") == 0
    page = (tmp_path / "faces" / "a.html").read_text()
    assert "a: neutral face" in page
    assert '"limits": [-3.0, 3.0]' in page
    with pytest.raises(KeyError):  # the .glb stays as it was without --blendshapes
        target_names(tmp_path / "faces" / "a.glb")


def test_a_video_s_texture_comes_from_its_typical_frame(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (footage_cache, filmed_faces):
        monkeypatch.setattr(module, "load_detector", lambda name: face_cache.load_detector(name))
    paths = [write_photograph(tmp_path / "frames" / f"{number}.png", 1) for number in range(3)]
    video = tmp_path / "ann.avi"
    write_video(video, [cv2.imread(str(path))[:, :, ::-1] for path in paths])
    assert run(video, "--texture") == 0
    assert document(tmp_path, "ann")["texture"]["reason"] is None
    assert run(video, tmp_path, "--texture") == 2  # one place only
    together = tmp_path / "together"
    together.mkdir()
    paths[0].rename(together / "b.png")
    video.rename(together / "ann.avi")
    assert run(together, "--texture", "--one-person", "--overwrite") == 0
    assert document(tmp_path, "together")["texture"]["reason"] is None


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--mirror-texture"], "--mirror-texture mirrors a texture; give --texture, too"),
        (["--texture", "--landmark-model=none.task"], "none.task does not exist; expected MediaPipe's face"),
        (["--texture", "--texture-size=0"], "--texture-size must be"),
    ],
)
def test_bad_options_are_said_in_a_sentence(
    run: Run,
    photograph: Path,
    options: list[str],
    message: str,
    capsys: pytest.CaptureFixture,
    tmp_path: Path,
) -> None:
    if "--texture-size=0" in options:
        options = ["--texture-size=0"]
    assert run(photograph, *options) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "faces").exists()


def test_a_model_without_expressions_refuses_blendshapes_and_shows_a_page(
    run: Run, photograph: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    model = miniatures.small_model(skin=True)
    monkeypatch.setattr(reconstruction, "load_morphable_model", lambda *_, **__: model)
    assert run(photograph, "--blendshapes") == 2
    assert "miniature has no expressions; leave --blendshapes out" in capsys.readouterr().err
    assert run(photograph, "--viewer") == 0
    assert (tmp_path / "faces" / "a.html").is_file()


@pytest.mark.parametrize("device", ["cpu", CUDA])
def test_all_extras_together_on_a_device(run: Run, photograph: Path, tmp_path: Path, device: str) -> None:
    options = ["--blendshapes", "--texture", "--mirror-texture", "--viewer", f"--device={device}"]
    assert run(photograph, *options) == 0
    made = {path.name for path in (tmp_path / "faces").glob("a*")}
    endings = (".glb", ".obj", ".ply", ".json", ".png", ".mtl", "-texture.png", ".html")
    assert made == {f"a{ending}" for ending in endings}
    assert len(target_names(tmp_path / "faces" / "a.glb")) == 3
