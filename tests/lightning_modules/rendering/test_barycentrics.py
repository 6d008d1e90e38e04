from collections.abc import Callable

import pytest
import torch

from lightning_modules.rendering.barycentrics import barycentrics


def corners(depths: tuple[float, float, float] = (1.0, 1.0, 1.0)) -> torch.Tensor:
    """A right triangle with corners at pixels (0, 0), (4, 0) and (0, 4), as homogeneous pixels [1, 3, 3]."""
    place = torch.tensor([[0.0, 0, 1], [4, 0, 1], [0, 4, 1]], dtype=torch.float64)
    return (place * torch.tensor(depths, dtype=torch.float64)[:, None])[None]


def at(x: float, y: float) -> torch.Tensor:
    return torch.tensor([[x, y]], dtype=torch.float64)


def test_at_equal_depth_weights_are_those_of_the_plane() -> None:
    weights = barycentrics(corners(), at(1, 2))
    torch.testing.assert_close(weights, torch.tensor([[0.25, 0.25, 0.5]], dtype=torch.float64))


def test_weights_are_corrected_for_perspective() -> None:
    # Half-way along the edge on screen, from depth 1 to depth 3: weights 1/1 to 1/3, that is 3/4 and 1/4.
    weights = barycentrics(corners((1.0, 3.0, 2.0)), at(2, 0))
    torch.testing.assert_close(weights, torch.tensor([[0.75, 0.25, 0.0]], dtype=torch.float64))


def test_weights_outside_the_triangle_are_negative_and_sum_to_one() -> None:
    weights = barycentrics(corners(), at(-1, 2))
    torch.testing.assert_close(weights, torch.tensor([[0.75, -0.25, 0.5]], dtype=torch.float64))


def test_the_extended_derivative_outside_is_the_planes() -> None:
    # Moving the corner (0, 0) by d in x moves its weight at (x, 1) like the plane through the corners does,
    # whether the pixel is inside (x = 1) or was given the triangle's id just outside of it (x = -0.5).
    for x in (1.0, -0.5):
        triangle = corners().requires_grad_()
        weights = barycentrics(triangle, at(x, 1))
        (gradient,) = torch.autograd.grad(weights[0, 0], triangle)
        # w0 = ((4 - x) 4 - 4 y) / ((4 - d) 4), so dw0/dd at d = 0 is w0 / 4.
        assert gradient[0, 0, 0].item() == pytest.approx((((4 - x) * 4 - 4) / 16) / 4)


def test_gradients_agree_with_finite_differences_inside_and_outside() -> None:
    triangle = corners((1.0, 3.0, 2.0)).repeat(3, 1, 1).requires_grad_()
    places = torch.cat([at(1, 1), at(-2, 1), at(3, 5)]).requires_grad_()
    assert torch.autograd.gradcheck(barycentrics, (triangle, places))


def test_float32_corners_give_float32_weights_computed_in_float64() -> None:
    place = torch.tensor([[100.0, 100, 1], [100.5, 100, 1], [100, 100.5, 1]]) * torch.tensor([[900.0]])
    weights = barycentrics(place[None], torch.tensor([[100.25, 100.125]]))
    assert weights.dtype == torch.float32
    torch.testing.assert_close(weights, torch.tensor([[0.25, 0.5, 0.25]]), atol=1e-7, rtol=0)


def test_a_point_interpolates_to_itself(bumpy_head: Callable) -> None:
    # The weights of a camera ray's triangle put the ray's point back together.
    mesh = bumpy_head(8)
    points = mesh.vertices[mesh.triangles] + mesh.vertices.new_tensor([0, 0, 900.0])
    inside = (points * points.new_tensor([0.2, 0.3, 0.5])[:, None]).sum(dim=1)
    weights = barycentrics(points, inside[:, :2] / inside[:, 2:])
    torch.testing.assert_close((weights[..., None] * points).sum(dim=1), inside)
