"""What a file of a linear face model holds, and the checks that every format shares."""

from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from lightning_modules.faces.landmarks.ibug import Landmarks
from lightning_modules.faces.morphable_model import PrincipalComponents


class ModelFile(NamedTuple):
    """What a model file holds, before it becomes a MorphableModel.

    Attributes:
        shape: in mm.
        albedo: sRGB-encoded in [0, 1].
        expression: in mm, or None.
        triangles: [T, 3] int64, outward.
        named_vertices: iBUG landmarks (0-based) that the file names, to vertex ids.
        note: what was corrected or assumed while reading.
        own: what we wrote ourselves (kind, name, note, landmarks or the reason for none), or None.
    """

    shape: PrincipalComponents
    albedo: PrincipalComponents
    expression: PrincipalComponents | None
    triangles: Tensor
    named_vertices: dict[int, int]
    note: str
    own: "OwnMetadata | None" = None


class OwnMetadata(NamedTuple):
    """What a file that we wrote says of itself."""

    kind: str
    name: str
    note: str
    landmarks: Landmarks | str


def checked_count(path: Path, part: str, count: int | None, available: int) -> int:
    """The number of components to keep: `count`, or all that are there.

    Raises:
        ValueError: if more are asked for than exist, or fewer than none.
    """
    if count is None:
        return available
    if not 0 <= count <= available:
        raise ValueError(
            f"{path} has {available} {part} components, asked for {count}; ask for at most {available}"
        )
    return count


def checked_finite(path: Path, tensors: dict[str, Tensor]) -> None:
    """Refuses NaN and infinity, without a copy of the tensor.

    Raises:
        ValueError: naming the file and the tensor.
    """
    for name, tensor in tensors.items():
        if tensor.numel() and not all(bool(extreme.isfinite()) for extreme in tensor.aminmax()):
            raise ValueError(f"{path}: {name} holds NaN or infinity; the file is damaged, get it again")


def check_triangles(path: Path, triangles: Tensor, vertices: int) -> None:
    """Refuses triangles that name a vertex which the mesh does not have.

    Raises:
        ValueError: naming the file and the range.
    """
    if triangles.numel() == 0 or int(triangles.min()) < 0 or int(triangles.max()) >= vertices:
        bounds = f"{int(triangles.min())} to {int(triangles.max())}" if triangles.numel() else "none"
        raise ValueError(
            f"{path}: triangles must name vertices 0 to {vertices - 1}, got {bounds}; "
            "the file is damaged, get it again"
        )


def outward(triangles: Tensor, mean: Tensor) -> Tensor:
    """The triangles, turned over if the mesh shows its inside.

    A closed head encloses a positive volume about its centroid, and so does the cone from the centroid to
    an open face.

    Args:
        triangles: [T, 3].
        mean: [3V].
    """
    vertices = mean.unflatten(0, (-1, 3))
    first, second, third = (vertices - vertices.mean(0))[triangles].unbind(1)
    volume = (torch.linalg.cross(second, third) * first).sum(dtype=torch.float64)
    return triangles.flip(1) if volume < 0 else triangles


def scaled(components: PrincipalComponents, factor: float) -> PrincipalComponents:
    """The same model in another unit: the mean times the factor, the variance times its square."""
    return PrincipalComponents(
        components.mean * factor,
        components.basis,
        components.variance * factor**2,
        components.total_variance * factor**2,
    )
