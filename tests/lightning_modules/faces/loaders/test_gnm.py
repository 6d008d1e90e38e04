from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from lightning_modules.faces.loaders.gnm import load_gnm
from lightning_modules.faces.morphable_model import MorphableModel
from lightning_modules.plain.files import sha256_of_file

from .published_layouts import GNM_BAG, GNM_TONGUE, gnm_arrays, template_of, write_gnm

MakeModel = Callable[..., MorphableModel]
# As users report of the published file.
SHUFFLED_JAW = [0, 1, 6, 5, 4, 3, 2, *range(7, 17)]


@pytest.fixture
def source(make_model: MakeModel) -> MorphableModel:
    """An egg whose jaw's landmarks lie on an arc from its right by its chin to its left."""
    model = make_model(rows=31, columns=27, components=(4, 3, 3), seed=3)
    vertices = model.neutral_mean.view(-1, 3)
    for number in range(68):
        angle = torch.tensor(torch.pi * number / 16)
        place = torch.stack([-60 * angle.cos(), -80 * angle.sin(), torch.tensor(40.0)])
        if number >= 17:
            place = torch.tensor([0.5 * (number - 42), 10.0, 90.0])
        model.landmark_vertex_ids[number] = (vertices - place).norm(dim=1).argmin()
    return model


@pytest.fixture
def path(source: MorphableModel, tmp_path: Path) -> Path:
    return write_gnm(source, tmp_path / "data")


def load(path: Path, **options: object) -> MorphableModel:
    return load_gnm(path, **{"albedo": "constant"} | options)


def test_the_skin_is_gnm_s_linear_model_in_mm(path: Path, source: MorphableModel) -> None:
    arrays, model = gnm_arrays(source), load(path)
    generator = torch.Generator().manual_seed(0)
    identity, expression = torch.randn(2, 170, generator=generator), torch.randn(2, 350, generator=generator)
    expected = (
        arrays["template_vertex_positions"]
        + np.einsum("bi,ivk->bvk", identity.numpy(), arrays["vertex_identity_basis"][:170])
        + np.einsum("be,evk->bvk", expression.numpy(), arrays["expression_basis"][:350])
    )
    count = len(template_of(source))
    np.testing.assert_allclose(
        model.vertices(identity, expression).numpy(), 1000 * expected[:, :count], atol=2e-3
    )
    assert model.triangles.tolist() == source.triangles.tolist()  # neither bag nor tongue
    assert model.provenance[:3] == ("gnm", "gnm_head.npz skin", sha256_of_file(path))


def test_coefficients_projected_from_sampled_meshes_are_gnm_s_identity_parameters(path: Path) -> None:
    model = load(path)
    drawn = model.sample(3, torch.Generator().manual_seed(1)).shape
    assert drawn.shape == (3, 170)
    found = model.double().shape_coefficients(model.vertices(drawn.double()))
    torch.testing.assert_close(found, drawn.double(), atol=1e-4, rtol=0)
    assert model.provenance.note.startswith(
        "shape coefficients are GNM's identity parameters 0 to 169 of 253,"
    )


def test_other_parts_are_optional_and_bring_their_own_coefficients(
    path: Path, source: MorphableModel
) -> None:
    skin, more = load(path), load(path, subset="skin+tongue+teeth")
    assert more.describe()["vertices"] == skin.describe()["vertices"] + 3  # of four, one is in no triangle
    assert GNM_TONGUE - 1 == 3
    assert more.shape_variance.numel() == 170 + 80
    assert more.expression_variance.numel() == 383
    assert "parameters 0 to 169, 173 to 252 of 253" in more.provenance.note
    with pytest.raises(ValueError, match="names 'hair'; join any of skin, eyes, teeth, tongue by"):
        load(path, subset="skin+hair")


def test_an_older_spelling_of_eyes_is_known(path: Path) -> None:
    arrays = dict(np.load(path))
    names = [str(name).replace("eyes_", "eyeballs_") for name in arrays["identity_names"]]
    np.savez(path, **(arrays | {"identity_names": np.array(names)}))
    assert load(path, subset="skin+eyes").shape_variance.numel() == 173


