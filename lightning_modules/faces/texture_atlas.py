"""A texture atlas for any head or face: seen from its middle, the outermost surface first.

The surface is projected onto a sphere about the head's middle, so that the picture shows one unbroken face
with its seam behind the head, as painters of textures have it. What lies behind another surface (mouth
cavity, backs of the ears, eyeballs behind the lids) is peeled off layer by layer, by the rasterizer, and each
layer gets a tile of its own below. General unwrappers cut a face into dozens of pieces instead.
"""

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from lightning_modules.rendering.barycentrics import barycentrics
from lightning_modules.rendering.rasterizer import NEAR_MM, rasterize

MOST_LAYERS = 6
PEELED_SIZE = 1024  # pixels of the pictures in which layers are told apart
DEPTH = 2 * NEAR_MM  # of what is nearest
COVERED_MM = 0.5  # a point so far behind another is covered
MIDDLE_DEPTH = 0.55  # of the sphere's middle behind the foremost point, in widths of the mesh
HEIGHT_OF_INNER_TILES, GAP = 0.2, 0.01  # of the atlas
# Where on a triangle it is asked whether another covers it.
SAMPLES = np.array([[1, 1, 1], [4, 1, 1], [1, 4, 1], [1, 1, 4]]) / np.array([[3], [6], [6], [6]])


class TextureAtlas(NamedTuple):
    """Where each triangle of a mesh lies in a picture.

    Attributes:
        vertices: [N] int64, the mesh's vertex of each texture vertex; at seams one has several.
        coordinates: [N, 2] float32 in [0, 1], u to the picture's right, v upwards.
        triangles: [T, 3] int64 of texture vertices, in the order of the mesh's.
    """

    vertices: Tensor
    coordinates: Tensor
    triangles: Tensor


class Texels(NamedTuple):
    """The P texels of a picture that lie on the mesh.

    Attributes:
        rows: [P], from the top.
        columns: [P].
        corners: [P, 3] vertices of the mesh.
        weights: [P, 3] float32, each row sums to 1.
    """

    rows: Tensor
    columns: Tensor
    corners: Tensor
    weights: Tensor

    def of(self, attributes: Tensor) -> Tensor:
        """Attributes [V, D] of the mesh's vertices at the texels, [P, D]."""
        return (attributes[self.corners] * self.weights[..., None].to(attributes)).sum(1)


def spherical_atlas(vertices: Tensor, triangles: Tensor) -> TextureAtlas:
    """The atlas of a mesh that looks along z, y up; one atlas serves all faces of a morphable model.

    Args:
        vertices: [V, 3] in mm, such as the mean face.
        triangles: [T, 3].
    """
    points, ids = vertices.detach().cpu().double().numpy(), triangles.cpu().numpy().astype(np.int64)
    relative = points - _middle(points)
    radius = np.linalg.norm(relative, axis=1)
    longitude = np.arctan2(relative[:, 0], relative[:, 2])
    latitude = np.arcsin(np.clip(relative[:, 1] / np.maximum(radius, 1e-9), -1, 1))
    # Triangles across the seam behind the head lie whole at one side of the picture.
    corners = longitude[ids]
    wrapped = (np.ptp(corners, axis=1) > np.pi)[:, None] & (corners < 0)
    turned, seam = np.unique(ids + len(points) * wrapped, return_inverse=True)
    ids, origin = seam.reshape(-1, 3), turned % len(points)
    angles = np.stack([longitude[origin] + 2 * np.pi * (turned >= len(points)), latitude[origin]], 1)
    layers = _layers(angles, radius[origin], ids)
    placed = ids + len(origin) * layers[:, None]
    used, compact = np.unique(placed, return_inverse=True)
    layer, vertex = used // len(origin), used % len(origin)
    coordinates = np.empty((len(used), 2))
    for number, tile in _tiles(np.bincount(layers)).items():
        chosen = layer == number
        coordinates[chosen] = _into(tile, angles[vertex[chosen]])
    return TextureAtlas(
        torch.from_numpy(origin[vertex]),
        torch.from_numpy(coordinates.astype(np.float32)),
        torch.from_numpy(compact.reshape(-1, 3)),
    )


