from collections.abc import Callable

import pytest
import torch

from lightning_modules.faces.landmarks.ibug import Landmarks
from lightning_modules.faces.morphable_model import ModelSource, MorphableModel, PrincipalComponents

MakeModel = Callable[..., MorphableModel]


@pytest.fixture
def triangle_model() -> MorphableModel:
    """One triangle whose components each move one coordinate, so that every answer is worked out by hand."""
    basis = torch.zeros(9, 2)
    basis[0, 0], basis[4, 1] = 1, 1  # x of vertex 0, y of vertex 1
    return MorphableModel(
        shape=PrincipalComponents(torch.arange(9.0), basis, torch.tensor([4.0, 1.0]), 10.0),
        albedo=PrincipalComponents(torch.full((9,), 0.5), basis[:, :1], torch.tensor([0.25]), 0.25),
        expression=PrincipalComponents(torch.full((9,), 0.1), basis[:, 1:], torch.tensor([9.0]), 9.0),
        triangles=torch.tensor([[0, 1, 2]]),
        landmarks="the triangle has no face",
        provenance=ModelSource("open", "triangle", "abc", "by hand"),
    )


def test_coefficients_count_in_standard_deviations(triangle_model: MorphableModel) -> None:
    faces = triangle_model(torch.tensor([[1.0, 2]]), torch.tensor([[-1.0]]), torch.tensor([[1.0]]))
    expected = torch.arange(9.0) + 0.1
    expected[0] += 1 * 2  # one deviation of variance 4
    expected[4] += 2 * 1 + 1 * 3  # shape and expression add up
    torch.testing.assert_close(faces.vertices[0].flatten(), expected)
    assert faces.albedo[0, 0].tolist() == [0, 0.5, 0.5]


def test_albedo_is_not_clamped(triangle_model: MorphableModel) -> None:
    assert float(triangle_model.albedo(torch.tensor([[10.0]]))[0, 0, 0]) == pytest.approx(5.5)


def test_a_triangle_of_no_vertex_is_refused(triangle_model: MorphableModel) -> None:
    with pytest.raises(ValueError, match="triangles name vertices 0 to 3, but there are only"):
        MorphableModel(
            shape=triangle_model.components("shape"),
            albedo=triangle_model.components("albedo"),
            expression=None,
            triangles=torch.tensor([[0, 1, 3]]),
            landmarks="none",
            provenance=triangle_model.provenance,
        )


def test_no_expression_is_the_neutral_face(make_model: MakeModel) -> None:
    model = make_model()
    coefficients = model.sample(3, torch.Generator().manual_seed(0))
    neutral = model.vertices(coefficients.shape)
    torch.testing.assert_close(model.vertices(coefficients.shape, torch.zeros(3, 4)), neutral)


def test_any_prefix_of_the_components_counts_the_others_as_zero(make_model: MakeModel) -> None:
    model = make_model()
    shape = torch.randn(2, 3, generator=torch.Generator().manual_seed(0))
    padded = torch.cat([shape, torch.zeros(2, 3)], 1)
    torch.testing.assert_close(model.vertices(shape), model.vertices(padded))
    torch.testing.assert_close(
        model.vertices(shape[:, :0]), model.neutral_mean.expand(2, -1).unflatten(1, (-1, 3))
    )


@pytest.mark.parametrize("shape", [(6,), (1, 7), (1, 1, 6)])
def test_coefficients_that_do_not_fit_are_refused(make_model: MakeModel, shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"shape coefficients must be \[B, at most 6\], got .*; add a batch"):
        make_model().vertices(torch.zeros(shape))


def test_projection_returns_the_drawn_coefficients(make_model: MakeModel) -> None:
    model = make_model(rows=60, columns=50, components=(80, 80, 0), decay=0.95)
    drawn = model.sample(50, torch.Generator().manual_seed(1))
    shape = model.shape_coefficients(model.vertices(drawn.shape))
    albedo = model.albedo_coefficients(model.albedo(drawn.albedo))
    torch.testing.assert_close(shape, drawn.shape, atol=1e-3, rtol=0)
    torch.testing.assert_close(albedo, drawn.albedo, atol=1e-3, rtol=0)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_many_draws_have_the_priors_mean_and_variance(make_model: MakeModel, seed: int) -> None:
    for coefficients in make_model().sample(20_000, torch.Generator().manual_seed(seed)):
        assert float(coefficients.mean(0).abs().max()) < 0.03
        assert float((coefficients.var(0) - 1).abs().max()) < 0.05


