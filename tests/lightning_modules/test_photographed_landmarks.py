import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from lightning_modules.faces.morphable_model import MorphableModel
from lightning_modules.photographed_landmarks import (
    WITH_EXPRESSION,
    WITHOUT_EXPRESSION,
    LandmarkTarget,
    expression_seen,
    weak_perspective,
)
from tests.miniatures import small_model

PLACES = WITHOUT_EXPRESSION


def rotation(yaw: float, pitch: float, roll: float) -> Tensor:
    y, p, r = (torch.tensor(math.radians(angle)).double() for angle in (yaw, pitch, roll))
    one, zero = torch.ones(()).double(), torch.zeros(()).double()

    def matrix(*values: Tensor) -> Tensor:
        return torch.stack(values).view(3, 3)

    turn = matrix(y.cos(), zero, y.sin(), zero, one, zero, -y.sin(), zero, y.cos())
    nod = matrix(one, zero, zero, zero, p.cos(), -p.sin(), zero, p.sin(), p.cos())
    lean = matrix(r.cos(), -r.sin(), zero, r.sin(), r.cos(), zero, zero, zero, one)
    return lean @ nod @ turn


def some_target(expressions: int = 0) -> LandmarkTarget:
    """Of a face that is no model's, some 90 mm wide."""
    generator = torch.Generator().manual_seed(0)

    def draw(*sizes: int) -> Tensor:
        return torch.randn(*sizes, generator=generator).double()

    count = len(PLACES)
    neutral = 30 * draw(count, 3)
    neutral[PLACES.index(36)], neutral[PLACES.index(45)] = (
        torch.tensor([-45.0, 30, -40]).double(), torch.tensor([45.0, 30, -40]).double(),
    )  # fmt: skip
    return LandmarkTarget(
        PLACES, neutral, 2 * draw(3, count, 3), 3 * draw(expressions, count, 3), torch.zeros_like(neutral)
    )


def photographed(points: Tensor, turn: Tensor, scale: float, shift: tuple[float, float]) -> Tensor:
    """Landmarks [1, 68, 2] in pixels, y down, of points [P, 3]; those that are not compared lie anywhere."""
    landmarks = 50 * torch.ones(1, 68, 2).double()
    seen = scale * (points @ turn.T)[:, :2] + torch.tensor(shift).double()
    landmarks[0, list(PLACES)] = seen * torch.tensor([1.0, -1.0]).double()
    return landmarks


# ---------------------------------------------------------------------- the pose


def test_a_pose_is_found_again_exactly() -> None:
    points, turn = some_target().neutral, rotation(25, -10, 40)
    seen = 0.8 * (points @ turn.T)[:, :2] + torch.tensor([110.0, -120.0])
    pose = weak_perspective(points[None], seen[None])
    torch.testing.assert_close(pose.rows[0], turn[:2])
    assert float(pose.scale) == pytest.approx(0.8)
    torch.testing.assert_close(pose.of(points[None])[0], seen)
    torch.testing.assert_close(pose.back(seen[None])[0], (points @ turn.T)[:, :2])


def test_a_pose_never_stretches_the_face() -> None:
    # An affine camera would explain a face that is twice as wide; two rows of a rotation do not.
    points = some_target().neutral
    pose = weak_perspective(points[None], (points[:, :2] * torch.tensor([2.0, 1.0]))[None])
    torch.testing.assert_close(pose.rows @ pose.rows.mT, torch.eye(2).double()[None])
    assert float((pose.of(points[None])[0] - points[:, :2] * torch.tensor([2.0, 1.0])).norm()) > 20


def test_the_expression_of_least_squares_is_found_in_the_pose() -> None:
    # One component that moves one landmark 10 mm to the side, seen 5 mm off from the front: the ridge's
    # optimum of (5 - 10 e)^2 / 2^2 + e^2 lies at e = 50 / (100 + 4).
    points, moves = some_target().neutral[None], torch.zeros(1, len(PLACES), 3).double()
    moves[0, 4, 0] = 10
    front = weak_perspective(points, points[..., :2])
    seen = points[..., :2].clone()
    seen[0, 4, 0] += 5
    assert float(expression_seen(points, moves, seen, front)) == pytest.approx(50 / 104)


# ---------------------------------------------------------------------- distances


def test_landmarks_of_the_face_itself_lie_at_no_distance_in_any_pose() -> None:
    target, shape = some_target(), torch.tensor([[0.5, -1.0, 2.0]]).double()
    points = target.neutral + torch.einsum("k,kpj->pj", shape[0], target.shape)
    for turn, scale, shift in ((rotation(0, 0, 0), 1.0, (0, 0)), (rotation(-35, 20, 10), 0.7, (90, -80))):
        landmarks = photographed(points, turn, scale, shift)
        squares, counted = target.squared_distances(shape, landmarks)
        torch.testing.assert_close(squares, torch.zeros_like(squares), rtol=0, atol=1e-20)
        assert counted.tolist() == [1.0]
        assert float(target.squared_distances(shape + 0.5, landmarks)[0].mean()) > 1e-5


def test_a_distance_is_in_distances_between_the_eyes_whatever_the_picture_s_scale() -> None:
    target, nothing = some_target(), torch.zeros(1, 3).double()
    assert float(target.interocular) == pytest.approx(90)
    found = []
    for scale in (0.5, 4.0):
        landmarks = photographed(target.neutral, torch.eye(3).double(), scale, (10, 20))
        landmarks[0, PLACES[5], 0] += 9 * scale  # 9 mm: a tenth, of which the pose takes some away
        found.append(target.squared_distances(nothing, landmarks)[0])
    torch.testing.assert_close(found[0], found[1])
    assert 0.06 < float(found[0][0, 5].sqrt()) < 0.1
    assert float(found[0].sum()) < 0.1**2


