import time
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from datamodules.sampling import (
    STEPS_AHEAD,
    StepLoader,
    StepSampler,
    first_step_of,
    loader_of,
    mixed_seed,
    pinned,
)
from lightning_modules.rendering.scenes import DrawnScenes, random_scenes, scene_generators


def test_an_epoch_takes_every_sample_at_most_once_and_drops_the_partial_batch() -> None:
    sampler = StepSampler(23, 5)
    assert sampler.steps_per_epoch == 4
    epoch = np.concatenate([sampler.indices(step) for step in range(4)])
    assert len(set(epoch.tolist())) == 20
    assert set(epoch.tolist()) <= set(range(23))


def test_the_order_is_a_function_of_seed_and_step_alone() -> None:
    forwards, backwards = StepSampler(23, 5, seed=3), StepSampler(23, 5, seed=3)
    expected = [forwards.indices(step).tolist() for step in range(12)]
    assert [backwards.indices(step).tolist() for step in reversed(range(12))][::-1] == expected
    assert [StepSampler(23, 5, seed=4).indices(step).tolist() for step in range(12)] != expected


def test_epochs_differ() -> None:
    sampler = StepSampler(20, 20)
    assert sampler.indices(0).tolist() != sampler.indices(1).tolist()


@pytest.mark.parametrize("world_size", [2, 3, 6])
def test_ranks_together_take_what_one_process_takes(world_size: int) -> None:
    one = StepSampler(40, 12, seed=1)
    ranks = [StepSampler(40, 12, seed=1, rank=rank, world_size=world_size) for rank in range(world_size)]
    for step in range(7):
        joined = np.concatenate([rank.indices(step) for rank in ranks])
        np.testing.assert_array_equal(joined, one.indices(step))


def test_a_loader_begins_where_the_run_stands() -> None:
    stream = iter(StepLoader(lambda step: f"batch {step}", lambda: 7))
    assert [next(stream), next(stream)] == ["batch 7", "batch 8"]
    assert first_step_of(None) == 0


def test_batches_that_cannot_be_cut_are_refused() -> None:
    with pytest.raises(ValueError, match="batch of 5 cannot be split evenly over 2 processes"):
        StepSampler(23, 5, world_size=2)
    with pytest.raises(ValueError, match="a batch of 5 needs as many samples, there are 4; make it smaller"):
        StepSampler(4, 5)
    with pytest.raises(ValueError, match="a batch of 0"):
        StepSampler(4, 0)


def test_seeds_of_neighbouring_steps_and_samples_differ() -> None:
    seeds = {
        mixed_seed(seed, step, sample) for seed in range(5) for step in range(20) for sample in range(20)
    }
    assert len(seeds) == 2000
    assert all(0 <= seed < 2**63 for seed in seeds)


def test_a_loader_that_works_ahead_gives_the_same_batches_in_order() -> None:
    made: list[int] = []

    def batch(step: int) -> torch.Tensor:
        made.append(step)
        return torch.full((2,), float(step))

    stream = iter(StepLoader(batch, lambda: 7, ahead=2))
    assert [float(next(stream)[0]) for _ in range(3)] == [7, 8, 9]
    until = time.monotonic() + 60
    while len(made) < 4 and time.monotonic() < until:  # the thread works on, unasked
        time.sleep(0.01)
    stream.close()
    assert made == list(range(7, 7 + len(made)))
    assert 4 <= len(made) <= 6  # three that were asked for, and at most so many before they are


def test_what_fails_in_a_batch_that_is_made_ahead_reaches_who_asks_for_it() -> None:
    def batch(step: int) -> int:
        if step == 2:
            raise ValueError("step 2 cannot be read")
        return step

    stream = iter(StepLoader(batch, lambda: 0, ahead=2))
    assert [next(stream), next(stream)] == [0, 1]
    with pytest.raises(ValueError, match="step 2 cannot be read"):
        next(stream)


@pytest.mark.parametrize(("device", "ahead"), [("cpu", 0), ("cuda:3", STEPS_AHEAD)])
def test_a_gpu_s_batches_are_made_ahead_by_a_thread(device: str, ahead: int) -> None:
    trainer = SimpleNamespace(
        global_rank=1, world_size=2, global_step=4, accumulate_grad_batches=1,
        strategy=SimpleNamespace(root_device=torch.device(device)),
    )  # fmt: skip
    loader = loader_of(lambda step, *, rank, world_size: (step, rank, world_size), trainer)
    assert (loader.ahead, loader.device) == (ahead, torch.device(device))
    assert loader.batch(9) == (9, 1, 2)
    assert loader.first_step() == 4


def test_all_parts_of_a_batch_are_pinned(monkeypatch: pytest.MonkeyPatch) -> None:
    pins: list[object] = []
    monkeypatch.setattr(torch.Tensor, "pin_memory", lambda part: pins.append(part) or part)
    scenes = DrawnScenes(random_scenes(scene_generators(0, 0, [0]), 1), torch.rand(1, 1, 3, 6, 6))
    batch = {"step": 3, "features": {"small": torch.rand(2)}, "scenes": scenes}
    assert pinned(batch)["step"] == 3
    assert len(pins) == 1 + 10