def test_the_same_seed_draws_the_same_faces(make_model: MakeModel) -> None:
    one, other = (make_model().sample(2, torch.Generator().manual_seed(5)) for _ in range(2))
    assert torch.equal(one.shape, other.shape)
    assert torch.equal(one.expression, other.expression)


def test_bases_are_orthonormal(make_model: MakeModel) -> None:
    model = make_model()
    for part in ("shape", "albedo", "expression"):
        basis = model.components(part).basis
        torch.testing.assert_close(basis.T @ basis, torch.eye(basis.shape[1]), atol=1e-5, rtol=0)


def test_gradients_reach_every_coefficient(make_model: MakeModel) -> None:
    model = make_model(rows=4, columns=4, components=(2, 2, 2), landmarks="none").double()
    given = [torch.randn(2, 2, dtype=torch.float64, requires_grad=True) for _ in range(3)]
    assert torch.autograd.gradcheck(lambda *coefficients: tuple(model(*coefficients)), given)


def test_a_checkpoint_never_holds_the_model(make_model: MakeModel) -> None:
    assert make_model().state_dict() == {}


def test_the_model_follows_device_and_precision(make_model: MakeModel) -> None:
    model = make_model().double()
    drawn = model.sample(1, torch.Generator().manual_seed(0))
    assert drawn.shape.dtype == torch.float64
    faces = model(*drawn)
    assert faces.vertices.dtype == torch.float64
    assert model.landmarks.on(faces.vertices).dtype == torch.float64
    assert make_model().to("meta").landmarks.vertex_ids.device.type == "meta"


def test_landmarks_follow_the_mesh(triangle_model: MorphableModel) -> None:
    thirds = torch.full((68, 3), 1 / 3)
    landmarks = Landmarks(torch.tensor([[0, 1, 2]]).repeat(68, 1), thirds, ("marked",) * 68)
    vertices = torch.tensor([[[0.0, 0, 0], [3, 0, 0], [0, 6, 0]], [[0.0, 0, 3], [0, 0, 3], [0, 0, 3]]])
    points = landmarks.on(vertices)
    torch.testing.assert_close(points[:, 5], torch.tensor([[1.0, 2, 0], [0, 0, 3]]))


def test_a_model_without_landmarks_says_why(triangle_model: MorphableModel) -> None:
    with pytest.raises(
        ValueError, match="triangle has no landmarks: the triangle has no face; give a landmark"
    ):
        _ = triangle_model.landmarks


def test_normals_are_those_of_the_models_triangles(triangle_model: MorphableModel) -> None:
    vertices = torch.tensor([[[0.0, 0, 0], [1, 0, 0], [0, 1, 0]]])
    assert triangle_model.normals(vertices)[0, 0].tolist() == [0, 0, 1]


def test_the_model_says_what_it_is(triangle_model: MorphableModel) -> None:
    assert triangle_model.describe() == {
        "kind": "open",
        "name": "triangle",
        "sha256": "abc",
        "note": "by hand",
        "vertices": 3,
        "triangles": 1,
        "shape_components": 2,
        "shape_variance_kept": 0.5,
        "albedo_components": 1,
        "albedo_variance_kept": 1.0,
        "expression_components": 1,
        "expression_variance_kept": 1.0,
    }


def test_a_cut_keeps_the_first_components_and_the_whole_variance() -> None:
    components = PrincipalComponents(torch.zeros(6), torch.eye(6)[:, :3], torch.tensor([3.0, 2, 1]), 6.0)
    cut = components.cut(2)
    assert cut.variance.tolist() == [3, 2]
    assert cut.basis.is_contiguous()
    assert cut.total_variance == 6
    assert components.cut(None) is components
