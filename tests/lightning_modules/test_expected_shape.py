from itertools import pairwise

import pytest
import torch

from lightning_modules.expected_shape import ExpectedShape, require_expected_shape


def test_factors_are_the_slopes_of_truth_on_predictions() -> None:
    generator = torch.Generator().manual_seed(0)
    true = torch.randn(20_000, 3, generator=generator)
    gain, noise = torch.tensor([1.0, 0.5, 0.0]), torch.tensor([0.0, 0.5, 1.0])
    drawn = torch.randn(20_000, 2, 3, generator=generator)
    learnt = ExpectedShape.learn(true, gain * true[:, None] + noise * drawn)
    # Worked out: gain / (gain² + noise² / n); a prediction that says nothing is worth nothing.
    torch.testing.assert_close(learnt.factors(), torch.tensor([1.0, 1.0, 0.0]), atol=0.03, rtol=0)
    quiet = learnt._replace(covariance=torch.tensor([0.8, 0.25, 0.0]))
    torch.testing.assert_close(quiet.factors(1), torch.tensor([0.8, 0.5, 0.0]), atol=0.03, rtol=0)
    torch.testing.assert_close(quiet.factors(4), torch.tensor([0.8, 0.8, 0.0]), atol=0.03, rtol=0)


def test_more_photographs_never_earn_less_trust() -> None:
    generator = torch.Generator().manual_seed(1)
    true = torch.randn(60, 40, generator=generator)
    predicted = 0.4 * true[:, None] + torch.randn(60, 3, 40, generator=generator)
    factors = [ExpectedShape.learn(true, predicted).factors(count) for count in (1, 2, 4, 8)]
    for fewer, more in pairwise(factors):
        assert (more >= fewer).all()
    assert all(float(each.min()) >= 0 and float(each.max()) <= 1 for each in factors)


@pytest.mark.parametrize("shape", [(4, 2, 3), (20, 1, 3), (20, 3)])
def test_too_little_to_learn_from_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="at least 8 people and 2 photographs each, got"):
        ExpectedShape.learn(torch.zeros(shape[0], 3), torch.zeros(shape))


def test_a_checkpoint_without_one_says_how_to_add_it() -> None:
    with pytest.raises(ValueError, match=r"old.ckpt keeps no expected shape: python ablations/expected_sh"):
        require_expected_shape({}, "old.ckpt")
    earlier = {"expected_shape": {"covariance": torch.zeros(3)}}  # of a version that kept no centre
    with pytest.raises(ValueError, match=r"old.ckpt keeps an earlier version's expected shape: python abl"):
        require_expected_shape(earlier, "old.ckpt")


def test_the_expected_shape_is_the_regression_of_truth_on_predictions() -> None:
    generator = torch.Generator().manual_seed(2)
    true = torch.randn(20_000, 2, generator=generator)
    bias = torch.tensor([3.0, -1.0])
    predicted = true[:, None] + bias + torch.randn(20_000, 2, 2, generator=generator)
    learnt = ExpectedShape.learn(true, predicted)
    # By least squares over the same faces, each coefficient by itself.
    for number in range(2):
        x, y = predicted[:, 0, number], true[:, number]
        slope, intercept = torch.linalg.lstsq(torch.stack([x, torch.ones_like(x)], 1), y).solution
        expected = slope * x + intercept
        torch.testing.assert_close(learnt.of(predicted[:, 0])[:, number], expected, atol=0.06, rtol=0.02)


def test_unlabelled_photographs_are_the_centre_and_change_no_factor() -> None:
    generator = torch.Generator().manual_seed(2)
    true = torch.randn(40, 3, generator=generator)
    predicted, photographs = true[:, None].expand(-1, 2, -1), 3 * torch.randn(500, 3, generator=generator)
    learnt, synthetic = (
        ExpectedShape.learn(true, predicted, photographs),
        ExpectedShape.learn(true, predicted),
    )
    torch.testing.assert_close(learnt.factors(), synthetic.factors())
    assert learnt.of(photographs).mean(0).abs().max() < 1e-6  # people in photographs have the mean shape
    assert not torch.allclose(synthetic.of(photographs), learnt.of(photographs))
    moved = ExpectedShape(**learnt._asdict()).to(true.double())
    assert all(part.dtype == torch.float64 for part in (moved.factors(), moved.of(photographs.double())))
    with pytest.raises(ValueError, match="at least 8 unlabelled photographs must show a face, got 5"):
        ExpectedShape.learn(true, predicted, photographs[:5])
