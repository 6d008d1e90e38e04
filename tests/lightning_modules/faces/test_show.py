from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from PIL import Image

from lightning_modules.faces import show
from lightning_modules.faces.morphable_model import MorphableModel


def test_the_sheet_has_a_row_for_each_part(make_model: Callable[..., MorphableModel]) -> None:
    titles = [row.title for row in show.contact_rows(make_model(), torch.Generator().manual_seed(0))]
    assert titles == [
        "mean",
        "random faces",
        "random faces",
        "shape components 1 to 6, +3 standard deviations",
        "shape components 1 to 6, -3 standard deviations",
        "albedo components 1 to 5, +3 standard deviations",
        "albedo components 1 to 5, -3 standard deviations",
        "expression components 1 to 4, +2 standard deviations",
        "68 landmarks on the mean and on random shapes",
    ]


def test_rows_without_components_or_landmarks_are_left_out(make_model: Callable[..., MorphableModel]) -> None:
    model = make_model(components=(2, 0, 0), landmarks="a miniature")
    titles = [row.title for row in show.contact_rows(model, torch.Generator().manual_seed(0))]
    assert titles[1:] == ["random faces"] * 2 + [
        "shape components 1 to 2, +3 standard deviations",
        "shape components 1 to 2, -3 standard deviations",
    ]


def test_a_face_turned_to_its_left_shows_its_nose_on_the_right_of_the_picture(
    make_model: Callable[..., MorphableModel],
) -> None:
    model = make_model()
    cameras = show.frontal_cameras(model, torch.tensor([-60.0, 0.0, 60.0]), 100)
    nose = model.landmarks.on(model.neutral_mean.view(1, -1, 3))[:, 30:31].expand(3, -1, -1)
    x = show.project(cameras, nose)[:, 0, 0, 0]
    assert x[0] < x[1] < x[2]
    assert x[1] == pytest.approx(49.5, abs=1.0)


def test_the_same_seed_gives_the_same_sheet(make_model: Callable[..., MorphableModel]) -> None:
    sheets = [show.contact_sheet(make_model(), size=32, seed=seed).tobytes() for seed in (0, 0, 1)]
    assert sheets[0] == sheets[1] != sheets[2]


def test_the_command_writes_a_picture(
    make_model: Callable[..., MorphableModel],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    asked = {}

    def load(specification: str, **options: object) -> MorphableModel:
        asked.update(options, specification=specification)
        return make_model()

    monkeypatch.setattr(show, "load_morphable_model", load)
    path = tmp_path / "sheet.png"
    show.main(["basel:a.h5", "--output", str(path), "--size", "24", "--shape-components", "80"])
    assert asked["specification"] == "basel:a.h5"
    assert asked["shape_components"] == 80
    with Image.open(path) as picture:
        assert picture.width == 7 * 24
    assert f"wrote {path}" in capsys.readouterr().out


def test_only_its_own_picture_is_replaced(
    make_model: Callable[..., MorphableModel],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(show, "load_morphable_model", lambda *_, **__: make_model())
    for _ in range(2):
        show.main(["open", "--output", str(tmp_path / "sheet.png"), "--size", "24"])
    Image.new("RGB", (4, 4)).save(tmp_path / "cat.png")
    (tmp_path / "model.h5").write_text("a model")
    monkeypatch.setattr(show, "load_morphable_model", None)  # refused before it is loaded
    for name in ("cat.png", "model.h5"):
        before = (tmp_path / name).read_bytes()
        with pytest.raises(SystemExit, match="2"):
            show.main([f"basel:{tmp_path / 'model.h5'}", "--output", str(tmp_path / name)])
        assert f"{name} " in capsys.readouterr().err
        assert (tmp_path / name).read_bytes() == before
