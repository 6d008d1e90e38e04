"""One mesh scored against one scan: start, alignment, distances, or what went wrong."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from .correspondences import PairingRule
from .landmark_start import check_size, landmark_start
from .marked_mesh import NOSE_TIP, MarkedMesh, Unscorable, checked_mesh, known, landmark
from .one_way_registration import measured_both_ways
from .posed_surface import EVERYWHERE, INTERSECTION, PosedSurface
from .region_score import region_errors, seven_point_start
from .registration import Alignment, AlignmentSettings, align, points_inward, start_failure
from .scan_protocols import ScanProtocol
from .scan_region import Region, region_of
from .similarity_transform import Similarity
from .surface import Surface, scorable_surface
from .surface_distance import Distances, distances
from .triangle_trees import Backend
from .vertex_registration import align_all_vertices

# The scan's surface is kept so far from the nose tip: no region with what lies close to it reaches farther.
KEPT_RADIUS_MM = 150.0
# A score that rests on less of the region is no score of the face.
LEAST_KEPT = 0.3
# Where no samples are drawn, there is a minimum to be found to its end.
TO_THE_END_MM = 0.002


class PreparedScan(NamedTuple):
    """A scan with what is computed once for all methods and protocols.

    Attributes:
        surface: within 150 mm of the nose tip; vertices as given, in mm.
        landmarks: [68, 3] in mm, NaN where not known.
    """

    surface: Surface
    landmarks: NDArray[np.float64]


class ScanScore(NamedTuple):
    """One mesh under one protocol against one scan.

    Attributes:
        protocol: its name.
        value_mm: the protocol's statistic, averaged over its directions; NaN where it failed.
        kept_fraction: how much of the region the distances rest on, averaged over the directions.
        alignment: how the mesh came to lie on the scan; None if it did not come so far.
        scan_to_mesh: of the scan's vertices; None where it failed.
        mesh_to_scan: of the mesh's vertices; None where it failed or is not measured.
        failure: why there is no value; None if there is one.
        regions_mm: of each region that has a score of its own.
    """

    protocol: str
    value_mm: float
    kept_fraction: float
    alignment: Alignment | None
    scan_to_mesh: Distances | None
    mesh_to_scan: Distances | None
    failure: str | None
    regions_mm: Mapping[str, float] = {}


def prepare_scan(scan: MarkedMesh, *, backend: Backend = "libigl") -> PreparedScan:
    """What can be computed of a scan for all meshes and protocols.

    Args:
        scan: in mm, with its nose tip (iBUG 30) and outer eye corners known.
        backend: what finds closest points on it.

    Raises:
        Unscorable: if it is empty, not finite, lacks one of these landmarks, or is of an implausible size.
    """
    scan = checked_mesh(scan, "the scan")
    check_size(scan.landmarks, 1.0, "the scan")
    nose_tip = landmark(scan.landmarks, NOSE_TIP, "nose tip")
    near = Region(nose_tip, KEPT_RADIUS_MM).contains(scan.vertices)
    triangles = scan.triangles[near[scan.triangles].all(1)]
    return PreparedScan(
        scorable_surface(scan.vertices, triangles, "the scan", backend=backend), scan.landmarks
    )


def score_scan(
    scan: MarkedMesh | PreparedScan,
    mesh: MarkedMesh,
    protocol: ScanProtocol,
    *,
    subject: int | None = None,
    global_scale: float | None = None,
    start: Similarity | None = None,
    backend: Backend = "libigl",
) -> ScanScore:
    """The score of a mesh against a scan, or the reason why there is none.

    Args:
        scan: in mm; prepare it once where several meshes or protocols follow.
        mesh: of any topology; of any unit unless the protocol does not scale.
        protocol: a preset of `scan_protocols`, or a changed one (`dataclasses.replace`).
        subject: its number, for protocols with another crop for some subjects.
        global_scale: from the mesh's unit to mm, for protocols with one scale for all meshes of a method; see
            `common_scale`.
        start: takes the place of the landmarks' similarity.
        backend: what finds closest points on the mesh, and on a scan that is not prepared.

    Returns:
        The score; what is wrong with the scan, the mesh or the alignment stands in `failure`.

    Raises:
        ValueError: for arrays of wrong shapes, or a protocol that needs a global scale and has none.
    """
    scores = score_protocols(
        scan, mesh, [protocol], subject=subject, global_scale=global_scale, start=start, backend=backend
    )
    return scores[0]


def score_protocols(
    scan: MarkedMesh | PreparedScan,
    mesh: MarkedMesh,
    protocols: Sequence[ScanProtocol],
    *,
    subject: int | None = None,
    global_scale: float | None = None,
    start: Similarity | None = None,
    backend: Backend = "libigl",
) -> list[ScanScore]:
    """The scores of a mesh under several protocols; arguments and errors are those of `score_scan`.

    What protocols share is computed once: the mesh's tree, and an alignment that is the same for two of them.
    """
    for protocol in protocols:
        if protocol.scaling == "global" and global_scale is None:
            raise ValueError(
                f"the protocol {protocol.name} scales all meshes of a method alike, and no scale was given; "
                "pass global_scale, the common_scale of their scores with scaling 'isotropic'"
            )
    try:
        if isinstance(scan, MarkedMesh):
            scan = prepare_scan(scan, backend=backend)
        mesh = checked_mesh(mesh, "the mesh")
        surface = scorable_surface(mesh.vertices, mesh.triangles, "the mesh", backend=backend)
    except Unscorable as error:
        return [_failed(protocol, str(error), None) for protocol in protocols]
    scores, alignments = [], {}
    for protocol in protocols:
        try:
            region = None if protocol.alignment == "region-wise" else _region(scan, protocol, subject)
            first = (
                landmark_start(scan.landmarks, mesh.landmarks, protocol, global_scale=global_scale)
                if start is None
                else start
            )
            if region is None:
                scores.append(_by_regions(scan, surface, mesh.landmarks, first, protocol, start is None))
                continue
        except Unscorable as error:
            scores.append(_failed(protocol, str(error), None))
            continue
        if protocol.refined and protocol.alignment == "one way each":
            scores.append(_measured_one_way_each(scan, surface, mesh, first, region, protocol))
            continue
        key = _alignment_key(first, region, protocol)
        if key not in alignments:
            alignments[key] = _aligned(scan, surface, first, region, protocol)
        scores.append(_measured(scan, surface, alignments[key], region, protocol))
    return scores


def alignment_settings(protocol: ScanProtocol) -> AlignmentSettings:
    """The settings of ICP under a protocol."""
    settings = AlignmentSettings(
        scaled=protocol.scaling == "isotropic",
        pairing=PairingRule(protocol.alignment_directions),
        least_gain_mm=protocol.least_gain_mm,
    )
    return settings._replace(tolerance_mm=TO_THE_END_MM) if protocol.alignment == "all vertices" else settings


def common_scale(scores: list[ScanScore]) -> float:
    """One scale for all meshes of a method: the geometric mean over those that were aligned.

    Raises:
        ValueError: if none was.
    """
    scales = [score.alignment.scale for score in scores if score.failure is None and score.alignment]
    if not scales:
        raise ValueError("no mesh was aligned, so that there is no scale; see the failures")
    return float(np.exp(np.log(scales).mean()))


def _alignment_key(start: Similarity, region: Region, protocol: ScanProtocol) -> tuple:
    """Equal for two alignments that come out the same."""
    parts = [*start, *region]
    numbers = tuple(None if part is None else np.asarray(part).tobytes() for part in parts)
    return (*numbers, protocol.refined, protocol.alignment, alignment_settings(protocol))


def _aligned(
    scan: PreparedScan, mesh: Surface, start: Similarity, region: Region, protocol: ScanProtocol
) -> Alignment:
    settings = alignment_settings(protocol)
    if protocol.refined and protocol.alignment == "all vertices":
        return align_all_vertices(scan.surface, mesh, start, region, settings=settings)
    if protocol.refined or start_failure(start) is not None:
        return align(scan.surface, mesh, start, region, settings)
    flipped = points_inward(scan.surface, mesh, start, region, settings)
    return Alignment(start, True, 0, np.nan, np.nan, flipped, None)


def _measured(
    scan: PreparedScan, mesh: Surface, alignment: Alignment, region: Region, protocol: ScanProtocol
) -> ScanScore:
    """The score of a mesh, if it was aligned."""
    if alignment.failure is not None:
        return _failed(protocol, alignment.failure, alignment)
    still, moved = PosedSurface(scan.surface), PosedSurface(mesh, alignment.transform, alignment.flipped)
    rule = INTERSECTION if protocol.counted == "intersection" else EVERYWHERE
    measured = partial(
        distances, region=region, measure=protocol.measure, weighting=protocol.weighting, rule=rule
    )
    both = [measured(still, moved)]
    if protocol.directions == "both":
        both.append(measured(moved, still))
    kept = float(np.mean([each.kept_fraction for each in both]))
    least = min(each.kept_fraction for each in both)
    if least < LEAST_KEPT:
        return _failed(
            protocol,
            f"hardly any intersection: {least:.0%} of the region has a counterpart, at least "
            f"{LEAST_KEPT:.0%} must",
            alignment,
        )
    value = float(np.mean([each.statistic(protocol.statistic) for each in both]))
    return ScanScore(protocol.name, value, kept, alignment, both[0], both[1] if len(both) > 1 else None, None)


def _by_regions(
    scan: PreparedScan, mesh: Surface, marks: NDArray, start: Similarity, protocol: ScanProtocol, scaled: bool
) -> ScanScore:
    """The mean of the four regions' errors; `scaled` by landmarks as the published code does it."""
    if (reason := start_failure(start)) is not None:
        return _failed(protocol, reason, None)
    if scaled and protocol.scaling == "isotropic":
        ids = [index for index in protocol.start if known(scan.landmarks)[index] and known(marks)[index]]
        start = seven_point_start(start, marks[ids], scan.landmarks[ids])
    found = region_errors(scan.surface, scan.landmarks, mesh, marks, start)
    alignment = Alignment(start, True, found.iterations, 1.0, np.nan, False, None)
    measured = Distances(found.values_mm, found.weights, 1.0)
    return ScanScore(
        protocol.name,
        found.mean_mm,
        1.0,
        alignment,
        measured,
        None,
        None,
        {str(region): mean for region, mean in found.means_mm.items()},
    )


