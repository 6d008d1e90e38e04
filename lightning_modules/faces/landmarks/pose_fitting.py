"""Pose and expression from landmarks in photographs.

Genova et al. 2018, appendix A.1: starting from the neutral output, pose and expression follow from the
distances between 68 landmarks and their projections, by gradient descent; it says no more. Ours differs in
three points. The minimum is found by Levenberg-Marquardt, all faces at once. The prior keeps expressions
plausible, weighed by how far landmarks and model disagree, which is estimated. And the landmarks of the jaw
slide along the cheek to the outline of the turned face, where people mark them in photographs.
"""

from typing import Literal, NamedTuple

import torch
from torch import Tensor

from lightning_modules.faces.landmarks.ibug import GROUPS, NUMBER_OF_LANDMARKS, five_points
from lightning_modules.faces.landmarks.jaw_contour import jaw_candidates
from lightning_modules.faces.landmarks.least_squares import (
    Points,
    Problem,
    State,
    View,
    minimised,
    pixels_of,
    seen_points,
    variance_ratios,
)
from lightning_modules.faces.morphable_model import MorphableModel
from lightning_modules.rendering.camera import Cameras

Jaw = Literal["sliding", "fixed", "none"]
JAW = len(GROUPS["jaw"])
# Of each coordinate of a landmark from the model's, where the estimate starts and where it ends: about 3 % of
# the distance between the eyes, as marking a landmark twice gives; rounding; a tenth of the face.
DEVIATION_MM, DEVIATIONS_MM = 2.0, (0.3, 8.0)
DEVIATION_ROUNDS = 3  # five gave the same poses to three digits
SHAPE_DEVIATION = 0.5  # of a refined shape from the start, in the prior's standard deviations
DISTANCE_MM = 1500.0  # of the camera, where neither it nor the focal length is known
FEWEST_LANDMARKS = 5  # beside the jaw's
FIVE = 5
RIGID_STEPS, STEPS = 8, 40


class Fit(NamedTuple):
    """B fitted faces, in float64.

    Attributes:
        cameras: of shape [B, 1].
        centres: [B, 3] world, mm: the point of each face about which poses turn, the mean of its landmarks
            without the jaw's.
        expression: [B, Ke], in standard deviations.
        shape: [B, Ks], as given, or refined.
        projections: [B, N, 2], the landmarks as fitted, in pixels.
        residuals: [B, N], their distances to the given landmarks in pixels, NaN where none was given.
        deviations_mm: [B], of a given landmark's coordinate from the fitted one, in the face's millimetres.
        steps: [B], taken until convergence.
    """

    cameras: Cameras
    centres: Tensor
    expression: Tensor
    shape: Tensor
    projections: Tensor
    residuals: Tensor
    deviations_mm: Tensor
    steps: Tensor