def test_expressions_explain_what_they_can() -> None:
    target, nothing = some_target(expressions=2), torch.zeros(1, 3).double()
    smiling = target.neutral + target.expression[0]
    landmarks = photographed(smiling, rotation(10, 5, 0), 0.9, (100, -100))
    left = target.squared_distances(nothing, landmarks)[0].mean()
    stiff = replace(target, expression=target.expression[:0])
    assert float(left) < 0.05 * float(stiff.squared_distances(nothing, landmarks)[0].mean())


def test_a_photograph_without_landmarks_counts_nothing_and_has_a_gradient_of_zero() -> None:
    target = some_target(expressions=2)
    landmarks = photographed(target.neutral, rotation(10, 0, 0), 0.9, (100, -100)).repeat(2, 1, 1)
    landmarks[1, 60] = math.nan
    shape = torch.ones(2, 3).double().requires_grad_()
    squares, counted = target.squared_distances(shape, landmarks)
    assert counted.tolist() == [1, 0]
    assert bool(squares.isfinite().all())
    (counted[:, None] * squares).sum().backward()
    assert float(shape.grad[0].norm()) > 0
    assert shape.grad[1].tolist() == [0, 0, 0]


@pytest.mark.parametrize("expressions", [0, 2])
def test_gradients_pass_through_pose_and_expression(expressions: int) -> None:
    target = some_target(expressions)
    generator = torch.Generator().manual_seed(1)
    landmarks = torch.cat(
        [photographed(target.neutral, rotation(yaw, 8, 5), 0.8, (100, -90)) for yaw in (-20.0, 0.0)]
    )
    landmarks += torch.randn(landmarks.shape, generator=generator).double()
    shape = torch.randn(2, 3, generator=generator).double().requires_grad_()
    assert torch.autograd.gradcheck(lambda values: target.squared_distances(values, landmarks)[0], (shape,))


def test_a_perfect_fit_has_a_finite_gradient() -> None:
    target, shape = some_target(expressions=2), torch.zeros(1, 3).double().requires_grad_()
    landmarks = photographed(target.neutral, torch.eye(3).double(), 1.0, (0, 0))
    target.squared_distances(shape, landmarks)[0].sum().backward()
    torch.testing.assert_close(shape.grad, torch.zeros_like(shape), rtol=0, atol=1e-12)


def test_sixteen_bits_are_computed_in_thirty_two() -> None:
    target = some_target()
    landmarks = photographed(target.neutral, torch.eye(3).double(), 1.0, (0, 0)).float()
    shape = torch.tensor([[0.5, -1.0, 0.25]])
    exact, _ = target.squared_distances(shape, landmarks)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        rounded, _ = target.squared_distances(shape.bfloat16(), landmarks)
    assert torch.equal(rounded, exact)


# ---------------------------------------------------------------------- of a model, and of a detector


def test_offsets_are_where_the_detector_sees_the_mean_face_s_landmarks() -> None:
    model = small_model().double()
    habit = torch.zeros(68, 3).double()
    habit[36:42, 1], habit[30] = 2.0, torch.tensor([1.0, -3.0, 0.0])
    neutral = LandmarkTarget.of_model(model).neutral
    seen = neutral + habit[list(PLACES)]
    landmarks = torch.cat([
        photographed(seen, rotation(yaw, pitch, 3), 0.8, (100, -90))
        for yaw in (-40.0, -15.0, 15.0, 40.0) for pitch in (-15.0, 15.0)
    ])  # fmt: skip
    landmarks[3, 40] = math.nan
    fitted = LandmarkTarget.fit(landmarks, model)
    nothing = torch.zeros(len(landmarks), 4).double()
    before, after = (
        (squares.mean(1) * counted).mean().sqrt()
        for squares, counted in (
            target.squared_distances(nothing, landmarks)
            for target in (LandmarkTarget.of_model(model), fitted)
        )
    )
    # Robustly, and with a prior: some of it is left.
    assert float(after) < 0.4 * float(before)


def test_a_detector_that_sees_nobody_names_the_option_that_goes_without() -> None:
    with pytest.raises(ValueError, match="saw no face in any training photograph; train with --landmark-wei"):
        LandmarkTarget.fit(torch.full((3, 68, 2), math.nan), small_model())


def test_landmarks_follow_the_model_s_shape() -> None:
    model = small_model().double()
    target = LandmarkTarget.of_model(model)
    shape = torch.tensor([[1.0, -0.5, 0.25, 2.0]]).double()
    vertices = model.vertices(shape)
    expected = model.landmarks.on(vertices)[0, list(target.places)]
    torch.testing.assert_close(target.neutral + torch.einsum("k,kpj->pj", shape[0], target.shape), expected)


def test_without_expressions_nothing_is_compared_that_moves_with_them() -> None:
    model = small_model()
    assert LandmarkTarget.of_model(model).places == WITHOUT_EXPRESSION == tuple(range(27, 48))
    assert LandmarkTarget.of_model(with_expressions(model)).places == WITH_EXPRESSION
    assert WITH_EXPRESSION[:2] == (8, 17)
    assert {*range(17)} & {*WITH_EXPRESSION} == {8}


def with_expressions(model: MorphableModel) -> MorphableModel:
    model.expression_basis, model.expression_variance = model.shape_basis, model.shape_variance
    model.expression_standard_deviation = model.shape_standard_deviation
    return model


def test_a_target_moves_to_a_device_and_no_module_holds_it() -> None:
    target = some_target(1).to(torch.device("meta"))
    assert all(part.is_meta for part in (target.neutral, target.shape, target.expression, target.offsets))
    assert not isinstance(target, torch.nn.Module)
