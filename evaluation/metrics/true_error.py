"""The error of a reconstruction whose every vertex is known to belong to a vertex of the truth."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from .scan_region import Region
from .similarity_transform import Similarity, fit_similarity
from .surface import Surface
from .surface_distance import Distances, Statistic


class Truth(NamedTuple):
    """A surface and which of its vertices count, by area.

    Attributes:
        vertices: [V, 3] in mm.
        weights: [V], the vertices' area inside the region, 0 elsewhere.
    """

    vertices: NDArray[np.float64]
    weights: NDArray[np.float64]


def truth_of(vertices: NDArray, triangles: NDArray, region: Region) -> Truth:
    """The truth that reconstructions of the same topology are held against."""
    surface = Surface(vertices, triangles)
    return Truth(surface.vertices, surface.vertex_areas * region.contains(surface.vertices))


def true_error_mm(
    reconstruction: NDArray, truth: Truth, *, statistic: Statistic = "rmse", scaled: bool = True
) -> float:
    """How far the vertices lie from where they belong, after the best similarity.

    It sees what closest points cannot: a mouth corner that slid along the surface.

    Args:
        reconstruction: [V, 3], vertex for vertex, in any pose.
        truth: see there.
        statistic: of the vertices' distances, weighted by area.
        scaled: whether the best scale is taken out, too; otherwise a wrong size is an error.
    """
    distances = np.linalg.norm(
        best_similarity(reconstruction, truth, scaled=scaled).points(reconstruction) - truth.vertices, axis=1
    )
    return Distances(distances, truth.weights, 1.0).statistic(statistic)


def best_similarity(reconstruction: NDArray, truth: Truth, *, scaled: bool = True) -> Similarity:
    """The similarity with the least weighted sum of squared distances to the vertices' true places."""
    return fit_similarity(reconstruction, truth.vertices, scaled=scaled, weights=truth.weights)
