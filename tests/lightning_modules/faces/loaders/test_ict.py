import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from lightning_modules.faces.albedo_transfer import CONSTANT_ALBEDO
from lightning_modules.faces.blendshapes import blendshapes_of
from lightning_modules.faces.loaders import ict
from lightning_modules.faces.loaders.ict import load_ict, named_expressions
from lightning_modules.faces.mesh import Mesh
from lightning_modules.faces.mesh_files.any_format import write_mesh
from lightning_modules.faces.morphable_model import MorphableModel

MakeModel = Callable[..., MorphableModel]
ROWS, COLUMNS = 31, 27
FACE = ROWS * COLUMNS
HEAD, TEETH = 3, 4


@pytest.fixture
def folder(tmp_path: Path, make_model: MakeModel, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A miniature FaceXModel: the egg in cm as face, three vertices of a head, four of teeth, no eyes."""
    monkeypatch.setattr(ict, "VERTICES", FACE + HEAD + TEETH)
    ranges = {"face": range(FACE), "head": range(FACE, FACE + HEAD), "eyes": range(0)}
    monkeypatch.setattr(ict, "SUBSETS", ranges)
    egg = make_model(rows=ROWS, columns=COLUMNS, landmarks="none", components=(0, 0, 0))
    rest = torch.tensor([[0.0, 0, -100 - index] for index in range(HEAD + TEETH)])
    neutral = torch.cat([egg.neutral_mean.unflatten(0, (-1, 3)), rest]) / 10
    first = len(neutral) - HEAD - TEETH
    head, bridge, teeth = (
        [first, first + 1, first + 2],
        [0, first, first + 3],
        [first + 3, first + 4, first + 5],
    )
    triangles = torch.cat([egg.triangles, torch.tensor([head, bridge, teeth])])
    place = tmp_path / "FaceXModel"

    def write(name: str, displacement: Tensor) -> None:
        write_mesh(Mesh(neutral + displacement, triangles, None), place / f"{name}.obj")

    # Two correlated identity modes: the second is half the first plus a part of its own.
    one, two = torch.zeros_like(neutral), torch.zeros_like(neutral)
    one[:10, 0], two[:10, 0], two[20:30, 1] = 0.2, 0.1, 0.3
    write("generic_neutral_mesh", torch.zeros_like(neutral))
    write("identity000", one)
    write("identity001", two)
    jaw = torch.zeros_like(neutral)
    jaw[40:50, 1] = -1.0
    write("jawOpen", jaw)
    landmarks = list(range(100, 168))
    (place / "vertex_indices.json").write_text(json.dumps({"idx_to_landmark_verts": landmarks}))
    return place


def test_lengths_are_millimetres_and_landmarks_are_the_models_own(folder: Path) -> None:
    model = load_ict(folder)
    assert model.describe()["vertices"] == FACE
    assert float(model.shape_mean.abs().max()) > 100
    assert model.landmarks.vertex_ids[:, 0].tolist() == list(range(100, 168))
    assert set(model.landmarks.sources) == {"file"}
    assert model.provenance.kind == "ict"
    assert len(model.provenance.sha256) == 64


def test_a_subset_keeps_the_triangles_that_lie_in_it(folder: Path) -> None:
    face, both = load_ict(folder), load_ict(folder, subset="face+head")
    assert both.describe()["vertices"] == FACE + HEAD
    assert len(both.triangles) == len(face.triangles) + 1
    assert both.triangles[-1].tolist() == [FACE, FACE + 1, FACE + 2]


def test_the_principal_components_are_the_same_gaussian_as_the_modes(folder: Path) -> None:
    model = load_ict(folder)
    gram = model.shape_basis.T @ model.shape_basis
    torch.testing.assert_close(gram, torch.eye(2), atol=1e-5, rtol=0)
    covariance = model.shape_basis * model.shape_variance @ model.shape_basis.T
    # Vertex 0 moves by 2 mm and 1 mm in x, vertex 20 by 3 mm in y in the second mode: by hand.
    assert float(covariance[0, 0]) == pytest.approx(2**2 + 1**2, rel=1e-4)
    assert float(covariance[61, 61]) == pytest.approx(3**2, rel=1e-4)
    assert float(covariance[0, 61]) == pytest.approx(1 * 3, rel=1e-4)
    assert model.describe()["shape_variance_kept"] == pytest.approx(1)
    assert load_ict(folder, shape_components=1).describe()["shape_variance_kept"] < 1


def test_an_expression_has_the_mean_square_of_a_weight_between_0_and_1(folder: Path) -> None:
    model = load_ict(folder)
    assert not model.expression_mean.any()
    opened = model.vertices(torch.zeros(1, 0), torch.ones(1, 1)) - model.vertices(torch.zeros(1, 0))
    # One shape of 10 mm, always active, its weight even in [0, 1]: root mean square 10 / sqrt(3) mm.
    assert float(opened[0, 40, 1].abs()) == pytest.approx(10 / 3**0.5, rel=1e-4)


def test_a_folder_without_expressions_has_none(folder: Path) -> None:
    (folder / "jawOpen.obj").unlink()
    assert load_ict(folder).expression_variance.numel() == 0


def test_the_constant_albedo_is_said_to_be_none_of_the_models(folder: Path) -> None:
    model = load_ict(folder)
    albedo = model.albedo(torch.zeros(2, 0))
    torch.testing.assert_close(albedo, torch.tensor(CONSTANT_ALBEDO).expand_as(albedo))
    assert model.provenance.note == "albedo: one constant colour, the model has none of its own"


def test_the_open_models_albedo_is_transferred_to_the_same_places(
    folder: Path, make_model: MakeModel
) -> None:
    source = make_model(rows=45, columns=39, components=(0, 3, 0))
    # A colour per height, and modes that are orthogonal there but not after resampling.
    vertices = source.neutral_mean.unflatten(0, (-1, 3))
    source.albedo_mean = (vertices[:, 1:2] / 300 + 0.5).repeat(1, 3).flatten()
    (folder / "vertex_indices.json").unlink()  # aligned by closest points alone
    model = load_ict(folder, albedo="open", open_model=lambda: source)
    expected = model.shape_mean.unflatten(0, (-1, 3))[:, 1] / 300 + 0.5
    difference = model.albedo_mean.unflatten(0, (-1, 3))[:, 0] - expected
    assert float(difference.abs().quantile(0.95)) < 2.5 / 300  # the rims differ
    gram = model.albedo_basis.T @ model.albedo_basis
    torch.testing.assert_close(gram, torch.eye(3), atol=1e-5, rtol=0)
    assert model.provenance.note == "albedo: transferred by closest point from miniature"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"subset": "nose"}, "the subset 'nose' names 'nose'; join any of face, head, eyes by +"),
        ({"albedo": "painted"}, "must be 'constant' or 'open', got 'painted'"),
        ({"albedo": "open"}, "no open model was given to transfer an albedo"),
        ({"shape_components": 3}, "has 2 shape components, asked for 3"),
        ({"expression_components": 2}, "has 1 expression components, asked for 2"),
        ({"albedo_components": 1}, "has 0 albedo components, asked for 1"),
        ({"subset": "head"}, "take a subset with `face`"),
    ],
)
def test_options_that_cannot_be_met_are_refused(folder: Path, options: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message.replace("+", r"\+")):
        load_ict(folder, **options)


def test_files_that_do_not_fit_are_refused(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(
        FileNotFoundError, match=r"generic_neutral_mesh\.obj does not exist; expected the neutral"
    ):
        load_ict(tmp_path)
    (folder / "scan.obj").write_text("v 0 0 0\n")
    with pytest.raises(
        ValueError, match=rf"scan\.obj must have ICT-FaceKit's {ict.VERTICES} vertices, got 1"
    ):
        load_ict(folder)
    (folder / "scan.obj").unlink()
    (folder / "vertex_indices.json").write_text('{"idx_to_landmark_verts": [1, 2]}')
    with pytest.raises(ValueError, match="must list 68 vertices of the subset"):
        load_ict(folder)
    (folder / "vertex_indices.json").write_text("{}")
    with pytest.raises(ValueError, match="must list idx_to_landmark_verts"):
        load_ict(folder)
    for path in folder.glob("identity*"):
        path.unlink()
    with pytest.raises(ValueError, match="holds no identity"):
        load_ict(folder)


def test_a_users_landmarks_take_precedence(folder: Path, tmp_path: Path) -> None:
    np.save(tmp_path / "mine.npy", np.arange(68))
    assert set(load_ict(folder, landmarks=tmp_path / "mine.npy").landmarks.sources) == {"user"}


def test_expressions_are_named_as_arkit_names_them(folder: Path) -> None:
    neutral = (folder / "generic_neutral_mesh.obj").read_text().splitlines()
    for name, moved in (
        ("mouthSmile_L", 3),
        ("browInnerUp_L", 5),
        ("browInnerUp_R", 6),
        ("cheekRaiser_X", 7),
    ):
        lines = list(neutral)
        x, *rest = lines[moved].split()[1:]
        lines[moved] = " ".join(["v", str(float(x) + 0.1), *rest])
        (folder / f"{name}.obj").write_text("\n".join(lines))
    model = load_ict(folder)
    found = blendshapes_of(model, f"ict:{folder}")
    assert set(found.names) == {"jawOpen", "mouthSmileLeft", "browInnerUp", "cheekRaiser_X"}
    assert len(found.displacements) == 4
    by_name = dict(zip(found.names, found.displacements, strict=True))
    torch.testing.assert_close(by_name["mouthSmileLeft"][3], torch.tensor([1.0, 0, 0]), atol=1e-4, rtol=0)
    # Both halves of what ARKit has whole, in mm.
    torch.testing.assert_close(by_name["browInnerUp"][[5, 6], 0], torch.ones(2), atol=1e-4, rtol=0)
    torch.testing.assert_close(by_name["jawOpen"][45], torch.tensor([0.0, -10, 0]), atol=1e-4, rtol=0)


def test_a_folder_without_expressions_has_none_to_name(folder: Path) -> None:
    (folder / "jawOpen.obj").unlink()
    with pytest.raises(ValueError, match="holds no expressions"):
        named_expressions(folder, "face")
