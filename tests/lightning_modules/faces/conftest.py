"""Miniature morphable models: an egg with a nose, on a grid whose density the test chooses."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from lightning_modules.faces.landmarks.ibug import Landmarks, landmarks_on_vertices
from lightning_modules.faces.morphable_model import ModelSource, MorphableModel, PrincipalComponents


def egg_with_a_nose(rows: int, columns: int) -> tuple[Tensor, Tensor]:
    """Vertices [rows * columns, 3] in mm and triangles of a head's front, x left, y up, z forward."""
    elevation, azimuth = torch.meshgrid(
        torch.linspace(-1.2, 1.2, rows), torch.linspace(-1.4, 1.4, columns), indexing="ij"
    )
    nose = 25 * torch.exp(-((elevation + 0.1) ** 2) / 0.02 - azimuth**2 / 0.02)
    chin = 8 * torch.exp(-((elevation + 0.9) ** 2) / 0.02 - azimuth**2 / 0.05)
    x = 75 * elevation.cos() * azimuth.sin()
    y = 110 * elevation.sin()
    z = 90 * elevation.cos() * azimuth.cos() + nose + chin
    first = (torch.arange(rows - 1)[:, None] * columns + torch.arange(columns - 1)).flatten()
    lower = torch.stack([first, first + 1, first + columns + 1], 1)
    upper = torch.stack([first, first + columns + 1, first + columns], 1)
    return torch.stack([x, y, z], -1).reshape(-1, 3), torch.cat([lower, upper])


def random_components(
    mean: Tensor, count: int, deviation: float, seed: int, decay: float
) -> PrincipalComponents:
    """Orthonormal components whose variances fall by `decay`, the first of the given standard deviation."""
    generator = torch.Generator().manual_seed(seed)
    basis = torch.linalg.qr(torch.randn(len(mean), count, generator=generator))[0].contiguous()
    variance = deviation**2 * decay ** torch.arange(count).float()
    return PrincipalComponents(mean, basis, variance, float(variance.double().sum()))


@pytest.fixture
def make_model() -> Callable[..., MorphableModel]:
    """Makes a miniature; `landmarks` as the model takes them, None puts all but the nose tip anywhere."""

    def make(
        *,
        rows: int = 24,
        columns: int = 21,
        components: tuple[int, int, int] = (6, 5, 4),
        landmarks: Landmarks | str | None = None,
        kind: str = "open",
        seed: int = 0,
        decay: float = 0.8,
    ) -> MorphableModel:
        vertices, triangles = egg_with_a_nose(rows, columns)
        if landmarks is None:
            chosen = torch.randperm(len(vertices), generator=torch.Generator().manual_seed(seed))[:68]
            chosen[30] = vertices[:, 2].argmax()  # the nose tip
            landmarks = landmarks_on_vertices(chosen, "marked")
        colours = torch.full_like(vertices, 0.5).flatten()
        displacement = torch.zeros(vertices.numel())
        return MorphableModel(
            shape=random_components(vertices.flatten(), components[0], 60.0, seed + 1, decay),
            albedo=random_components(colours, components[1], 2.0, seed + 2, decay),
            expression=random_components(displacement, components[2], 30.0, seed + 3, decay),
            triangles=triangles,
            landmarks=landmarks,
            provenance=ModelSource(kind, "miniature", "", "made by a test"),
        )

    return make
