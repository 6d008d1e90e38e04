import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch

from lightning_modules.faces import loading
from lightning_modules.faces.loaders import basel_landmarks
from lightning_modules.faces.loaders.basel import load_basel, save_basel
from lightning_modules.faces.loading import load_morphable_model
from lightning_modules.faces.morphable_model import MorphableModel

MakeModel = Callable[..., MorphableModel]


@pytest.fixture
def open_levels(tmp_path: Path, make_model: MakeModel, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Stands in for the builder of the open model; returns the list of levels that were asked for."""
    asked = []

    def open_model_file(level: int = 1) -> Path:
        asked.append(level)
        path = tmp_path / f"open-{level}.h5"
        save_basel(make_model(rows=31 * level, columns=25 * level), path)
        return path

    module = ModuleType("cache")
    module.open_model_file = open_model_file
    monkeypatch.setitem(sys.modules, "lightning_modules.faces.open_model.cache", module)
    return asked


def strip_our_group(path: Path) -> Path:
    """Leaves a file as the published ones are: without landmarks by vertex id."""
    import h5py

    with h5py.File(path, "r+") as file:
        del file["metadata"]
    return path


def test_the_open_model_comes_at_both_levels(open_levels: list[int]) -> None:
    model = load_morphable_model("open", shape_components=2)
    assert model.provenance.kind == "open"
    assert model.shape_variance.numel() == 2
    assert load_morphable_model("open:2").describe()["vertices"] == 62 * 50
    assert open_levels == [1, 2]


@pytest.mark.parametrize("left", [0, 100, 20_000])
def test_a_damaged_open_model_is_to_be_deleted_since_nobody_gives_it_out(
    open_levels: list[int], monkeypatch: pytest.MonkeyPatch, left: int
) -> None:
    whole = sys.modules["lightning_modules.faces.open_model.cache"].open_model_file

    def cut_off(level: int = 1) -> Path:
        path = whole(level)
        path.write_bytes(path.read_bytes()[:left])
        return path

    monkeypatch.setattr(sys.modules["lightning_modules.faces.open_model.cache"], "open_model_file", cut_off)
    with pytest.raises(ValueError, match=r"open-1\.h5 .*delete the file: it is built again") as refused:
        load_morphable_model("open")
    assert "get it" not in str(refused.value)


def test_a_basel_file_gets_its_missing_landmarks_from_the_open_model(
    open_levels: list[int], tmp_path: Path, make_model: MakeModel
) -> None:
    save_basel(make_model(rows=41, columns=35), tmp_path / "basel.h5")
    strip_our_group(tmp_path / "basel.h5")
    model = load_morphable_model(f"basel:{tmp_path / 'basel.h5'}", albedo_components=1)
    assert model.provenance.kind == "basel"
    assert set(model.landmarks.sources) == {"transferred"}
    assert open_levels == [1]


def test_the_open_model_is_left_alone_where_nothing_is_missing(
    open_levels: list[int], tmp_path: Path, make_model: MakeModel
) -> None:
    save_basel(make_model(kind="basel"), tmp_path / "basel.h5")
    load_morphable_model(f"basel:{tmp_path / 'basel.h5'}")
    strip_our_group(tmp_path / "basel.h5")
    np.save(tmp_path / "mine.npy", np.arange(68))
    model = load_morphable_model(f"basel:{tmp_path / 'basel.h5'}", landmarks=tmp_path / "mine.npy")
    assert set(model.landmarks.sources) == {"user"}
    assert open_levels == []


def test_published_vertex_ids_hold_on_the_full_mesh_of_2017_only(
    open_levels: list[int], tmp_path: Path, make_model: MakeModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "basel.h5"
    save_basel(make_model(rows=41, columns=35), path)
    strip_our_group(path)
    reason = load_basel(path).no_landmarks
    assert reason.startswith("its file names 0 of 68")
    monkeypatch.setattr("lightning_modules.faces.loaders.basel.VERTICES_OF_FULL_2017", 41 * 35)
    noted = {
        index: vertex % (41 * 35) for index, vertex in basel_landmarks.NOTED_VERTICES_OF_FULL_2017.items()
    }
    monkeypatch.setattr("lightning_modules.faces.loaders.basel.NOTED_VERTICES_OF_FULL_2017", noted)
    assert load_basel(path).no_landmarks.startswith("its file names 8 of 68")


def test_an_ict_folder_is_passed_its_options(monkeypatch: pytest.MonkeyPatch, make_model: MakeModel) -> None:
    given = {}

    def load_ict(folder: Path, **options: object) -> MorphableModel:
        given.update(options, folder=folder)
        return make_model()

    monkeypatch.setattr(loading, "load_ict", load_ict)
    load_morphable_model("ict:some/folder", ict_subset="face+head", ict_albedo="open", shape_components=4)
    assert given["folder"] == Path("some/folder")
    assert (given["subset"], given["albedo"], given["shape_components"]) == ("face+head", "open", 4)


@pytest.mark.parametrize(("kind", "subset"), [("flame", "head"), ("gnm", "skin+eyes")])
def test_a_file_of_another_model_is_passed_its_options(
    monkeypatch: pytest.MonkeyPatch, make_model: MakeModel, kind: str, subset: str
) -> None:
    given = {}

    def load(path: Path, **options: object) -> MorphableModel:
        given.update(options, path=path)
        return make_model()

    monkeypatch.setattr(loading, f"load_{kind}", load)
    load_morphable_model(f"{kind}:some/file", **{f"{kind}_subset": subset}, expression_components=4)
    assert given["path"] == Path("some/file")
    assert (given["subset"], given["expression_components"]) == (subset, 4)


def test_the_model_goes_to_the_device(open_levels: list[int]) -> None:
    model = load_morphable_model("open", device=torch.device("meta"))
    assert model.shape_basis.device.type == "meta"


@pytest.mark.parametrize(
    "specification", ["", "flame", "open:3", "open:fine", "basel", "basel:", "ict:", "bfm:x"]
)
def test_an_unknown_specification_lists_the_known_ones(specification: str) -> None:
    with pytest.raises(
        ValueError, match=r"is not known; give `open`, `open:2` \(a finer mesh\), `basel:FILE`"
    ):
        load_morphable_model(specification)
