import copy
from itertools import islice
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import Tensor

from datamodules.sampling import step_sampler
from datamodules.synthetic_faces import VALIDATION, SyntheticFaces, UnseenFaces, render_synthetic
from lightning_modules.faces.morphable_model import MorphableModel
from lightning_modules.recognition.frame import DLIB_CROP, SFACE_CROP, WHOLE_FRAME, Crop
from lightning_modules.recognition.networks import as_encoder
from lightning_modules.recognition.resampling import resample
from lightning_modules.rendering.ranges import SceneRanges
from lightning_modules.rendering.scenes import DrawnScenes, noise_cells, random_scenes

from .conftest import TinyNetwork


def faces_of(model: MorphableModel, tiny: TinyNetwork, folder: Path, **options: object) -> SyntheticFaces:
    defaults = {"batch_size": 6, "pool_size": 12, "validation_size": 5, "seed": 3, "progress": False}
    return SyntheticFaces(model, tiny, cache_folder=folder, **{**defaults, **options})


@pytest.fixture
def faces(small_model: MorphableModel, tiny: TinyNetwork, tmp_path: Path) -> SyntheticFaces:
    faces = faces_of(small_model, tiny, tmp_path)
    faces.prepare_data()
    faces.setup()
    return faces


def test_a_batch_holds_coefficients_and_what_the_encoder_sees_of_them(faces: SyntheticFaces) -> None:
    batch = faces.batch(0)
    assert [part.shape for part in batch] == [(6, 4), (6, 3), (6, 12)]
    chosen = step_sampler(12, 6, seed=3, rank=0, world_size=1).indices(0)
    torch.testing.assert_close(batch, faces.render(chosen.tolist()), atol=1e-5, rtol=0)


def test_faces_are_seen_once_and_shared_however_often_the_encoder_looks_at_photographs(
    faces: SyntheticFaces, small_model: MorphableModel, tiny: TinyNetwork, tmp_path: Path
) -> None:
    asked = tiny.asked
    several = faces_of(small_model, as_encoder(tiny, crops=4), tmp_path)
    several.prepare_data()
    several.setup()
    assert tiny.asked == asked
    torch.testing.assert_close(several.batch(0), faces.batch(0), rtol=0, atol=0)
    several.render([3])
    assert tiny.asked == asked + 1
    coloured = faces_of(small_model, as_encoder(tiny, crops=4, coloured=True), tmp_path)
    plain = faces_of(small_model, as_encoder(tiny, coloured=True), tmp_path)
    assert coloured._files(VALIDATION).folder == plain._files(VALIDATION).folder


def test_darker_skin_looks_darker(small_model: MorphableModel, tiny: TinyNetwork, tmp_path: Path) -> None:
    # The model's first albedo component is brightness, and the network's features are mean colours.
    faces = faces_of(small_model, tiny, tmp_path).render(range(64))
    seen = torch.stack([faces.albedo[:, 0], faces.features.mean(1)])
    assert float(torch.corrcoef(seen)[0, 1]) > 0.2


@pytest.mark.parametrize("crop", [DLIB_CROP, SFACE_CROP], ids=["dlib", "sface"])
def test_faces_are_drawn_into_the_networks_crop(small_model: MorphableModel, crop: Crop) -> None:
    def drawn(into: Crop) -> Tensor:
        generators = [torch.Generator().manual_seed(seed) for seed in range(3)]
        scenes = DrawnScenes(random_scenes(generators, 1), noise_cells(generators, 1))
        faces = UnseenFaces(torch.zeros(3, 4), torch.zeros(3, 3), scenes)
        return render_synthetic(small_model, faces, into)

    middle = slice(round(0.3 * crop.size), round(0.7 * crop.size))  # the face alone, no background
    cut, direct = (
        images[..., middle, middle] for images in (resample(drawn(WHOLE_FRAME), crop), drawn(crop))
    )
    assert (cut - direct).abs().mean() < 0.002
    assert (cut.flip(3) - direct).abs().mean() > 0.01  # so much is seen of another crop


def test_a_step_gives_the_same_faces_again_and_another_step_others(faces: SyntheticFaces) -> None:
    first, again, other = faces.batch(5), faces.batch(5), faces.batch(6)
    torch.testing.assert_close(first, again, rtol=0, atol=0)
    assert not torch.equal(first.shape, other.shape)


@pytest.mark.parametrize("pool_size", [12, None])
def test_processes_together_draw_what_one_draws(
    small_model: MorphableModel, tiny: TinyNetwork, tmp_path: Path, pool_size: int | None
) -> None:
    faces = faces_of(small_model, tiny, tmp_path, pool_size=pool_size)
    faces.prepare_data()
    faces.setup()
    whole = faces.batch(2)
    parts = [faces.batch(2, rank=rank, world_size=3) for rank in range(3)]
    assert torch.equal(torch.cat([part.shape for part in parts]), whole.shape)
    torch.testing.assert_close(
        torch.cat([part.features for part in parts]), whole.features, atol=1e-5, rtol=0
    )


