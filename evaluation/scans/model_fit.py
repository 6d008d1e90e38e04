"""The morphable model fitted to a surface: the best that a reconstruction with this model could do."""

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from evaluation.metrics.correspondences import DEVIATION_OVER_MEDIAN, PairingRule
from evaluation.metrics.posed_surface import IntersectionRule
from evaluation.metrics.scan_region import Region
from evaluation.metrics.similarity_transform import Similarity
from evaluation.metrics.surface import Surface
from lightning_modules.faces.morphable_model import MorphableModel
from lightning_modules.faces.normals import vertex_normals

# Around the nose tip, as in most protocols, and a little more: the rim counts, too.
RADIUS_MM = 100.0
ROUNDS, LEAST_GAIN_MM = 20, 1e-3
# Weight of a coefficient's square against a squared distance in mm: it only holds what the scan leaves open.
PRIOR_MM2 = 1.0
# Of the model's points in the region; where fewer have a counterpart, it lies on something else.
LEAST_PAIRED = 0.35


class ModelFit(NamedTuple):
    """A fitted model.

    Attributes:
        coefficients: [Ks], in standard deviations.
        vertices: [V, 3], the neutral face in the model's frame, mm.
        pose: from there to the surface's frame.
        residual_mm: root mean square distance of the paired points to the surface's tangent planes.
        failure: why there is no fit; empty if there is one.
    """

    coefficients: NDArray[np.float64]
    vertices: NDArray[np.float64]
    pose: Similarity
    residual_mm: float
    failure: str = ""


def fit_model(
    surface: Surface,
    model: MorphableModel,
    start: Similarity,
    nose_tip: NDArray,
    *,
    prior_mm2: float = PRIOR_MM2,
) -> ModelFit:
    """Shape coefficients and similarity together, by Gauss-Newton steps on point-to-plane distances.

    Each round pairs the model's vertices in the region with the surface's closest points, leaves out what
    lies on a border, turned away or far off (as the alignment of the protocols does), and solves for seven
    pose parameters and all coefficients at once. What still gains after ROUNDS rounds is taken as it is.

    Args:
        surface: a scan or mesh, mm.
        model: all its shape components are used.
        start: from the model's frame to the surface's.
        nose_tip: [3], in the surface's frame; points about it count.
        prior_mm2: weight of a coefficient's square against a squared distance; the more, the less a face
            outside the model bends the fit.
    """
    basis = (model.components("shape").basis * model.shape_standard_deviation).double().numpy()
    basis = basis.reshape(-1, 3, basis.shape[1])
    mean = model.neutral_mean.view(-1, 3).double().numpy()
    region = Region(np.asarray(nose_tip, np.float64), RADIUS_MM)
    pose, coefficients, residual = start, np.zeros(basis.shape[2]), np.inf
    for _ in range(ROUNDS):
        shape = mean + basis @ coefficients
        chosen, targets, normals, share = _pairs(surface, model, shape, pose, region)
        if share < LEAST_PAIRED:
            reason = f"no fit: {share:.0%} of the model's points meet the surface, {LEAST_PAIRED:.0%} must"
            return ModelFit(coefficients, shape, pose, np.nan, reason)
        points = pose.points(shape[chosen])
        wanted = ((targets - points) * normals).sum(1)
        pose, coefficients = _step(points, basis[chosen], normals, wanted, pose, coefficients, prior_mm2)
        before, residual = residual, float(np.sqrt((wanted**2).mean()))
        if abs(before - residual) < LEAST_GAIN_MM:
            break
    return ModelFit(coefficients, mean + basis @ coefficients, pose, residual)


def _pairs(
    surface: Surface, model: MorphableModel, shape: NDArray, pose: Similarity, region: Region
) -> tuple[NDArray[np.int64], NDArray, NDArray, float]:
    """Vertices with a counterpart: ids [N], its points and normals [N, 3], their share in the region."""
    normals = vertex_normals(torch.from_numpy(shape)[None], model.triangles)[0].numpy() @ pose.rotation.T
    placed = pose.points(shape)
    # What faces away from the viewer's side of the head, such as the mouth's inside, has no counterpart.
    ids = np.flatnonzero(region.contains(placed) & (normals @ pose.rotation[:, 2] > 0))
    if not len(ids):
        return ids, placed[ids], normals[ids], 0.0
    closest = surface.closest_points(placed[ids])
    rule = PairingRule()
    counts = IntersectionRule(rule.largest_angle_degrees).holds(normals[ids], closest)
    if counts.any():
        deviation = DEVIATION_OVER_MEDIAN * float(np.median(closest.distances[counts]))
        counts &= closest.distances <= max(rule.farthest_deviations * deviation, rule.nearest_limit_mm)
    return ids[counts], closest.points[counts], closest.normals[counts], float(counts.mean())


def _step(
    points: NDArray,
    basis: NDArray,
    normals: NDArray,
    wanted: NDArray,
    pose: Similarity,
    coefficients: NDArray,
    prior_mm2: float,
) -> tuple[Similarity, NDArray[np.float64]]:
    """Pose and coefficients after one linear step.

    Args:
        points: [N, 3], the placed vertices.
        basis: [N, 3, K], of the vertices before they are placed, times the standard deviations.
        normals: [N, 3].
        wanted: [N], how far each should move along its normal.
        pose: of the model.
        coefficients: [K].
        prior_mm2: weight of their squares.
    """
    centre = points.mean(0)
    arms = points - centre
    length = np.sqrt((arms**2).sum(1).mean())  # so that all seven weigh alike
    turned = pose.scale * normals @ pose.rotation  # normals in the model's frame
    columns = np.concatenate(
        [
            np.cross(arms, normals) / length,
            normals,
            (arms * normals).sum(1, keepdims=True) / length,
            np.einsum("na,nak->nk", turned, basis),
        ],
        1,
    )
    gram, right = columns.T @ columns, columns.T @ wanted
    prior = np.diag(np.r_[np.full(7, 1e-9 * len(points)), np.full(len(coefficients), prior_mm2)])
    right[7:] -= prior_mm2 * coefficients
    solution = np.linalg.solve(gram + prior, right)
    rotation = Rotation.from_rotvec(solution[:3] / length).as_matrix()
    scale = float(np.exp(solution[6] / length))
    shift = centre + solution[3:6] - scale * rotation @ centre
    moved = Similarity(
        scale * pose.scale, rotation @ pose.rotation, scale * rotation @ pose.translation + shift
    )
    return moved, coefficients + solution[7:]
