import torch

from lightning_modules.initialisation import standardise
from lightning_modules.regressor import Regressor


def test_widths_follow_from_encoder_and_model() -> None:
    regressor = Regressor(12, 5, 3, hidden_width=16)
    predicted = regressor(torch.randn(4, 12))
    assert (predicted.shape.shape, predicted.albedo.shape) == ((4, 5), (4, 3))
    assert [tuple(p.shape) for p in regressor.parameters()] == [
        (16, 12),
        (16,),
        (16, 16),
        (16,),
        (8, 16),
        (8,),
    ]
    assert Regressor(**regressor.widths).widths == regressor.widths


def test_the_statistics_travel_with_the_weights() -> None:
    first, second = Regressor(12, 2, 2), Regressor(12, 2, 2)
    standardise(first, torch.randn(50, 12) + 2)
    second.load_state_dict(first.state_dict())
    features = torch.randn(3, 12)
    torch.testing.assert_close(first(features), second(features), rtol=0, atol=0)


def test_predictions_start_near_the_mean_face() -> None:
    torch.manual_seed(0)
    predicted = Regressor(64, 40, 40)(torch.randn(200, 64))
    assert float(torch.cat(predicted, 1).detach().std()) < 0.2


def test_a_last_layer_that_is_not_scaled_starts_as_it_is_drawn() -> None:
    started = []
    for scale in (1.0, 0.3):
        torch.manual_seed(0)
        started.append(Regressor(6, 2, 2, last_layer_scale=scale))
    whole, small = started
    torch.manual_seed(0)
    drawn = torch.nn.Sequential(
        torch.nn.Linear(6, 1024), torch.nn.Linear(1024, 1024), torch.nn.Linear(1024, 4)
    )
    assert torch.equal(whole.last_layer.weight, drawn[-1].weight)
    torch.testing.assert_close(small.last_layer.weight, 0.3 * drawn[-1].weight)
    assert torch.equal(whole.layers[0].weight, small.layers[0].weight)


def test_a_linear_path_is_rebuilt_from_a_regressor_s_widths() -> None:
    regressor = Regressor(6, 2, 2, linear_path=True)
    Regressor(**regressor.widths).load_state_dict(regressor.state_dict())
