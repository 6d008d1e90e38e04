import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from lightning_modules.losses import (
    LANDMARK_SCALE,
    PAPER_WEIGHTS,
    batch_distribution_loss,
    contrast_loss,
    expected_at_prior,
    identity_loss,
    landmark_loss,
    least_variance,
    loopback_loss,
    parameter_distance,
    parameter_loss,
    tone_loss,
)
from lightning_modules.prediction import Prediction
from lightning_modules.recognition.similarity import Centre

MEANS = replace(PAPER_WEIGHTS, shape=1.0, albedo=1.0, reduction="mean")


def prediction(shape: list, albedo: list) -> Prediction:
    return Prediction(torch.tensor(shape, dtype=torch.float64), torch.tensor(albedo, dtype=torch.float64))


@pytest.mark.parametrize(
    ("reduction", "expected"), [("sum", 0.4 * 7.5 + 0.002 * 4.5), ("mean", 0.4 * 3.75 + 0.002 * 4.5)]
)
def test_parameter_distance_by_hand(reduction: str, expected: float) -> None:
    # Shape differs by (1, 2) and (1, 3): squares 5 and 10, 7.5 on average; albedo by 0 and 3: 4.5.
    first = prediction([[1, 2], [0, 0]], [[1], [3]])
    second = prediction([[0, 0], [1, 3]], [[1], [0]])
    distance = parameter_distance(first, second, shape_weight=0.4, albedo_weight=0.002, reduction=reduction)
    assert float(distance) == pytest.approx(expected)


def test_parameter_loss_takes_its_weights() -> None:
    predicted, drawn = prediction([[2.0, 0.0]], [[1.0]]), prediction([[0.0, 0.0]], [[0.0]])
    assert float(parameter_loss(predicted, drawn, PAPER_WEIGHTS)) == pytest.approx(0.4 * 2 + 0.002)


def test_identity_loss_by_hand() -> None:
    # One view agrees, one is orthogonal, one is 60 degrees away: cosines 1, 0 and 1/2.
    photograph = torch.tensor([[1.0, 0.0]])
    views = torch.tensor([[[1.0, 0.0], [0.0, 1.0], [0.5, math.sqrt(0.75)]]])
    assert float(identity_loss(photograph, views)) == pytest.approx(0.5)


def test_identity_loss_averages_faces_and_views_alike() -> None:
    photographs = torch.eye(2)
    views = torch.stack([torch.eye(2), torch.eye(2)])  # each face sees itself once and the other once
    assert float(identity_loss(photographs, views)) == pytest.approx(0.5)


def test_a_centre_is_subtracted_on_both_sides() -> None:
    centre = Centre(torch.tensor([0.6, 0.0]), "small", "00", "test", 500)
    photograph, view = torch.tensor([[0.6, 0.8]]), torch.tensor([[[0.6, -0.8]]])
    # Raw cosine 0.36 - 0.64; without their common part they point in opposite directions.
    assert float(identity_loss(photograph, view)) == pytest.approx(1.28)
    assert float(identity_loss(photograph, view, centre)) == pytest.approx(2.0)


