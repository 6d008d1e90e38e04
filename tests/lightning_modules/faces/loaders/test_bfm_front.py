from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import scipy.io
import torch

from lightning_modules.faces.loaders.bfm_front import load_bfm_front
from lightning_modules.faces.loading import load_morphable_model
from lightning_modules.faces.morphable_model import MorphableModel
from lightning_modules.plain.files import sha256_of_file

from .published_layouts import bfm_front_arrays, write_bfm_front

MakeModel = Callable[..., MorphableModel]


@pytest.fixture
def source(make_model: MakeModel) -> MorphableModel:
    return make_model(rows=31, columns=27, components=(4, 3, 3), seed=3)


@pytest.fixture
def path(source: MorphableModel, tmp_path: Path) -> Path:
    return write_bfm_front(source, tmp_path)


def test_faces_are_deep3dfacerecon_s_in_mm_and_colours_up_to_1(path: Path, source: MorphableModel) -> None:
    arrays, model = bfm_front_arrays(source), load_morphable_model(f"bfm-front:{path}")
    generator = torch.Generator().manual_seed(0)
    shape, albedo, expression = (torch.randn(2, n, generator=generator) for n in (80, 80, 64))
    # Its published equations: mean + idBase @ id + exBase @ ex, and meantex + texBase @ tex.
    vertices = (
        arrays["meanshape"] + shape.numpy() @ arrays["idBase"].T + expression.numpy() @ arrays["exBase"].T
    )
    colours = arrays["meantex"] + albedo.numpy() @ arrays["texBase"].T
    faces = model(shape, albedo, expression)
    np.testing.assert_allclose(faces.vertices.flatten(1).numpy(), 100 * vertices, atol=2e-3)
    np.testing.assert_allclose(faces.albedo.flatten(1).numpy(), colours / 255, atol=1e-5)
    assert (model.triangles + 1).tolist() == arrays["tri"].tolist()
    assert model.landmark_vertex_ids[:, 0].tolist() == source.landmark_vertex_ids[:, 0].tolist()
    assert set(model.landmarks.sources) == {"file"}
    assert model.provenance[:3] == ("bfm-front", "BFM_model_front.mat", sha256_of_file(path))


def test_coefficients_projected_from_sampled_meshes_are_the_drawn_ones(path: Path) -> None:
    model = load_bfm_front(path)
    drawn = model.sample(3, torch.Generator().manual_seed(1))
    faces = model.double()(drawn.shape.double(), drawn.albedo.double())
    for found, expected in (
        (model.shape_coefficients(faces.vertices), drawn.shape),
        (model.albedo_coefficients(faces.albedo), drawn.albedo),
    ):
        torch.testing.assert_close(found, expected.double(), atol=1e-4, rtol=0)


def test_landmarks_may_be_a_user_s_or_missing(path: Path, source: MorphableModel, tmp_path: Path) -> None:
    np.save(tmp_path / "mine.npy", np.arange(68))
    assert set(load_bfm_front(path, landmarks=tmp_path / "mine.npy").landmarks.sources) == {"user"}
    arrays = bfm_front_arrays(source)
    del arrays["keypoints"]
    scipy.io.savemat(path, arrays)
    assert "names 0 of 68" in load_bfm_front(path).no_landmarks
    assert set(load_bfm_front(path, open_model=lambda: source).landmarks.sources) == {"transferred"}


def test_what_is_no_such_file_is_refused_in_one_sentence(
    path: Path, source: MorphableModel, tmp_path: Path
) -> None:
    arrays = bfm_front_arrays(source)
    wrong = tmp_path / "wrong.mat"
    bad = [
        ({"exBase": None}, "is no BFM_model_front.mat: exBase is missing"),
        ({"idBase": arrays["idBase"][:9]}, r"bases as many rows, .*idBase \[9, 80\]"),
        ({"meantex": arrays["meantex"][:, :9]}, r"meantex \[9\]"),
        ({"tri": arrays["tri"][:, :2]}, r"tri \[\d+, 2\]"),
        ({"tri": arrays["tri"] - 1}, "triangles must name vertices 0 to 836, got -1"),
        ({"texBase": arrays["texBase"] * np.nan}, "texBase holds NaN"),
        ({"keypoints": arrays["keypoints"][:, :5]}, "keypoints must list 68 vertices from 1 to 837, got 5"),
    ]
    for change, message in bad:
        scipy.io.savemat(wrong, {k: v for k, v in (arrays | change).items() if v is not None})
        with pytest.raises(ValueError, match=message) as refused:
            load_bfm_front(wrong)
        assert "\n" not in str(refused.value)
        assert str(wrong) in str(refused.value)
    wrong.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(ValueError, match=r"wrong\.mat cannot be read as a MATLAB file"):
        load_bfm_front(wrong)
    with pytest.raises(FileNotFoundError, match=r"does not exist; expected BFM_model_front\.mat"):
        load_bfm_front(tmp_path / "none.mat")
    with pytest.raises(ValueError, match="has 64 expression components, asked for 65"):
        load_bfm_front(path, expression_components=65)
