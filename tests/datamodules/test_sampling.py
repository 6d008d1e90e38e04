import numpy as np
import pytest

from datamodules.sampling import StepLoader, StepSampler, first_step_of, mixed_seed


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
