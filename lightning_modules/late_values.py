"""Values of a GPU that the host reads later, when it need not wait for them."""

from torch import Tensor, cuda, empty


class LateValues:
    """A few numbers on their way from a device to the host.

    Reading a tensor of a GPU waits until all work that was given to it is done. These are copied where the
    GPU gets to, and reading them waits for that place alone: a step later it has been passed.

    Args:
        values: of one dimension, on any device.
    """

    def __init__(self, values: Tensor) -> None:
        self._values, self._arrived = values.detach(), None
        if values.device.type == "cuda":
            pinned = empty(values.shape, dtype=values.dtype, pin_memory=True)
            self._values = pinned.copy_(self._values, non_blocking=True)
            self._arrived = cuda.Event()
            self._arrived.record(cuda.current_stream(values.device))

    def read(self) -> list[float]:
        """The numbers."""
        if self._arrived is not None:
            self._arrived.synchronize()
        return self._values.tolist()
