import numpy as np
import pytest
import torch

from evaluation.metrics.skin_tone import lab
from lightning_modules.faces.morphable_model import MorphableModel, PrincipalComponents
from lightning_modules.skin_tone import (
    OWN_SHARE,
    SPREAD,
    SPREAD_BESIDE_OWN,
    ToneCalibration,
    ToneTarget,
    albedo_angles,
    cheek_vertices,
    tone_table,
)


def with_skin(model: MorphableModel, direction: tuple[float, float, float]) -> MorphableModel:
    """The model with skin-coloured cheeks whose first albedo component goes in a direction of RGB."""
    count = model.albedo_mean.numel() // 3
    mean = torch.tensor([0.68, 0.52, 0.42]).repeat(count)
    first = torch.tensor(direction).repeat(count)[:, None]
    basis = torch.cat([first / first.norm(), torch.zeros(3 * count, 1)], 1)
    variance = torch.tensor([first.norm() ** 2, 1.0])
    return MorphableModel(
        shape=model.components("shape"),
        albedo=PrincipalComponents(mean, basis, variance, float(variance.sum())),
        expression=None, triangles=model.triangles, landmarks=model.landmarks, provenance=model.provenance,
    )  # fmt: skip


@pytest.fixture
def skin(small_model: MorphableModel) -> MorphableModel:
    return with_skin(small_model, (0.1, 0.1, 0.09))


def test_cheeks_lie_beside_the_nose_on_both_sides(small_model: MorphableModel) -> None:
    cheeks = small_model.neutral_mean.view(-1, 3)[cheek_vertices(small_model)]
    assert len(cheeks) >= 4
    assert (cheeks[:, 0] < -5).any()
    assert (cheeks[:, 0] > 5).any()
    assert (cheeks[:, 0].abs() > 5).all()
    assert abs(float(cheeks[:, 0].mean())) < 1


def test_lighter_albedo_has_a_larger_angle(skin: MorphableModel) -> None:
    angles = tone_table(skin)
    assert (angles.diff() > 0).all()
    assert float(angles[30]) == pytest.approx(
        float(albedo_angles(skin, skin.albedo(torch.zeros(1, 2)))[0]), abs=0.05
    )


def test_a_component_that_is_not_tone_is_refused(small_model: MorphableModel) -> None:
    with pytest.raises(ValueError, match="first albedo component of miniature is not skin tone"):
        tone_table(with_skin(small_model, (0.5, 0.5, 0.5)))  # white from +1 on


def test_an_angle_is_that_of_the_colour_predicted(skin: MorphableModel) -> None:
    # L* = 60 + 5 e1, b* = 10 + 5 e2: arctan(1), arctan(20 / 10), arctan(10 / 20).
    weight = torch.tensor([[5.0, 0, 0], [0, 0, 5.0]])
    target = ToneTarget(weight, torch.tensor([60.0, 12.0, 10.0]), tone_table(skin))
    angles = target.angle(torch.tensor([[0.0, 0], [2.0, 0], [0.0, 2]]))
    expected = torch.tensor([1.0, 2.0, 0.5]).atan().rad2deg()
    torch.testing.assert_close(angles, expected)


def test_targets_give_back_the_angle_that_was_asked_for(skin: MorphableModel) -> None:
    weight = torch.tensor([[4.0, 0, 0], [0, 0, 0], [0, 0, 0]])
    target = ToneTarget(weight, torch.tensor([58.0, 10.0, 17.0]), tone_table(skin))
    embeddings = torch.tensor([[-1.0, 5, 5], [0.0, 0, 0], [1.0, 2, 3]])
    wanted = target.angle(embeddings)
    albedo = torch.nn.functional.pad(target(embeddings)[:, None], (0, 1))
    np.testing.assert_allclose(albedo_angles(skin, skin.albedo(albedo)), wanted.numpy(), atol=0.3)


def cheeks(embeddings: torch.Tensor, told: float, generator: torch.Generator) -> np.ndarray:
    """Colours [N, 3] in L*a*b* of cheeks whose lightness the third value of an embedding tells."""
    colours = torch.tensor([58.0, 12.0, 18.0]) + torch.randn(len(embeddings), 3, generator=generator)
    colours[:, 0] += told * embeddings[:, 2] + 6 * torch.randn(len(embeddings), generator=generator)
    return colours.numpy()


