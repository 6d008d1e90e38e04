"""The 68 iBUG (Multi-PIE) landmarks of a morphable model."""

from typing import NamedTuple

import torch
from torch import Tensor

NUMBER_OF_LANDMARKS = 68

# iBUG's groups as half-open ranges of 0-based ids. "Left" and "right" are the subject's.
GROUPS = {
    "jaw": range(17),
    "right_brow": range(17, 22),
    "left_brow": range(22, 27),
    "nose_bridge": range(27, 31),
    "nose_base": range(31, 36),
    "right_eye": range(36, 42),
    "left_eye": range(42, 48),
    "outer_lips": range(48, 60),
    "inner_lips": range(60, 68),
}


class Landmarks(NamedTuple):
    """Points on a mesh, each a weighted mean of three vertices, so that they follow every deformation.

    Attributes:
        vertex_ids: [68, 3] int64. A landmark on a vertex repeats its id.
        weights: [68, 3], each row sums to 1.
        sources: 68 words, where each came from: `marked` (by hand on the base mesh), `file` (the model's
            own), `notes` (published vertex id), `transferred` (closest point of another model), `user`.
    """

    vertex_ids: Tensor
    weights: Tensor
    sources: tuple[str, ...]

    def on(self, vertices: Tensor) -> Tensor:
        """The landmarks of a batch of meshes.

        Args:
            vertices: [B, V, 3].

        Returns:
            [B, 68, 3], in the vertices' unit and frame.
        """
        corners = vertices.index_select(1, self.vertex_ids.flatten())  # [B, 68 * 3, 3]
        corners = corners.unflatten(1, self.vertex_ids.shape)  # [B, 68, 3, 3]
        return (corners * self.weights.to(vertices.dtype)[..., None]).sum(2)


def landmarks_on_vertices(vertex_ids: Tensor, source: str) -> Landmarks:
    """Landmarks that lie exactly on vertices.

    Args:
        vertex_ids: [68] int64.
        source: one of the words that `Landmarks.sources` names.
    """
    weights = torch.zeros(len(vertex_ids), 3)
    weights[:, 0] = 1.0
    return Landmarks(vertex_ids[:, None].repeat(1, 3), weights, (source,) * len(vertex_ids))


def five_points(landmarks: Tensor) -> Tensor:
    """Eye centres, nose tip and mouth corners, the points that face detectors return.

    The centre of an eye is the mean of its six landmarks.

    Args:
        landmarks: [..., 68, D] iBUG landmarks, D = 2 or 3.

    Returns:
        [..., 5, D]: the subject's right eye, left eye, nose tip, right and left mouth corner.
    """
    right_eye = landmarks[..., GROUPS["right_eye"], :].mean(-2)
    left_eye = landmarks[..., GROUPS["left_eye"], :].mean(-2)
    return torch.stack(
        [right_eye, left_eye, landmarks[..., 30, :], landmarks[..., 48, :], landmarks[..., 54, :]], -2
    )
