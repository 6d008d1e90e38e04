import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from lightning_modules import shape_regression
from lightning_modules.photographed_landmarks import LandmarkTarget
from lightning_modules.shape_regression import (
    MarkedPhotographs,
    learn_shapes,
    mean_of_some,
    photographed_loss,
    vertex_spread,
)
from tests.miniatures import small_model


@pytest.fixture(autouse=True)
def few_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shape_regression, "STEPS", 150)
    shorter = replace(shape_regression.OPTIMISATION, steps=150, warmup_steps=5)
    monkeypatch.setattr(shape_regression, "OPTIMISATION", shorter)


def seen(shape: Tensor, target: LandmarkTarget, generator: torch.Generator) -> Tensor:
    """Landmarks [B, 68, 2] of faces of these shapes, turned a little, 2 pixels a mm."""
    points = target.neutral + torch.einsum("bk,kpj->bpj", shape, target.shape)
    yaw = 0.3 * torch.randn(len(shape), generator=generator)
    x = points[..., 0] * yaw.cos()[:, None] + points[..., 2] * yaw.sin()[:, None]
    landmarks = torch.zeros(len(shape), 68, 2)
    landmarks[:, list(target.places)] = torch.stack([2 * x + 100, 100 - 2 * points[..., 1]], -1)
    return landmarks


def people(generator: torch.Generator, mixing: Tensor, count: int = 400) -> tuple[Tensor, Tensor]:
    """Features [P, 2, D] of people's photographs, linear in their shapes but for noise; the shapes."""
    true = torch.randn(count, len(mixing), generator=generator)
    noise = torch.randn(count, 2, mixing.shape[1], generator=generator)
    return (true @ mixing)[:, None] + 0.5 * noise, true


def test_shapes_of_people_that_were_not_seen_are_near_the_best_linear_reading() -> None:
    generator = torch.Generator().manual_seed(0)
    mixing = torch.randn(4, 20, generator=generator) / 2
    features, true = people(generator, mixing)
    steps: list[int] = []
    regressor = learn_shapes(features, true, small_model(), advance=steps.append)
    assert sum(steps) == 150
    others, wanted = people(generator, mixing)
    error = (regressor(others[:, 0]).shape - wanted).square().mean()
    # Shapes of variance 1 seen through `mixing` with noise of variance 1/4: the posterior's variance.
    best = torch.linalg.inv(torch.eye(4) + mixing @ mixing.T / 0.25).diagonal().mean()
    assert float(error) < 1.35 * float(best) + 0.02 < 0.5


def test_several_photographs_of_a_person_are_trusted_more_than_one() -> None:
    generator = torch.Generator().manual_seed(5)
    mixing = torch.randn(4, 20, generator=generator) / 4
    true = torch.randn(600, 4, generator=generator)
    features = (true @ mixing)[:, None] + torch.randn(600, 8, 20, generator=generator)
    regressor = learn_shapes(features[:500], true[:500], small_model())
    one, eight = (regressor(features[500:, :count].mean(1)).shape for count in (1, 8))

    def error(predicted: Tensor) -> float:
        return float((predicted - true[500:]).square().mean())

    assert error(eight) < 0.7 * error(one)
    # One that knows single photographs alone stays too near the mean shape of everybody.
    alone = learn_shapes(features[:500, :1], true[:500], small_model())
    assert error(eight) < 0.9 * error(alone(features[500:].mean(1)).shape)


def test_some_of_a_person_s_photographs_are_one_to_all_of_them() -> None:
    powers = 2.0 ** torch.arange(4)  # the sum of some of these says which they are
    torch.manual_seed(0)
    means = mean_of_some(powers[None, :, None].expand(4000, 4, 1))[:, 0]
    counts, sums = torch.zeros(4), set()
    for mean in means.tolist():
        whole = {n: round(n * mean) for n in range(1, 5) if abs(n * mean - round(n * mean)) < 1e-3}
        ((count, total),) = ((n, total) for n, total in whole.items() if total.bit_count() == n)
        counts[count - 1] += 1
        sums.add(total)
    assert sums == set(range(1, 16))
    expected = torch.tensor([math.log(n + 1, 5) - math.log(n, 5) for n in range(1, 5)])
    torch.testing.assert_close(counts / 4000, expected, atol=0.03, rtol=0)


def test_the_same_seed_gives_the_same_weights_and_leaves_the_generator_alone() -> None:
    generator = torch.Generator().manual_seed(1)
    features, true = people(generator, torch.randn(4, 20, generator=generator), 40)
    torch.manual_seed(5)
    state = torch.get_rng_state()
    first = learn_shapes(features, true, small_model(), seed=1)
    assert torch.get_rng_state().equal(state)
    again, other = (learn_shapes(features, true, small_model(), seed=seed) for seed in (1, 2))
    assert first.last_layer.weight.equal(again.last_layer.weight)
    assert not first.last_layer.weight.equal(other.last_layer.weight)


def test_landmarks_of_photographs_teach_what_synthetic_people_do_not_show() -> None:
    """Real photographs show in other features than synthetic ones what a face is like."""
    generator = torch.Generator().manual_seed(2)
    model = small_model()
    target = LandmarkTarget.of_model(model)
    mixing, of_real = (torch.zeros(4, 20) for _ in range(2))
    mixing[:, :4] = torch.eye(4)
    of_real[:, 10:14] = torch.eye(4)
    features, true = people(generator, mixing)
    real, shapes = people(generator, of_real)
    held_back, unknown = people(generator, of_real)
    landmarks = seen(shapes, target, generator)
    photographs = MarkedPhotographs(real[:, 0], landmarks, target)

    def distance(given: MarkedPhotographs | None) -> float:
        predicted = learn_shapes(features, true, model, given)(held_back[:, 0]).shape
        marks = seen(unknown, target, generator)
        return float(target.squared_distances(predicted, marks)[0].mean().sqrt())

    assert distance(photographs) < 0.7 * distance(None)


def test_a_photograph_without_landmarks_counts_for_nothing() -> None:
    generator = torch.Generator().manual_seed(3)
    target = LandmarkTarget.of_model(small_model())
    shape = torch.randn(3, 4, generator=generator)
    landmarks = seen(torch.zeros(3, 4), target, generator)
    whole = photographed_loss(shape, landmarks, target)
    landmarks[2] = float("nan")
    some = photographed_loss(shape, landmarks, target)
    torch.testing.assert_close(some * 3, photographed_loss(shape[:2], landmarks[:2], target) * 2)
    assert 0 < float(some) < float(whole)


def test_the_mean_shape_is_the_likeliest_that_explains_the_mean_face_s_landmarks() -> None:
    generator = torch.Generator().manual_seed(4)
    target = LandmarkTarget.of_model(small_model())
    landmarks = seen(torch.zeros(6, 4), target, generator)
    shape = torch.zeros(6, 4, requires_grad=True)
    loss = photographed_loss(shape, landmarks, target)
    (gradient,) = torch.autograd.grad(loss, shape)
    assert float(loss.detach()) < 1e-3
    assert float(gradient.abs().max()) < 1e-2
    assert float(photographed_loss(torch.ones(6, 4), landmarks, target)) > 0.05


def test_spread_is_how_far_a_standard_deviation_moves_vertices() -> None:
    model = small_model()
    moved = model.vertices(torch.eye(4)) - model.vertices(torch.zeros(1, 4))
    expected = moved.square().sum(-1).mean(1).sqrt()
    torch.testing.assert_close(vertex_spread(model), expected, rtol=1e-4, atol=1e-4)
