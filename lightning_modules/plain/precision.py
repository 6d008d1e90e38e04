"""Parts of a step that keep their own precision, and constants that every device has once."""

from contextlib import AbstractContextManager, nullcontext
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor


def without_autocast(device: torch.device) -> AbstractContextManager:
    """A context in which no operation on this device is rounded to 16 bits, whatever a trainer asked for."""
    if not torch.amp.is_autocast_available(device.type):
        return nullcontext()
    return torch.autocast(device.type, enabled=False)


def at_least_float32(values: Tensor) -> Tensor:
    """Values in float32 where they have fewer digits, as they are elsewhere."""
    return values.to(torch.promote_types(values.dtype, torch.float32))


def constant(values: np.ndarray, device: torch.device) -> Tensor:
    """An array of constants as a tensor on a device, to which it is copied once.

    A copy from the CPU's usual memory makes the host wait until the device has done all its work, so that a
    training step must not copy. The tensor is shared: do not change it in place.
    """
    return _constant(values.tobytes(), values.shape, values.dtype.str, device)


@lru_cache(maxsize=256)
def _constant(content: bytes, shape: tuple[int, ...], kind: str, device: torch.device) -> Tensor:
    # Outside of inference mode, whose tensors could not be trained through later.
    with torch.inference_mode(False):
        values = np.frombuffer(content, np.dtype(kind)).reshape(shape)
        return torch.from_numpy(values.copy()).to(device)
