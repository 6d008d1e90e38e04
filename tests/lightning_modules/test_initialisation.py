import numpy as np
import pytest
import torch

from lightning_modules.initialisation import (
    RIDGE_PENALTY,
    CoefficientMoments,
    amplify,
    give_moments,
    rescale_first_albedo,
    standardise,
    start_first_albedo,
    start_linearly,
)
from lightning_modules.prediction import Prediction
from lightning_modules.regressor import Regressor


def test_features_are_standardised_by_known_statistics() -> None:
    features = 5 + 3 * torch.randn(500, 12, generator=torch.Generator().manual_seed(0))
    features[:, 4] = 7.0  # a dead feature
    regressor = Regressor(12, 2, 2)
    standardise(regressor, features)
    seen = []
    regressor.layers.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    regressor(features)
    alive = [index for index in range(12) if index != 4]
    torch.testing.assert_close(seen[0][:, alive].mean(0), torch.zeros(11), atol=1e-4, rtol=0)
    torch.testing.assert_close(seen[0][:, alive].std(0), torch.ones(11), atol=1e-4, rtol=0)
    assert torch.equal(seen[0][:, 4], torch.zeros(500))


def test_a_linear_start_predicts_what_ridge_regression_does() -> None:
    generator = torch.Generator().manual_seed(0)
    features = 3 + 2 * torch.randn(4000, 6, generator=generator)
    known = Prediction(
        features @ torch.randn(6, 5, generator=generator) + 1, torch.randn(4000, 3, generator=generator)
    )
    regressor = Regressor(6, 5, 3, hidden_width=16, linear_path=True)
    standardise(regressor, features)
    start_linearly(regressor, features, known)
    standardised = (features - features.mean(0)) / features.std(0)
    judge = pytest.importorskip("sklearn.linear_model", reason="the extra lfw is not installed")
    expected = judge.Ridge(RIDGE_PENALTY).fit(standardised.numpy(), torch.cat(known, 1).numpy())
    np.testing.assert_allclose(
        torch.cat(regressor(features), 1).detach().numpy(),
        expected.predict(standardised.numpy()),
        atol=1e-4,
    )


def test_the_layers_learn_beside_a_linear_start() -> None:
    regressor = Regressor(6, 5, 3, hidden_width=16, linear_path=True)
    features = torch.randn(50, 6)
    start_linearly(regressor, features, Prediction(torch.randn(50, 5), torch.randn(50, 3)))
    sum(part.square().sum() for part in regressor(features)).backward()
    assert float(regressor.layers[-1].weight.grad.norm()) > 0


def test_amplifying_multiplies_what_is_predicted_with_and_without_a_linear_path() -> None:
    features = torch.randn(4, 6)
    for linear_path in (True, False):
        regressor = Regressor(6, 2, 2, linear_path=linear_path)
        before = torch.cat(regressor(features), 1)
        amplify(regressor, 1.5)
        torch.testing.assert_close(torch.cat(regressor(features), 1), 1.5 * before)


def test_the_first_albedo_component_can_start_from_a_target() -> None:
    generator = torch.Generator().manual_seed(0)
    features = torch.randn(500, 6, generator=generator)
    regressor = Regressor(6, 3, 2, hidden_width=8, linear_path=True)
    standardise(regressor, features)
    before = regressor(features)
    start_first_albedo(regressor, features, 0.5 + features @ torch.tensor([1.0, 0, -2, 0, 0, 0]))
    others = torch.randn(5, 6, generator=generator)
    expected = 0.5 + others[:, 0] - 2 * others[:, 2]
    torch.testing.assert_close(regressor(others).albedo[:, 0], expected, atol=0.15, rtol=0)
    after = regressor(features)
    torch.testing.assert_close(after.shape, before.shape)
    torch.testing.assert_close(after.albedo[:, 1], before.albedo[:, 1])


def test_a_start_meets_features_on_another_device_than_the_regressor() -> None:
    # A pool's features come on the model's device, where the regressor is not yet. Meta tells devices apart.
    regressor = Regressor(6, 3, 2, hidden_width=8, linear_path=True).to("meta")
    features = torch.randn(50, 6)
    start_linearly(regressor, features, Prediction(torch.randn(50, 3), torch.randn(50, 2)))
    start_first_albedo(regressor, features, torch.randn(50))
    assert regressor.linear.weight.is_meta


@pytest.mark.parametrize("linear_path", [True, False])
def test_the_first_albedo_component_is_rescaled_and_no_other(linear_path: bool) -> None:
    features = torch.randn(4, 6)
    regressor = Regressor(6, 3, 2, hidden_width=8, linear_path=linear_path)
    shape, albedo = regressor(features)
    rescale_first_albedo(regressor, 2.0, -0.5)
    after = regressor(features)
    torch.testing.assert_close(after.shape, shape, rtol=0, atol=0)
    torch.testing.assert_close(after.albedo[:, 0], 2 * albedo[:, 0] - 0.5)
    torch.testing.assert_close(after.albedo[:, 1:], albedo[:, 1:], rtol=0, atol=0)


@pytest.mark.parametrize("linear_path", [True, False])
def test_other_features_get_the_mean_and_spread_that_coefficients_had(linear_path: bool) -> None:
    generator = torch.Generator().manual_seed(0)
    before = torch.randn(200, 6, generator=generator)
    after = 0.5 * before + 0.1 * torch.randn(200, 6, generator=generator) + 1
    regressor = Regressor(6, 3, 2, hidden_width=8, linear_path=linear_path)
    with torch.no_grad():
        regressor.last_layer.weight[4] = 0  # a coefficient that never varies
        if regressor.linear is not None:
            regressor.linear.weight[4] = 0
        had = torch.cat(regressor(before), 1)
        seen = torch.cat(regressor(after), 1)
    give_moments(regressor, after, CoefficientMoments.of(regressor, before))
    with torch.no_grad():
        has = torch.cat(regressor(after), 1)
    assert not torch.allclose(seen.std(0)[:4], had.std(0)[:4], rtol=0.1)
    torch.testing.assert_close(has.mean(0), had.mean(0), atol=1e-5, rtol=0)
    torch.testing.assert_close(has.std(0), had.std(0), atol=1e-5, rtol=0)
    # Each coefficient is rescaled by itself: every order stays.
    assert torch.equal(has[:, :4].argsort(0), seen[:, :4].argsort(0))
