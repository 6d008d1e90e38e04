import pytest
import torch

from evaluation.metrics.moments import moment_statistics, moments, moments_of_normal_draws


def test_moments_by_hand() -> None:
    # Means 2 and 0; unbiased variances 2 and 32; of four coefficients two lie beyond 3.
    found = moments(torch.tensor([[1.0, 4.0], [3.0, -4.0]]))
    assert found == pytest.approx((1.0, (1 + 31) / 2, 0.5))


def test_exactly_standard_coefficients_are_at_distance_zero() -> None:
    found = moments(torch.tensor([[1.0], [-1.0]]) * 0.5**0.5)
    assert found == pytest.approx((0, 0, 0), abs=1e-7)


def test_components_may_have_other_targets() -> None:
    coefficients = torch.tensor([[1.9, 1.0], [-0.1, -1.0]])
    found = moments(
        coefficients, target_mean=torch.tensor([0.9, 0.0]), target_variance=torch.tensor([2.0, 2.0])
    )
    assert found == pytest.approx((0, 0, 0), abs=1e-6)


def test_normal_draws_scatter_as_theory_says() -> None:
    generator = torch.Generator().manual_seed(0)
    draws = moments_of_normal_draws(1000, 80, generator)
    # E|mean| = sqrt(2 / (pi N)); the variance's error is sqrt(2 / (N - 1)); P(|z| > 3) = .0027.
    assert draws.mean.mean_distance == pytest.approx((2 / torch.pi / 1000) ** 0.5, rel=0.05)
    assert draws.mean.variance_distance == pytest.approx((4 / torch.pi / 999) ** 0.5, rel=0.05)
    assert draws.mean.share_beyond == pytest.approx(0.0027, rel=0.05)
    assert draws.standard_deviation.share_beyond == pytest.approx((0.0027 / 80_000) ** 0.5, rel=0.5)


def test_draws_repeat_with_their_seed_and_follow_the_target() -> None:
    arguments = {"target_mean": torch.tensor([0.9, 0.0]), "target_variance": torch.tensor([0.4, 1.0])}
    first, second = (
        moments_of_normal_draws(500, 2, torch.Generator().manual_seed(1), **arguments) for _ in range(2)
    )
    assert first == second
    assert first.mean.mean_distance < 0.06


def test_unusable_coefficients_are_refused() -> None:
    with pytest.raises(ValueError, match=r"of at least two faces, got \[1, 3\]"):
        moments(torch.zeros(1, 3))
    with pytest.raises(ValueError, match="1 coefficients are not finite"):
        moments(torch.tensor([[0.0], [float("nan")]]))
    with pytest.raises(ValueError, match="at least two repeats, got 1"):
        moments_of_normal_draws(10, 3, torch.Generator(), repeats=1)


def test_leaving_one_face_out_is_the_moments_of_the_others() -> None:
    values = torch.randn(9, 4, generator=torch.Generator().manual_seed(2), dtype=torch.float64) * 2
    target = {"target_mean": torch.tensor([0.5, 0, 0, 0]), "target_variance": torch.tensor([0.3, 1, 1, 1])}
    statistics = moment_statistics(values, **target)
    whole = moments(values, **target)
    assert statistics.mean_distance.value == whole.mean_distance
    assert statistics.variance_distance.value == whole.variance_distance
    assert statistics.share_beyond.value == pytest.approx(whole.share_beyond)
    assert statistics.variance.value == pytest.approx(float(values.var(0).mean()))
    for left_out in range(9):
        others = values[torch.arange(9) != left_out]
        expected = moments(others, **target)
        found = [getattr(statistics, name).leave_one_out[left_out] for name in expected._fields]
        assert found == pytest.approx(list(expected))
        assert statistics.variance.leave_one_out[left_out] == pytest.approx(float(others.var(0).mean()))


def test_two_faces_are_too_few_to_leave_one_out() -> None:
    with pytest.raises(ValueError, match="needs at least three of them, got 2"):
        moment_statistics(torch.zeros(2, 3))
