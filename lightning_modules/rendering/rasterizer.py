"""Which triangle each pixel sees: one interface, several backends, no gradient.

Everything differentiable is recomputed from the gathered vertices (`barycentrics`), so all backends share one
gradient. A further backend is a module with a `rasterize` of the same signature and a line in `BACKENDS`.
"""

import importlib
import importlib.util
import math

import numpy as np
import torch
from torch import Tensor
from torch.utils.weak import WeakTensorKeyDictionary

# Backend: the module that it needs, and how to get it.
BACKENDS = {
    "numba": ("numba", "pip install numba"),
    "warp": ("warp", "pip install warp-lang"),
    "torch": ("torch", "pip install torch"),
    "pytorch3d": ("pytorch3d", "pip install -e '.[pytorch3d]'"),
}
NEAR_MM = 1.0
# Triangles on a GPU whose ids were found in range: the tensor's version and the number of vertices.
_checked: WeakTensorKeyDictionary = WeakTensorKeyDictionary()


def rasterize(
    positions: Tensor,
    triangles: Tensor,
    size: tuple[int, int],
    *,
    near: float = NEAR_MM,
    backend: str | None = None,
) -> Tensor:
    """Id of the nearest triangle at every pixel's centre, [M, H, W] int32, -1 where there is none.

    Both sides of a triangle are visible and its edges belong to it; at equal depth the lower id wins. What
    lies nearer than `near`, or behind the camera, is cut away, also within a triangle.

    Args:
        positions: [M, V, 3] homogeneous pixels (x z, y z, z) of `camera.homogeneous_pixels`, z being the
        depth.
        triangles: [T, 3] integer vertex ids.
        size: (H, W) in pixels.
        near: depth of the near plane, in the unit of z (mm), above zero.
        backend: a name in `BACKENDS`; by default `numba` on the CPU and `warp` on any other device. `torch`
            is slow: it is there to judge the others.

    Raises:
        ValueError: for wrong shapes, vertices that are not finite, triangle ids out of range, an empty image.
        ModuleNotFoundError: if the backend is not installed.
    """
    check_size(size)
    if positions.dim() != 3 or positions.shape[-1] != 3:
        raise ValueError(f"positions must be [M, V, 3], got {list(positions.shape)}")
    check_finite("positions", positions)
    check_triangles(triangles, positions.shape[1])
    check_near(near)
    return rasterize_unchecked(positions, triangles, size, near, backend)


def rasterize_unchecked(
    positions: Tensor, triangles: Tensor, size: tuple[int, int], near: float, backend: str | None
) -> Tensor:
    """`rasterize` without the checks, for a caller who has made them."""
    name = choose_backend(positions.device) if backend is None else backend
    module = load_backend(name)
    if len(positions) == 0 or len(triangles) == 0:
        return torch.full((len(positions), *size), -1, dtype=torch.int32, device=positions.device)
    with torch.no_grad():
        return module.rasterize(positions.detach(), triangles, size, near).to(positions.device)


def choose_backend(device: torch.device) -> str:
    """Name of the backend that works where the tensors are; a GPU never waits for the CPU to rasterize."""
    return "numba" if device.type == "cpu" else "warp"


def load_backend(name: str):  # noqa: ANN201 - a module
    """The backend's module, with an error that says how to install it."""
    if name not in BACKENDS:
        raise ValueError(f"rasterizer must be one of {', '.join(BACKENDS)}, got {name!r}")
    needs, how = BACKENDS[name]
    if importlib.util.find_spec(needs) is None:
        raise ModuleNotFoundError(f"the rasterizer {name!r} needs {needs}, which is not installed: {how}")
    return importlib.import_module(f"{__package__}.{name}_rasterizer")


def check_size(size: tuple[int, int]) -> None:
    """Raise unless `size` is two positive integers."""
    if len(size) != 2 or any(int(length) != length or length < 1 for length in size):
        raise ValueError(f"size must be (height, width) in pixels, each at least 1, got {tuple(size)}")


def check_near(near: float) -> None:
    """Raise unless the near plane lies before the camera."""
    if not near > 0:
        raise ValueError(f"near must be above zero, got {near}")


def can_be_read(values: Tensor) -> bool:
    """Whether looking at values costs nothing: reading a GPU's waits until it has done all its work."""
    return values.device.type == "cpu"


def check_finite(name: str, values: Tensor) -> None:
    """Raise if a floating-point tensor holds NaN or infinity; on a GPU, see `renderer.render` instead."""
    if not values.is_floating_point():
        raise ValueError(f"{name} must be floating-point, got {values.dtype}")
    if not can_be_read(values):
        return
    if math.isfinite(_sum(values)):
        return  # a sum is quicker than asking each value, and shows any that is not finite
    count = int((~torch.isfinite(values)).sum())
    if count:
        raise ValueError(f"{name} holds {count} values that are NaN or infinite")


def _sum(values: Tensor) -> float:
    if values.dtype in (torch.float32, torch.float64):
        # NumPy starts no threads. Torch's stay busy for a while and would take the cores from our own.
        with np.errstate(all="ignore"):
            return float(values.detach().numpy().sum())
    return float(values.sum())


def check_triangles(triangles: Tensor, vertex_count: int) -> None:
    """Raise unless `triangles` is [T, 3] of vertex ids in range; a GPU's are read the first time only."""
    if triangles.dim() != 2 or triangles.shape[-1] != 3:
        raise ValueError(f"triangles must be [T, 3], got {list(triangles.shape)}")
    if triangles.is_floating_point() or triangles.dtype == torch.bool:
        raise ValueError(f"triangles must hold integer vertex ids, got {triangles.dtype}")
    # A tensor of inference mode counts no changes, and is read every time.
    state = None if triangles.is_inference() else (triangles._version, vertex_count)
    if not triangles.numel() or triangles.is_meta or (state is not None and _checked.get(triangles) == state):
        return
    ids = triangles.numpy() if triangles.device.type == "cpu" else triangles
    lowest, highest = int(ids.min()), int(ids.max())
    if lowest < 0 or highest >= vertex_count:
        raise ValueError(
            f"triangles name vertices {lowest} to {highest}, "
            f"but there are only vertices 0 to {vertex_count - 1}"
        )
    if not can_be_read(triangles) and state is not None:
        _checked[triangles] = state
