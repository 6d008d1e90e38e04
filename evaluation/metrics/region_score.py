"""A mesh against the four regions of a scan, each aligned and deformed by itself, as REALY's code does it.

Chai et al. 2022: seven keypoints give a similarity. For each region follow rigid iterative closest points of
the region's vertices and keypoints; then the region is deformed onto the mesh, so that both sides have a say
in which points correspond; its error is the mean distance of its vertices from the points where those came
to lie on the mesh. The paper calls it NMSE; its code takes no square.

Ours differs: regions are approximations (`face_regions`), keypoints are those of 68 that they use, and a
region of more than `MOST_VERTICES` is thinned.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

from .face_regions import ALIGNED_BY, DEFORMED_BY, FACE_REGIONS, FaceRegion, in_face_regions
from .marked_mesh import Unscorable, known
from .nonrigid_icp import Keypoints, deformed
from .posed_surface import PosedSurface
from .similarity_transform import Similarity, fit_similarity
from .surface import Surface

# The mean of the 100 published scales from REALY's frame, where faces are alike in size, to mm.
UNIT_MM = 8.95
# Known: the rigid steps' end, in REALY's frame, and how much a cheek's keypoints count.
SMALLEST_GAIN, MOST_STEPS = 1e-6, 100
CHEEK_KEYPOINTS_SHARE = 0.25
FEWEST_KEYPOINTS, FEWEST_VERTICES = 4, 20
MOST_VERTICES = 3000
LARGER = 1.1  # than the last, is the next try's cell


class RegionErrors(NamedTuple):
    """A mesh's errors in the regions of a scan.

    Attributes:
        means_mm: of each region.
        values_mm: [V] of the scan's vertices, NaN outside the regions.
        weights: [V], by which their mean is the mean of the regions'.
        iterations: of the rigid steps, the most of a region.
    """

    means_mm: dict[FaceRegion, float]
    values_mm: NDArray[np.float64]
    weights: NDArray[np.float64]
    iterations: int

    @property
    def mean_mm(self) -> float:
        """The mean of the four."""
        return float(np.mean(list(self.means_mm.values())))


class RegionMesh(NamedTuple):
    """A region of a scan: the scan's vertices [R] that it is measured at, and triangles [T, 3] of these."""

    ids: NDArray[np.int64]
    triangles: NDArray[np.int64]


def seven_point_start(start: Similarity, source: NDArray, target: NDArray) -> Similarity:
    """A start with REALY's scale: the ratio of the points' sums of absolute offsets from their middles.

    Args:
        start: whose rotation is kept.
        source: [P, 3] of the mesh.
        target: [P, 3] of the scan.
    """
    from_middle, to_middle = source.mean(0), target.mean(0)
    turned = start.directions(source - from_middle)
    scale = float(np.abs(target - to_middle).sum() / np.abs(turned).sum())
    return Similarity(scale, start.rotation, to_middle - scale * start.rotation @ from_middle)


def region_errors(
    scan: Surface, scan_landmarks: NDArray, mesh: Surface, mesh_landmarks: NDArray, start: Similarity
) -> RegionErrors:
    """The errors of a mesh in the four regions.

    Args:
        scan: in mm.
        scan_landmarks: [68, 3].
        mesh: of any topology and unit.
        mesh_landmarks: [68, 3], likewise.
        start: from the mesh's frame to the scan's; its scale stays.

    Raises:
        Unscorable: if a region has too few vertices, or too few of its landmarks are known on both sides.
    """
    shared = known(scan_landmarks) & known(mesh_landmarks)
    inside = in_face_regions(scan.vertices, scan_landmarks)
    values, weights = np.full(len(scan.vertices), np.nan), np.zeros(len(scan.vertices))
    means: dict[FaceRegion, float] = {}
    most = 0
    for region in FACE_REGIONS:
        part = _part_of(scan, inside[region], region)
        aligned_by, deformed_by = (_shared(ids[region], shared, region) for ids in (ALIGNED_BY, DEFORMED_BY))
        points = scan.vertices[part.ids]
        rate = len(points) / len(aligned_by) * (CHEEK_KEYPOINTS_SHARE if region == "cheek" else 1.0)
        pose, taken = _region_pose(
            mesh, start, points, mesh_landmarks[aligned_by], scan_landmarks[aligned_by], int(rate)
        )
        there = PosedSurface(mesh, pose)
        marks = (scan_landmarks[deformed_by], pose.points(mesh_landmarks[deformed_by]))
        errors = np.linalg.norm(_counterparts(there, points, part.triangles, *marks) - points, axis=1)
        means[region], most = float(errors.mean()), max(most, taken)
        every = np.flatnonzero(inside[region])
        values[every] = errors[cKDTree(points).query(scan.vertices[every])[1]]
        weights[part.ids] = 1 / len(points)
    return RegionErrors(means, values, weights, most)


