"""Triangle surfaces: closest points, borders, smooth normals, areas, even samples."""

from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from .marked_mesh import Unscorable
from .triangle_trees import TREES, Backend, TriangleTree, order_along_curve

# A closest point lies on an edge where its weight for the opposite corner is below this (float32 needs it).
ON_EDGE = 1e-4
# Farther from the origin than this, in any unit, squared distances overflow, and a tree finds no triangle.
FARTHEST = 1e100


class ClosestPoints(NamedTuple):
    """The points of a surface that come closest to P points.

    Attributes:
        points: [P, 3].
        distances: [P].
        normals: [P, 3], the surface's smooth unit normals there.
        on_border: [P], whether the point lies where the surface ends, so that the surface may have gone on.
    """

    points: NDArray[np.float64]
    distances: NDArray[np.float64]
    normals: NDArray[np.float64]
    on_border: NDArray[np.bool_]


class Surface:
    """A triangle mesh to measure on; what is costly is computed once, at first use.

    Vertices keep their order. Those in the same place count as one for normals, borders and areas, as files
    repeat them along texture seams. Triangles without area are left out.

    Args:
        vertices: [V, 3], finite where a triangle uses them; copied.
        triangles: [T, 3] vertex ids.
        backend: what finds closest points: libigl (float64), or Open3D's RaycastingScene (float32), where it
            is installed.
    """

    def __init__(self, vertices: NDArray, triangles: NDArray, *, backend: Backend = "libigl") -> None:
        self.vertices = np.asarray(vertices, np.float64).copy()
        triangles = np.asarray(triangles).astype(np.int64)
        triangles = triangles[_normals_of_triangles(self.vertices[triangles]).any(1)]
        centres = self.vertices[triangles].mean(1) if len(triangles) else np.zeros((0, 3))
        # Neighbours in space are neighbours in memory, which makes the tree and its queries faster.
        self.triangles = np.ascontiguousarray(triangles[order_along_curve(centres)])
        self.backend = backend

    @cached_property
    def welded(self) -> NDArray[np.int64]:
        """[V], for each vertex the first one in the same place."""
        order = np.lexsort(self.vertices.T)
        in_order = self.vertices[order]
        new = np.r_[True, (in_order[1:] != in_order[:-1]).any(1)]
        # lexsort is stable, so the first of equal ones has the lowest id.
        first = np.empty(len(order), np.int64)
        first[order] = order[new][np.cumsum(new) - 1]
        return first

    @cached_property
    def triangle_normals(self) -> NDArray[np.float64]:
        """[T, 3], as long as twice the triangle's area."""
        return _normals_of_triangles(self.vertices[self.triangles])

    @cached_property
    def triangle_centres(self) -> NDArray[np.float64]:
        """[T, 3]."""
        return self.vertices[self.triangles].mean(1)

    @cached_property
    def triangle_areas(self) -> NDArray[np.float64]:
        """[T], in the square of the vertices' unit."""
        return np.linalg.norm(self.triangle_normals, axis=1) / 2

    @cached_property
    def vertex_normals(self) -> NDArray[np.float64]:
        """[V, 3], the mean over a vertex's triangles by area; zero for a vertex without a triangle."""
        corners = self.welded[self.triangles].ravel()
        sums = np.stack(
            [
                np.bincount(corners, np.repeat(self.triangle_normals[:, axis], 3), len(self.vertices))
                for axis in range(3)
            ],
            1,
            dtype=np.float64,  # bincount of nothing counts in integers
        )
        lengths = np.linalg.norm(sums, axis=1, keepdims=True)
        units = np.divide(sums, lengths, out=np.zeros_like(sums), where=lengths > 0)
        return units[self.welded]

    @cached_property
    def vertex_areas(self) -> NDArray[np.float64]:
        """[V], a third of the vertex's triangles' area; all of it with the first of repeated vertices."""
        corners = self.welded[self.triangles].ravel()
        areas = np.bincount(corners, np.repeat(self.triangle_areas / 3, 3), len(self.vertices))
        return areas.astype(np.float64, copy=False)

    @cached_property
    def border_edges(self) -> NDArray[np.bool_]:
        """[T, 3], whether the edge opposite each corner belongs to no other triangle."""
        corners = self.welded[self.triangles]
        edges = np.sort(np.stack([np.roll(corners, -1, 1), np.roll(corners, -2, 1)], -1), -1)  # [T, 3, 2]
        keys = edges[..., 0] * len(self.vertices) + edges[..., 1]
        _, edge, count = np.unique(keys.ravel(), return_inverse=True, return_counts=True)
        return (count[edge] == 1).reshape(-1, 3)

    @cached_property
    def border_vertices(self) -> NDArray[np.bool_]:
        """[V], whether an edge that ends the surface ends here."""
        on_border = np.zeros(len(self.vertices), bool)
        for corner in range(3):
            edge = self.border_edges[:, corner]
            for other in (corner - 1, corner - 2):
                on_border[self.welded[self.triangles[edge, other]]] = True
        return on_border[self.welded]

    @cached_property
    def vertex_tree(self) -> cKDTree:
        """Finds the nearest vertex."""
        return cKDTree(self.vertices[np.unique(self.triangles)])

    @cached_property
    def _triangle_tree(self) -> TriangleTree:
        return TREES[self.backend](self.vertices, self.triangles)

    def closest_points(self, points: NDArray) -> ClosestPoints:
        """The closest points to points [P, 3], with the surface's normals there.

        Raises:
            ValueError: if the surface has no triangle with an area, or a point is not finite.
        """
        points = np.ascontiguousarray(points, np.float64)
        if not len(points):
            return ClosestPoints(points, np.zeros(0), points, np.zeros(0, bool))
        if not len(self.triangles):
            raise ValueError("there is no closest point: the surface has no triangle with an area")
        if not (np.abs(points) < FARTHEST).all():
            raise ValueError("there is no closest point of a point that is NaN or infinite; give finite ones")
        triangle, closest = self._triangle_tree.query(points)
        weights = _barycentrics(closest, self.vertices[self.triangles[triangle]])
        normals = np.einsum("pc,pca->pa", weights, self.vertex_normals[self.triangles[triangle]])
        lengths = np.linalg.norm(normals, axis=1, keepdims=True)
        normals = np.divide(normals, lengths, out=np.zeros_like(normals), where=lengths > 0)
        return ClosestPoints(
            closest,
            np.linalg.norm(closest - points, axis=1),
            normals,
            self._on_border(triangle, weights),
        )

    def nearest_vertex_distances(self, points: NDArray) -> NDArray[np.float64]:
        """The distances [P] of points [P, 3] to the nearest vertex."""
        return self.vertex_tree.query(points)[0]

    def _on_border(self, triangle: NDArray, weights: NDArray) -> NDArray[np.bool_]:
        on_edge = (weights < ON_EDGE) & self.border_edges[triangle]
        # A corner of the border may also be found in a triangle that has no edge there.
        at_corner = (weights > 1 - 2 * ON_EDGE) & self.border_vertices[self.triangles[triangle]]
        return on_edge.any(1) | at_corner.any(1)


