from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from datamodules.alignment.detection import Detection
from evaluation import qualitative
from evaluation.qualitative import main, places_of
from evaluation.reconstruction.methods_side_by_side import mesh_cell, seen_points
from lightning_modules.faces.landmarks.ibug import five_points
from lightning_modules.faces.mesh import Mesh
from lightning_modules.faces.mesh_files.any_format import write_mesh
from lightning_modules.faces.portraits import BACKGROUND
from tests import miniatures
from tests.datamodules.conftest import write_photograph

from .small_checkpoint import checkpoint, status_of, write_checkpoint  # noqa: F401

SIZE = 48
Run = Callable[..., int]
# The five points of the miniature's mean on its picture from the front, where a detector would see them.
GRID = 17


def small_mesh(*, colours: bool) -> Mesh:
    model = miniatures.small_model(skin=True)
    none = torch.zeros(1, 0)
    vertices, albedo = model(none, none)
    return Mesh(vertices[0], model.triangles, albedo[0].clamp(0, 1) if colours else None)


def detect(image: np.ndarray) -> list[Detection]:
    """The five points of the miniature, from where its silhouette lies in the picture."""
    rows, columns = np.nonzero(image.max(-1) > 3)
    if len(rows) == 0:
        return []
    low, high = np.array([columns.min(), rows.min()]), np.array([columns.max(), rows.max()])
    middle = np.array([image.shape[1], image.shape[0]]) / 2 - 0.5
    cell = (high - low) / (GRID - 1)
    places = np.array([(-3, -3), (3, -3), (0, 0), (-2, 4), (2, 4)])
    return [Detection(np.concatenate([low, high]), middle + places * cell, 0.9)]


