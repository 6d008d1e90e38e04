"""The order of the training data: a pure function of seed and step."""

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from functools import lru_cache
from itertools import count
from typing import Any, Generic, TypeVar

import numpy as np
import torch
from lightning import Trainer
from lightning_utilities.core.apply_func import apply_to_collection
from torch import Tensor

from lightning_modules.rendering.scenes import DrawnScenes

Batch = TypeVar("Batch")
STEPS_AHEAD = 2  # that a worker prepares while a GPU works


class StepSampler:
    """Which samples each step trains on.

    Every epoch is a permutation drawn from (seed, epoch), cut into global batches; the last, partial one is
    dropped. Each rank takes its slice of the global batch, so that a step sees the same samples on any number
    of processes, and a run that is resumed at a step sees what it would have seen.

    Args:
        size: number of samples.
        batch_size: over all ranks.
        seed: of the permutations.
        rank: of this process.
        world_size: number of processes.
    """

    def __init__(
        self, size: int, batch_size: int, *, seed: int = 0, rank: int = 0, world_size: int = 1
    ) -> None:
        if batch_size % world_size:
            raise ValueError(f"the batch of {batch_size} cannot be split evenly over {world_size} processes")
        if not 0 < batch_size <= size:
            raise ValueError(
                f"a batch of {batch_size} needs as many samples, there are {size}; make it smaller"
            )
        self.size, self.batch_size, self.seed = size, batch_size, seed
        self.rank, self.world_size = rank, world_size
        self.steps_per_epoch = size // batch_size
        self._epoch, self._permutation = -1, np.empty(0, np.int64)

    def indices(self, step: int) -> np.ndarray:
        """The samples of this rank at a step, counted from 0 over all epochs."""
        epoch, batch = divmod(step, self.steps_per_epoch)
        if epoch != self._epoch:
            generator = torch.Generator().manual_seed(mixed_seed(self.seed, epoch))
            self._epoch, self._permutation = epoch, torch.randperm(self.size, generator=generator).numpy()
        share = self.batch_size // self.world_size
        start = batch * self.batch_size + self.rank * share
        return self._permutation[start : start + share]


@lru_cache(maxsize=8)
def step_sampler(size: int, batch_size: int, *, seed: int, rank: int, world_size: int) -> StepSampler:
    """The sampler of these settings, kept so that an epoch's permutation is drawn once."""
    return StepSampler(size, batch_size, seed=seed, rank=rank, world_size=world_size)


class StepLoader(Generic[Batch]):
    """An endless loader for Lightning that begins at the step at which the run stands.

    Args:
        batch: step, counted from 0 over all epochs -> batch.
        first_step: asked whenever an iteration begins, see first_step_of.
        ahead: how many batches a thread prepares before they are asked for; 0 makes each when it is.
        device: of the batches' later use, whose process-wide state the thread shares; the CPU's if None.
    """

    def __init__(
        self,
        batch: Callable[[int], Batch],
        first_step: Callable[[], int],
        *,
        ahead: int = 0,
        device: torch.device | None = None,
    ) -> None:
        self.batch, self.first_step, self.ahead, self.device = batch, first_step, ahead, device

    def __iter__(self) -> Iterator[Batch]:
        steps = map(self.batch, count(self.first_step()))
        return self._prepared(steps) if self.ahead else steps

    def _prepared(self, batches: Iterator[Batch]) -> Iterator[Batch]:
        on_gpu = self.device is not None and self.device.type == "cuda"
        # Without it, the thread would open the first GPU, whichever is this process's.
        own_gpu = (torch.cuda.set_device, (self.device,)) if on_gpu else (None, ())
        pool = ThreadPoolExecutor(1, "batches", *own_gpu)

        def make() -> Batch:
            return pinned(next(batches)) if on_gpu else next(batches)

        try:
            coming: deque[Future[Batch]] = deque(pool.submit(make) for _ in range(self.ahead))
            while True:
                coming.append(pool.submit(make))
                yield coming.popleft().result()
        finally:
            pool.shutdown(cancel_futures=True)

    def state_dict(self) -> dict[str, Any]:
        """Nothing: the order follows from the trainer's step. Tells Lightning that the loader can resume."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Nothing to load."""


def pinned(batch: Batch) -> Batch:
    """A batch in memory from which a GPU fetches by itself, so that nothing waits for the copy."""
    return apply_to_collection(batch, (Tensor, DrawnScenes), lambda part: part.pin_memory())


def loader_of(batch: Callable[..., Batch], trainer: Trainer | None) -> StepLoader[Batch]:
    """Batches without end, from the step at which the trainer stands; each process takes its share.

    Args:
        batch: step, rank=, world_size= -> batch.
        trainer: None loads as one process on the CPU does.
    """
    if trainer is None:
        return StepLoader(batch, lambda: 0)
    rank, world_size, device = trainer.global_rank, trainer.world_size, trainer.strategy.root_device
    return StepLoader(
        lambda step: batch(step, rank=rank, world_size=world_size),
        lambda: first_step_of(trainer),
        # On the CPU a thread would only take a core from the step.
        ahead=0 if device.type == "cpu" else STEPS_AHEAD,
        device=device,
    )


def first_step_of(trainer: Trainer | None) -> int:
    """How many batches a run has trained on: 0 without a trainer."""
    return 0 if trainer is None else trainer.global_step * trainer.accumulate_grad_batches


def mixed_seed(*parts: int) -> int:
    """One seed of 63 bits from several numbers, such as (seed, step, sample)."""
    state = np.random.SeedSequence([part & 0xFFFFFFFFFFFFFFFF for part in parts]).generate_state(2, np.uint32)
    return (int(state[0]) << 31) ^ int(state[1])
