"""Closest points on triangles, by well-kept libraries behind one interface."""

from typing import Any, Literal, Protocol, cast

import igl
import numpy as np
from numpy.typing import NDArray

Backend = Literal["libigl", "open3d"]


class TriangleTree(Protocol):
    """Finds closest points: the triangles [P] and the points on them [P, 3], float64."""

    def __init__(self, vertices: NDArray, triangles: NDArray) -> None: ...

    def query(self, points: NDArray) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """The closest triangles and points."""


class LibiglTree:
    """libigl's tree of boxes. From 10,000 points on it uses as many threads as IGL_NUM_THREADS allows."""

    def __init__(self, vertices: NDArray, triangles: NDArray) -> None:
        self._vertices, self._triangles, self._tree = vertices, triangles, igl.AABB()
        self._tree.init(vertices, triangles)

    def query(self, points: NDArray) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """The closest triangles and points."""
        _, triangle, closest = self._tree.squared_distance(self._vertices, self._triangles, points)
        return triangle, closest


class Open3DTree:
    """Open3D's RaycastingScene, in float32."""

    def __init__(self, vertices: NDArray, triangles: NDArray) -> None:
        open3d = _open3d()
        self._tensor = cast(Any, open3d.core.Tensor)  # its stubs know no float32 array
        self._scene = open3d.t.geometry.RaycastingScene()
        # Close to the origin float32 is finest.
        self._origin = vertices[triangles].mean((0, 1))
        self._scene.add_triangles(
            self._tensor((vertices - self._origin).astype(np.float32)),
            self._tensor(triangles.astype(np.uint32)),
        )

    def query(self, points: NDArray) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """The closest triangles and points."""
        found = self._scene.compute_closest_points(self._tensor((points - self._origin).astype(np.float32)))
        closest = found["points"].numpy().astype(np.float64) + self._origin
        return found["primitive_ids"].numpy().astype(np.int64), closest


TREES: dict[str, type[TriangleTree]] = {"libigl": LibiglTree, "open3d": Open3DTree}


def require_backend(name: Backend) -> None:
    """Raise an ImportError that says what to install, where a backend is not there."""
    if name == "open3d":
        _open3d()


def _open3d() -> Any:  # noqa: ANN401 - a module
    try:
        import open3d
    except ImportError as error:
        raise ImportError(
            "closest points by open3d need Open3D, which is not installed; pip install -e '.[open3d]', "
            "or use libigl"
        ) from error
    return open3d


def order_along_curve(points: NDArray) -> NDArray[np.int64]:
    """The order [P] of points [P, 3] along Morton's curve: what follows each other lies close together."""
    if not len(points):
        return np.zeros(0, np.int64)
    extent = np.ptp(points, axis=0).max()
    cells = ((points - points.min(0)) / (extent if extent > 0 else 1) * 1023).astype(np.uint64)
    spread = cells
    for shift, mask in ((16, 0x030000FF), (8, 0x0300F00F), (4, 0x030C30C3), (2, 0x09249249)):
        spread = (spread | (spread << np.uint64(shift))) & np.uint64(mask)
    code = spread[:, 0] | (spread[:, 1] << np.uint64(1)) | (spread[:, 2] << np.uint64(2))
    return np.argsort(code, kind="stable")