def _shared(ids: tuple[int, ...], shared: NDArray, region: FaceRegion) -> list[int]:
    """Those of some landmarks that both sides know; none where none is wanted."""
    chosen = [index for index in ids if shared[index]]
    if ids and len(chosen) < FEWEST_KEYPOINTS:
        raise Unscorable(
            f"missing landmarks: of the {region} scan and mesh share {len(chosen)}, at least "
            f"{FEWEST_KEYPOINTS} are needed"
        )
    return chosen


def _region_pose(
    mesh: Surface, start: Similarity, points: NDArray, own: NDArray, wanted: NDArray, repeats: int
) -> tuple[Similarity, int]:
    """The rigid pose by a region's vertices and its keypoints, each of which counts as several vertices."""
    pose, before = start, 0.0
    weights = np.concatenate([np.ones(len(points)), np.full(len(own), float(repeats))])
    target = np.concatenate([points, wanted])
    for taken in range(MOST_STEPS + 1):
        closest = PosedSurface(mesh, pose).closest_points(points).points
        source = np.concatenate([closest, pose.points(own)])
        step = fit_similarity(source, target, scaled=False, weights=weights)
        squared = ((step.points(source) - target) ** 2).sum(1)
        error = float(np.average(squared, weights=weights)) / UNIT_MM**2
        if abs(error - before) < SMALLEST_GAIN or taken == MOST_STEPS:
            break
        pose, before = step.after(pose), error
    return pose, taken


def _counterparts(
    mesh: PosedSurface, points: NDArray, triangles: NDArray, marks: NDArray, wanted: NDArray
) -> NDArray[np.float64]:
    """Where a region's vertices [R, 3] came to lie on the mesh, once it was deformed onto it."""
    targets = mesh.closest_points(points).points
    keypoints = None
    if len(marks):
        keypoints = Keypoints(cKDTree(points).query(marks)[1], wanted / UNIT_MM)
    moved = deformed(points / UNIT_MM, triangles, targets / UNIT_MM, keypoints)
    return mesh.closest_points(UNIT_MM * moved).points


def _part_of(scan: Surface, inside: NDArray, region: FaceRegion) -> RegionMesh:
    """A region's vertices and triangles; of one with keypoints the largest connected part."""
    triangles = scan.welded[scan.triangles]
    triangles = triangles[inside[triangles].all(1)]
    if DEFORMED_BY[region] and len(triangles):
        pairs = np.concatenate([triangles[:, :2], triangles[:, 1:]])
        count = len(scan.vertices)
        graph = coo_matrix((np.ones(len(pairs)), pairs.T), (count, count))
        labels = connected_components(graph, directed=False)[1][triangles[:, 0]]
        triangles = triangles[labels == np.bincount(labels).argmax()]
    part = _renumbered(np.arange(len(scan.vertices)), triangles)
    if len(part.ids) < FEWEST_VERTICES:
        raise Unscorable(
            f"missing region: the scan has {len(part.ids)} vertices in the {region}, at least "
            f"{FEWEST_VERTICES} are needed"
        )
    return _thinned(scan.vertices, part) if len(part.ids) > MOST_VERTICES else part


def _renumbered(ids: NDArray, triangles: NDArray) -> RegionMesh:
    """Those of some vertices that triangles use."""
    used, corners = np.unique(triangles, return_inverse=True)
    return RegionMesh(ids[used], corners.reshape(-1, 3))


def _thinned(vertices: NDArray, part: RegionMesh) -> RegionMesh:
    """A part with one vertex in each cell of a grid, the nearest to the cell's mean."""
    points = vertices[part.ids]
    corners = points[part.triangles]
    areas = np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1) / 2
    side = float(np.sqrt(areas.sum() / MOST_VERTICES))
    while True:
        cells = np.unique(np.floor(points / side).astype(np.int64), axis=0, return_inverse=True)[1].ravel()
        if cells.max() < MOST_VERTICES:
            break
        side *= LARGER
    counts = np.bincount(cells)
    means = np.stack([np.bincount(cells, points[:, axis]) for axis in range(3)], 1) / counts[:, None]
    order = np.lexsort([((points - means[cells]) ** 2).sum(1), cells])
    chosen = order[np.r_[0, np.cumsum(counts)[:-1]]]
    triangles = cells[part.triangles]
    one, two, three = triangles.T
    triangles = triangles[(one != two) & (two != three) & (three != one)]
    return _renumbered(part.ids[chosen], triangles)