def fit_landmarks(
    model: MorphableModel,
    shape: Tensor,
    landmarks: Tensor,
    principal_points: Tensor,
    *,
    focal_lengths: Tensor | None = None,
    distance_mm: float = DISTANCE_MM,
    jaw: Jaw = "sliding",
    expression: bool = True,
    refine_shape: bool = False,
    deviation_mm: float | None = None,
    shape_deviation: float = SHAPE_DEVIATION,
) -> Fit:
    """Poses and expressions whose projected landmarks come closest to those of B photographs.

    The minimum of squared distances over their variance, plus the squared coefficients of expression (the
    prior is a standard normal) and, where shape is refined, its squared change over `shape_deviation`^2.

    A photograph does not tell a near camera with a short focal length from a far one with a long one: either
    the focal length is given, or the distance is assumed and the focal length fitted.

    Args:
        model: with landmarks; where it lies, this runs.
        shape: [B, Ks], coefficients of the neutral faces.
        landmarks: [B, 68, 2], x and y in pixels, NaN where a landmark was not marked; or [B, 5, 2], the
            points of `five_points`, which fix a pose only.
        principal_points: [B, 2], pixels; the middle of a photograph that was not cropped.
        focal_lengths: [B], pixels, where they are known.
        distance_mm: of the cameras to the faces' centres, where focal lengths are not known.
        jaw: `sliding` for landmarks marked in photographs, where those of the jaw lie on the outline; `fixed`
            for landmarks of the surface; `none` leaves the jaw out.
        expression: whether to fit it; else it stays neutral.
        refine_shape: whether to move the shape, too.
        deviation_mm: of a landmark's coordinate from the model's; estimated for each face if not given.
        shape_deviation: see above.

    Raises:
        ValueError: if sizes do not match, or a face has too few landmarks, or all in one place.
    """
    _check_sizes(shape, landmarks, principal_points)
    landmarks, principal_points = (value.to(shape.device).double() for value in (landmarks, principal_points))
    counted = counted_landmarks(landmarks, jaw)
    all_there = landmarks.shape[1] == NUMBER_OF_LANDMARKS
    counts = (
        model.expression_variance.numel() if expression and all_there else 0,
        shape.shape[1] if refine_shape and all_there else 0,
    )
    points, centres = landmark_points(model, shape, landmarks.shape[1], counts)
    targets = (landmarks - principal_points[:, None]).nan_to_num()
    view = first_view(points, targets, counted, focal_lengths, distance_mm)
    precision = targets.new_tensor([1.0] * counts[0] + [shape_deviation**-2] * counts[1])
    calibrated, sliding = focal_lengths is not None, jaw == "sliding" and all_there
    problem = Problem(points, targets, counted.double(), precision, calibrated, sliding)
    state, deviations_mm = _with_deviations(problem, view, deviation_mm)
    camera, _ = seen_points(problem, state.view, state.coefficients)
    projections = pixels_of(state.view, camera) + principal_points[:, None]
    by_expression, by_shape = state.coefficients.split(list(counts), 1)
    return Fit(
        cameras=_cameras(state.view, centres, principal_points),
        centres=centres,
        expression=by_expression,
        shape=shape + by_shape if counts[1] else shape.double(),
        projections=projections,
        residuals=(projections - landmarks).norm(dim=-1),
        deviations_mm=deviations_mm,
        steps=state.steps,
    )


def counted_landmarks(landmarks: Tensor, jaw: Jaw) -> Tensor:
    """Which of the landmarks [B, N, 2] count, [B, N].

    Raises:
        ValueError: if a face has fewer than FEWEST_LANDMARKS beside the jaw's, or all in one place.
    """
    for face, points in enumerate(landmarks):
        if reason := why_unfit(points):
            raise ValueError(f"face {face} (from 0): {reason}")
    marked = landmarks.isfinite().all(-1)
    return marked & ~on_jaw(landmarks.shape[1], landmarks.device) if jaw == "none" else marked


def why_unfit(landmarks: Tensor) -> str:
    """Why a face's landmarks [N, 2] fix no pose; empty where they do."""
    inner = landmarks[landmarks.isfinite().all(-1) & ~on_jaw(len(landmarks), landmarks.device)]
    if len(inner) < FEWEST_LANDMARKS:
        return f"{len(inner)} landmarks beside those of the jaw; a pose takes at least {FEWEST_LANDMARKS}"
    if float((inner - inner[0]).abs().max()) == 0:
        return "the landmarks all lie in one place; mark them anew"
    return ""


def on_jaw(count: int, device: torch.device) -> Tensor:
    """Which of 68 landmarks, or of five points, belong to the jaw, [count]."""
    return torch.arange(count, device=device) < (JAW if count == NUMBER_OF_LANDMARKS else 0)


def landmark_points(
    model: MorphableModel, shape: Tensor, count: int, coefficients: tuple[int, int]
) -> tuple[Points, Tensor]:
    """The points that the landmarks of faces [B, Ks] can be, relative to the faces' centres [B, 3] in mm.

    Args:
        model: with landmarks.
        shape: of the neutral faces.
        count: 68, or 5.
        coefficients: how many of expression and of shape the points shall move with.
    """
    candidates = jaw_candidates(model).flatten()

    def points_of(vertices: Tensor) -> Tensor:
        marks = model.landmarks.on(vertices)
        return five_points(marks) if count == FIVE else torch.cat([marks, vertices[:, candidates]], 1)

    parts = []
    for part, size in zip(("expression", "shape"), coefficients, strict=True):
        basis, deviation = (getattr(model, f"{part}_{name}") for name in ("basis", "standard_deviation"))
        displacements = (basis[:, :size] * deviation[:size]).double().T.unflatten(1, (-1, 3))
        parts.append(points_of(displacements).permute(1, 2, 0))
    vertices = model.vertices(shape).double()
    centres = model.landmarks.on(vertices)[:, JAW:].mean(1)
    return Points(points_of(vertices) - centres[:, None], torch.cat(parts, -1)), centres


