"""Meshes and scenes that the tests of the renderer share."""

import math
from collections.abc import Callable
from typing import NamedTuple

import pytest
import torch
from torch import Tensor

from lightning_modules.rendering.camera import Cameras, image_centre, look_at
from lightning_modules.rendering.shading import Lights


class Mesh(NamedTuple):
    vertices: Tensor  # [V, 3] mm, float64
    triangles: Tensor  # [T, 3]
    normals: Tensor  # [V, 3]
    albedo: Tensor  # [V, 3] sRGB, away from the ends of its range


@pytest.fixture(scope="session")
def bumpy_head() -> Callable[[int], Mesh]:
    """A closed, bumpy ellipsoid of a head's size with about 2 rows^2 vertices."""

    def make(rows: int) -> Mesh:
        columns = 2 * rows
        polar = torch.linspace(0.02, math.pi - 0.02, rows, dtype=torch.float64)[:, None]
        azimuth = torch.arange(columns, dtype=torch.float64)[None] * (2 * math.pi / columns)
        directions = torch.stack(
            [polar.sin() * azimuth.sin(), polar.cos() + 0 * azimuth, polar.sin() * azimuth.cos()], dim=-1
        )
        bumps = 1 + 0.03 * (9 * polar).sin() * (7 * azimuth).cos()
        vertices = (directions * bumps[..., None]).flatten(0, 1) * directions.new_tensor([80.0, 115.0, 95.0])
        row, column = torch.arange(rows - 1)[:, None], torch.arange(columns)[None]
        corner = row * columns + column
        right = row * columns + (column + 1) % columns
        triangles = torch.cat(
            [
                torch.stack([corner, corner + columns, right], dim=-1).flatten(0, 1),
                torch.stack([right, corner + columns, right + columns], dim=-1).flatten(0, 1),
            ]
        )
        a, b, c = vertices[triangles].unbind(dim=1)
        across = torch.linalg.cross(b - a, c - a)
        normals = torch.zeros_like(vertices)
        for corner_index in range(3):
            normals.index_add_(0, triangles[:, corner_index], across)
        normals = torch.nn.functional.normalize(normals, dim=-1)
        albedo = 0.5 + 0.2 * (vertices / 30).sin()
        return Mesh(vertices, triangles, normals, albedo)

    return make


def three_views(batch: int, size: tuple[int, int], dtype: torch.dtype) -> tuple[Cameras, Lights]:
    """A frontal and two turned views with two lights that differ from view to view."""
    eyes = torch.tensor([[0.0, 0, 900], [400, 200, 800], [-500, -100, 700]], dtype=dtype)
    rotations, translations = look_at(eyes, eyes.new_zeros(3), eyes.new_tensor([0.0, 1, 0]))
    focal_lengths = 0.5 * min(size) * translations[:, 2] / 130
    cameras = Cameras(rotations, translations, focal_lengths, image_centre(size, like=eyes).expand(3, 2))
    generator = torch.Generator().manual_seed(1)
    uniform = torch.rand(3, 2, 7, generator=generator).to(dtype)
    lights = Lights(
        positions=(uniform[..., :3] - 0.5) * 2000 + eyes[:, None] * 2,
        colours=0.5 + 0.5 * uniform[..., 3:6],
        intensities=0.2 + 0.3 * uniform[..., 6],
        ambient=torch.full((3, 3), 0.15, dtype=dtype),
    )
    return (
        Cameras(*(part.expand(batch, *part.shape).clone() for part in cameras)),
        Lights(*(None if part is None else part.expand(batch, *part.shape).clone() for part in lights)),
    )


@pytest.fixture
def views() -> Callable[[int, tuple[int, int], torch.dtype], tuple[Cameras, Lights]]:
    return three_views
