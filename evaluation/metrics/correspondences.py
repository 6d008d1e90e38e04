"""Pairs of points between two surfaces, outliers left out."""

from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .posed_surface import IntersectionRule, PosedSurface
from .scan_region import Region
from .similarity_transform import Similarity
from .surface import ClosestPoints, Samples, Surface, sample_evenly

Directions = Literal["both", "scan to mesh"]
# Of a normal distribution: standard deviation over median of the absolute value.
DEVIATION_OVER_MEDIAN = 1.4826
MESH_MARGIN = 1.25  # the mesh is sampled so much beyond the region, as it still moves


class PairingRule(NamedTuple):
    """Which samples form pairs with their closest points.

    Attributes:
        directions: scan to mesh and mesh to scan, or the first alone.
        largest_angle_degrees: between the two normals.
        farthest_deviations: pairs farther apart than so many robust standard deviations are left out.
        nearest_limit_mm: below this distance no pair is left out for it, and no robust kernel is narrower.
    """

    directions: Directions = "both"
    largest_angle_degrees: float = 60.0
    farthest_deviations: float = 3.0
    nearest_limit_mm: float = 0.1


class BothSamples(NamedTuple):
    """Samples of two surfaces: the scan's in the scan's frame, the mesh's in its own."""

    scan: Samples
    mesh: Samples


class Pairs(NamedTuple):
    """Points of the mesh, points of the scan and the planes between them, all [N, ...] in the scan's frame.

    Attributes:
        mesh: [N, 3].
        scan: [N, 3].
        normals: [N, 3], of whichever surface the closest point was sought on.
        weights: [N], each direction's sum to 1.
        distances: [N], in mm.
        kept_fraction: share of the samples in the region that are here.
    """

    mesh: NDArray[np.float64]
    scan: NDArray[np.float64]
    normals: NDArray[np.float64]
    weights: NDArray[np.float64]
    distances: NDArray[np.float64]
    kept_fraction: float

    @property
    def residuals(self) -> NDArray[np.float64]:
        """[N], point-to-plane in mm."""
        return np.einsum("na,na->n", self.normals, self.mesh - self.scan)


def sample_both(
    scan: Surface, mesh: Surface, pose: Similarity, region: Region, count: int, seed: int
) -> BothSamples:
    """`count` samples of each surface in and about the region, the mesh lying where `pose` takes it."""
    generator = np.random.default_rng(seed)
    in_region = region.contains(scan.triangle_centres)
    wider = region._replace(radius_mm=MESH_MARGIN * region.radius_mm, up=None)
    near = wider.contains(pose.points(mesh.triangle_centres))
    return BothSamples(
        sample_evenly(scan, count, generator, inside=in_region),
        sample_evenly(mesh, count, generator, inside=near),
    )


def find_pairs(
    scan: Surface, mesh: PosedSurface, samples: BothSamples, region: Region, rule: PairingRule
) -> Pairs:
    """Samples of both surfaces with their closest points on the other, outliers left out.

    A pair is left out where the closest point lies on a border, where normals disagree, and where the
    distance exceeds 3 robust standard deviations of all that remain.
    """
    moved = mesh.samples(samples.mesh)
    counts = region.contains(moved.points) & (rule.directions == "both")
    moved = Samples(moved.points[counts], moved.normals[counts])
    on_mesh = mesh.closest_points(samples.scan.points)
    on_scan = PosedSurface(scan).closest_points(moved.points)
    forward, backward = _kept([(samples.scan, on_mesh), (moved, on_scan)], rule)
    kept, total = forward.sum() + backward.sum(), len(forward) + len(backward)
    return Pairs(
        np.concatenate([on_mesh.points[forward], moved.points[backward]]),
        np.concatenate([samples.scan.points[forward], on_scan.points[backward]]),
        np.concatenate([on_mesh.normals[forward], on_scan.normals[backward]]),
        np.concatenate([np.full(each.sum(), 1 / max(each.sum(), 1)) for each in (forward, backward)]),
        np.concatenate([on_mesh.distances[forward], on_scan.distances[backward]]),
        float(kept / max(total, 1)),
    )


def robust_deviation(distances: NDArray) -> float:
    """The standard deviation of what these distances [N] from zero are of, by their median."""
    return DEVIATION_OVER_MEDIAN * float(np.median(distances))


def _kept(directions: Sequence[tuple[Samples, ClosestPoints]], rule: PairingRule) -> list[NDArray[np.bool_]]:
    """Which samples of each direction form pairs."""
    matching = IntersectionRule(rule.largest_angle_degrees, np.inf)
    kept = [matching.holds(samples.normals, closest) for samples, closest in directions]
    distances = np.concatenate([closest.distances for _, closest in directions])
    remaining = distances[np.concatenate(kept)]
    if not len(remaining):
        return kept
    limit = max(rule.farthest_deviations * robust_deviation(remaining), rule.nearest_limit_mm)
    return [keep & (closest.distances <= limit) for keep, (_, closest) in zip(kept, directions, strict=True)]
