import json
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch

from lightning_modules.faces.landmarks.ibug import landmarks_on_vertices
from lightning_modules.faces.loaders.basel import load_basel, save_basel
from lightning_modules.faces.loaders.basel_hdf5 import OUR_GROUP
from lightning_modules.faces.loaders.basel_landmarks import (
    BASEL_NAMES,
    IBUG_NAMES,
    NOTED_VERTICES_OF_FULL_2017,
    VERTICES_OF_FULL_2017,
    parse_landmarks,
    vertices_of_landmarks,
)
from lightning_modules.faces.morphable_model import MorphableModel

MakeModel = Callable[..., MorphableModel]
MESH = np.array([[0.0, 0, 0], [20, 0, 0], [0, 20, 0], [0, 0, 20]])


def test_both_forms_of_the_metadata_give_points_by_name() -> None:
    entries = [{"id": "center.nose.tip", "coordinates": [1, 2, 3]}]
    assert parse_landmarks(json.dumps(entries), is_json=True)["center.nose.tip"].tolist() == [1, 2, 3]
    text = "center.nose.tip 1 1 2 3.5\nleft.ear.tragus.tip 0 9 9 9\n\n"
    points = parse_landmarks(text, is_json=False)
    assert {name: point.tolist() for name, point in points.items()} == {"center.nose.tip": [1, 2, 3.5]}


@pytest.mark.parametrize(
    ("text", "is_json"),
    [
        ("{", True),
        ("[1]", True),
        ('[{"id": "a", "coordinates": [1, 2]}]', True),
        ('[{"id": "a", "coordinates": [1, 2, NaN]}]', True),
        ("a 1 2 3", False),
        ("a yes 1 2 3", False),
        ("a", False),
    ],
)
def test_garbled_metadata_is_refused(text: str, is_json: bool) -> None:
    with pytest.raises(ValueError, match="landmark metadata cannot be understood"):
        parse_landmarks(text, is_json)


def test_the_mesh_that_the_points_lie_on_decides() -> None:
    points = {"center.nose.tip": MESH[1], "left.lips.corner": MESH[3]}
    # On the reference these are vertices 1 and 3; the mean's vertices come in another order and lie apart.
    mean = MESH[::-1] + 3.0
    assert vertices_of_landmarks(points, [mean, MESH]) == {30: 1, 54: 3}


def test_only_names_that_certainly_mean_an_ibug_landmark_count() -> None:
    points = {"center.chin.tip": MESH[0], "left.ear.tragus.tip": MESH[1], "ibug.09": MESH[2]}
    assert vertices_of_landmarks(points, [MESH]) == {8: 2}
    assert vertices_of_landmarks({}, [MESH]) == {}


def test_a_point_far_from_every_vertex_was_made_for_another_mesh() -> None:
    points = {"center.nose.tip": MESH[1] + 500, "left.lips.corner": MESH[3]}
    assert vertices_of_landmarks(points, [MESH]) == {54: 3}


def test_names_are_mirrored_and_within_range() -> None:
    for name, index in BASEL_NAMES.items():
        if name.startswith("right."):
            assert name.replace("right.", "left.", 1) in BASEL_NAMES
        assert 0 <= index < 68
    assert len(set(BASEL_NAMES.values())) == len(BASEL_NAMES)
    assert sorted(IBUG_NAMES.values()) == list(range(68))
    assert all(vertex < VERTICES_OF_FULL_2017 for vertex in NOTED_VERTICES_OF_FULL_2017.values())


def test_other_readers_find_our_landmarks_in_the_standard_place(
    make_model: MakeModel, tmp_path: Path
) -> None:
    ids = torch.randperm(400, generator=torch.Generator().manual_seed(0))[:68]
    save_basel(make_model(landmarks=landmarks_on_vertices(ids, "marked")), tmp_path / "model.h5")
    with h5py.File(tmp_path / "model.h5", "r+") as file:
        del file[OUR_GROUP]
    landmarks = load_basel(tmp_path / "model.h5").landmarks
    assert landmarks.vertex_ids[:, 0].tolist() == ids.tolist()
    assert set(landmarks.sources) == {"file"}


def test_the_files_own_names_come_before_published_ids(
    make_model: MakeModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = make_model(landmarks="none")
    save_basel(model, tmp_path / "model.h5")
    with h5py.File(tmp_path / "model.h5", "r+") as file:
        del file[OUR_GROUP]
        entry = {"id": "center.nose.tip", "coordinates": model.shape_mean[:3].tolist()}
        file["metadata/landmarks/json"] = np.array([json.dumps([entry]).encode()])
    given = {}

    def completed(vertices: torch.Tensor, triangles: torch.Tensor, known: dict, _: object) -> str:
        given.update(known)
        return "not asked here"

    monkeypatch.setattr("lightning_modules.faces.loaders.basel.completed_landmarks", completed)
    load_basel(tmp_path / "model.h5")
    assert given == {30: (0, "file")}
    monkeypatch.setattr("lightning_modules.faces.loaders.basel.VERTICES_OF_FULL_2017", 24 * 21)
    load_basel(tmp_path / "model.h5")
    assert given[30] == (0, "file")
    assert given[8] == (47846, "notes")
