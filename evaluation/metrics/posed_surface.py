"""A surface seen in another frame, and the rule by which two surfaces intersect."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from .similarity_transform import IDENTITY, Similarity
from .surface import ClosestPoints, Samples, Surface


class PosedSurface(NamedTuple):
    """A surface under a similarity. Its tree stays as it is: points are taken into its own frame instead.

    Attributes:
        surface: in its own frame and unit.
        pose: from there to the common frame.
        flipped: whether its normals point inward and are turned round.
    """

    surface: Surface
    pose: Similarity = IDENTITY
    flipped: bool = False

    def closest_points(self, points: NDArray) -> ClosestPoints:
        """The closest points to points [P, 3], all in the common frame."""
        found = self.surface.closest_points(self.pose.inverse().points(points))
        return ClosestPoints(
            self.pose.points(found.points),
            found.distances * self.pose.scale,
            self._turned(found.normals),
            found.on_border,
        )

    def nearest_vertex_distances(self, points: NDArray) -> NDArray[np.float64]:
        """The distances [P] of points [P, 3] to the nearest vertex, in the common frame."""
        return self.pose.scale * self.surface.nearest_vertex_distances(self.pose.inverse().points(points))

    def samples(self, samples: Samples) -> Samples:
        """Samples of the surface, taken to the common frame."""
        return Samples(self.pose.points(samples.points), self._turned(samples.normals))

    def vertices(self) -> Samples:
        """The vertices and their normals [V, 3] in the common frame."""
        return self.samples(Samples(self.surface.vertices, self.surface.vertex_normals))

    def _turned(self, normals: NDArray) -> NDArray[np.float64]:
        return self.pose.directions(-normals if self.flipped else normals)


class IntersectionRule(NamedTuple):
    """When a point has a counterpart on the other surface: all must hold. Ours; the paper states none.

    The closest point does not lie on the other surface's border (there the other surface may just have
    ended), the two normals agree, and the distance is plausible for two faces (hair, a hand, a missing part).

    Attributes:
        largest_angle_degrees: between the two normals.
        farthest_mm: distance of a counterpart.
        on_borders: whether a closest point on the other surface's border is a counterpart.
    """

    largest_angle_degrees: float = 60.0
    farthest_mm: float = 10.0
    on_borders: bool = False

    def holds(self, normals: NDArray, closest: ClosestPoints) -> NDArray[np.bool_]:
        """For each of P points with normals [P, 3] and its closest point, whether it has a counterpart."""
        agreement = np.einsum("pa,pa->p", normals, closest.normals).clip(-1, 1)
        return (
            (self.on_borders | ~closest.on_border)
            & (agreement >= np.cos(np.radians(self.largest_angle_degrees)))
            & (closest.distances <= self.farthest_mm)
        )


INTERSECTION = IntersectionRule()
# Leaves no point out.
EVERYWHERE = IntersectionRule(180.0, np.inf, True)