def scorable_surface(
    vertices: NDArray, triangles: NDArray, name: str, *, backend: Backend = "libigl"
) -> Surface:
    """A surface that has closest points.

    Args:
        vertices: [V, 3].
        triangles: [T, 3].
        name: what it is called in errors, such as "the scan".
        backend: see `Surface`.

    Raises:
        Unscorable: if no triangle has an area.
    """
    surface = Surface(vertices, triangles, backend=backend)
    if not len(surface.triangles):
        raise Unscorable(f"empty mesh: {name} has no triangle with an area")
    return surface


class Samples(NamedTuple):
    """Points spread over a surface: points [N, 3] with its smooth unit normals [N, 3]."""

    points: NDArray[np.float64]
    normals: NDArray[np.float64]


def sample_evenly(
    surface: Surface, count: int, generator: np.random.Generator, *, inside: NDArray[np.bool_] | None = None
) -> Samples:
    """Points spread by area, one in each of `count` equal pieces, whatever the density of the vertices.

    Args:
        surface: to sample.
        count: how many.
        generator: draws the place within each piece.
        inside: [T], the triangles to sample; None for all. None of them gives no samples.
    """
    areas = surface.triangle_areas if inside is None else surface.triangle_areas * inside
    ends = np.cumsum(areas)
    if not len(ends) or ends[-1] <= 0:
        return Samples(np.zeros((0, 3)), np.zeros((0, 3)))
    places = (np.arange(count) + generator.random(count)) * (ends[-1] / count)
    triangle = np.searchsorted(ends, places, side="right").clip(0, len(ends) - 1)
    one, two = generator.random((2, count))
    root = np.sqrt(one)
    weights = np.stack([1 - root, root * (1 - two), root * two], 1)  # even over the triangle
    corners = surface.triangles[triangle]
    normals = np.einsum("pc,pca->pa", weights, surface.vertex_normals[corners])
    lengths = np.linalg.norm(normals, axis=1, keepdims=True).clip(1e-12)
    return Samples(np.einsum("pc,pca->pa", weights, surface.vertices[corners]), normals / lengths)


def _normals_of_triangles(corners: NDArray) -> NDArray[np.float64]:
    """Twice the area vectors [T, 3] of triangles [T, 3, 3]."""
    return np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])


def _barycentrics(points: NDArray, corners: NDArray) -> NDArray[np.float64]:
    """The weights [P, 3] of points [P, 3] in triangles [P, 3, 3] that they lie on."""
    first, second = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
    offset = points - corners[:, 0]
    aa, ab, bb, ao, bo = (
        np.einsum("pa,pa->p", one, two)
        for one, two in ((first, first), (first, second), (second, second), (first, offset), (second, offset))
    )
    area = aa * bb - ab * ab
    area = np.where(area > 0, area, 1.0)
    two, three = (bb * ao - ab * bo) / area, (aa * bo - ab * ao) / area
    return np.stack([1 - two - three, two, three], 1).clip(0, 1)