@pytest.mark.parametrize("jaw", [None, SHUFFLED_JAW])
def test_the_sparse_landmarks_are_in_ibug_s_order(
    source: MorphableModel, tmp_path: Path, jaw: list[int] | None
) -> None:
    model = load(write_gnm(source, tmp_path, jaw=jaw))
    assert set(model.landmarks.sources) == {"file"}
    mean = model.neutral_mean.view(1, -1, 3)
    found = model.landmarks.on(mean)[0]
    # The landmark's vertex has a weight of 0.8 and two neighbours share the rest.
    expected = source.landmarks.on(mean)[0]
    assert float((found - expected).norm(dim=1).max()) < 5
    assert (found[1:17, 0] >= found[:16, 0] - 1).all()
    weights = model.landmark_weights
    torch.testing.assert_close(weights.sum(1), torch.ones(68))


def test_landmarks_may_lie_beside_the_file_or_nowhere(
    path: Path, source: MorphableModel, tmp_path: Path
) -> None:
    listed = path.parent.parent.parent / "landmarks" / "head_sparse_68.txt"
    listed.rename(path.parent / listed.name)
    assert set(load(path).landmarks.sources) == {"file"}
    (path.parent / listed.name).unlink()
    assert "names 0 of 68" in load(path).no_landmarks
    assert set(load(path, open_model=lambda: source).landmarks.sources) == {"transferred"}
    np.save(tmp_path / "mine.npy", np.arange(68))
    assert set(load(path, landmarks=tmp_path / "mine.npy").landmarks.sources) == {"user"}


def test_the_open_model_s_albedo_is_the_default(path: Path, source: MorphableModel) -> None:
    model = load_gnm(path, open_model=lambda: source)
    assert model.albedo_variance.numel() == 3
    assert model.provenance.note.endswith("albedo: transferred by closest point from miniature")


def test_what_is_no_gnm_head_is_refused_in_one_sentence(
    path: Path, source: MorphableModel, tmp_path: Path
) -> None:
    arrays = gnm_arrays(source)
    wrong = tmp_path / "wrong.npz"
    bad = [
        ({"template_vertex_positions": None}, "is no GNM Head: template_vertex_positions is missing"),
        (
            {"vertex_identity_basis": arrays["vertex_identity_basis"][:5]},
            r"vertex_identity_basis must be \[253, ",
        ),
        ({"triangles": arrays["triangles"] - 1}, r"triangles must name vertices 0 to \d+, got -1"),
        ({"expression_basis": arrays["expression_basis"] * np.nan}, "expression_basis holds NaN"),
        ({"vertex_group_names": np.array(list("abcdef"))}, "has no vertex group skin; it has a, b, c"),
        ({"vertex_groups": 0 * arrays["vertex_groups"]}, "has no triangle within skin"),
    ]
    for change, message in bad:
        content = {name: value for name, value in (arrays | change).items() if value is not None}
        np.savez(wrong, **content)
        with pytest.raises(ValueError, match=message) as refused:
            load(wrong)
        assert "\n" not in str(refused.value)
        assert str(wrong) in str(refused.value)
    wrong.write_bytes(path.read_bytes()[:5000])
    with pytest.raises(ValueError, match=r"wrong\.npz cannot be read"):
        load(wrong)
    with pytest.raises(FileNotFoundError, match=r"none\.npz does not exist; expected gnm_head\.npz of https"):
        load(tmp_path / "none.npz")
    with pytest.raises(ValueError, match="has 170 shape components, asked for 171"):
        load(path, shape_components=171)
    listed = path.parent / "head_sparse_68.txt"
    for text in ("a b", "1 2 3", "\n".join(["0 0.5 1 0.5 2 0.5"] * 68), "\n".join(["-1 1 0 0 0 0"] * 68)):
        listed.write_text(text)
        with pytest.raises(ValueError, match=r"head_sparse_68\.txt (must hold 68 lines|cannot be read)"):
            load(path)


def test_the_bag_of_the_mouth_is_skin_that_is_never_seen(path: Path, source: MorphableModel) -> None:
    arrays = gnm_arrays(source)
    skin = arrays["vertex_groups"][0] > 0.5
    assert int(skin.sum()) == len(template_of(source)) + GNM_BAG
    assert load(path).describe()["vertices"] == len(template_of(source))