def first_view(
    points: Points, targets: Tensor, counted: Tensor, focal_lengths: Tensor | None, distance_mm: float
) -> View:
    """The view from far away (scaled orthography) that comes closest without the jaw, in closed form.

    Args:
        points: of the neutral faces.
        targets: [B, N, 2], pixels relative to the principal point.
        counted: [B, N], which of them count.
        focal_lengths: see `fit_landmarks`.
        distance_mm: likewise.
    """
    count = targets.shape[1]
    start = points.start[:, :count]
    weights = (counted & ~on_jaw(count, counted.device)).to(start)
    weights = (weights / weights.sum(1, keepdim=True))[..., None]
    mean_point, mean_target = (weights * start).sum(1), (weights * targets).sum(1)
    centred = start - mean_point[:, None]
    # Least squares: target = affine @ point. The nearest rotation gives its first two rows.
    affine = (weights * (targets - mean_target[:, None])).mT @ centred
    affine = affine @ torch.linalg.pinv((weights * centred).mT @ centred)
    left, scales, right = torch.linalg.svd(affine, full_matrices=False)
    rows = left @ right
    rotations = torch.cat([rows, torch.linalg.cross(rows[:, 0], rows[:, 1])[:, None]], 1)
    scale = scales.mean(1)  # pixels per mm
    if focal_lengths is None:
        distances = torch.full_like(scale, distance_mm)
        focal_lengths = scale * distances
    else:
        focal_lengths = focal_lengths.to(scale)
        distances = focal_lengths / scale
    shifts = mean_target / scale[:, None] - (rotations @ mean_point[..., None])[:, :2, 0]
    return View(rotations, shifts, distances, focal_lengths)


def _with_deviations(problem: Problem, view: View, deviation_mm: float | None) -> tuple[State, Tensor]:
    """The minimum, and the deviations [B] that its weights come from: given, or estimated from residuals."""
    pixels_per_mm = view.focal_lengths / view.distances
    counted = problem.weights

    def weighted(deviations_mm: Tensor) -> Problem:
        return problem._replace(weights=counted / (deviations_mm * pixels_per_mm).square()[:, None])

    start = DEVIATION_MM if deviation_mm is None else deviation_mm
    deviations_mm = torch.full_like(pixels_per_mm, start)
    rigid = minimised(weighted(deviations_mm).rigid(), State.at(view, 0), RIGID_STEPS)
    state = minimised(weighted(deviations_mm), State.at(rigid.view, len(problem.precision)), STEPS)
    for _ in range(DEVIATION_ROUNDS if deviation_mm is None else 0):
        ratios = variance_ratios(weighted(deviations_mm), state.view, state.coefficients)
        deviations_mm = (deviations_mm * ratios.sqrt()).clamp(*DEVIATIONS_MM)
        state = minimised(weighted(deviations_mm), state, STEPS)
    return state, deviations_mm


def _cameras(view: View, centres: Tensor, principal_points: Tensor) -> Cameras:
    translations = view.origins - (view.rotations @ centres[..., None])[..., 0]
    parts = (view.rotations, translations, view.focal_lengths, principal_points)
    return Cameras(*(part[:, None] for part in parts))


def _check_sizes(shape: Tensor, landmarks: Tensor, principal_points: Tensor) -> None:
    if landmarks.ndim != 3 or tuple(landmarks.shape[1:]) not in {(NUMBER_OF_LANDMARKS, 2), (FIVE, 2)}:
        raise ValueError(
            f"landmarks must be [B, {NUMBER_OF_LANDMARKS}, 2] or [B, {FIVE}, 2], got {list(landmarks.shape)}"
        )
    batch = len(landmarks)
    if len(shape) != batch or tuple(principal_points.shape) != (batch, 2):
        raise ValueError(
            f"{batch} faces' landmarks need as many shapes and principal points, got "
            f"{list(shape.shape)} and {list(principal_points.shape)}"
        )
