"""The global batch of all processes, differentiable."""

from inspect import signature
from typing import Any

import torch
from lightning.pytorch.utilities import rank_zero_only
from torch import Tensor, distributed
from torch.autograd.function import once_differentiable
from torch.nn.parallel import DistributedDataParallel


def is_first_process() -> bool:
    """Whether this process is the one that writes and tells, before and after processes know each other."""
    return rank_zero_only.rank == 0  # type: ignore[attr-defined]  # Lightning keeps it at the function


def is_distributed() -> bool:
    """Whether this process is one of several."""
    return distributed.is_available() and distributed.is_initialized() and distributed.get_world_size() > 1


def buffers_stay() -> dict[str, Any]:
    """The option by which DistributedDataParallel does not send buffers round in every step.

    They are frozen networks and the morphable model, alike in all processes. PyTorch 2.15 renamed it.
    """
    options = signature(DistributedDataParallel).parameters
    return {"forward_sync_buffers" if "forward_sync_buffers" in options else "broadcast_buffers": False}


def global_batch(local: Tensor) -> Tensor:
    """The batch of all processes [sum of B, ...] from each one's share [B, ...], equal in length.

    For losses that all processes compute alike on the result. Each then knows their gradient by its own share
    without a message, and multiplies it by the number of processes, so that the mean over processes that DDP
    takes is exactly what one process would have. Statistics of the local share alone are 42 to 52 % off, and
    a gather without gradients divides them by that number.
    """
    return _Gathered.apply(local) if is_distributed() else local


class _Gathered(torch.autograd.Function):
    """`global_batch` of more than one process."""

    @staticmethod
    def forward(ctx: Any, local: Tensor) -> Tensor:  # noqa: ANN401, torch has no type
        shares = [torch.empty_like(local) for _ in range(distributed.get_world_size())]
        distributed.all_gather(shares, local.contiguous())
        ctx.count = len(local)
        return torch.cat(shares)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> Tensor:  # noqa: ANN401, torch has no type
        own = gradient[distributed.get_rank() * ctx.count :][: ctx.count]
        return distributed.get_world_size() * own


def mean_over_processes(local: Tensor) -> Tensor:
    """The mean of all processes' values, without a gradient: what is logged, in one message.

    Lightning's own, `sync_dist`, lets the processes meet twice for each value.
    """
    values = local.detach().clone()
    if is_distributed():
        distributed.all_reduce(values)
        values /= distributed.get_world_size()
    return values
