"""Miniatures that several tests share: a coarse face-like model and a network that sees little."""

from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from datamodules.alignment.detection import Detection
from lightning_modules.expected_shape import ExpectedShape, new_shape_regressor
from lightning_modules.faces.landmarks.ibug import landmarks_on_vertices
from lightning_modules.faces.morphable_model import ModelSource, MorphableModel, PrincipalComponents
from lightning_modules.recognition.frame import Crop
from lightning_modules.recognition.network import RecognitionNetwork
from lightning_modules.rendering.scenes import DrawnScenes

GRID = 17
HALF_WIDTH, HALF_HEIGHT, DEPTH = 75.0, 95.0, 70.0  # mm


def small_model(
    shape_count: int = 4, albedo_count: int = 3, seed: int = 0, *, skin: bool = False
) -> MorphableModel:
    """A bowl of 17 x 17 vertices with the five points about where a face has them, origin at the nose tip.

    Shape components are smooth random displacements; the first albedo component is brightness. It is grey, or
    with `skin` of a colour, and varies so little, that its first albedo component is skin tone.
    """
    generator = torch.Generator().manual_seed(seed)
    y, x = torch.meshgrid(torch.linspace(1, -1, GRID), torch.linspace(-1, 1, GRID), indexing="ij")
    z = -DEPTH * (x.square() + y.square()) / 2
    mean = torch.stack([HALF_WIDTH * x, HALF_HEIGHT * y, z], -1).flatten()
    row, column = torch.meshgrid(torch.arange(GRID - 1), torch.arange(GRID - 1), indexing="ij")
    corner = (row * GRID + column).flatten()
    lower, right = corner + GRID, corner + 1
    triangles = torch.cat([torch.stack([corner, lower, right], 1), torch.stack([right, lower, lower + 1], 1)])

    def smooth(count: int) -> Tensor:
        fields = torch.randn(count, 3, 4, 4, generator=generator)
        fields = torch.nn.functional.interpolate(fields, (GRID, GRID), mode="bilinear", align_corners=True)
        return fields.permute(2, 3, 1, 0).reshape(-1, count)

    displacements = torch.linalg.qr(smooth(shape_count)).Q
    brightness = torch.ones(len(mean), 1)
    colours = torch.linalg.qr(torch.cat([brightness, smooth(albedo_count)[:, 1:]], 1)).Q
    colours = colours * colours[0].sign()  # brighter is positive
    shape_variance = 60.0**2 / torch.arange(1, shape_count + 1)
    albedo_variance = (2.5 if skin else 4.0) ** 2 / torch.arange(1, albedo_count + 1)
    colour = torch.tensor([0.68, 0.52, 0.42] if skin else [0.55, 0.55, 0.55])
    return MorphableModel(
        shape=PrincipalComponents(mean, displacements, shape_variance, float(shape_variance.sum())),
        albedo=PrincipalComponents(
            colour.repeat(GRID**2), colours, albedo_variance, float(albedo_variance.sum())
        ),
        expression=None,
        triangles=triangles,
        landmarks=landmarks_on_vertices(_landmark_vertices(), "marked"),
        provenance=ModelSource("open", "miniature", f"{seed:02d}" * 32),
    )


def _landmark_vertices() -> Tensor:
    """68 vertices; only those that make the five points are where a face has them."""
    ids = torch.zeros(68, dtype=torch.long)
    middle = GRID // 2
    places = {range(36, 42): (-3, -3), range(42, 48): (3, -3), range(30, 31): (0, 0)}
    places |= {range(48, 49): (-2, 4), range(54, 55): (2, 4)}
    for landmarks, (x, y) in places.items():
        ids[list(landmarks)] = (middle + y) * GRID + middle + x
    return ids


