"""Alignment by the distances of all of a scan's vertices to a mesh, as NoW's published code does it.

Sanyal et al. 2019: after the landmarks, rotation, translation and scale minimise the sum of squared distances
from every vertex of the cropped scan to the mesh's surface. Nothing is sampled and nothing is left out: no
setting of ours enters but when it has converged. Theirs is found by a dogleg method, ours by Gauss-Newton
steps; both end where the sum's derivative vanishes.
"""

import numpy as np
from numpy.typing import NDArray

from .point_to_plane import point_to_plane_step
from .posed_surface import PosedSurface
from .registration import Alignment, AlignmentSettings, gone_astray, start_failure, unfinished
from .scan_region import Region
from .similarity_transform import Similarity
from .surface import Surface

# Closer pairs have no direction of their own: the surface's normal takes its place.
TOUCHING_MM = 1e-9
MOST_HALVINGS = 8


def align_all_vertices(
    scan: Surface, mesh: Surface, start: Similarity, region: Region, *, settings: AlignmentSettings
) -> Alignment:
    """The mesh aligned to all vertices of the scan inside the region, from a start.

    Args:
        scan: in mm.
        mesh: of any topology and unit.
        start: from the mesh's frame to the scan's, such as by landmarks.
        region: of the scan's frame.
        settings: whether the scale is refined, and when it has converged or gone astray; nothing else of it.

    Returns:
        The alignment; `failure` says what went wrong.
    """
    failure = start_failure(start)
    if failure is not None:
        return Alignment(start, False, 0, 0.0, np.nan, False, failure)
    points = scan.vertices[region.contains(scan.vertices)]
    if not len(points):
        return Alignment(start, False, 0, 0.0, np.nan, False, "too few pairs: the region holds no vertex")
    pose, found = start, PosedSurface(mesh, start).closest_points(points)
    taken, moved_mm, cost = 0, np.inf, float((found.distances**2).mean())
    while failure is None and moved_mm >= settings.tolerance_mm:
        if taken == settings.most_iterations:
            failure = unfinished(taken, moved_mm)
            break
        taken, share = taken + 1, 1.0
        directions = _directions(found.points - points, found.normals)
        weights = np.full(len(points), 1 / len(points))
        step = point_to_plane_step(found.points, points, directions, weights, scaled=settings.scaled)
        for _ in range(MOST_HALVINGS):
            moved_mm, tried = step.moved(share), step.similarity(share).after(pose)
            failure = gone_astray(tried, start, region, settings)
            if failure is not None:
                break
            there = PosedSurface(mesh, tried).closest_points(points)
            lower = float((there.distances**2).mean())
            if lower <= cost or moved_mm < settings.tolerance_mm:
                break
            share /= 2
        if failure is None:
            pose, found, cost = tried, there, lower
    rms = float(np.sqrt(cost))
    if failure is None and np.median(found.distances) > settings.largest_median_mm:
        median = float(np.median(found.distances))
        failure = f"surfaces disagree: {median:.1f} mm apart in the median after alignment"
    return Alignment(pose, failure is None, taken, 1.0, rms, False, failure)


def _directions(offsets: NDArray, normals: NDArray) -> NDArray[np.float64]:
    """Unit directions [P, 3] in which distances change: the offsets', or where they vanish the normals."""
    lengths = np.linalg.norm(offsets, axis=1, keepdims=True)
    return np.where(lengths > TOUCHING_MM, offsets / np.maximum(lengths, TOUCHING_MM), normals)
