"""`--device`: which device a command works on."""

import os
import re
import sys

import torch

AUTO = "auto"


def chosen_device(name: str, *, say: bool = True) -> torch.device:
    """The device that an option means; says so where it is a GPU.

    Under a launcher of several processes, `cuda` is the process's own (LOCAL_RANK).

    Args:
        name: auto (a GPU where there is one), cpu, cuda, or cuda:N.
        say: whether to name a GPU on standard error.

    Raises:
        ValueError: if there is no such device here.
    """
    if not re.fullmatch(r"auto|cpu|cuda(:\d+)?", name):
        raise ValueError(f"--device {name}: expected auto, cpu, cuda or a GPU by its number, such as cuda:1")
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if name == "cpu" or (name == AUTO and not count):
        return torch.device("cpu")
    if not count:
        raise ValueError(f"--device {name}: torch finds no GPU here; give cpu or auto")
    number = name.partition(":")[2] or os.environ.get("LOCAL_RANK", "0")
    if int(number) >= count:
        raise ValueError(f"--device {name}: there are {count} GPUs here, numbered from 0")
    if say:
        print(f"device: cuda:{number}, {torch.cuda.get_device_name(int(number))}", file=sys.stderr)
    return torch.device("cuda", int(number))
