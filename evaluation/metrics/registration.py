"""Iterative closest points between two surfaces: point-to-plane, with seven parameters.

Genova et al. 2018, section 4.2, name the method; its details are ours. What goes wrong in published code is
guarded: one direction alone lets the scale collapse (both are used unless a protocol says otherwise, and the
scale is bounded), a reflection cannot arise (a rotation is an exponential), and what does not converge comes
back as failed.

Where a region holds more than the face, as 95 mm about the nose tip do on the scan of a whole head, ears,
throat and skull fit least of all, and least squares would let them decide. So pairs far apart weigh less
(Geman and McClure 1987), at a width that follows the pairs' own spread.

A step that goes on where the one before it led is lengthened, see `point_to_plane.lengthening`.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from .correspondences import (
    BothSamples,
    PairingRule,
    Pairs,
    find_pairs,
    robust_deviation,
    sample_both,
)
from .point_to_plane import Step, geman_mcclure_weights, lengthening, point_to_plane_step
from .posed_surface import PosedSurface
from .scan_region import Region
from .similarity_transform import Similarity
from .surface import Surface

# The first levels only have to come close.
COARSE_TOLERANCE = 5.0
# Pairs that come and go can make the iteration circle. From this step of a level on, step k is shortened to
# (SHRINKING_FROM / k) ** SHRINKING_POWER of itself, so that it comes to rest.
SHRINKING_FROM, SHRINKING_POWER = 20, 3
SMALLEST_SCALE = 1e-9  # of a start, and the largest is its reciprocal: any unit of length, and no slip


class AlignmentSettings(NamedTuple):
    """How to align; lengths in mm of the scan.

    Attributes:
        scaled: whether the scale is refined.
        pairing: which pairs count.
        kernel_deviations: width of the robust kernel in robust standard deviations of the pairs' distances;
            None: least squares.
        samples: points of each surface, first few, then more.
        tolerance_mm: it has converged when a step moves the samples by less, root mean square.
        least_gain_mm: of `one_way_registration` instead, if given: it has converged when the pairs' mean
            distance changes by less.
        most_iterations: of each level; more are a failure.
        largest_scaling: the scale may change by this factor, up or down; more is a failure.
        least_kept: share of the samples in the region that must form pairs; less is a failure.
        largest_median_mm: median distance of the pairs at the end; more is a failure.
        seed: of the samples.
    """

    scaled: bool = True
    pairing: PairingRule = PairingRule()
    kernel_deviations: float | None = 0.5
    samples: tuple[int, ...] = (1000, 2500)
    tolerance_mm: float = 0.04
    least_gain_mm: float | None = None
    most_iterations: int = 200
    largest_scaling: float = 1.5
    least_kept: float = 0.3
    largest_median_mm: float = 5.0
    seed: int = 0


class Alignment(NamedTuple):
    """How a mesh came to lie on a scan.

    Attributes:
        transform: from the mesh's frame and unit to the scan's.
        converged: whether the criterion was met, and nothing went wrong.
        iterations: steps that were taken.
        kept_fraction: share of the samples in the region that formed pairs at the end.
        rms_mm: root mean square point-to-plane distance of these pairs.
        flipped: whether the mesh's normals point inward and were turned round.
        failure: why it has not converged; None if it has.
    """

    transform: Similarity
    converged: bool
    iterations: int
    kept_fraction: float
    rms_mm: float
    flipped: bool
    failure: str | None

    @property
    def scale(self) -> float:
        """From the mesh's unit to mm."""
        return self.transform.scale


class _State(NamedTuple):
    """Where the iteration stands; `pairs` are those before the last step."""

    pose: Similarity
    iterations: int
    pairs: Pairs | None
    converged: bool
    failure: str | None


def align(
    scan: Surface,
    mesh: Surface,
    start: Similarity,
    region: Region,
    settings: AlignmentSettings = AlignmentSettings(),  # noqa: B008 - immutable
) -> Alignment:
    """The mesh aligned to the scan by iterative closest points from a start.

    Args:
        scan: in mm.
        mesh: of any topology and unit.
        start: from the mesh's frame to the scan's, such as by landmarks.
        region: of the scan's frame; samples of both surfaces count inside.
        settings: see there.

    Returns:
        The alignment; `failure` says what went wrong. Nothing is raised for bad geometry.
    """
    failure = start_failure(start)
    if failure is not None:
        return Alignment(start, False, 0, 0.0, np.nan, False, failure)
    posed = PosedSurface(mesh, start, points_inward(scan, mesh, start, region, settings))
    state = _State(start, 0, None, False, None)
    for level, count in enumerate(settings.samples):
        tolerance = settings.tolerance_mm
        if level < len(settings.samples) - 1:
            tolerance *= COARSE_TOLERANCE
        samples = sample_both(scan, mesh, state.pose, region, count, settings.seed)
        state = _iterate(scan, posed, samples, region, settings, tolerance, state)
        if state.failure is not None:
            break
    kept, rms, median = _figures(state.pairs)
    failure = state.failure
    if failure is None and median > settings.largest_median_mm:
        failure = f"surfaces disagree: {median:.1f} mm apart in the median after alignment"
    return Alignment(state.pose, failure is None, state.iterations, kept, rms, posed.flipped, failure)


