"""Two alignments, one of each surface to the other, as GANFit's published code does it.

Gecer et al. 2019: the vertices of one surface in a ball about its nose tip are moved by similarities onto
their closest points on the other, until the mean distance gains less than 0.001 mm; then the same the other
way round, from the same start. The score is the mean of both means. No vertex is left out.

Departures, since their scans are first registered to a template that is not published with the code: here the
scan is as it was given, in mm (theirs has the template's size), and the first pairs are closest points after
the landmarks' similarity (theirs are vertices of the same number).
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from .posed_surface import PosedSurface
from .registration import Alignment, AlignmentSettings, gone_astray, start_failure
from .scan_region import Region
from .similarity_transform import IDENTITY, Similarity, fit_similarity
from .surface import Surface
from .surface_distance import Distances


class OneWay(NamedTuple):
    """Where one surface's vertices came to lie on the other.

    Attributes:
        moved: the similarity that they followed.
        distances: [V] in mm at the end; NaN outside the region.
        iterations: steps that were taken.
        failure: what went wrong; None if nothing did.
    """

    moved: Similarity
    distances: NDArray[np.float64]
    iterations: int
    failure: str | None


class BothWays(NamedTuple):
    """The distances of both, and the pose of the mesh that the first one found."""

    alignment: Alignment
    scan_to_mesh: Distances | None
    mesh_to_scan: Distances | None


def measured_both_ways(
    scan: Surface,
    mesh: Surface,
    start: Similarity,
    regions: tuple[Region, Region],
    settings: AlignmentSettings,
) -> BothWays:
    """The distances of each surface's vertices to the other after an alignment of their own.

    Args:
        scan: in mm.
        mesh: of any topology and unit.
        start: from the mesh's frame to the scan's, by landmarks.
        regions: of the scan, and of the mesh at the start; both in the scan's frame.
        settings: whether the scale follows, the least gain, and when an alignment has gone astray.
    """
    failure = start_failure(start)
    if failure is not None:
        return _failed(start, 0, failure)
    still, posed = PosedSurface(scan), PosedSurface(mesh, start)
    there = _one_way(scan.vertices, posed, regions[0], settings)
    back = _one_way(start.points(mesh.vertices), still, regions[1], settings)
    # Moving the scan moves the mesh the other way.
    pose, iterations = there.moved.inverse().after(start), there.iterations + back.iterations
    failure = there.failure or back.failure
    for found in (pose, back.moved.after(start)):
        failure = failure or gone_astray(found, start, regions[0], settings)
    if failure is not None:
        return _failed(pose, iterations, failure)
    rms = float(np.sqrt(np.nanmean(there.distances**2)))
    alignment = Alignment(pose, True, iterations, 1.0, rms, False, None)
    return BothWays(alignment, _all_of(there.distances), _all_of(back.distances))


def _one_way(vertices: NDArray, to: PosedSurface, region: Region, settings: AlignmentSettings) -> OneWay:
    inside = region.contains(vertices)
    distances = np.full(len(vertices), np.nan)
    if not inside.any():
        return OneWay(IDENTITY, distances, 0, "too few pairs: the region holds no vertex")
    moved, points, before, taken = IDENTITY, vertices[inside], np.inf, 0
    closest = to.closest_points(points)
    least = settings.tolerance_mm if settings.least_gain_mm is None else settings.least_gain_mm
    while before - closest.distances.mean() > least:  # comes to an end: no distance is below 0
        before, taken = closest.distances.mean(), taken + 1
        step = fit_similarity(points, closest.points, scaled=settings.scaled)
        moved, points = step.after(moved), step.points(points)
        closest = to.closest_points(points)
    distances[inside] = closest.distances
    return OneWay(moved, distances, taken, None)


def _all_of(values: NDArray) -> Distances:
    return Distances(values, np.isfinite(values).astype(float), 1.0)


def _failed(pose: Similarity, iterations: int, failure: str) -> BothWays:
    return BothWays(Alignment(pose, False, iterations, 0.0, np.nan, False, failure), None, None)