def test_without_a_pool_no_face_comes_twice(
    small_model: MorphableModel, tiny: TinyNetwork, tmp_path: Path
) -> None:
    faces = faces_of(small_model, tiny, tmp_path, pool_size=None)
    drawn = torch.cat([faces.batch(step).shape for step in range(4)])
    assert len(drawn.unique(dim=0)) == 24


def test_fresh_faces_of_a_second_stage_are_none_of_the_first_s(
    small_model: MorphableModel, tiny: TinyNetwork, tmp_path: Path
) -> None:
    first = faces_of(small_model, tiny, tmp_path, pool_size=None)
    second = faces_of(small_model, tiny, tmp_path, pool_size=None, first_fresh=12)
    torch.testing.assert_close(second.batch(0), first.batch(2), rtol=0, atol=0)


def test_shape_and_albedo_are_independent_standard_normals(
    small_model: MorphableModel, tiny: TinyNetwork, tmp_path: Path
) -> None:
    faces = faces_of(small_model, tiny, tmp_path).render(range(1000))
    joined = torch.cat([faces.shape, faces.albedo], 1)
    torch.testing.assert_close(joined.mean(0), torch.zeros(7), atol=0.13, rtol=0)
    torch.testing.assert_close(torch.cov(joined.T), torch.eye(7), atol=0.16, rtol=0)


def test_validation_is_fixed_and_apart_from_training(faces: SyntheticFaces) -> None:
    (validation,) = faces.val_dataloader()
    assert len(validation.shape) == 5
    torch.testing.assert_close(validation, faces.validation_faces(), rtol=0, atol=0)
    training = faces.pooled(np.arange(5))
    assert not torch.isclose(validation.shape, training.shape).any()
    torch.testing.assert_close(validation, faces.render(range(5), purpose=VALIDATION), atol=1e-5, rtol=0)


def test_training_batches_come_without_end(faces: SyntheticFaces) -> None:
    stream = list(islice(faces.train_dataloader(), 3))
    assert [torch.equal(batch.shape, faces.batch(step).shape) for step, batch in enumerate(stream)] == [
        True
    ] * 3


def test_a_pool_is_rendered_once_and_grows(faces: SyntheticFaces, tmp_path: Path) -> None:
    asked = faces.encoder.asked
    faces.prepare_data()
    assert faces.encoder.asked == asked
    before = faces.pooled(range(12))
    larger = faces_of(faces.model, faces.encoder, tmp_path, pool_size=14)
    larger.prepare_data()
    larger.setup()
    assert faces.encoder.asked == asked + 2
    torch.testing.assert_close(larger.pooled(range(12)), before, rtol=0, atol=0)


@pytest.mark.parametrize(
    "change", [{"seed": 4}, {"ranges": SceneRanges(yaw_degrees=(0.0, 1.0))}], ids=["seed", "ranges"]
)
def test_other_settings_have_another_pool(faces: SyntheticFaces, tmp_path: Path, change: dict) -> None:
    other = faces_of(faces.model, faces.encoder, tmp_path, **change)
    other.prepare_data()
    other.setup()
    assert not torch.equal(other.pooled(range(5)).features, faces.pooled(range(5)).features)


def test_a_batch_that_cannot_be_split_is_refused(
    small_model: MorphableModel, tiny: TinyNetwork, tmp_path: Path
) -> None:
    faces = faces_of(small_model, tiny, tmp_path, pool_size=None)
    with pytest.raises(ValueError, match="batch of 6 cannot be split evenly over 4 processes"):
        faces.batch(0, world_size=4)


def test_model_and_encoder_are_brought_onto_the_trainer_s_device(
    small_model: MorphableModel, tiny: TinyNetwork, tmp_path: Path
) -> None:
    faces = faces_of(copy.deepcopy(small_model), copy.deepcopy(tiny), tmp_path, pool_size=None)
    faces.trainer = SimpleNamespace(strategy=SimpleNamespace(root_device=torch.device("meta")))
    faces.setup("fit")
    assert faces.model.shape_mean.is_meta
    assert all(buffer.is_meta for buffer in faces.encoder.buffers())


@pytest.mark.parametrize("pool_size", [12, None])
def test_what_a_worker_prepares_is_completed_to_the_step_s_batch(
    small_model: MorphableModel, tiny: TinyNetwork, tmp_path: Path, pool_size: int | None
) -> None:
    faces = faces_of(small_model, tiny, tmp_path, pool_size=pool_size)
    faces.prepare_data()
    faces.setup()
    (prepared,) = islice(faces.train_dataloader(), 1)
    assert isinstance(prepared, UnseenFaces) == (pool_size is None)
    completed = faces.on_after_batch_transfer(prepared, 0)
    torch.testing.assert_close(completed, faces.batch(0), rtol=0, atol=0)
