import numpy as np
import pytest
import torch

from lightning_modules.faces.morphable_model import MorphableModel, PrincipalComponents
from lightning_modules.skin_tone import ToneTarget, albedo_angles, cheek_vertices, tone_table


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


def test_targets_give_back_the_angle_that_was_asked_for(skin: MorphableModel) -> None:
    target = ToneTarget(torch.eye(3)[0] * 10, 25.0, tone_table(skin))
    embeddings = torch.tensor([[-1.0, 5, 5], [0.0, 0, 0], [1.0, 2, 3]])
    wanted = target.angle(embeddings)
    albedo = torch.nn.functional.pad(target(embeddings)[:, None], (0, 1))
    np.testing.assert_allclose(albedo_angles(skin, skin.albedo(albedo)), wanted.numpy(), atol=0.3)


def test_the_regression_finds_what_the_embedding_tells_and_its_moments(skin: MorphableModel) -> None:
    generator = torch.Generator().manual_seed(0)
    embeddings = torch.randn(2000, 6, generator=generator)
    noise = 15 * torch.randn(2000, generator=generator)
    angles = 22 + 9 * embeddings[:, 2] + noise
    target = ToneTarget.fit(embeddings, angles.numpy(), skin)
    told = target.angle(embeddings)
    correlation = torch.corrcoef(torch.stack([told, embeddings[:, 2]]))[0, 1]
    assert float(correlation) > 0.98
    assert float(told.mean()) == pytest.approx(22, abs=1)
    fitted = target(embeddings)
    assert (target.mean, target.variance) == pytest.approx(
        (float(fitted.mean()), float(fitted.var())), rel=1e-4
    )


def test_embeddings_that_tell_nothing_give_everyone_nearly_the_mean(skin: MorphableModel) -> None:
    generator = torch.Generator().manual_seed(1)
    embeddings = torch.randn(3000, 4, generator=generator)
    angles = 20 + 15 * torch.randn(3000, generator=generator)
    assert float(ToneTarget.fit(embeddings, angles.numpy(), skin).angle(embeddings).std()) < 2.5
