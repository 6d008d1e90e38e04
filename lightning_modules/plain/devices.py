"""`--device` and `--devices`: which device a command works on, and on how many."""

import os
import re
import sys
from collections.abc import Sequence

import torch

AUTO = "auto"


def chosen_device(name: str, *, numbers: Sequence[int] | None = None, say: bool = True) -> torch.device:
    """The device that an option means; says so where it is a GPU.

    Under a launcher of several processes, `cuda` is the process's own, see `local_rank`.

    Args:
        name: auto (a GPU where there is one), cpu, cuda, or cuda:N.
        numbers: of the GPUs that this machine's processes take, one each; all in order if not given.
        say: whether to name a GPU on standard error.

    Raises:
        ValueError: if there is no such device here.
    """
    if not re.fullmatch(r"auto|cpu|cuda(:\d+)?", name):
        raise ValueError(f"--device {name}: expected auto, cpu, cuda or a GPU by its number, such as cuda:1")
    count = _gpus()
    if name == "cpu" or (name == AUTO and not count):
        return torch.device("cpu")
    if not count:
        raise ValueError(f"--device {name}: torch finds no GPU here; give cpu or auto")
    rank = local_rank()
    if numbers is not None and rank >= len(numbers):
        raise ValueError(
            f"--devices means {len(numbers)} of this machine, but its process {rank} was started; start as "
            "many processes as devices"
        )
    number = name.partition(":")[2] or str(rank if numbers is None else numbers[rank])
    if int(number) >= count:
        raise ValueError(f"--device {name}: there are {count} GPUs here, numbered from 0")
    if say:
        print(f"device: cuda:{number}, {torch.cuda.get_device_name(int(number))}", file=sys.stderr)
    return torch.device("cuda", int(number))


def _gpus() -> int:
    return torch.cuda.device_count() if torch.cuda.is_available() else 0


def local_rank() -> int:
    """Which of this machine's processes this is, as torchrun, Lightning or SLURM numbers them; 0 alone."""
    return int(os.environ.get("LOCAL_RANK") or os.environ.get("SLURM_LOCALID") or 0)


def device_numbers(name: str, devices: int | str) -> list[int]:
    """The numbers of this machine's devices that a run takes, one a process.

    Args:
        name: as `chosen_device` takes it.
        devices: auto (all GPUs; one process on the CPU), how many, or GPUs' numbers such as 0,1.

    Raises:
        ValueError: if they are not here, one is named twice, or numbers are given without GPUs.
    """
    text = str(devices)
    if not re.fullmatch(r"auto|[1-9]\d*|\d+(,\d+)+,?|\d+,", text):
        raise ValueError(f"--devices {text}: expected auto, how many, or GPUs by their numbers such as 0,1")
    count = 0 if name == "cpu" else _gpus()
    if "," in text:
        numbers = [int(number) for number in text.split(",") if number]
        if not count:
            raise ValueError(f"--devices {text} names GPUs, but the run is on the CPU; give their number")
    else:
        numbers = list(range(max(count, 1) if text == AUTO else int(text)))
    if count and max(numbers) >= count:
        raise ValueError(f"--devices {text}: there are {count} GPUs here, numbered from 0")
    if len(set(numbers)) < len(numbers):
        raise ValueError(f"--devices {text} names a GPU twice; give each one process")
    return numbers