def _measured_one_way_each(
    scan: PreparedScan,
    surface: Surface,
    mesh: MarkedMesh,
    start: Similarity,
    region: Region,
    protocol: ScanProtocol,
) -> ScanScore:
    """The score of a mesh where each surface is aligned to the other."""
    try:
        nose_tip = landmark(mesh.landmarks, NOSE_TIP, "nose tip", of="the mesh")
    except Unscorable as error:
        return _failed(protocol, str(error), None)
    about_the_mesh = region._replace(centre=start.points(nose_tip[None])[0])
    both = measured_both_ways(
        scan.surface, surface, start, (region, about_the_mesh), alignment_settings(protocol)
    )
    if both.scan_to_mesh is None or both.mesh_to_scan is None:
        return _failed(protocol, str(both.alignment.failure), both.alignment)
    value = float(
        np.mean([each.statistic(protocol.statistic) for each in (both.scan_to_mesh, both.mesh_to_scan)])
    )
    return ScanScore(protocol.name, value, 1.0, both.alignment, both.scan_to_mesh, both.mesh_to_scan, None)


def _failed(protocol: ScanProtocol, reason: str, alignment: Alignment | None) -> ScanScore:
    kept = 0.0 if alignment is None else alignment.kept_fraction
    return ScanScore(protocol.name, np.nan, kept, alignment, None, None, reason)


def _region(scan: PreparedScan, protocol: ScanProtocol, subject: int | None) -> Region:
    region = region_of(
        protocol.region,
        scan.landmarks,
        radius_mm=protocol.radius_for(subject),
        disc_factor=protocol.disc_factor,
    )
    nose_tip = landmark(scan.landmarks, NOSE_TIP, "nose tip")
    reach = float(np.linalg.norm(region.centre - nose_tip)) + region.radius_mm + INTERSECTION.farthest_mm
    if reach > KEPT_RADIUS_MM:
        raise Unscorable(
            f"region too large: it reaches {reach:.0f} mm from the nose tip, and of a scan "
            f"{KEPT_RADIUS_MM:.0f} are kept; give a smaller radius"
        )
    return region