@pytest.fixture
def run(checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:  # noqa: F811
    """Compares on two photographs; returns the exit status."""
    for index, name in enumerate("ab"):
        write_photograph(tmp_path / "photographs" / f"{name}.png", index)
    monkeypatch.setattr(qualitative, "load_detector", lambda name: detect)

    def run(methods: str, *more: object) -> int:
        return status_of(
            main,
            [tmp_path / "photographs", "--methods", methods, f"--output={tmp_path / 'sheet.png'}",
             f"--size={SIZE}", f"--cache-folder={tmp_path / 'cache'}", "--workers=0", *more],
        )  # fmt: skip

    return run


def cells(folder: Path, rows: int, columns: int) -> np.ndarray:
    """The pictures [rows, columns, SIZE, SIZE, 3] of the sheet, which lie above its footnote."""
    sheet = np.asarray(Image.open(folder / "sheet.png"))
    assert sheet.shape[1] == columns * SIZE
    # The caption's line is as high as the footnote's.
    line = (len(sheet) - rows * SIZE) // 2
    body = sheet[line : line + rows * SIZE]
    return body.reshape(rows, SIZE, columns, SIZE, 3).swapaxes(1, 2)


def test_checkpoints_and_meshes_stand_side_by_side(run: Run, tmp_path: Path) -> None:
    write_checkpoint(tmp_path / "other.ckpt", seed=4)
    for name in "ab":
        write_mesh(small_mesh(colours=True), tmp_path / "meshes" / f"{name}.glb")
        write_mesh(small_mesh(colours=False), tmp_path / "shapes" / f"{name}.obj")
    methods = ",".join(
        f"{name}={tmp_path / place}"
        for name, place in (
            ("ours", "small.ckpt"), ("other", "other.ckpt"), ("MoFA", "meshes"), ("Sela et al.", "shapes"),
        )
    )  # fmt: skip
    assert run(methods) == 0
    shown = cells(tmp_path, 2, 5).astype(int)
    photograph = np.asarray(Image.open(tmp_path / "photographs" / "a.png").resize((SIZE, SIZE)))
    assert np.abs(shown[0, 0] - photograph).mean() < 12
    background = round(255 * BACKGROUND)
    assert (shown[:, 1:, 0, 0] == background).all()
    ours, other, coloured, grey = shown[0, 1:]
    assert (ours != other).any()
    # An untrained regressor says about the mean face, which the meshes are; all are framed alike.
    assert np.abs(ours - coloured).mean() < 4
    covered = grey[SIZE // 2, SIZE // 2]
    assert np.ptp(covered) <= 1
    assert np.ptp(coloured[SIZE // 2, SIZE // 2]) > 20


def test_a_side_view_makes_a_second_row(run: Run, tmp_path: Path) -> None:
    assert run(f"ours={tmp_path / 'small.ckpt'}", "--three-quarter") == 0
    shown = cells(tmp_path, 4, 2)
    assert (shown[1, 0] == 255).all()
    assert (shown[0, 1] != shown[1, 1]).any()


def test_missing_and_bad_meshes_leave_an_empty_place_and_are_named(
    run: Run, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    write_mesh(small_mesh(colours=True), tmp_path / "some" / "a.ply")
    write_mesh(small_mesh(colours=True), tmp_path / "bad" / "a.ply")
    (tmp_path / "bad" / "b.obj").write_text("nothing")
    write_photograph(tmp_path / "photographs" / "sky.png", 9, face=False)
    assert run(f"some={tmp_path / 'some'},bad={tmp_path / 'bad'}") == 1
    printed = capsys.readouterr().out
    assert "failed: some, b: no mesh of this name" in printed
    assert "failed: bad, b: " in printed
    assert "b.obj holds no vertices" in printed
    assert "sky.png: no face found" in printed
    shown = cells(tmp_path, 2, 3)
    assert (shown[1, 1:] == 255).all()
    assert not (shown[0, 1] == 255).all()


@pytest.mark.parametrize(
    ("methods", "message"),
    [
        ("small.ckpt", "methods must be NAME=PLACE,NAME=PLACE with a name for each, got 'small.ckpt'"),
        ("a=small.ckpt,a=small.ckpt", "methods must be NAME=PLACE,NAME=PLACE"),
        ("a=none", "none, the method a, does not exist; expected a checkpoint or a folder of meshes"),
        ("a=photographs", "holds no file ending in .glb, .obj, .ply"),
        ("a=strays", "none of the 1 files names an item"),
        ("a=photographs/a.png", "a.png is a picture; expected a checkpoint"),
    ],
)
def test_bad_input_is_said_in_a_sentence(
    run: Run, methods: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    write_mesh(small_mesh(colours=False), tmp_path / "strays" / "z.obj")
    assert run(methods) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "sheet.png").exists()


def test_one_face_a_row_and_at_least_one(run: Run, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    assert run(f"a={tmp_path / 'small.ckpt'}", "--face=all") == 2
    assert "a row shows one face" in capsys.readouterr().err
    for name in "ab":
        write_photograph(tmp_path / "photographs" / f"{name}.png", 9, face=False)
    assert run(f"a={tmp_path / 'small.ckpt'}") == 2
    assert "shows no face to compare" in capsys.readouterr().err


def test_methods_keep_their_order_and_their_names(tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    places = places_of(f" Tran et al. = {tmp_path / 'b'} , ours={tmp_path} ")
    assert list(places.items()) == [("Tran et al.", tmp_path / "b"), ("ours", tmp_path)]


def test_a_mesh_is_framed_by_its_points_whatever_its_place_and_size() -> None:
    mesh = small_mesh(colours=True)
    points = five_points(miniatures.small_model().landmarks.on(mesh.vertices[None]))[0]
    options = {"size": SIZE, "yaw_degrees": (0.0, 40.0)}
    first = mesh_cell(mesh, points, **options).images
    moved = mesh._replace(vertices=mesh.vertices + torch.tensor([30.0, -80.0, 15.0]))
    second = mesh_cell(moved, points + torch.tensor([30.0, -80.0, 15.0]), **options).images
    torch.testing.assert_close(first, second, atol=0.03, rtol=0)


def test_a_face_on_which_none_is_seen_is_framed_by_its_landmarks(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(qualitative, "load_detector", lambda name: lambda image: [])
    assert run(f"ours={tmp_path / 'small.ckpt'}") == 0
    background = round(255 * BACKGROUND)
    assert (cells(tmp_path, 2, 2)[:, 1] != background).any(-1).mean() > 0.1


def test_points_are_taken_off_the_surface_where_the_detector_sees_them() -> None:
    mesh = small_mesh(colours=False)
    expected = five_points(miniatures.small_model().landmarks.on(mesh.vertices[None]))[0]
    torch.testing.assert_close(seen_points(mesh, detect), expected, atol=6.0, rtol=0)


def test_a_mesh_on_which_no_face_is_seen_is_refused() -> None:
    mesh = small_mesh(colours=False)
    with pytest.raises(ValueError, match="no face is seen on the mesh from the front; turn it"):
        seen_points(mesh, lambda image: [])
    away = Detection(np.zeros(4), np.full((5, 2), 2.0), 0.9)
    with pytest.raises(ValueError, match="does not lie on the mesh"):
        seen_points(mesh, lambda image: [away])


def test_only_its_own_sheet_is_replaced_and_no_photograph(
    run: Run, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    methods, photographs = f"ours={tmp_path / 'small.ckpt'}", tmp_path / "photographs"
    before = {path: path.read_bytes() for path in photographs.iterdir()}
    (tmp_path / "link").symlink_to("photographs")
    for output in (photographs / "a.png", tmp_path / "link" / "b.png", tmp_path / "small.ckpt"):
        assert run(methods, f"--output={output}") == 2
        error = capsys.readouterr().err
        assert f"{output} " in error
        assert "; move it away, or name another --output" in error
    # An earlier sheet among the photographs is replaced, and is none of them.
    sizes = []
    for _ in range(2):
        assert run(methods, f"--output={photographs / 'sheet.png'}") == 0
        with Image.open(photographs / "sheet.png") as sheet:
            sizes.append(sheet.size)
    assert sizes[0] == sizes[1]
    assert before == {path: path.read_bytes() for path in before}
