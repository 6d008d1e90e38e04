from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from lightning_modules.faces.albedo_transfer import CONSTANT_ALBEDO
from lightning_modules.faces.loaders.array_pickles import read_arrays
from lightning_modules.faces.loaders.flame import load_flame
from lightning_modules.faces.morphable_model import MorphableModel
from lightning_modules.plain.files import sha256_of_file

from .published_layouts import (
    columns_of,
    flame_arrays,
    template_of,
    write_flame,
    write_flame_embedding,
    write_texture_space,
)

MakeModel = Callable[..., MorphableModel]


@pytest.fixture
def source(make_model: MakeModel) -> MorphableModel:
    return make_model(rows=31, columns=27, components=(4, 3, 3), seed=3)


@pytest.fixture
def path(source: MorphableModel, tmp_path: Path) -> Path:
    return write_flame(source, tmp_path / "flame")


def head(path: Path, **options: object) -> MorphableModel:
    return load_flame(path, subset="head", albedo="constant", **options)


@pytest.mark.parametrize("name", ["generic_model.pkl", "flame2023_Open.pkl", "generic_model.npz"])
def test_a_mesh_is_the_template_plus_shapedirs_times_coefficients_in_mm(
    source: MorphableModel, tmp_path: Path, name: str
) -> None:
    arrays = flame_arrays(source)
    model = head(write_flame(source, tmp_path, name=name))
    generator = torch.Generator().manual_seed(0)
    shape, expression = torch.randn(2, 300, generator=generator), torch.randn(2, 100, generator=generator)
    betas = torch.cat([shape, expression], 1).double().numpy()
    expected = 1000 * (arrays["v_template"] + np.einsum("vik,bk->bvi", arrays["shapedirs"], betas))
    np.testing.assert_allclose(model.vertices(shape, expression).numpy(), expected, atol=2e-3)
    assert model.triangles.tolist() == arrays["f"].tolist()
    assert model.provenance[:3] == ("flame", f"{name} head", sha256_of_file(tmp_path / name))


@pytest.mark.parametrize("subset", ["face", "head"])
def test_coefficients_projected_from_sampled_meshes_are_the_drawn_ones(path: Path, subset: str) -> None:
    model = load_flame(path, subset=subset, albedo="constant")
    drawn = model.sample(3, torch.Generator().manual_seed(1)).shape
    found = model.double().shape_coefficients(model.vertices(drawn.double()))
    torch.testing.assert_close(found, drawn.double(), atol=1e-4, rtol=0)


def test_components_that_are_cut_are_the_last_ones(path: Path, source: MorphableModel) -> None:
    model = head(path, shape_components=4, expression_components=2)
    whole = head(path)
    assert (model.shape_variance.numel(), model.expression_variance.numel()) == (4, 2)
    coefficients = torch.randn(2, 4, generator=torch.Generator().manual_seed(2))
    torch.testing.assert_close(model.vertices(coefficients), whole.vertices(coefficients))
    variance = (columns_of(source, "shape", 300) ** 2).sum((0, 1))
    kept = model.describe()["shape_variance_kept"]
    assert kept == pytest.approx(variance[:4].sum() / variance.sum(), rel=1e-5)
    for part, most in (("shape", 300), ("expression", 100)):
        with pytest.raises(ValueError, match=f"has {most} {part} components, asked for {most + 1}"):
            head(path, **{f"{part}_components": most + 1})


def test_the_face_is_what_lies_near_the_tip_of_the_nose_and_not_far_below(path: Path) -> None:
    whole, face = head(path), load_flame(path, albedo="constant")
    vertices = whole.neutral_mean.view(-1, 3)
    nose = vertices[vertices[:, 2].argmax()]
    kept = ((vertices - nose).norm(dim=1) < 125) & (vertices[:, 1] > nose[1] - 85)
    found = face.neutral_mean.view(-1, 3)
    assert 0.5 * len(vertices) < len(found) < len(vertices)
    assert len(found) <= int(kept.sum())
    assert {tuple(row) for row in found.tolist()} <= {tuple(row) for row in vertices[kept].tolist()}
    # The same triangles, of the same points.
    inside = kept[whole.triangles].all(1)
    torch.testing.assert_close(found[face.triangles], vertices[whole.triangles[inside]])