def unfinished(iterations: int, moved_mm: float) -> str:
    """Why an alignment has failed that still moved: its score would depend on when it was stopped."""
    return (
        f"no convergence: {iterations} iterations were not enough, the last still moved the mesh by "
        f"{moved_mm:.2g} mm"
    )


def start_failure(start: Similarity) -> str | None:
    """Why no alignment can begin there; None if one can."""
    if not np.isfinite([start.scale, *start.rotation.flat, *start.translation]).all():
        return "unusable start: a parameter is not finite"
    if not SMALLEST_SCALE < start.scale < 1 / SMALLEST_SCALE:
        return f"unusable start: its scale is {start.scale:g}"
    return None


def points_inward(
    scan: Surface, mesh: Surface, start: Similarity, region: Region, settings: AlignmentSettings
) -> bool:
    """Whether most of the mesh's normals oppose the scan's at the start."""
    samples = sample_both(scan, mesh, start, region, settings.samples[0], settings.seed).scan
    if not len(samples.points):
        return False
    closest = PosedSurface(mesh, start).closest_points(samples.points)
    return bool(np.median(np.einsum("pa,pa->p", samples.normals, closest.normals)) < 0)


def _iterate(
    scan: Surface,
    mesh: PosedSurface,
    samples: BothSamples,
    region: Region,
    settings: AlignmentSettings,
    tolerance_mm: float,
    state: _State,
) -> _State:
    """Steps until one is small, or something goes wrong."""
    start, pose, moved_mm = mesh.pose, state.pose, np.inf
    before: Step | None = None
    for taken in range(state.iterations + 1, state.iterations + settings.most_iterations + 1):
        pairs = find_pairs(scan, mesh._replace(pose=pose), samples, region, settings.pairing)
        failure = _too_few(pairs, settings)
        if failure is not None:
            return _State(pose, taken - 1, pairs, False, failure)
        share = (SHRINKING_FROM / max(taken - state.iterations, SHRINKING_FROM)) ** SHRINKING_POWER
        step = point_to_plane_step(*pairs[:3], _robust(pairs, settings), scaled=settings.scaled)
        moved_mm = step.moved(share)
        longer = 1.0
        if before is not None and moved_mm >= tolerance_mm:
            longer = lengthening(step, before)
        before = step if longer == 1 else None  # a lengthened step says nothing of the next one's length
        pose = step.similarity(share * longer).after(pose)
        failure = gone_astray(pose, start, region, settings)
        if failure is not None or moved_mm < tolerance_mm:
            return _State(pose, taken, pairs, failure is None, failure)
    return _State(pose, taken, pairs, False, unfinished(settings.most_iterations, moved_mm))


def _robust(pairs: Pairs, settings: AlignmentSettings) -> NDArray[np.float64]:
    """The pairs' weights [N], less for those farther apart than others."""
    if settings.kernel_deviations is None:
        return pairs.weights
    width = settings.kernel_deviations * robust_deviation(np.abs(pairs.residuals))
    return pairs.weights * geman_mcclure_weights(
        pairs.residuals, max(width, settings.pairing.nearest_limit_mm)
    )


def _too_few(pairs: Pairs, settings: AlignmentSettings) -> str | None:
    if pairs.kept_fraction >= settings.least_kept and len(pairs.distances) >= 7:
        return None
    return (
        f"too few pairs: {pairs.kept_fraction:.0%} of the samples have a counterpart, at least "
        f"{settings.least_kept:.0%} must"
    )


def gone_astray(
    pose: Similarity, start: Similarity, region: Region, settings: AlignmentSettings
) -> str | None:
    """Why a pose cannot be where a mesh belongs; None if it can."""
    if not np.isfinite([pose.scale, *pose.rotation.flat, *pose.translation]).all():
        return "divergence: a parameter is not finite"
    scaling = pose.scale / start.scale
    if not 1 / settings.largest_scaling < scaling < settings.largest_scaling:
        kind = "scale collapse" if scaling < 1 else "scale explosion"
        return f"{kind}: it changed by the factor {scaling:.2f} after the start"
    # What lay at the region's centre at the start must not have left the region.
    travelled = np.linalg.norm(pose.points(start.inverse().points(region.centre[None]))[0] - region.centre)
    if travelled > region.radius_mm:
        return f"divergence: the mesh travelled {travelled:.0f} mm"
    return None


def _figures(pairs: Pairs | None) -> tuple[float, float, float]:
    """Kept fraction, root mean square point-to-plane distance, median distance."""
    if pairs is None or not len(pairs.distances):
        return 0.0, np.nan, np.nan
    rms = float(np.sqrt((pairs.residuals**2).mean()))
    return pairs.kept_fraction, rms, float(np.median(pairs.distances))
