import json
import os
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
import trimesh
from PIL import Image

from datamodules import filmed_faces
from datamodules.alignment import face_cache, footage_cache
from datamodules.alignment.feature_cache import to_images
from datamodules.alignment.footage import read_frames
from datamodules.stand_in_scans import write_video
from evaluation import reconstruct
from evaluation.reconstruct import main
from evaluation.reconstruction import face_files
from evaluation.reconstruction.file_names import files_of, names_of
from lightning_modules.checkpoints import load_regressor, with_content
from lightning_modules.faces.mesh_files.any_format import read_mesh
from lightning_modules.plain.files import sha256_of_file
from lightning_modules.plain.manifests import MANIFEST
from tests import miniatures
from tests.datamodules.conftest import write_photograph

from .small_checkpoint import checkpoint, small_network, status_of, write_checkpoint  # noqa: F401

Run = Callable[..., int]


@pytest.fixture
def run(checkpoint: Path, tmp_path: Path) -> Run:  # noqa: F811 - the fixture
    """Reconstructs photographs into tmp_path / "faces"; returns the exit status."""

    def run(photographs: Path, *more: object) -> int:
        common = [f"--cache-folder={tmp_path / 'cache'}", "--workers=0", "--preview-size=48"]
        output = f"--output={tmp_path / 'faces'}"
        arguments = [*more, photographs] if more and str(more[0]).endswith(".ckpt") else None
        return status_of(main, [*(arguments or [checkpoint, photographs, *more]), *common, output])

    return run


@pytest.fixture
def photographs(tmp_path: Path) -> Path:
    """Three photographs, one of them in a folder, each with a face."""
    for index, name in enumerate(("a.png", "b.png", "more/c.png")):
        write_photograph(tmp_path / "photographs" / name, index)
    return tmp_path / "photographs"


def document(folder: Path, name: str) -> dict:
    return json.loads((folder / "faces" / f"{name}.json").read_text())


def results(folder: Path) -> dict:
    return json.loads((folder / "faces" / "results.json").read_text())


def failures(folder: Path) -> str:
    return (folder / "faces" / "photographs.csv").read_text()