@pytest.mark.parametrize("count", [51, 68])
def test_landmarks_lie_where_the_embedding_beside_the_file_says(
    path: Path, source: MorphableModel, count: int
) -> None:
    embedding = write_flame_embedding(source, path.parent, count=count)
    content = read_arrays(embedding)
    model = load_flame(path, subset="head", albedo="constant", open_model=lambda: source)
    landmarks = model.landmarks
    first = 68 - count
    assert landmarks.sources == ("transferred",) * first + ("file",) * count
    faces = np.ravel(content["full_lmk_faces_idx" if count == 68 else "lmk_face_idx"])
    weights = content["full_lmk_bary_coords" if count == 68 else "lmk_b_coords"].reshape(-1, 3)
    corners = template_of(source)[source.triangles.numpy()[faces]]
    expected = (corners * weights[..., None]).sum(1)
    found = landmarks.on(model.neutral_mean.view(1, -1, 3))[0, first:]
    np.testing.assert_allclose(found.numpy(), expected, atol=1e-3)


def test_of_an_embedding_with_eyes_the_68_count(path: Path, source: MorphableModel) -> None:
    plain = write_flame_embedding(source, path.parent, count=68)
    expected = load_flame(path, subset="head", albedo="constant").landmarks
    content = read_arrays(plain)
    plain.unlink()
    eyes = {
        "full_lmk_faces_idx": np.concatenate([content["full_lmk_faces_idx"], [[0, 1]]], 1),
        "full_lmk_bary_coords": np.concatenate(
            [content["full_lmk_bary_coords"], np.full((1, 2, 3), 1 / 3)], 1
        ),
    }
    np.save(path.parent / "landmark_embedding_with_eyes.npy", np.array(eyes, dtype=object), allow_pickle=True)
    found = load_flame(path, subset="head", albedo="constant").landmarks
    assert set(found.sources) == {"file"}
    torch.testing.assert_close(found.vertex_ids, expected.vertex_ids)
    torch.testing.assert_close(found.weights, expected.weights)


def test_landmarks_that_the_cut_removes_are_transferred(path: Path, source: MorphableModel) -> None:
    write_flame_embedding(source, path.parent, count=68)
    model = load_flame(path, albedo="constant", open_model=lambda: source)
    sources = model.landmarks.sources
    assert 0 < sources.count("transferred") < 34
    assert sources.count("file") == 68 - sources.count("transferred")
    assert int(model.landmark_vertex_ids.min()) >= 0


def test_without_an_embedding_and_an_open_model_there_are_no_landmarks(path: Path, tmp_path: Path) -> None:
    assert "names 0 of 68" in head(path).no_landmarks
    np.save(tmp_path / "mine.npy", np.arange(68))
    assert set(head(path, landmarks=tmp_path / "mine.npy").landmarks.sources) == {"user"}


@pytest.mark.parametrize("basel", [False, True])
def test_the_albedo_is_the_texture_space_at_the_vertices(
    path: Path, source: MorphableModel, basel: bool
) -> None:
    name = "FLAME_albedo_from_BFM.npz" if basel else "FLAME_texture.npz"
    # Linear in x (red) and y (green), so that any interpolation is exact away from the border.
    size = 64
    place = (torch.arange(size) + 0.5) / size
    picture = torch.stack(
        [place.expand(size, size), (1 - place)[:, None].expand(size, size), torch.full((size, size), 0.25)], 2
    )
    modes = torch.zeros(size, size, 3, 2)
    modes[..., 2, 0], modes[..., 0, 1] = 0.1, 0.2 * picture[..., 1]
    write_texture_space(source, path.parent / name, picture=picture, modes=modes, basel=basel)
    model = load_flame(path, subset="head")
    flat = torch.from_numpy(template_of(source)[:, :2])
    expected = (flat - flat.amin(0)) / (flat.amax(0) - flat.amin(0))
    inner = ((expected > 0.02) & (expected < 0.98)).all(1)
    none = torch.zeros(1, 0)
    mean = model.albedo(none)[0].double()
    torch.testing.assert_close(mean[inner, :2], expected[inner], atol=1e-3, rtol=0)
    torch.testing.assert_close(mean[:, 2], torch.full_like(mean[:, 2], 0.25), atol=1e-4, rtol=0)
    bluer = model.albedo(torch.tensor([[1.0, 0.0]])) - model.albedo(none)
    torch.testing.assert_close(bluer[0], torch.tensor([0, 0, 0.1]).expand_as(bluer[0]), atol=1e-4, rtol=0)
    redder = (model.albedo(torch.tensor([[0.0, 1.0]])) - model.albedo(none))[0].double()
    torch.testing.assert_close(redder[inner, 0], 0.2 * expected[inner, 1], atol=1e-3, rtol=0)
    assert model.provenance.note.startswith(f"albedo: {name} (")
    # The face has the same colours at the same points.
    face = load_flame(path)
    ids = {tuple(row): index for index, row in enumerate(model.neutral_mean.view(-1, 3).tolist())}
    rows = [ids[tuple(row)] for row in face.neutral_mean.view(-1, 3).tolist()]
    coefficients = torch.tensor([[0.7, -1.2]])
    torch.testing.assert_close(
        face.albedo(coefficients), model.albedo(coefficients)[:, rows], atol=1e-5, rtol=0
    )
    assert load_flame(path, albedo_components=1).describe()["albedo_components"] == 1


