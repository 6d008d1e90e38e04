"""Parts of a model's mesh: its face, found by geometry, and landmarks that stay where they were."""

from typing import NamedTuple, Self

import numpy as np
import torch
from torch import Tensor

from lightning_modules.faces.landmarks.ibug import Landmarks

# The face reaches this far from the tip of the nose: to the ears, the hairline and below the chin.
FACE_RADIUS_MM = 125.0
# Below the tip of the nose, so far down goes the face: the chin, not the neck.
FACE_DEPTH_MM = 85.0


class MeshCut(NamedTuple):
    """The vertices of a mesh that are kept.

    Attributes:
        kept: [K] int64, ids of the whole mesh, rising.
        triangles: [T, 3] int64, of the kept vertices.
        position: [V] int64, of each vertex of the whole mesh among the kept ones; -1 where it is not.
    """

    kept: np.ndarray
    triangles: Tensor
    position: np.ndarray

    @classmethod
    def of(cls, mask: np.ndarray, triangles: np.ndarray) -> Self:
        """The cut that keeps the vertices of a mask [V] that a triangle [T, 3] within it uses."""
        inside = triangles[mask[triangles].all(1)]
        kept = np.unique(inside)
        position = np.full(len(mask), -1)
        position[kept] = np.arange(len(kept))
        return cls(kept, torch.from_numpy(position[inside]), position)

    def rows(self, array: np.ndarray) -> Tensor:
        """The kept rows of an array [V, 3, ...], as [3K, ...] float32."""
        part = np.ascontiguousarray(array[self.kept], dtype=np.float32)
        return torch.from_numpy(part.reshape(3 * len(self.kept), *part.shape[2:]))

    def landmarks(self, corners: np.ndarray, weights: np.ndarray) -> dict[int, tuple[Tensor, Tensor]]:
        """Which landmarks lie on the kept mesh, by their number: their vertices and weights, [3] each.

        Args:
            corners: [N, 3] vertex ids of the whole mesh; those of landmark n are at n.
            weights: [N, 3], which sum to 1.
        """
        moved = self.position[corners]
        return {
            number: (torch.from_numpy(ids), torch.from_numpy(np.asarray(weight, np.float32)))
            for number, (ids, weight) in enumerate(zip(moved, weights, strict=True))
            if (ids >= 0).all()
        }


def face_mask(vertices: np.ndarray) -> np.ndarray:
    """[V] which vertices [V, 3] in mm (y up, z forward) of a head belong to its face, by geometry.

    The foremost point of a head is the tip of its nose. What lies near it and not far below is the face, the
    eyes included; the neck, the back of the head and most of the ears are not.
    """
    nose = vertices[vertices[:, 2].argmax()]
    near = np.linalg.norm(vertices - nose, axis=1) < FACE_RADIUS_MM
    return near & (vertices[:, 1] > nose[1] - FACE_DEPTH_MM)


def with_exact(landmarks: Landmarks, exact: dict[int, tuple[Tensor, Tensor]], source: str) -> Landmarks:
    """The landmarks with some replaced by points that the model's own files name.

    Args:
        landmarks: all 68.
        exact: by number, vertices and weights.
        source: one of the words that `Landmarks.sources` names.
    """
    vertex_ids, weights, sources = (
        landmarks.vertex_ids.clone(),
        landmarks.weights.clone(),
        list(landmarks.sources),
    )
    for number, (ids, weight) in exact.items():
        vertex_ids[number], weights[number], sources[number] = ids, weight, source
    return Landmarks(vertex_ids, weights, tuple(sources))


def are_places(ids: np.ndarray, weights: np.ndarray, count: int) -> bool:
    """Whether ids lie in 0 to `count` - 1 and weights [N, 3] sum to 1: points on a surface that they name."""
    return bool(ids.min() >= 0 and ids.max() < count and np.allclose(weights.sum(1), 1, atol=1e-3))
