"""The least squares behind `landmark_fitting`: Levenberg-Marquardt on a batch of faces, in float64."""

from typing import NamedTuple, Self

import torch
from torch import Tensor

from lightning_modules.faces.landmarks.jaw_contour import CANDIDATES, outermost

FIRST_DAMPING, LARGEST_DAMPING, DAMPING_FACTOR = 1e-3, 1e2, 5.0
SMALLEST_GAIN = 1e-6  # relative; a step that gains less is a face's last
VIEW_PARAMETERS = 6


class Points(NamedTuple):
    """Points of B faces that move linearly with K coefficients: the N landmarks, then the jaw's candidates.

    Attributes:
        start: [B, P, 3] mm, relative to each face's centre, where all coefficients are zero.
        basis: [P, 3, K], mm for each unit of a coefficient.
    """

    start: Tensor
    basis: Tensor

    def at(self, coefficients: Tensor) -> Tensor:
        """The points [B, P, 3] at coefficients [B, K]."""
        return self.start + torch.einsum("pik,bk->bpi", self.basis, coefficients)


class View(NamedTuple):
    """How B faces stand before their cameras.

    Attributes:
        rotations: [B, 3, 3], world to camera.
        shifts: [B, 2], of the faces' centres in the camera's frame, mm.
        distances: [B], their depth, mm.
        focal_lengths: [B], pixels.
    """

    rotations: Tensor
    shifts: Tensor
    distances: Tensor
    focal_lengths: Tensor

    @property
    def origins(self) -> Tensor:
        """The faces' centres in the camera's frame, [B, 3] mm."""
        return torch.cat([self.shifts, self.distances[:, None]], 1)

    def moved(self, change: Tensor, *, calibrated: bool) -> "View":
        """After a change [B, 6]: turns (radians, in the camera's frame), shifts, logarithm of the scale."""
        zoom = change[:, 5].exp()
        return View(
            torch.linalg.matrix_exp(cross_products(change[:, :3])) @ self.rotations,
            self.shifts + change[:, 3:5],
            self.distances / zoom if calibrated else self.distances,
            self.focal_lengths if calibrated else self.focal_lengths * zoom,
        )


class Problem(NamedTuple):
    """What is minimised over views and coefficients.

    Attributes:
        points: see there.
        targets: [B, N, 2], pixels relative to the principal point; zero where none is given.
        weights: [B, N], 1 / variance in pixels; zero where none is given.
        precision: [K], of the coefficients' prior, whose mean is zero.
        calibrated: whether focal lengths are known, or else distances.
        sliding: whether the jaw's landmarks slide to the outline.
    """

    points: Points
    targets: Tensor
    weights: Tensor
    precision: Tensor
    calibrated: bool
    sliding: bool

    def rigid(self) -> Self:
        """The same without coefficients."""
        points = self.points._replace(basis=self.points.basis[..., :0])
        return self._replace(points=points, precision=self.precision[:0])


class State(NamedTuple):
    """Where a minimisation stands: views, coefficients [B, K], and the steps [B] that were taken."""

    view: View
    coefficients: Tensor
    steps: Tensor

    @classmethod
    def at(cls, view: View, count: int) -> Self:
        """Zero coefficients and no step."""
        zeros = view.distances.new_zeros(len(view.distances), count)
        return cls(view, zeros, zeros.new_zeros(len(zeros), dtype=torch.int64))


def minimised(problem: Problem, state: State, steps: int) -> State:
    """The state after at most so many steps of Levenberg-Marquardt; converged faces wait for the others."""
    view, coefficients, taken = state
    damping = view.distances.new_full((len(taken),), FIRST_DAMPING)
    active = torch.ones_like(taken, dtype=torch.bool)
    loss = loss_at(problem, view, coefficients)
    for _ in range(steps):
        gradient, curvature, _ = normal_equations(problem, view, coefficients)
        damped = curvature + torch.diag_embed(damping[:, None] * curvature.diagonal(dim1=-2, dim2=-1))
        change = -torch.linalg.solve(damped, gradient)
        new_view = view.moved(change[:, :VIEW_PARAMETERS], calibrated=problem.calibrated)
        new_coefficients = coefficients + change[:, VIEW_PARAMETERS:]
        new_loss = loss_at(problem, new_view, new_coefficients)
        better = active & (new_loss < loss)
        view = View(*(_chosen(better, *pair) for pair in zip(new_view, view, strict=True)))
        coefficients = _chosen(better, new_coefficients, coefficients)
        taken = taken + active
        active = active & ~(better & (loss - new_loss < SMALLEST_GAIN * loss)) & (damping < LARGEST_DAMPING)
        loss = torch.where(better, new_loss, loss)
        damping = torch.where(better, damping / DAMPING_FACTOR, damping * DAMPING_FACTOR)
        if not bool(active.any()):
            break
    return State(view, coefficients, taken)


