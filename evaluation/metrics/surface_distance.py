"""Distances between two aligned surfaces, vertex by vertex, inside their intersection."""

from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .posed_surface import EVERYWHERE, INTERSECTION, IntersectionRule, PosedSurface
from .scan_region import Region

Measure = Literal["point-to-plane", "point-to-triangle", "point-to-point"]
Weighting = Literal["area", "vertex"]
Statistic = Literal["mean", "rmse", "median"]


class Distances(NamedTuple):
    """Distances of one surface's vertices to the other surface.

    Attributes:
        values_mm: [V], NaN for a vertex that does not count.
        weights: [V], how much each counts; 0 for one that does not.
        kept_fraction: weight of the vertices that count, over that of all in the region.
    """

    values_mm: NDArray[np.float64]
    weights: NDArray[np.float64]
    kept_fraction: float

    @property
    def counted(self) -> NDArray[np.bool_]:
        """[V], whether a vertex counts."""
        return self.weights > 0

    def statistic(self, statistic: Statistic) -> float:
        """Weighted mean, root mean square or median of the distances in mm; NaN where none counts."""
        counted = self.counted
        if not counted.any():
            return np.nan
        values, weights = self.values_mm[counted], self.weights[counted]
        if statistic == "median":
            return weighted_median(values, weights)
        if statistic == "mean":
            return float(np.average(values, weights=weights))
        return float(np.sqrt(np.average(values**2, weights=weights)))


def distances(
    of: PosedSurface,
    to: PosedSurface,
    region: Region,
    *,
    measure: Measure,
    weighting: Weighting = "area",
    rule: IntersectionRule = INTERSECTION,
) -> Distances:
    """How far the vertices of one surface lie from another, in mm of the common frame.

    Args:
        of: whose vertices are measured; those without a triangle do not count, repeated ones count once,
            unless the rule is EVERYWHERE, under which each line of the file counts, as in published code.
        to: the surface that they are measured to.
        region: only vertices inside count.
        measure: "point-to-triangle" to the closest point of the surface; "point-to-plane" to the tangent
            plane there, its normal interpolated from the vertices'; "point-to-point" to the nearest vertex.
        weighting: "area": a vertex counts by its share of the surface, so that a density or topology does not
            matter; "vertex": each counts alike.
        rule: which vertices have a counterpart and count.
    """
    points, normals = of.vertices()
    areas = of.surface.vertex_areas
    measured = areas > 0 if rule is not EVERYWHERE else np.ones(len(areas), bool)
    inside = np.flatnonzero(measured & region.contains(points))
    closest = to.closest_points(points[inside])
    kept = rule.holds(normals[inside], closest)
    chosen = points[inside[kept]]
    if measure == "point-to-point":
        found = to.nearest_vertex_distances(chosen)
    elif measure == "point-to-triangle":
        found = closest.distances[kept]
    else:
        offsets = chosen - closest.points[kept]
        found = np.abs(np.einsum("pa,pa->p", closest.normals[kept], offsets))
    weights = (areas if weighting == "area" else measured.astype(float))[inside]
    values, weight = np.full(len(points), np.nan), np.zeros(len(points))
    values[inside[kept]], weight[inside[kept]] = found, weights[kept]
    return Distances(values, weight, float(weights[kept].sum() / weights.sum()) if len(inside) else 0.0)


def weighted_median(values: NDArray, weights: NDArray) -> float:
    """The value [N] at which half of the weight [N] lies on either side; the middle of two where both fit."""
    order = np.argsort(values)
    ends = np.cumsum(weights[order])
    half = ends[-1] / 2
    low, high = np.searchsorted(ends, half, "left"), np.searchsorted(ends, half, "right")
    return float(values[order[[low, min(high, len(order) - 1)]]].mean())
