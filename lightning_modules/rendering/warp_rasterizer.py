"""Triangle ids by Warp, on a GPU or the CPU: the interface that all rasterizers have."""

from .warp_renderer import rasterize

__all__ = ["rasterize"]