def variance_ratios(problem: Problem, view: View, coefficients: Tensor) -> Tensor:
    """How much larger the residuals' variance is than the weights say, [B].

    The residuals' sum of squares over its degrees of freedom: twice the landmarks less the parameters that
    they, rather than the prior, determine (MacKay, Bayesian interpolation, 1992, equation 4.10 and after).
    """
    _, curvature, by_landmarks = normal_equations(problem, view, coefficients)
    determined = torch.linalg.solve(curvature, by_landmarks).diagonal(dim1=-2, dim2=-1).sum(-1)
    count = 2 * (problem.weights > 0).sum(1)
    misfit = loss_at(problem._replace(precision=0 * problem.precision), view, coefficients)
    return misfit / (count - determined).clamp(min=1)


def seen_points(problem: Problem, view: View, coefficients: Tensor) -> tuple[Tensor, Tensor]:
    """The landmarks in the camera's frame [B, N, 3] mm, and which of the points they are [B, N]."""
    camera = problem.points.at(coefficients) @ view.rotations.mT + view.origins[:, None]
    count = problem.targets.shape[1]
    chosen = torch.arange(count, device=camera.device).expand(len(camera), -1)
    if problem.sliding:
        candidates = (camera[:, count:, :2] / camera[:, count:, 2:]).unflatten(1, (-1, CANDIDATES))
        place = outermost(candidates, view.rotations[:, :2, 1])
        jaw = place.shape[1]
        slid = count + CANDIDATES * torch.arange(jaw, device=camera.device) + place
        # Where the first candidate is outermost the landmark itself stays, between its vertices.
        chosen = torch.cat([torch.where(place > 0, slid, chosen[:, :jaw]), chosen[:, jaw:]], 1)
    return camera.gather(1, chosen[..., None].expand(-1, -1, 3)), chosen


def pixels_of(view: View, camera: Tensor) -> Tensor:
    """Projections [B, N, 2] of points in the camera's frame [B, N, 3], relative to the principal point."""
    return view.focal_lengths[:, None, None] * camera[..., :2] / camera[..., 2:]


def loss_at(problem: Problem, view: View, coefficients: Tensor) -> Tensor:
    """Weighted squared distances of the landmarks plus the prior's share, [B]; infinite behind the camera."""
    camera, _ = seen_points(problem, view, coefficients)
    distances = (pixels_of(view, camera) - problem.targets).square().sum(-1)
    loss = (problem.weights * distances).sum(1) + (problem.precision * coefficients.square()).sum(1)
    return torch.where((camera[..., 2] > 0).all(1), loss, torch.inf)


def normal_equations(problem: Problem, view: View, coefficients: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Half the loss's gradient [B, 6 + K], and its curvature [B, 6 + K, 6 + K] as Gauss and Newton have it.

    The third is the landmarks' part of the curvature, without the prior's.
    """
    camera, chosen = seen_points(problem, view, coefficients)
    pixels = pixels_of(view, camera)
    jacobian = pixel_derivatives(problem, view, camera, chosen).flatten(1, 2)  # [B, 2 N, 6 + K]
    weighted = problem.weights.repeat_interleave(2, dim=1)[..., None] * jacobian
    prior = torch.nn.functional.pad(problem.precision, (VIEW_PARAMETERS, 0))
    gradient = (weighted.mT @ (pixels - problem.targets).flatten(1)[..., None])[..., 0]
    gradient = gradient + prior * torch.nn.functional.pad(coefficients, (VIEW_PARAMETERS, 0))
    by_landmarks = weighted.mT @ jacobian
    return gradient, by_landmarks + torch.diag(prior), by_landmarks


def pixel_derivatives(problem: Problem, view: View, camera: Tensor, chosen: Tensor) -> Tensor:
    """Derivatives [B, N, 2, 6 + K] of the projections by a change of the view and by the coefficients."""
    slopes = camera[..., :2] / camera[..., 2:]
    identity = torch.eye(2, dtype=camera.dtype, device=camera.device).expand(*slopes.shape, 2)
    by_point = torch.cat([identity, -slopes[..., None]], -1)  # [B, N, 2, 3]
    by_point = by_point * (view.focal_lengths[:, None] / camera[..., 2])[..., None, None]
    by_turn = -by_point @ cross_products(camera - view.origins[:, None])
    if problem.calibrated:
        by_scale = -by_point[..., 2:] * view.distances[:, None, None, None]
    else:
        by_scale = pixels_of(view, camera)[..., None]
    by_coefficient = by_point @ (view.rotations[:, None] @ problem.points.basis[chosen])
    return torch.cat([by_turn, by_point[..., :2], by_scale, by_coefficient], -1)


def cross_products(vectors: Tensor) -> Tensor:
    """Matrices [..., 3, 3] that take x to the cross product of `vectors` [..., 3] with x."""
    x, y, z = vectors.unbind(-1)
    zero = torch.zeros_like(x)
    return torch.stack([zero, -z, y, z, zero, -x, -y, x, zero], -1).unflatten(-1, (3, 3))


def _chosen(rows: Tensor, new: Tensor, old: Tensor) -> Tensor:
    return torch.where(rows.view(-1, *[1] * (new.dim() - 1)), new, old)
