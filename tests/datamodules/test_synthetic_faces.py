from collections.abc import Sequence
from itertools import islice

import pytest
import torch
from torch import Tensor

from datamodules.synthetic_faces import VALIDATION, SyntheticFaces
from lightning_modules.faces.morphable_model import (
    Coefficients,
    MorphableModel,
    PrincipalComponents,
    Provenance,
)
from lightning_modules.recognition.frame import Crop

from .conftest import TinyNetwork


@pytest.fixture
def model() -> MorphableModel:
    def components(count: int) -> PrincipalComponents:
        return PrincipalComponents(torch.zeros(9), torch.eye(9)[:, :count], torch.ones(count), float(count))

    return MorphableModel(
        shape=components(4), albedo=components(3), expression=components(2),
        triangles=torch.tensor([[0, 1, 2]]),
        landmarks="a triangle has none", provenance=Provenance("open", "triangle", "00"),
    )  # fmt: skip


def draw(coefficients: Coefficients, crop: Crop, seeds: Sequence[int]) -> Tensor:
    """A plain picture a face: red from its shape, green from its scene."""
    assert not coefficients.expression.any()
    colours = torch.stack(
        [coefficients.shape[:, 0].sigmoid(), torch.tensor([(s % 997) / 997 for s in seeds]),
         torch.zeros(len(seeds))], 1,
    )  # fmt: skip
    return colours[:, :, None, None].expand(-1, -1, crop.size, crop.size)


@pytest.fixture
def faces(model: MorphableModel, tiny: TinyNetwork) -> SyntheticFaces:
    return SyntheticFaces(model, draw, [tiny], batch_size=6, seed=3, validation_batches=2)


def test_features_belong_to_the_coefficients(faces: SyntheticFaces) -> None:
    batch = faces.batch(0)
    assert (batch.shape.shape, batch.albedo.shape) == ((6, 4), (6, 3))
    torch.testing.assert_close(batch.features["tiny"][:, 0], batch.shape[:, 0].sigmoid(), atol=1e-3, rtol=0)
    torch.testing.assert_close(batch.embeddings["tiny"].norm(dim=1), torch.ones(6))


def test_a_step_gives_the_same_faces_again_and_another_step_others(faces: SyntheticFaces) -> None:
    first, again, other = faces.batch(5), faces.batch(5), faces.batch(6)
    torch.testing.assert_close(first, again, rtol=0, atol=0)
    assert not torch.isclose(first.shape, other.shape).any()


def test_processes_together_draw_what_one_draws(faces: SyntheticFaces) -> None:
    whole = faces.batch(2)
    parts = [faces.batch(2, rank=rank, world_size=3) for rank in range(3)]
    assert torch.equal(torch.cat([part.shape for part in parts]), whole.shape)
    assert torch.equal(torch.cat([part.features["tiny"] for part in parts]), whole.features["tiny"])


def test_shape_and_albedo_are_independent_standard_normals(model: MorphableModel) -> None:
    batch = SyntheticFaces(model, draw, batch_size=2000).batch(0)
    joined = torch.cat([batch.shape, batch.albedo], 1)
    torch.testing.assert_close(joined.mean(0), torch.zeros(7), atol=0.1, rtol=0)
    torch.testing.assert_close(torch.cov(joined.T), torch.eye(7), atol=0.1, rtol=0)


def test_validation_is_fixed_and_apart_from_training(faces: SyntheticFaces) -> None:
    validation = faces.val_dataloader()
    assert len(validation) == 2
    torch.testing.assert_close(validation, faces.val_dataloader(), rtol=0, atol=0)
    assert torch.equal(validation[0].shape, faces.batch(0, purpose=VALIDATION).shape)
    assert not torch.isclose(validation[0].shape, faces.batch(0).shape).any()


def test_training_batches_come_without_end(faces: SyntheticFaces) -> None:
    stream = list(islice(faces.train_dataloader(), 3))
    assert [torch.equal(batch.shape, faces.batch(step).shape) for step, batch in enumerate(stream)] == [
        True
    ] * 3


def test_a_batch_that_cannot_be_split_is_refused(faces: SyntheticFaces) -> None:
    with pytest.raises(ValueError, match="batch of 6 cannot be split over 4 processes"):
        faces.batch(0, world_size=4)
