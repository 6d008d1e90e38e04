import pytest
import torch

from lightning_modules.expected_shape import (
    READINGS,
    ExpectedShape,
    kept_expected_shape,
    new_shape_regressor,
    readings_of,
    require_expected_shape,
    tell_of_earlier,
)
from tests import miniatures


def test_a_checkpoint_without_one_says_how_to_add_it(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ValueError, match=r"old.ckpt keeps no expected shape: python ablations/expected_sh"):
        require_expected_shape({}, "old.ckpt")
    whole = miniatures.expected_shape(torch.zeros(3))
    no_map = {name: value for name, value in whole.items() if name != "map_width"}
    for kept in ({"covariance": torch.zeros(3)}, no_map):  # without a regression, and with one of no map
        earlier = {"expected_shape": kept}
        with pytest.raises(ValueError, match=r"old.ckpt keeps an earlier version's expected shape: python "):
            require_expected_shape(earlier, "old.ckpt")
        assert readings_of(earlier) == ("likeness",)
        tell_of_earlier(earlier, "old.ckpt")
        said = "old.ckpt keeps an earlier version's expected shape, which is left out: python"
        assert said in capsys.readouterr().err
    assert readings_of({}) == ("likeness",)
    tell_of_earlier({}, "old.ckpt")
    tell_of_earlier({"expected_shape": whole}, "old.ckpt")
    assert capsys.readouterr().err == ""
    assert readings_of({"expected_shape": whole}) == READINGS


def test_a_new_regressor_predicts_the_mean_shape_of_everybody() -> None:
    regressor = new_shape_regressor(20, 4)
    shape, albedo = regressor(torch.randn(5, 20))
    assert shape.equal(torch.zeros(5, 4))
    assert albedo.shape == (5, 0)


def test_it_lies_between_the_likeness_and_what_the_kept_regressor_says() -> None:
    generator = torch.Generator().manual_seed(0)
    regressor = new_shape_regressor(20, 4)
    with torch.no_grad():
        for weight in regressor.parameters():
            weight.copy_(torch.randn(weight.shape, generator=generator) / 5)
    kept = kept_expected_shape(
        {"expected_shape": ExpectedShape.keep(regressor, 9, 2, 0, map_width=0)._asdict()}
    )
    assert kept is not None
    features, likeness = torch.randn(6, 20, generator=generator), torch.randn(6, 4, generator=generator)
    with torch.no_grad():
        regressed = regressor.eval()(features).shape
    assert regressed.std() > 0.1
    between = 0.4 * likeness + 0.6 * regressed
    torch.testing.assert_close(kept.of(likeness, features), between)
    # The same every time: no unit is left out any more.
    assert kept.of(likeness, features).equal(kept.of(likeness, features))
    double = kept.of(likeness.double(), features)
    assert double.dtype == torch.float64
    torch.testing.assert_close(double.float(), between)