def exact_moments(count: int, coefficients: int) -> Tensor:
    """Coefficients with mean 0 and unbiased variance 1 in every column."""
    values = torch.randn(count, coefficients, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    return (values - values.mean(0)) / values.std(0)


def test_contrast_loss_by_hand() -> None:
    # Cosines of the only view are 0.1 with its own photograph and 0 with two others: 1 and 0 over 0.1.
    photographs = torch.tensor([[0.0, 1.0, 0.0], [0.1, 0.0, math.sqrt(0.99)], [0.0, -1.0, 0.0]])
    view = torch.tensor([[[1.0, 0.0, 0.0]]])
    expected = math.log(math.e + 2) - 1
    assert float(contrast_loss(photographs, view, torch.tensor([1]))) == pytest.approx(expected, rel=1e-5)


def test_contrast_compares_every_view_with_its_own_photograph() -> None:
    photographs = torch.eye(3)
    views = torch.stack([torch.eye(3)[[2, 2]], torch.eye(3)[[0, 0]]])
    right, wrong = (float(contrast_loss(photographs, views, torch.tensor(own))) for own in ([2, 0], [0, 2]))
    assert right == pytest.approx(math.log(1 + 2 * math.exp(-10)), rel=1e-3)
    assert wrong == pytest.approx(right + 10, rel=1e-5)


def test_what_all_faces_share_leaves_the_contrast_as_it_is() -> None:
    # Views nearer to all photographs alike: the identity loss falls, the contrast does not.
    photographs = functional.normalize(torch.tensor([[1.0, 0.3, 0.0], [1.0, 0.0, 0.3]]), dim=1)
    far, near = torch.tensor([[[0.0, 0.0, 0.0]]]), torch.tensor([[[0.5, 0.0, 0.0]]])
    aside = torch.tensor([[[0.0, 0.5, 0.5]]])
    own = torch.tensor([0])
    assert identity_loss(photographs[:1], aside + near) < identity_loss(photographs[:1], aside + far)
    for shared in (far, near):
        assert float(contrast_loss(photographs, aside + shared, own)) == pytest.approx(math.log(2), abs=1e-6)


def test_batch_distribution_is_zero_on_exact_moments() -> None:
    assert float(batch_distribution_loss(exact_moments(16, 5), "sum")) == pytest.approx(0.0, abs=1e-24)


@pytest.mark.parametrize(("reduction", "expected"), [("sum", 5.0 + 1 + 49), ("mean", 2.5 + 25)])
def test_batch_distribution_by_hand(reduction: str, expected: float) -> None:
    # Columns (0, 2) and (0, 4): means 1 and 2, unbiased variances 2 and 8.
    coefficients = torch.tensor([[0.0, 0.0], [2.0, 4.0]])
    assert float(batch_distribution_loss(coefficients, reduction)) == pytest.approx(expected)


@pytest.mark.parametrize(("reduction", "expected"), [("sum", 0.4 * 3 + 1 + 49), ("mean", 0.4 * 1.5 + 25)])
def test_absolute_means_by_hand(reduction: str, expected: float) -> None:
    coefficients = torch.tensor([[0.0, 0.0], [2.0, -4.0]])  # as above, the second mean negative
    loss = batch_distribution_loss(coefficients, reduction, mean_penalty="absolute")
    assert float(loss) == pytest.approx(expected)


def test_both_penalties_of_a_mean_are_as_steep_at_a_fifth() -> None:
    slopes = []
    for penalty in ("squared", "absolute"):
        shift = torch.tensor(0.2, dtype=torch.float64, requires_grad=True)
        shifted = exact_moments(16, 1) + shift
        batch_distribution_loss(shifted, "sum", mean_penalty=penalty).backward()
        slopes.append(float(shift.grad))
    assert slopes[0] == pytest.approx(slopes[1]) == pytest.approx(0.4)


def test_batch_distribution_can_have_another_target() -> None:
    shifted = exact_moments(16, 2) * math.sqrt(0.5) + 0.9
    assert float(batch_distribution_loss(shifted, "sum", mean=0.9, variance=0.5)) == pytest.approx(
        0, abs=1e-20
    )


# Batches by which averages are taken, fewer of large ones; 32 coordinates each.
MONTE_CARLO = pytest.mark.parametrize(("count", "batches"), [(8, 40_000), (64, 5000), (256, 1250)])


def normal_batches(count: int, batches: int) -> Tensor:
    """Columns [N, batches] of N standard normal coefficients."""
    generator = torch.Generator().manual_seed(count)
    return torch.randn(count, 32 * batches, dtype=torch.float64, generator=generator)


@MONTE_CARLO
@pytest.mark.parametrize("penalty", ["squared", "absolute"])
def test_the_expected_batch_distribution_at_the_prior_is_that_of_the_formula(
    count: int, batches: int, penalty: str
) -> None:
    # The average's standard error is below 0.5 % of it.
    measured = float(batch_distribution_loss(normal_batches(count, batches), "mean", mean_penalty=penalty))
    assert measured == pytest.approx(expected_at_prior(count, penalty), rel=0.02)


@pytest.mark.parametrize(("count", "expected"), [(8, 0.4107), (64, 0.0474), (256, 0.01175)])
def test_the_numbers_of_the_docstring_are_those_of_the_formula(count: int, expected: float) -> None:
    assert (
        expected_at_prior(count)
        == pytest.approx(1 / count + 2 / (count - 1))
        == pytest.approx(expected, rel=2e-3)
    )


@MONTE_CARLO
@pytest.mark.parametrize("penalty", ["squared", "absolute"])
def test_unbiased_moments_are_expected_to_be_zero_at_the_prior(
    count: int, batches: int, penalty: str
) -> None:
    drawn = normal_batches(count, batches)
    loss = batch_distribution_loss(drawn, "mean", mean_penalty=penalty, unbiased=True)
    assert float(loss) == pytest.approx(0, abs=0.02 * expected_at_prior(count, penalty))


@pytest.mark.parametrize(("mean", "variance"), [(0.5, 1.0), (0.0, 0.5), (-0.3, 2.0)])
def test_unbiased_moments_are_expected_to_be_the_distance_of_the_true_moments(
    mean: float, variance: float
) -> None:
    drawn = mean + math.sqrt(variance) * normal_batches(8, 40_000)
    loss = batch_distribution_loss(drawn, "mean", unbiased=True)
    assert float(loss) == pytest.approx(mean**2 + (variance - 1) ** 2, rel=0.02)


@pytest.mark.parametrize(("count", "batches"), [(8, 10_000), (64, 2000)])
def test_the_batch_distribution_is_least_below_the_prior_s_variance_unless_it_is_unbiased(
    count: int, batches: int
) -> None:
    drawn, variances = normal_batches(count, batches), torch.linspace(0.5, 1.3, 81)

    def least(*, unbiased: bool) -> float:
        losses = [
            float(batch_distribution_loss(drawn * variance.sqrt(), "mean", unbiased=unbiased))
            for variance in variances
        ]
        return float(variances[losses.index(min(losses))])

    assert least(unbiased=False) == pytest.approx(least_variance(count), abs=0.015)
    assert least(unbiased=True) == pytest.approx(1.0, abs=0.015)


def test_unbiased_moments_keep_a_gradient_where_all_faces_are_alike() -> None:
    coefficients = torch.ones(4, 2, requires_grad=True)
    batch_distribution_loss(coefficients, "sum", mean_penalty="absolute", unbiased=True).backward()
    assert coefficients.grad.isfinite().all()


def test_one_face_has_no_batch_distribution() -> None:
    with pytest.raises(
        ValueError, match="at least 2 faces over all processes, got 1; a single face has no var"
    ):
        batch_distribution_loss(torch.zeros(1, 3), "mean")


def test_loopback_is_zero_for_a_perfect_regressor() -> None:
    decoded = prediction([[1, 2], [3, 4]], [[5], [6]])
    again = Prediction(*(part.repeat_interleave(3, 0) for part in decoded))
    assert float(loopback_loss(decoded, again, MEANS)) == 0


def test_loopback_compares_each_view_with_its_own_face() -> None:
    decoded = prediction([[0.0], [10.0]], [[0.0], [0.0]])
    # Views of the first face, then of the second: off by 1, 1, 0, 2.
    again = prediction([[1.0], [-1.0], [10.0], [12.0]], [[0.0]] * 4)
    assert float(loopback_loss(decoded, again, MEANS)) == pytest.approx((1 + 1 + 0 + 4) / 4)


def test_loopback_moves_both_sides() -> None:
    decoded = Prediction(torch.zeros(1, 2, requires_grad=True), torch.zeros(1, 1, requires_grad=True))
    again = Prediction(torch.ones(2, 2, requires_grad=True), torch.ones(2, 1, requires_grad=True))
    loopback_loss(decoded, again, MEANS).backward()
    for part in (*decoded, *again):
        assert part.grad.abs().sum() > 0


def test_tone_loss_by_hand() -> None:
    assert float(tone_loss(torch.tensor([0.0, 2.0]), torch.tensor([1.0, 0.0]))) == pytest.approx(2.5)


def test_an_unknown_reduction_is_refused() -> None:
    with pytest.raises(
        ValueError, match='reduction must be "sum" or "mean", got "median"'.replace('"median"', "'median'")
    ):
        batch_distribution_loss(torch.zeros(2, 3), "median")


def test_landmark_loss_is_a_square_of_small_distances_and_grows_with_large_ones() -> None:
    # In units of LANDMARK_SCALE: distances 0 and sqrt(3) of the first face, sqrt(8) twice of the second.
    squares = LANDMARK_SCALE**2 * torch.tensor([[0.0, 3.0], [8.0, 8.0]])
    by_hand = [(0 + 2) / 2, 4]  # 2 sqrt(1 + d^2) - 2
    everyone, first = torch.tensor([1.0, 1.0]), torch.tensor([1.0, 0.0])
    torch.testing.assert_close(landmark_loss(squares, everyone), torch.tensor(sum(by_hand) / 2))
    torch.testing.assert_close(landmark_loss(squares, first), torch.tensor(by_hand[0] / 2))
    small = torch.tensor([[1e-3]]) * LANDMARK_SCALE**2
    torch.testing.assert_close(landmark_loss(small, torch.ones(1)), torch.tensor(1e-3), rtol=1e-3, atol=0)