def texels_of(atlas: TextureAtlas, size: int) -> Texels:
    """Which point of the mesh each texel of a square picture shows, whose centre lies on a triangle.

    Args:
        atlas: of the mesh.
        size: of the picture.
    """
    across, up = atlas.coordinates.double().unbind(1)
    depth = torch.full_like(across, DEPTH)
    positions = torch.stack([(across * size - 0.5) * DEPTH, ((1 - up) * size - 0.5) * DEPTH, depth], 1)
    seen = rasterize(positions[None], atlas.triangles, (size, size))[0]
    rows, columns = torch.nonzero(seen >= 0, as_tuple=True)
    corners = atlas.triangles[seen[rows, columns].long()]
    weights = barycentrics(positions[corners], torch.stack([columns, rows], 1))
    return Texels(rows, columns, atlas.vertices[corners], weights.float())


def _middle(points: np.ndarray) -> np.ndarray:
    """The sphere's middle: about between the ears, also of a mesh that ends before them."""
    low, high = points.min(0), points.max(0)
    middle = (low + high) / 2
    middle[2] = high[2] - MIDDLE_DEPTH * (high[0] - low[0])
    return middle


def _layers(angles: np.ndarray, radius: np.ndarray, ids: np.ndarray) -> np.ndarray:
    """The layer [T] of each triangle, 0 outermost; one that faces the middle is never that."""
    layers = np.zeros(len(ids), np.int64)
    one, other = (angles[ids[:, corner]] - angles[ids[:, 0]] for corner in (1, 2))
    inward = one[:, 0] * other[:, 1] <= one[:, 1] * other[:, 0]
    low, extent = angles.min(0), np.ptp(angles, axis=0) + 1e-9
    pixels = (angles - low) / extent * (PEELED_SIZE - 1)
    depth = radius.max() - radius + DEPTH  # the outermost is nearest
    positions = torch.from_numpy(np.column_stack([pixels * depth[:, None], depth]))
    waiting = np.arange(len(ids))
    for layer in range(1, MOST_LAYERS):
        later = inward[waiting] if layer == 1 else np.zeros(len(waiting), bool)
        covered = later.copy()
        covered[~later] = _covered(positions, pixels, radius, ids[waiting[~later]])
        if not covered.any():
            break
        waiting = waiting[covered]
        layers[waiting] = layer
    return layers


def _covered(positions: torch.Tensor, pixels: np.ndarray, radius: np.ndarray, ids: np.ndarray) -> np.ndarray:
    """Which of the triangles [T, 3] another covers, at one of its SAMPLES at least, [T]."""
    size = (PEELED_SIZE, PEELED_SIZE)
    seen = rasterize(positions[None], torch.from_numpy(ids), size)[0].numpy()
    covered = np.zeros(len(ids), bool)
    for weights in SAMPLES:
        column, row = np.rint(np.einsum("k,tkd->td", weights, pixels[ids])).astype(int).T
        owner = seen[row, column]
        known = owner >= 0
        there = torch.from_numpy(np.stack([column, row], 1)[known])
        corners = ids[owner[known]]
        at = barycentrics(positions[corners], there).numpy()
        above = (at * radius[corners]).sum(1) > radius[ids[known]] @ weights + COVERED_MM
        neighbours = (corners[:, :, None] == ids[known][:, None, :]).any((1, 2))
        covered[known] |= above & ~neighbours
    return covered


class _Tile(NamedTuple):
    left: float
    bottom: float
    width: float
    height: float


def _tiles(counts: np.ndarray) -> dict[int, _Tile]:
    """A tile for each layer: the outermost on top, the others below it, as wide as they have triangles."""
    inner = [number for number in range(1, len(counts)) if counts[number]]
    bottom = HEIGHT_OF_INNER_TILES + GAP if inner else GAP
    tiles = {0: _Tile(GAP, bottom, 1 - 2 * GAP, 1 - GAP - bottom)}
    left, free = GAP, 1 - GAP * (len(inner) + 1)
    for number in inner:
        width = free * counts[number] / counts[inner].sum()
        tiles[number] = _Tile(left, GAP, width, HEIGHT_OF_INNER_TILES - GAP)
        left += width + GAP
    return tiles


def _into(tile: _Tile, angles: np.ndarray) -> np.ndarray:
    """Angles [N, 2] brought into a tile, which they fill; none where N is 0."""
    if not len(angles):
        return angles
    low, extent = angles.min(0), np.maximum(np.ptp(angles, axis=0), 1e-9)
    return (angles - low) * (np.array([tile.width, tile.height]) / extent) + (tile.left, tile.bottom)