class SmallNetwork(RecognitionNetwork):
    """A frozen random convolution on 24 pixels; smooth, quick, and sees shape and colour."""

    name = "small"
    crop = Crop(24, 23.5, 23.5, 199.5, 199.5)
    feature_width = 20
    embedding_width = 8

    def __init__(self, seed: int = 0) -> None:
        super().__init__(f"{seed:02d}" * 32)
        generator = torch.Generator().manual_seed(seed)
        self.register_buffer("filters", torch.randn(20, 3, 6, 6, generator=generator) / 6, persistent=False)
        self.register_buffer("projection", torch.randn(20, 8, generator=generator), persistent=False)

    def describe(self, images: Tensor) -> tuple[Tensor, Tensor]:
        features = torch.tanh(torch.nn.functional.conv2d(images - 0.5, self.filters, stride=3))
        features = features.mean((2, 3))
        return features, features @ self.projection


class NetworkWithHalves(SmallNetwork):
    """One whose map says how bright the left and the right half of its crop are."""

    map_width = 2

    def feature_map(self, images: Tensor) -> Tensor:
        """Left, right."""
        return torch.nn.functional.adaptive_avg_pool2d(images.mean(1), (1, 2)).flatten(1)


class SmallMesh:
    """A landmark detector: sees 68 points that differ with the picture, and none in dark ones."""

    name = "small"
    sha256 = "04" * 32

    def __call__(self, image: np.ndarray, face: Detection) -> np.ndarray | None:
        if image.mean() < 1:
            return None
        bumps = np.random.default_rng(int(image.sum(dtype=np.int64))).normal(size=(68, 2))
        middle, side = (face.box[:2] + face.box[2:]) / 2, np.ptp(face.points[:, 0])
        angles = 2.4 * np.arange(68)
        spiral = np.stack([np.cos(angles), np.sin(angles)], 1) * np.arange(68)[:, None] / 68
        return middle + side * spiral + bumps


class SmallFaces(NamedTuple):
    """As a datamodule's FaceBatch."""

    index: Tensor
    features: dict[str, Tensor]
    embeddings: dict[str, Tensor]
    landmarks: Tensor | None = None


class SmallSynthetic(NamedTuple):
    """As a datamodule's SyntheticBatch."""

    shape: Tensor
    albedo: Tensor
    features: Tensor


class SmallBatch(NamedTuple):
    """As a datamodule's TrainingBatch."""

    step: int
    size: int
    first: int
    photographs: SmallFaces
    synthetic: SmallSynthetic
    scenes: DrawnScenes | None = None


def small_batch(
    size: int = 8,
    *,
    rank: int = 0,
    world_size: int = 1,
    step: int = 3,
    scenes: DrawnScenes | None = None,
) -> SmallBatch:
    """A process's share of a step with made-up features."""
    generator = torch.Generator().manual_seed(step)
    features = 0.1 * torch.randn(size, 20, generator=generator)
    embeddings = torch.nn.functional.normalize(torch.randn(size, 8, generator=generator), dim=1)
    drawn = [torch.randn(size, count, generator=generator) for count in (4, 3)]
    synthetic = 0.1 * torch.randn(size, 20, generator=generator)
    landmarks = 100 * torch.rand(size, 68, 2, generator=generator)
    share = size // world_size
    mine = slice(rank * share, (rank + 1) * share)
    return SmallBatch(
        step,
        size,
        rank * share,
        SmallFaces(
            torch.arange(size)[mine],
            {"small": features[mine]},
            {"small": embeddings[mine], "judge": embeddings[mine]},
            landmarks[mine],
        ),
        SmallSynthetic(drawn[0][mine], drawn[1][mine], synthetic[mine]),
        scenes,
    )


def expected_shape(regressed: Tensor, width: int = 20, *, map_width: int = 0) -> dict[str, Any]:
    """What a checkpoint keeps of an expected shape whose regression predicts the same [Ks] of everybody."""
    regressor = new_shape_regressor(width + map_width, len(regressed))
    assert regressor.linear is not None
    with torch.no_grad():
        regressor.linear.bias.copy_(regressed)
    kept = ExpectedShape.keep(regressor, people=9, photographs_each=2, photographs=0, map_width=map_width)
    return kept._asdict()
