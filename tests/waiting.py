"""Device "meta" for steps that must neither wait for a GPU nor mix devices.

On "meta" there are shapes and no values: whatever reads one raises, as does an operation on two devices. What
it lets pass is looked for here: copies from the host, which make it wait unless its memory is pinned, tensors
made of Python numbers, which are such copies, and indexing by a tensor of the host.
"""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

META = torch.device("meta")
FROM_NUMBERS = {torch.tensor, torch.as_tensor, torch.from_numpy, torch.asarray, Tensor.new_tensor}


class Waits(AssertionError):
    """A step made the host wait, or would on a GPU."""


class NothingFromTheHost(TorchDispatchMode):
    """Refuses operations in which a tensor of the host and one of a device meet.

    Single numbers may, and copies that are asked not to wait: a batch's, whose memory its loader pins.
    """

    def __torch_dispatch__(
        self, function: Callable, types: object, args: tuple = (), kwargs: dict | None = None
    ) -> object:
        """An operation."""
        result = function(*args, **(kwargs or {}))
        tensors = [leaf for leaf in tree_leaves((args, kwargs, result)) if isinstance(leaf, Tensor)]
        on_host = [tensor for tensor in tensors if tensor.device.type == "cpu"]
        copied = str(function).startswith(("aten._to_copy", "aten.copy_"))
        waits = not (copied and (kwargs or {}).get("non_blocking"))
        if waits and any(tensor.ndim or copied for tensor in on_host) and len(on_host) < len(tensors):
            raise Waits(f"{function} takes a tensor of the host: {[list(t.shape) for t in on_host]}")
        return result


class NothingFromNumbers(TorchFunctionMode):
    """Refuses tensors that are made of Python's numbers, since a device would get them by a copy."""

    def __torch_function__(
        self, function: Callable, types: object, args: tuple = (), kwargs: dict | None = None
    ) -> object:
        """A function of torch's."""
        if function in FROM_NUMBERS:
            raise Waits(f"{function.__name__} copies numbers of the host")
        return function(*args, **(kwargs or {}))


class NeverWaits:
    """A context in which work on "meta" raises wherever it would make the host wait for a GPU."""

    def __enter__(self) -> None:
        self._modes = (NothingFromTheHost(), NothingFromNumbers())
        for mode in self._modes:
            mode.__enter__()

    def __exit__(self, *error: object) -> None:
        if not hasattr(self, "_modes"):
            return
        for mode in reversed(self._modes):
            mode.__exit__(*error)


def on_meta(value: object) -> object:
    """Tensors in named tuples and dictionaries, and whatever can be moved, on "meta"."""
    if hasattr(value, "to"):
        return value.to(META)
    if isinstance(value, dict):
        return {name: on_meta(part) for name, part in value.items()}
    if isinstance(value, tuple):
        return type(value)(*map(on_meta, value))
    return value