def test_an_albedo_is_borrowed_where_there_is_no_texture_space(path: Path, make_model: MakeModel) -> None:
    albedo = head(path).albedo(torch.zeros(1, 0))
    torch.testing.assert_close(albedo, torch.tensor(CONSTANT_ALBEDO).expand_as(albedo))
    model = load_flame(path, open_model=lambda: make_model(rows=45, columns=39))
    assert model.albedo_variance.numel() == 5
    assert model.provenance.note == "albedo: transferred by closest point from miniature"


def test_what_is_no_flame_is_refused_in_one_sentence(
    path: Path, source: MorphableModel, tmp_path: Path
) -> None:
    arrays = flame_arrays(source)
    bad = {
        "no FLAME: expected v_template, shapedirs and f, found f": {"f": arrays["f"]},
        r"shapedirs \[V, 3, 300 or more\] and f": arrays | {"shapedirs": arrays["shapedirs"][..., :10]},
        r"triangles must name vertices 0 to 836, got": arrays | {"f": arrays["f"] + 1},
        "v_template holds NaN": arrays | {"v_template": arrays["v_template"] * np.nan},
        "f must be an array of numbers": arrays | {"f": np.array(["a"])},
        r"v_template must be \[V, 3\]": arrays | {"v_template": arrays["v_template"].T},
    }
    for message, content in bad.items():
        wrong = tmp_path / "wrong.npz"
        np.savez(wrong, **{k: v for k, v in content.items() if isinstance(v, np.ndarray)})
        with pytest.raises(ValueError, match=message) as refused:
            load_flame(wrong)
        assert "\n" not in str(refused.value)
        assert str(wrong) in str(refused.value)
    (tmp_path / "cut.pkl").write_bytes(path.read_bytes()[:5000])
    with pytest.raises(ValueError, match=r"cut\.pkl cannot be read as \.pkl of arrays"):
        load_flame(tmp_path / "cut.pkl")
    with pytest.raises(FileNotFoundError, match=r"none\.pkl does not exist; expected generic_model\.pkl of"):
        load_flame(tmp_path / "none.pkl")
    with pytest.raises(ValueError, match="must be 'face' or 'head', got 'neck'"):
        load_flame(path, subset="neck")
    with pytest.raises(ValueError, match="must be 'constant' or 'open', got 'blue'"):
        load_flame(path, albedo="blue")


def test_files_beside_it_that_do_not_fit_are_refused(path: Path, source: MorphableModel) -> None:
    embedding = path.parent / "landmark_embedding.npy"
    for content, message in (
        ({"a": 1}, "is no embedding of landmarks: expected lmk_face_idx and lmk_b_coords, found a"),
        (
            {"lmk_face_idx": np.arange(5), "lmk_b_coords": np.ones((5, 3)) / 3},
            r"68 or 51 .*, got 5",
        ),
        ({"lmk_face_idx": np.full(51, 10**6), "lmk_b_coords": np.ones((51, 3)) / 3}, "must place 68 or 51"),
        ({"lmk_face_idx": np.arange(51), "lmk_b_coords": np.ones((51, 3))}, "weights that sum to 1"),
    ):
        np.save(embedding, np.array(content, dtype=object), allow_pickle=True)
        with pytest.raises(ValueError, match=message):
            head(path)
    embedding.unlink()
    texture = path.parent / "FLAME_texture.npz"
    picture, modes = torch.full((8, 8, 3), 0.5), torch.zeros(8, 8, 3, 1)
    write_texture_space(source, texture, picture=picture, modes=modes)
    good = dict(np.load(texture))
    for change, message in (
        ({"mean": good["mean"][:7]}, "mean must be a square picture"),
        ({"tex_dir": good["tex_dir"][:7]}, "mean must be a square picture and tex_dir several"),
        ({"ft": good["ft"][:7]}, "ft must give .* triangles corners of vt"),
        ({"vt": good["vt"][:7]}, "give the texture space of this model"),
        ({"mean": good["mean"] * np.nan}, "holds NaN or infinity"),
    ):
        np.savez(texture, **(good | change))
        with pytest.raises(ValueError, match=message):
            load_flame(path)
    np.savez(texture, mean=good["mean"])
    with pytest.raises(ValueError, match="is no texture space of FLAME: expected mean and tex_dir"):
        load_flame(path)