def test_a_photograph_becomes_the_face_that_the_regressor_says(
    run: Run, photographs: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    assert run(photographs / "a.png") == 0
    # The detector of this test sees the face fill the picture: align it by hand.
    picture = cv2.imread(str(photographs / "a.png"))[:, :, ::-1]
    aligned = cv2.resize(np.ascontiguousarray(picture), (224, 224), interpolation=cv2.INTER_LINEAR)
    features = small_network("dlib")(to_images(aligned[None])).features
    regressor, _ = load_regressor(tmp_path / "small.ckpt")
    with torch.no_grad():
        expected = regressor(features)
    kept = document(tmp_path, "a")
    np.testing.assert_allclose(kept["shape"], expected.shape[0], atol=2e-3)
    np.testing.assert_allclose(kept["albedo"], expected.albedo[0], atol=2e-3)
    assert (kept["mesh_unit"], kept["coefficient_unit"]) == ("mm", "standard deviations")
    assert [entry["file"] for entry in kept["photographs"]] == ["a.png"]
    printed = capsys.readouterr().out
    assert "1 of 1 photographs used; failed: none" in printed
    assert f"written: {tmp_path / 'faces'}" in printed


def test_all_mesh_files_hold_the_face_of_the_coefficients_in_mm(
    run: Run, photographs: Path, tmp_path: Path
) -> None:
    run(photographs)
    model = miniatures.small_model(skin=True)
    for name in ("a", "more/c"):
        kept = document(tmp_path, name)
        vertices, albedo = model(*(torch.tensor([kept[part]]) for part in ("shape", "albedo")))
        for suffix, colour_error in ((".glb", 2e-5), (".obj", 1e-6), (".ply", 0.003)):
            mesh = read_mesh(tmp_path / "faces" / f"{name}{suffix}")
            torch.testing.assert_close(mesh.vertices, vertices[0], atol=1e-3, rtol=0)
            torch.testing.assert_close(mesh.colours, albedo[0].clamp(0, 1), atol=colour_error, rtol=0)
            assert torch.equal(mesh.triangles, model.triangles)
        # Another reader finds the same size in the GLB, whose unit is the metre.
        other = trimesh.load(tmp_path / "faces" / f"{name}.glb", force="mesh", process=False)
        size = (vertices[0].amax(0) - vertices[0].amin(0)).numpy() / 1000
        np.testing.assert_allclose(other.extents, size, rtol=1e-4)


def test_the_preview_shows_the_photograph_and_three_views(
    run: Run, photographs: Path, tmp_path: Path
) -> None:
    run(photographs / "a.png")
    preview = np.asarray(Image.open(tmp_path / "faces" / "a.png"))
    assert preview.shape[1] == 4 * 48
    shown = preview[-48:].reshape(48, 4, 48, 3).swapaxes(0, 1)
    photograph = np.asarray(Image.open(photographs / "a.png").resize((48, 48)))
    assert np.abs(shown[0].astype(int) - photograph).mean() < 12
    front, three_quarter, profile = shown[1:]
    covered = [(view != view[0, 0]).any(-1).mean() for view in (front, three_quarter, profile)]
    assert covered[0] > covered[1] > covered[2] > 0.05  # a bowl gets narrower as it turns


def test_one_person_s_face_comes_from_the_mean_of_the_features(
    run: Run, photographs: Path, tmp_path: Path
) -> None:
    run(photographs)
    regressor, _ = load_regressor(tmp_path / "small.ckpt")
    network = small_network("dlib")
    pictures = [cv2.imread(str(path))[:, :, ::-1] for path in sorted(photographs.rglob("*.png"))]
    crops = np.stack([cv2.resize(np.ascontiguousarray(one), (224, 224)) for one in pictures])
    with torch.no_grad():
        expected = regressor(network(to_images(crops)).features.mean(0, keepdim=True))
    (tmp_path / "faces").rename(tmp_path / "each")
    assert run(photographs, "--one-person") == 0
    kept = document(tmp_path, "photographs")
    np.testing.assert_allclose(kept["shape"], expected.shape[0], atol=2e-3)
    assert [entry["file"] for entry in kept["photographs"]] == ["a.png", "b.png", "more/c.png"]
    assert len(list((tmp_path / "faces").glob("*.glb"))) == 1


def test_the_expected_geometry_is_that_of_the_expected_shape(
    run: Run, photographs: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    assert run(photographs, "--geometry=expected") == 2
    assert "small.ckpt keeps no expected shape" in capsys.readouterr().err
    kept = miniatures.expected_shape(torch.zeros(4))
    with_content(tmp_path / "small.ckpt", tmp_path / "more.ckpt", expected_shape=kept)
    for geometry, people, factor in (
        ("likeness", (), 1.0), ("expected", (), 0.5), ("expected", ("--one-person",), 0.5),
    ):  # fmt: skip
        folder = tmp_path / f"{geometry}{len(people)}"
        arguments = [tmp_path / "more.ckpt", photographs, *people, f"--geometry={geometry}"]
        common = [f"--cache-folder={tmp_path / 'cache'}", "--workers=0", "--preview-size=48"]
        assert status_of(main, [*arguments, *common, f"--output={folder}"]) == 0
        name = "photographs" if people else "a"
        kept = json.loads((folder / f"{name}.json").read_text())
        plain_shape = likeness_of(tmp_path / "more.ckpt", photographs, everybody=bool(people))
        np.testing.assert_allclose(kept["shape"], factor * plain_shape, atol=4e-3)
        assert kept.get("geometry") == (None if geometry == "likeness" else "expected")


def likeness_of(checkpoint: Path, photographs: Path, *, everybody: bool) -> np.ndarray:  # noqa: F811
    """The shape that a regressor says of the first photograph, or of all of them together."""
    aligned = []
    for file in sorted(photographs.rglob("*.png"))[: None if everybody else 1]:
        picture = np.ascontiguousarray(cv2.imread(str(file))[:, :, ::-1])
        aligned.append(cv2.resize(picture, (224, 224), interpolation=cv2.INTER_LINEAR))
    features = small_network("dlib")(to_images(np.stack(aligned))).features.mean(0, keepdim=True)
    with torch.no_grad():
        return load_regressor(checkpoint)[0](features).shape[0].numpy()


def test_photographs_that_cannot_be_used_are_named_and_change_the_exit_status(
    run: Run, photographs: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    write_photograph(photographs / "sky.png", 9, face=False)
    write_photograph(photographs / "two.png", 8, two_faces=True)
    (photographs / "text.jpg").write_text("not a photograph")
    cv2.imwrite(str(photographs / "tiny.png"), np.zeros((12, 12, 3), np.uint8))
    cv2.imwrite(str(photographs / "far.png"), np.full((24, 24, 3), 90, np.uint8))
    assert run(photographs) == 1
    assert results(tmp_path)["counts"] == {
        "total": 8, "used": 3, "failed": {
            "no face found": 1, "several faces": 1, "not an image, or of an unknown format": 1,
            "12 x 12 pixels; the smallest side is 20": 1, "eyes closer than 8 pixels": 1,
        },
    }  # fmt: skip
    printed = capsys.readouterr().out
    assert f"failed: {photographs / 'sky.png'}: no face found" in printed
    assert "two.png: several faces (2; say which by --face largest, all or a number)" in printed
    assert "sky.png,,,no face found" in failures(tmp_path)
    assert f"{photographs / 'more/c.png'},0,more/c," in failures(tmp_path)
    assert not (tmp_path / "faces" / "two.obj").exists()


def test_only_failures_leave_a_table_without_numbers(run: Run, tmp_path: Path) -> None:
    photograph = write_photograph(tmp_path / "sky.png", 9, face=False)
    assert run(photograph) == 1
    assert results(tmp_path)["rows"][0]["reason"] == "no face"
    assert run(photograph, "--one-person", "--overwrite") == 1
    assert results(tmp_path)["counts"]["used"] == 0


@pytest.mark.parametrize(
    ("face", "names", "numbers"),
    [("largest", ["two"], [0]), ("1", ["two"], [1]), ("all", ["two-0", "two-1"], [0, 1])],
)
def test_of_several_faces_the_one_is_made_that_was_asked_for(
    run: Run, tmp_path: Path, face: str, names: list[str], numbers: list[int]
) -> None:
    photograph = write_photograph(tmp_path / "two.png", 8, two_faces=True)
    assert run(photograph, "--face", face) == 0
    assert [document(tmp_path, name)["photographs"][0]["face"] for name in names] == numbers
    assert sorted(path.stem for path in (tmp_path / "faces").glob("*.obj")) == names


def test_a_number_that_no_face_has_is_a_failure(
    run: Run, photographs: Path, capsys: pytest.CaptureFixture
) -> None:
    assert run(photographs / "a.png", "--face=2") == 1
    assert "a.png: no face 2 (1 found, numbered from 0)" in capsys.readouterr().out


def test_a_finished_folder_is_left_as_it_is_and_new_photographs_are_added(
    run: Run, photographs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(photographs)
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "faces").rglob("*.*")}

    def load(*_: object, **__: object) -> object:
        raise AssertionError("loaded a checkpoint to do nothing")

    with monkeypatch.context() as patch:
        patch.setattr(reconstruct, "load_reconstructor", load)
        assert run(photographs) == 0
    assert before == {path: path.stat().st_mtime_ns for path in (tmp_path / "faces").rglob("*.*")}
    write_photograph(photographs / "d.png", 7)
    assert run(photographs) == 0
    after = {path: path.stat().st_mtime_ns for path in (tmp_path / "faces").rglob("*.obj")}
    assert [path.stem for path in after if path not in before] == ["d"]
    assert all(after[path] == before[path] for path in after if path in before)
    assert results(tmp_path)["counts"]["used"] == 4


def test_a_run_that_was_stopped_goes_on_and_leaves_no_half_face(
    run: Run, photographs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = face_files.write_whole
    written = []

    def stop_at_the_second(file: Path, *rest: object) -> object:
        if file.suffix == ".json" and file.name not in ("started.json", "results.json"):
            if written:
                raise KeyboardInterrupt
            written.append(file)
        return write(file, *rest)

    with monkeypatch.context() as patch:
        patch.setattr(face_files, "write_whole", stop_at_the_second)
        assert run(photographs) == 130
    folder = tmp_path / "faces"
    assert [path.stem for path in folder.rglob("*.json") if path.stem != "started"] == ["a"]
    assert [path.name for path in folder.rglob(".*")] == [MANIFEST]
    first = (folder / "a.obj").stat().st_mtime_ns
    assert run(photographs) == 0
    assert (folder / "a.obj").stat().st_mtime_ns == first
    assert len(list(folder.rglob("*.glb"))) == 3


def test_a_damaged_or_changed_face_is_made_again(run: Run, photographs: Path, tmp_path: Path) -> None:
    run(photographs)
    good = (tmp_path / "faces" / "a.json").read_text()
    (tmp_path / "faces" / "a.json").write_text("{")
    (tmp_path / "faces" / "b.glb").unlink()
    write_photograph(photographs / "more/c.png", 77)
    assert run(photographs) == 0
    assert (tmp_path / "faces" / "a.json").read_text() == good
    assert (tmp_path / "faces" / "b.glb").exists()
    assert (
        document(tmp_path, "more/c")["photographs"][0]["sha256"]
        != json.loads(good)["photographs"][0]["sha256"]
    )


def test_another_checkpoint_needs_another_folder(
    run: Run, photographs: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    run(photographs)
    other = write_checkpoint(tmp_path / "other.ckpt", seed=1)
    assert run(photographs, other) == 2
    assert "was computed with other settings (checkpoint: " in capsys.readouterr().err
    before = document(tmp_path, "a")["shape"]
    assert run(photographs, other, "--overwrite") == 0
    assert document(tmp_path, "a")["shape"] != before


def test_a_checkpoint_of_another_morphable_model_is_refused_before_photographs_are_read(
    run: Run, photographs: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    assert run(photographs, "--morphable-model", "basel:other.h5") == 2
    printed = capsys.readouterr()
    assert "was trained with miniature (00" in printed.err
    assert "photographs" not in printed.out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["none.ckpt", "photographs"], "none.ckpt does not exist; expected a checkpoint"),
        (["text.ckpt", "photographs"], "text.ckpt is a text file; expected a checkpoint"),
        (["small.ckpt", "nowhere"], "nowhere does not exist; expected a photograph (such as .jpg"),
        (["small.ckpt", "empty"], "no photographs match **/* in empty"),
        (["small.ckpt", "photographs", "--face=-1"], "face must be largest, all or a number from 0"),
        (["small.ckpt", "photographs", "--face=biggest"], "biggest"),
        (["small.ckpt", "photographs", "--face=all", "--one-person"], "--one-person takes one face of each"),
    ],
)
@pytest.mark.usefixtures("checkpoint", "photographs")
def test_bad_input_is_said_in_a_sentence(
    arguments: list[str],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture,
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "text.ckpt").write_text("no checkpoint")
    (tmp_path / "empty").mkdir()
    assert status_of(main, arguments) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "runs").exists()


def test_a_name_that_is_no_utf_8_is_a_failure_row_and_loses_nothing(
    run: Run, photographs: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    (photographs / "b.png").rename(photographs / os.fsdecode(b"caf\xe9.png"))
    for _ in range(2):  # computed, then read
        assert run(photographs) == 1
        assert "2 of 3 photographs used" in capsys.readouterr().out
        assert results(tmp_path)["counts"]["used"] == 2
        assert "caf\\udce9.png,,,cannot be read (its name is not UTF-8; rename it)" in failures(tmp_path)


def test_names_that_leave_no_room_for_endings_are_cut(run: Run, photographs: Path, tmp_path: Path) -> None:
    for number in range(2):
        (photographs / "ab"[number:][:1]).with_suffix(".png").rename(photographs / f"{250 * 'n'}{number}.png")
    assert run(photographs, "--face=all") == 0
    made = [path.name for path in (tmp_path / "faces").glob("n*.json")]
    assert len(made) == 2
    assert all(name.startswith(180 * "n") and len(name) < 220 for name in made)


def test_a_full_disk_names_the_file_and_what_to_do(
    run: Run,
    photographs: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture,
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(Image.Image, "save", full)
        assert run(photographs) == 2
    error = capsys.readouterr().err
    assert "a.png could not be written (No space left on device); what was written before is kept" in error
    assert run(photographs) == 0


def test_names_of_files_never_collide() -> None:
    assert names_of([("a.jpg", 0), ("a.png", 0), ("b/a.jpg", 0)], False) == ["a.jpg", "a.png", "b/a"]
    assert names_of([("a.jpg", 0), ("a.jpg", 1)], True) == ["a-0", "a-1"]
    # On some disks these would be one file.
    assert names_of([("a.jpg", 0), ("A.png", 0)], False) == ["a.jpg", "A.png"]
    assert names_of([("a.jpg", 0), ("A.jpg", 0)], False) == ["a.jpg", "A.jpg_"]
    assert names_of([("\u00e9.jpg", 0), ("e\u0301.png", 0)], False) == ["\u00e9.jpg", "e\u0301.png"]
    # Nor where a photograph is called as another one's file would be.
    assert names_of([("a.jpg", 0), ("a.png", 0), ("a.jpg.png", 0)], False) == ["a.jpg", "a.png", "a.jpg.png"]
    endings = [".glb", "-neutral.glb"]
    assert names_of([("a.png", 0), ("a-neutral.png", 0)], False, endings) == ["a.png", "a-neutral.png"]


def test_no_face_is_named_as_the_command_s_own_files() -> None:
    files = ["results.jpg", "started.png", "Results.JPG", "more/results.jpg", "results", "results_"]
    assert names_of([(file, 0) for file in files], False) == [
        "results.jpg", "started.png", "Results.JPG_", "more/results", "results_", "results__",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("paths", "files"),
    [
        (["faces/a.png", "faces/b/a.png"], ["a.png", "b/a.png"]),
        (["faces/../other/scan.png"], ["scan.png"]),
        (["faces/b/../a.png", "faces/./c.png"], ["a.png", "c.png"]),
        (["other/a/x.png", "other/b/x.png", "other/c/y.png"], ["a/x.png", "b/x.png", "y.png"]),
        (["faces/../x.png", "faces/x.png"], ["{folder}/x.png", "x.png"]),
        (["other/x.png", "other/x.png"], ["x.png", "x.png"]),
    ],
)
def test_photographs_of_a_list_are_kept_by_paths_that_lead_nowhere_else(
    paths: list[str], files: list[str], tmp_path: Path
) -> None:
    (tmp_path / "faces" / "b").mkdir(parents=True)
    wanted = [file.format(folder=tmp_path.name) for file in files]
    assert files_of([tmp_path / path for path in paths], tmp_path / "faces") == wanted


def test_a_photograph_that_has_no_other_name_left_gets_one() -> None:
    root = Path("/folder")
    assert files_of([Path("/x.png"), root / "x.png"], root) == ["_/x.png", "x.png"]


# ---------------------------------------------------------------------- other people's files


def content(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.mark.parametrize("more", [[], ["--overwrite"]])
def test_photographs_are_never_replaced_by_their_previews(
    photographs: Path, checkpoint: Path, monkeypatch: pytest.MonkeyPatch,  # noqa: F811 - the fixture
    capsys: pytest.CaptureFixture, more: list[str],
) -> None:  # fmt: skip
    before = content(photographs)
    monkeypatch.chdir(photographs)
    for given in (photographs, "."):
        for output in (photographs, ".", "more/.."):
            assert status_of(main, [checkpoint, given, f"--output={output}", *more]) == 2
            assert "which reconstruct.py reads; name another --output" in capsys.readouterr().err
    assert content(photographs) == before


def test_a_folder_of_photographs_may_be_worked_in_twice(
    photographs: Path, checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,  # noqa: F811
) -> None:  # fmt: skip
    before = content(photographs)
    monkeypatch.chdir(photographs)
    options = [f"--cache-folder={tmp_path / 'cache'}", "--workers=0", "--preview-size=48"]
    for _ in range(2):
        assert status_of(main, [checkpoint, ".", *options]) == 0
        (folder,) = Path("runs", "reconstruct").iterdir()
        assert json.loads((folder / "results.json").read_text())["counts"]["total"] == 3
    # Neither are they photographs to another checkpoint.
    other = write_checkpoint(tmp_path / "other.ckpt", seed=1)
    assert status_of(main, [other, ".", *options]) == 0
    for file in Path("runs", "reconstruct").glob("*/results.json"):
        assert json.loads(file.read_text())["counts"]["total"] == 3
    assert {name: each for name, each in content(photographs).items() if "runs/" not in name} == before


def test_a_list_that_names_photographs_elsewhere_writes_nothing_there(
    run: Run, photographs: Path, tmp_path: Path
) -> None:
    write_photograph(tmp_path / "other" / "scan.png", 5)
    write_photograph(tmp_path / "another" / "scan.png", 6)
    lines = ["a.png", "../other/scan.png", "../another/scan.png", str(photographs / "b.png")]
    (photographs / "list.txt").write_text("\n".join(lines))
    before = {name: content(tmp_path / name) for name in ("other", "another", "photographs")}
    assert run(photographs / "list.txt") == 0
    assert {name: content(tmp_path / name) for name in before} == before
    names = {path.relative_to(tmp_path / "faces").as_posix() for path in (tmp_path / "faces").rglob("*.obj")}
    assert names == {"a.obj", "other/scan.obj", "another/scan.obj", "b.obj"}
    assert run(photographs / "list.txt") == 0


def test_photographs_called_as_the_command_s_files_get_faces_of_their_own(run: Run, tmp_path: Path) -> None:
    for index, name in enumerate(("results", "started")):
        picture = Image.open(write_photograph(tmp_path / "old.png", index))
        (tmp_path / "photographs").mkdir(exist_ok=True)
        picture.save(tmp_path / "photographs" / f"{name}.jpg")
    for _ in range(2):
        assert run(tmp_path / "photographs") == 0
    assert results(tmp_path)["counts"]["used"] == 2
    assert "shape" in document(tmp_path, "results.jpg")
    assert "shape" in document(tmp_path, "started.jpg")
    (tmp_path / "photographs").rename(tmp_path / "results")
    (tmp_path / "faces").rename(tmp_path / "each")
    assert run(tmp_path / "results", "--one-person") == 0
    assert "shape" in document(tmp_path, "results_")


def test_files_of_others_in_the_folder_are_kept_and_named(
    run: Run, photographs: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    assert run(photographs) == 0
    (tmp_path / "faces" / "letter.txt").write_text("dear")
    (tmp_path / "faces" / "d.png").write_text("theirs")
    assert run(photographs, "--overwrite") == 0
    printed = capsys.readouterr().out
    assert (
        f"kept in {tmp_path / 'faces'}, since reconstruct.py did not write it: d.png, letter.txt" in printed
    )
    write_photograph(photographs / "d.png", 9)
    assert run(photographs) == 2
    assert "d.png exists and was not written by reconstruct.py; move it away" in capsys.readouterr().err
    assert (tmp_path / "faces" / "d.png").read_text() == "theirs"


# ---------------------------------------------------------------------- videos


def filmed(path: Path, photographs: Path) -> Path:
    """A video whose frames are the photographs of a folder, largest ones first."""
    frames = [cv2.imread(str(file))[:, :, ::-1] for file in sorted(photographs.rglob("*.png"))]
    write_video(path, frames)
    return path


@pytest.fixture
def frame_detector(monkeypatch: pytest.MonkeyPatch) -> None:
    """Finds faces in frames as this file's tests find them in photographs."""
    for module in (footage_cache, filmed_faces):
        monkeypatch.setattr(module, "load_detector", lambda name: face_cache.load_detector(name))


@pytest.mark.usefixtures("frame_detector")
def test_a_video_becomes_the_face_of_its_frames_mean_features(
    run: Run, photographs: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    video = filmed(tmp_path / "ann.avi", photographs)
    assert run(video) == 0
    kept = document(tmp_path, "ann")
    assert kept["videos"] == [{"file": "ann.avi", "sha256": sha256_of_file(video), "frames": 3, "used": 3}]
    crops = [
        cv2.resize(np.ascontiguousarray(frame.pixels), (224, 224), interpolation=cv2.INTER_LINEAR)
        for frame in read_frames(video)
    ]
    features = small_network("dlib")(to_images(np.stack(crops))).features
    regressor, _ = load_regressor(tmp_path / "small.ckpt")
    with torch.no_grad():
        expected = regressor(features.mean(0, keepdim=True))
    np.testing.assert_allclose(kept["shape"], expected.shape[0], atol=2e-3)
    assert (tmp_path / "faces" / "ann.png").is_file()
    assert "1 of 1 photographs used" in capsys.readouterr().out
    before = (tmp_path / "faces" / "ann.glb").stat().st_mtime_ns
    assert run(video) == 0
    assert (tmp_path / "faces" / "ann.glb").stat().st_mtime_ns == before


@pytest.mark.usefixtures("frame_detector")
def test_videos_and_photographs_of_a_folder_are_made_side_by_side_or_as_one_person(
    run: Run, photographs: Path, tmp_path: Path
) -> None:
    filmed(photographs / "a.avi", photographs)
    (photographs / "broken.mp4").write_text("no video")
    assert run(photographs) == 1
    made = {path.relative_to(tmp_path / "faces").as_posix() for path in (tmp_path / "faces").rglob("*.glb")}
    assert made == {"a.png.glb", "a.avi.glb", "b.glb", "more/c.glb"}
    assert results(tmp_path)["counts"] == {"total": 5, "used": 4, "failed": {"unusable video": 1}}
    assert "broken.mp4" in failures(tmp_path)
    assert run(photographs, "--one-person", "--overwrite") == 1
    kept = document(tmp_path, "photographs")
    assert (len(kept["photographs"]), [film["used"] for film in kept["videos"]]) == (3, [3])


@pytest.mark.usefixtures("frame_detector")
def test_a_video_takes_the_frames_that_are_asked_for_and_no_face_by_number(
    run: Run, photographs: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    video = filmed(tmp_path / "ann.avi", photographs)
    assert run(video, "--frames", 1) == 0
    assert document(tmp_path, "ann")["videos"][0]["frames"] == 1
    assert run(video) == 2  # the folder holds another setting
    assert "frames: 1 there, 'all' now" in capsys.readouterr().err
    assert run(video, "--face", "all") == 2
    assert "ann.avi shows one person, the largest face; leave --face all out" in capsys.readouterr().err