def test_the_regression_finds_what_the_embedding_tells_and_its_moments(skin: MorphableModel) -> None:
    generator = torch.Generator().manual_seed(0)
    embeddings = torch.randn(2000, 6, generator=generator)
    target = ToneTarget.fit(embeddings, cheeks(embeddings, 3, generator), skin)
    told = target.angle(embeddings)
    correlation = torch.corrcoef(torch.stack([told, embeddings[:, 2]]))[0, 1]
    assert float(correlation) > 0.98
    assert float(told.median()) == pytest.approx(np.degrees(np.arctan2(8, 18)), abs=1)
    lightness = (embeddings @ target.weight + target.offset)[:, 0]
    assert float(lightness.std()) == pytest.approx(SPREAD * 3, rel=0.1)
    fitted = target(embeddings)
    assert (target.mean, target.variance) == pytest.approx(
        (float(fitted.mean()), float(fitted.var())), rel=1e-4
    )


def test_a_share_of_the_photograph_s_own_colour_is_added(skin: MorphableModel) -> None:
    colours = torch.tensor([[0.8, 0.6, 0.5], [0.5, 0.35, 0.3]])
    own = torch.from_numpy(lab(colours.numpy()))
    offset = torch.tensor([60.0, 12.0, 10.0])
    target = ToneTarget(torch.zeros(2, 3), offset, tone_table(skin), own.mean(0))
    lightness, _, yellowness = (offset + OWN_SHARE * (own - own.mean(0))).T
    expected = torch.rad2deg(torch.atan2(lightness - 50, yellowness))
    torch.testing.assert_close(target.angle(torch.zeros(2, 2), colours), expected)
    assert expected[0] > expected[1] + 5


def test_own_colours_are_asked_for_where_the_target_was_fitted_with_them_and_only_there(
    skin: MorphableModel,
) -> None:
    fitted = torch.zeros(2, 3), torch.tensor([60.0, 12.0, 10.0]), tone_table(skin)
    with pytest.raises(ValueError, match="own colours are not given, but the target was fitted with them"):
        ToneTarget(*fitted, torch.zeros(3)).angle(torch.zeros(1, 2))
    with pytest.raises(ValueError, match="own colours are given, but the target was fitted without them"):
        ToneTarget(*fitted).angle(torch.zeros(1, 2), torch.full((1, 3), 0.5))


def test_beside_the_own_colour_the_embedding_is_spread_less(skin: MorphableModel) -> None:
    generator = torch.Generator().manual_seed(2)
    embeddings = torch.randn(2000, 6, generator=generator)
    own = torch.rand(2000, 3, generator=generator) * 0.1 + 0.5
    target = ToneTarget.fit(embeddings, cheeks(embeddings, 3, generator), skin, own)
    lightness = (embeddings @ target.weight + target.offset)[:, 0]
    assert float(lightness.std()) == pytest.approx(SPREAD_BESIDE_OWN * 3, rel=0.1)
    fitted = target(embeddings, own)
    assert target.mean == pytest.approx(float(fitted.mean()), rel=1e-4)


def test_embeddings_that_tell_nothing_give_everyone_nearly_the_mean(skin: MorphableModel) -> None:
    generator = torch.Generator().manual_seed(1)
    embeddings = torch.randn(3000, 4, generator=generator)
    target = ToneTarget.fit(embeddings, cheeks(embeddings, 0, generator), skin)
    assert float(target.angle(embeddings).std()) < 2.5


@pytest.mark.parametrize("angles", [torch.linspace(-60, 60, 61), torch.linspace(60, -60, 61)])
def test_a_table_may_rise_or_fall(angles: torch.Tensor) -> None:
    # Embeddings say nothing, the offset's angle is 30 degrees: three quarters of the way to 60.
    offset = torch.tensor([50 + 10 * 3**-0.5, 0.0, 10.0])
    target = ToneTarget(torch.zeros(8, 3), offset, angles)
    expected = 1.5 if angles[-1] > 0 else -1.5
    torch.testing.assert_close(target(torch.rand(4, 8)), torch.full((4,), expected), atol=1e-4, rtol=0)


def test_a_calibration_gives_predictions_the_mean_and_the_spread_of_the_truth() -> None:
    true = torch.randn(500, generator=torch.Generator().manual_seed(0))
    factor, shift = ToneCalibration.learn(true, 0.5 * true.flip(0) + 2)
    assert (factor, shift) == pytest.approx((2.0, -4.0), rel=1e-5)


def test_predictions_that_are_all_the_same_cannot_be_calibrated() -> None:
    with pytest.raises(ValueError, match="all the same; a calibration cannot spread them"):
        ToneCalibration.learn(torch.randn(9), torch.ones(9))
