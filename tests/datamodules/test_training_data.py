from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from datamodules.photographs import Photographs
from datamodules.synthetic_faces import SyntheticFaces, UnseenFaces
from datamodules.training_data import TrainingData
from lightning_modules.faces.morphable_model import MorphableModel

from .conftest import TinyNetwork, write_photograph


@pytest.fixture
def build(tmp_path: Path, tiny: TinyNetwork, small_model: MorphableModel, stub_detector: list[int]) -> object:
    """Builds training data of 24 photographs and 16 synthetic faces."""
    for index in range(24):
        write_photograph(tmp_path / "photographs" / f"{index:02}.png", index)
    judge = TinyNetwork()
    judge.name = "judge"

    def build(*, synthetic: bool = True, rendered: int = 2, batch_size: int = 8) -> TrainingData:
        options = {"cache_folder": tmp_path / "cache", "progress": False}
        photographs = Photographs(
            tmp_path / "photographs", [tiny], judge=judge, batch_size=batch_size, validation_fraction=0.2,
            workers=0, **options,
        )  # fmt: skip
        faces = SyntheticFaces(small_model, tiny, batch_size=4, pool_size=16, validation_size=2, **options)
        data = TrainingData(photographs, faces if synthetic else None, rendered=rendered)
        data.prepare_data()
        data.setup()
        return data

    return build


def test_a_step_mixes_photographs_and_synthetic_faces(build: object, tiny: TinyNetwork) -> None:
    batch = build().batch(5)
    assert (batch.step, batch.size, batch.first) == (5, 8, 0)
    assert len(batch.photographs.index) == 8
    assert batch.photographs.features["tiny"].shape == (8, tiny.feature_width)
    assert batch.synthetic.features.shape == (4, tiny.feature_width)
    assert len(batch.synthetic.shape) == len(batch.synthetic.albedo) == 4


def test_two_processes_share_the_step_of_one(build: object) -> None:
    data = build()
    whole, shares = data.batch(7), [data.batch(7, rank=rank, world_size=2) for rank in range(2)]
    assert [share.first for share in shares] == [0, 4]
    assert {share.size for share in shares} == {8}
    index = torch.cat([share.photographs.index for share in shares])
    torch.testing.assert_close(index, whole.photographs.index)
    for name in ("shape", "albedo", "features"):
        together = torch.cat([getattr(share.synthetic, name) for share in shares])
        torch.testing.assert_close(together, getattr(whole.synthetic, name))


def test_without_the_parameter_loss_no_synthetic_face_is_rendered(build: object, tmp_path: Path) -> None:
    assert build(synthetic=False).batch(0).synthetic is None
    assert not (tmp_path / "cache" / "synthetic-faces").exists()


def test_a_loader_begins_where_the_trainer_stands(build: object) -> None:
    data = build()
    data.trainer = SimpleNamespace(
        global_rank=1, world_size=2, global_step=3, accumulate_grad_batches=1,
        strategy=SimpleNamespace(root_device=torch.device("cpu")),
    )  # fmt: skip
    batches = iter(data.train_dataloader())
    for step in (3, 4):
        batch, expected = next(batches), data.batch(step, rank=1, world_size=2)
        assert batch.step == step
        torch.testing.assert_close(batch.photographs.index, expected.photographs.index)


def test_only_held_back_photographs_are_validated_with_the_judge(build: object) -> None:
    data = build()
    (batch,) = data.val_dataloader()
    assert set(batch.embeddings) == {"tiny", "judge"}
    training = data.photographs.dataset.faces.digest[data.photographs.training]
    validated = data.photographs.judged_validation.faces.digest
    assert len(validated) == len(batch.index) == 8
    assert not np.isin(validated, training).any()


def test_validation_leaves_the_random_state_as_it_is(build: object) -> None:
    data = build()
    before = torch.get_rng_state()
    for loader in (data.val_dataloader(), data.synthetic.val_dataloader()):
        assert len(list(loader)) == 1
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize(("rendered", "processes"), [(3, 1), (2, 4), (1, 2)])
def test_photographs_that_cannot_be_spread_evenly_are_refused(
    build: object, rendered: int, processes: int
) -> None:
    data = build(rendered=rendered)
    data.trainer = SimpleNamespace(global_rank=0, world_size=processes)
    with pytest.raises(
        ValueError, match=rf"{rendered} rendered photographs of 8 .* over {processes} processes; take"
    ):
        data.train_dataloader()


def test_nothing_of_the_data_is_kept_in_a_checkpoint(build: object) -> None:
    assert build().state_dict() == {}


def test_a_batch_brings_the_scenes_that_are_asked_for(build: object) -> None:
    data = build()
    asked: list[tuple[int, int, int, int]] = []
    data.scenes = lambda *place: asked.append(place)
    data.batch(5, rank=1, world_size=2)
    assert asked == [(5, 8, 4, 4)]
    (faces,) = data.val_dataloader()
    assert data.on_after_batch_transfer(faces, 0) is faces


def test_synthetic_faces_of_no_pool_are_rendered_where_the_step_is(build: object) -> None:
    data = build()
    data.synthetic.pool_size = None
    prepared = data.prepared(3)
    assert isinstance(prepared.synthetic, UnseenFaces)
    rendered = data.on_after_batch_transfer(prepared, 0).synthetic
    torch.testing.assert_close(rendered, data.batch(3).synthetic, rtol=0, atol=0)
    assert rendered.features.shape[0] == 4
