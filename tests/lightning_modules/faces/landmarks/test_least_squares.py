import pytest
import torch
from torch import Tensor

from lightning_modules.faces.landmarks.least_squares import (
    Points,
    Problem,
    State,
    View,
    cross_products,
    loss_at,
    minimised,
    normal_equations,
    pixel_derivatives,
    pixels_of,
    seen_points,
    variance_ratios,
)

BATCH, COUNT, COEFFICIENTS = 3, 30, 4


def random_view(generator: torch.Generator) -> View:
    turns = 0.4 * torch.randn(BATCH, 3, generator=generator, dtype=torch.float64)
    rotations = torch.linalg.matrix_exp(cross_products(turns))
    shifts = 20 * torch.randn(BATCH, 2, generator=generator, dtype=torch.float64)
    distances = torch.tensor([600.0, 1000, 1500], dtype=torch.float64)
    return View(rotations, shifts, distances, 0.8 * distances)


def random_problem(*, calibrated: bool, noise: float = 0.0, seed: int = 0) -> tuple[Problem, View, Tensor]:
    """Random points, seen from a random view at random coefficients, which come along."""
    generator = torch.Generator().manual_seed(seed)
    start = 40 * torch.randn(BATCH, COUNT, 3, generator=generator, dtype=torch.float64)
    basis = 4 * torch.randn(COUNT, 3, COEFFICIENTS, generator=generator, dtype=torch.float64)
    view = random_view(generator)
    coefficients = torch.randn(BATCH, COEFFICIENTS, generator=generator, dtype=torch.float64)
    targets = torch.zeros(BATCH, COUNT, 2, dtype=torch.float64)
    precision = torch.full((COEFFICIENTS,), 1e-9, dtype=torch.float64)
    problem = Problem(
        Points(start, basis), targets, torch.ones_like(targets[..., 0]), precision, calibrated, False
    )
    pixels = pixels_of(view, seen_points(problem, view, coefficients)[0])
    pixels = pixels + noise * torch.randn(pixels.shape, generator=generator, dtype=torch.float64)
    return problem._replace(targets=pixels), view, coefficients


def test_a_cross_product_as_a_matrix() -> None:
    first, second = torch.randn(2, 5, 3, generator=torch.Generator().manual_seed(0)).unbind(0)
    product = (cross_products(first) @ second[..., None])[..., 0]
    torch.testing.assert_close(product, torch.linalg.cross(first, second))


@pytest.mark.parametrize("calibrated", [True, False])
def test_derivatives_are_those_of_autograd(calibrated: bool) -> None:
    problem, view, coefficients = random_problem(calibrated=calibrated)
    camera, chosen = seen_points(problem, view, coefficients)

    def pixels(change: Tensor) -> Tensor:
        moved = view.moved(change[:, :6], calibrated=calibrated)
        return pixels_of(moved, seen_points(problem, moved, coefficients + change[:, 6:])[0])

    zero = torch.zeros(BATCH, 6 + COEFFICIENTS, dtype=torch.float64)
    full = torch.autograd.functional.jacobian(pixels, zero)  # [B, N, 2, B, 6 + K]
    expected = torch.stack([full[face, :, :, face] for face in range(BATCH)])
    torch.testing.assert_close(pixel_derivatives(problem, view, camera, chosen), expected)


@pytest.mark.parametrize("calibrated", [True, False])
def test_what_made_the_pixels_is_found_again(calibrated: bool) -> None:
    problem, view, coefficients = random_problem(calibrated=calibrated)
    nudge = torch.tensor([[0.2, -0.2, 0.3, 10, -10, 0.1]], dtype=torch.float64).expand(BATCH, -1)
    state = State.at(view.moved(nudge, calibrated=calibrated), COEFFICIENTS)
    found = minimised(problem, state, 40)
    for part, expected in zip(found.view, view, strict=True):
        torch.testing.assert_close(part, expected, rtol=1e-5, atol=1e-4)
    torch.testing.assert_close(found.coefficients, coefficients, rtol=1e-4, atol=1e-4)
    assert int(found.steps.max()) < 15


def test_a_step_never_makes_it_worse_and_the_minimum_has_no_slope() -> None:
    problem, view, _ = random_problem(calibrated=False, noise=3.0)
    state = State.at(
        view.moved(0.3 * torch.ones(BATCH, 6, dtype=torch.float64), calibrated=False), COEFFICIENTS
    )
    losses = [loss_at(problem, *state[:2])]
    for _ in range(25):
        state = minimised(problem, state, 1)
        losses.append(loss_at(problem, *state[:2]))
    assert bool((torch.stack(losses).diff(dim=0) <= 0).all())
    gradient, curvature, _ = normal_equations(problem, *state[:2])
    step = torch.linalg.solve(curvature, gradient)
    assert float((gradient * step).sum(1).max()) < 1e-4 * float(losses[-1].min())


def test_a_face_does_not_depend_on_the_others_of_its_batch() -> None:
    problem, view, _ = random_problem(calibrated=True, noise=1.0)
    together = minimised(problem, State.at(view, COEFFICIENTS), 40)
    one = problem._replace(
        points=problem.points._replace(start=problem.points.start[1:2]),
        targets=problem.targets[1:2],
        weights=problem.weights[1:2],
    )
    alone = minimised(one, State.at(View(*(part[1:2] for part in view)), COEFFICIENTS), 40)
    torch.testing.assert_close(alone.coefficients, together.coefficients[1:2])
    assert int(alone.steps) == int(together.steps[1])


def test_the_variance_is_that_of_the_noise() -> None:
    noise, ratios = 2.0, []
    for seed in range(20):
        problem, view, _ = random_problem(calibrated=False, noise=noise, seed=seed)
        state = minimised(problem, State.at(view, COEFFICIENTS), 40)
        ratios.append(variance_ratios(problem, *state[:2]))
    # 60 faces with 60 - 10 degrees of freedom each: the mean's standard error is 2.6 %.
    assert float(torch.cat(ratios).mean()) == pytest.approx(noise**2, rel=0.08)


def test_what_is_behind_the_camera_is_no_minimum() -> None:
    problem, view, coefficients = random_problem(calibrated=False)
    behind = view._replace(distances=-view.distances)
    assert bool(loss_at(problem, behind, coefficients).isinf().all())
