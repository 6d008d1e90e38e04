"""Pose and expression from landmarks: how well known ones are found again, and how fast.

Run from the repository's root: `python -m benchmarks.fitting`. Faces, expressions and poses are drawn from
the open model; it writes fitting.md beside itself.
"""

import argparse
import statistics
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import torch
from torch import Tensor

from benchmarks.morphable_model import machine
from lightning_modules.faces.landmarks.ibug import GROUPS, five_points
from lightning_modules.faces.landmarks.least_squares import (
    VIEW_PARAMETERS,
    Problem,
    State,
    View,
    loss_at,
    minimised,
)
from lightning_modules.faces.landmarks.pose_fitting import Fit, first_view, fit_landmarks, landmark_points
from lightning_modules.faces.loading import load_morphable_model
from lightning_modules.faces.morphable_model import MorphableModel
from lightning_modules.rendering.camera import Cameras, image_centre, project
from lightning_modules.rendering.pose import cameras_from_poses, poses_from_uniform
from lightning_modules.rendering.ranges import SceneRanges

RESULTS = Path(__file__).with_suffix(".md")
FACES, SIZE, JAW = 64, 224, 17
DISTANCE_MM = 1500.0
NOISES = (0.0, 1.0, 2.0, 4.0)  # standard deviation of each coordinate, pixels
SHAPE_ERROR = 0.5  # of the neutral face, in standard deviations of each coefficient
BAND_MM = 1.5
ROUNDS = 5


class Faces(NamedTuple):
    """Known faces: coefficients, cameras [B, 1], meshes [B, V, 3] and landmarks [B, 68, 2] in pixels."""

    shape: Tensor
    expression: Tensor
    cameras: Cameras
    vertices: Tensor
    landmarks: Tensor


class Found(NamedTuple):
    """What a method says: rotations [B, 3, 3], and expressions [B, Ke] unless it leaves faces neutral."""

    rotations: Tensor
    expression: Tensor | None


def main(argv: list[str] | None = None) -> None:
    """Measure, print, and write fitting.md."""
    argparse.ArgumentParser(description=__doc__).parse_args(argv)
    model = load_morphable_model("open", shape_components=80, albedo_components=0)
    lines = ["# Pose and expression from landmarks", "", machine("benchmarks.fitting"), ""]
    for section in (recovery, wrong_neutral, outline, deviations, distances, optimisers):
        lines += [*section(model), ""]
    text = "\n".join(lines).rstrip() + "\n"
    RESULTS.write_text(text)
    print(text)


def faces_of(model: MorphableModel, distance_mm: float = DISTANCE_MM) -> Faces:
    """Faces within 45 degrees of yaw, 20 of pitch and roll, that fill the picture."""
    generator = torch.Generator().manual_seed(0)
    shape, _, expression = model.sample(FACES, generator)
    ranges = SceneRanges((-45, 45), (-20, 20), (-20, 20), (distance_mm, distance_mm), (320, 320))
    poses = poses_from_uniform(torch.rand(FACES, 1, 5, generator=generator).double(), ranges)
    centres = model.landmarks.on(model.vertices(shape))[:, JAW:].mean(1)
    cameras = cameras_from_poses(poses, (SIZE, SIZE), target=centres.double()[:, None])
    vertices = model.vertices(shape, expression)
    marks = model.landmarks.on(vertices).double()
    return Faces(shape, expression, cameras, vertices, project(cameras, marks)[:, 0, :, :2])


def noisy(landmarks: Tensor, pixels: float) -> Tensor:
    """Landmarks with noise of this standard deviation in each coordinate."""
    generator = torch.Generator().manual_seed(1)
    return landmarks + pixels * torch.randn(landmarks.shape, generator=generator)


def fitted(model: MorphableModel, faces: Faces, landmarks: Tensor, **options: object) -> Fit:
    """Ours."""
    centres = image_centre((SIZE, SIZE), like=landmarks).expand(FACES, 2)
    return fit_landmarks(model, faces.shape, landmarks, centres, **options)


def ours(model: MorphableModel, **options: object) -> Callable[[Faces, Tensor], Found]:
    """Ours, as a method of the tables."""

    def method(faces: Faces, landmarks: Tensor) -> Found:
        found = fitted(model, faces, landmarks, **options)
        return Found(found.cameras.rotations[:, 0], found.expression if found.expression.shape[1] else None)

    return method


def calibrated(model: MorphableModel) -> Callable[[Faces, Tensor], Found]:
    """Ours, told the focal length."""

    def method(faces: Faces, landmarks: Tensor) -> Found:
        return ours(model, jaw="fixed", focal_lengths=faces.cameras.focal_lengths[:, 0])(faces, landmarks)

    return method


def solve_pnp(model: MorphableModel) -> Callable[[Faces, Tensor], Found]:
    """OpenCV's solvePnP (SQPNP, then Levenberg-Marquardt) on the neutral faces, told the focal length."""

    def method(faces: Faces, landmarks: Tensor) -> Found:
        neutral = model.landmarks.on(model.vertices(faces.shape)).double().numpy()
        rotations = []
        for points, pixels, focal in zip(
            neutral, landmarks.numpy(), faces.cameras.focal_lengths[:, 0].tolist(), strict=True
        ):
            middle = (SIZE - 1) / 2
            matrix = np.array([[focal, 0, middle], [0, focal, middle], [0, 0, 1]])
            _, turn, shift = cv2.solvePnP(points, pixels, matrix, None, flags=cv2.SOLVEPNP_SQPNP)
            turn, shift = cv2.solvePnPRefineLM(points, pixels, matrix, None, turn, shift)
            rotations.append(cv2.Rodrigues(turn)[0])
        return Found(torch.from_numpy(np.stack(rotations)), None)

    return method


def five_point_pose(model: MorphableModel) -> Callable[[Faces, Tensor], Found]:
    """Ours, given only the five points that a face detector finds."""
    return lambda faces, landmarks: ours(model)(faces, five_points(landmarks))


def degrees_off(rotations: Tensor, faces: Faces) -> Tensor:
    """Angles [B] between found and true rotations."""
    turn = rotations.double() @ faces.cameras.rotations[:, 0].mT
    return torch.rad2deg(((turn.diagonal(dim1=-2, dim2=-1).sum(-1) - 1) / 2).clamp(-1, 1).acos())


def mm_off(model: MorphableModel, faces: Faces, expression: Tensor | None) -> float:
    """Mean distance between a face with the found expression and the true one, in the head's frame."""
    vertices = model.vertices(faces.shape, None if expression is None else expression.float())
    return float((vertices - faces.vertices).norm(dim=-1).mean())


def rows(
    model: MorphableModel,
    faces: Faces,
    truth: Faces,
    methods: dict[str, Callable[[Faces, Tensor], Found]],
    noises: tuple[float, ...],
    landmarks: Tensor | None = None,
) -> Iterator[str]:
    """A line of Markdown for each noise and method; `faces` is what methods are told of the neutral face."""
    yield "| noise, px | method | pose off, degrees | 95 % | face off, mm | ms a face |"
    yield "|---|---|---|---|---|---|"
    for noise in noises:
        seen = noisy(truth.landmarks if landmarks is None else landmarks, noise)
        for name, method in methods.items():
            started = time.process_time()
            found = method(faces, seen)
            spent = 1000 * (time.process_time() - started) / FACES
            off = degrees_off(found.rotations, truth)
            millimetres = mm_off(model, truth, found.expression)
            yield (
                f"| {noise:g} | {name} | {float(off.mean()):.2f} | {float(off.quantile(0.95)):.2f} | "
                f"{millimetres:.2f} | {spent:.1f} |"
            )


def recovery(model: MorphableModel) -> list[str]:
    """Known poses and expressions, against noise."""
    faces = faces_of(model)
    methods = {
        "solvePnP, neutral face, true focal length": solve_pnp(model),
        "ours, five points": five_point_pose(model),
        "ours, pose only": ours(model, jaw="fixed", expression=False),
        "**ours**": ours(model, jaw="fixed"),
        "ours, true focal length": calibrated(model),
    }
    return [
        f"## {FACES} faces in pictures of {SIZE} pixels, the neutral face known",
        "",
        "Landmarks are points of the surface, with noise in each coordinate. A face's distance is the mean "
        f"over its vertices, in the head's frame; the neutral is {mm_off(model, faces, None):.2f} mm off.",
        "",
        *rows(model, faces, faces, methods, NOISES),
    ]


def wrong_neutral(model: MorphableModel) -> list[str]:
    """The same where the neutral face is not the person's."""
    faces = faces_of(model)
    generator = torch.Generator().manual_seed(2)
    told = faces._replace(
        shape=faces.shape + SHAPE_ERROR * torch.randn(faces.shape.shape, generator=generator)
    )
    methods = {
        "solvePnP, neutral face, true focal length": solve_pnp(model),
        "**ours**": ours(model, jaw="fixed"),
        "ours, shape refined": ours(model, jaw="fixed", refine_shape=True),
    }
    return [
        f"## The neutral face wrong by {SHAPE_ERROR:g} standard deviations in each of 80 coefficients",
        "",
        "As a regressor's would be. Faces' distances are those of expressions alone, on the true shape.",
        "",
        *rows(model, told, faces, methods, (0.0, 2.0)),
    ]


def outline(model: MorphableModel) -> list[str]:
    """Landmarks of the jaw where people mark them: on the outline."""
    faces = faces_of(model)
    methods = {f"jaw {jaw}": ours(model, jaw=jaw) for jaw in ("fixed", "none", "sliding")}
    return [
        "## The jaw's landmarks on the outline of the turned face",
        "",
        "As they are marked in photographs: each at the outermost vertex of its level, over all of the mesh.",
        "",
        *rows(model, faces, faces, methods, (0.0, 2.0), on_outline(model, faces)),
    ]


def on_outline(model: MorphableModel, faces: Faces) -> Tensor:
    """The landmarks, those of the jaw but the chin's on the outline."""
    mean = model.neutral_mean.view(-1, 3)
    marks = model.landmarks.on(mean[None])[0]
    pixels = project(faces.cameras, faces.vertices.double())[:, 0, :, :2]
    crowns = faces.cameras.rotations[:, 0, :2, 1]
    leftward = torch.stack([-crowns[:, 1], crowns[:, 0]], -1)
    landmarks = faces.landmarks.clone()
    for landmark in GROUPS["jaw"]:
        side = (landmark > JAW // 2) - (landmark < JAW // 2)
        level = (mean[:, 1] - marks[landmark, 1]).abs() < BAND_MM
        beside = side * mean[:, 0] > 0.3 * marks[landmark, 0].abs()
        ids = (level & beside & (mean[:, 2] > marks[landmark, 2] - 2)).nonzero()[:, 0]
        if side:
            along = side * (pixels[:, ids] * leftward[:, None]).sum(-1)
            landmarks[:, landmark] = pixels[torch.arange(FACES), ids[along.argmax(1)]]
    return landmarks


def deviations(model: MorphableModel) -> list[str]:
    """The estimated deviation of landmarks against fixed ones."""
    faces = faces_of(model)
    methods = {f"fixed, {value:g} mm": ours(model, jaw="fixed", deviation_mm=value) for value in (0.5, 2, 4)}
    methods |= {"**estimated**": ours(model, jaw="fixed")}
    return [
        "## The landmarks' deviation, which weighs them against the prior",
        "",
        *rows(model, faces, faces, methods, NOISES),
    ]


def distances(model: MorphableModel) -> list[str]:
    """What a wrong distance costs."""
    lines = [
        f"## Cameras nearer or farther than the {DISTANCE_MM:g} mm that are assumed",
        "",
        "| true distance, mm | pose off, degrees | 95 % | face off, mm |",
        "|---|---|---|---|",
    ]
    for distance in (500.0, 700.0, 1000.0, 3000.0):
        faces = faces_of(model, distance)
        found = ours(model, jaw="fixed")(faces, faces.landmarks)
        off = degrees_off(found.rotations, faces)
        lines.append(
            f"| {distance:g} | {float(off.mean()):.2f} | {float(off.quantile(0.95)):.2f} | "
            f"{mm_off(model, faces, found.expression):.2f} |"
        )
    return lines


def optimisers(model: MorphableModel) -> list[str]:
    """Levenberg-Marquardt against torch's L-BFGS and gradient descent on the same loss, in turns."""
    problem, view = fixed_problem(model)
    contestants = {
        "ours: Levenberg-Marquardt": lambda: minimised(problem, State.at(view, len(problem.precision)), 40),
        "torch L-BFGS, 40 iterations": lambda: by_lbfgs(problem, view, 40),
        "torch L-BFGS, 150 iterations": lambda: by_lbfgs(problem, view, 150),
        "torch Adam, 300 steps": lambda: by_adam(problem, view, 300),
    }
    times: dict[str, list[float]] = {name: [] for name in contestants}
    losses: dict[str, Tensor] = {}
    for _ in range(ROUNDS):
        for name, run in contestants.items():
            started = time.process_time()
            state = run()
            times[name].append(1000 * (time.process_time() - started) / FACES)
            losses[name] = loss_at(problem, state.view, state.coefficients).detach()
    least = torch.stack(list(losses.values())).amin(0)
    lines = [
        "## Optimisers on one loss: noise of 2 px, a deviation of 2 mm, all faces at once",
        "",
        "| optimiser | ms of processor time a face | loss above the least found, mean | largest |",
        "|---|---|---|---|",
    ]
    for name in contestants:
        above = (losses[name] / least - 1) * 100
        lines.append(
            f"| {name} | {statistics.median(times[name]):.1f} | {float(above.mean()):.3f} % | "
            f"{float(above.max()):.3f} % |"
        )
    return lines


def fixed_problem(model: MorphableModel) -> tuple[Problem, View]:
    """The least squares of all faces, and where they start."""
    faces = faces_of(model)
    counts = (model.expression_variance.numel(), 0)
    points, _ = landmark_points(model, faces.shape, 68, counts)
    targets = noisy(faces.landmarks, 2.0)
    targets = targets - image_centre((SIZE, SIZE), like=targets)
    everything = torch.ones(FACES, 68, dtype=torch.bool)
    view = first_view(points, targets, everything, None, DISTANCE_MM)
    weights = everything / (2.0 * view.focal_lengths / view.distances).square()[:, None]
    return Problem(points, targets, weights, targets.new_ones(counts[0]), False, False), view


def by_lbfgs(problem: Problem, view: View, iterations: int) -> State:
    """torch.optim.LBFGS with its strong Wolfe line search over all faces' parameters."""
    change, state = parameters(problem, view)
    optimiser = torch.optim.LBFGS([change], max_iter=iterations, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        optimiser.zero_grad()
        loss = loss_at(problem, *state()[:2]).sum()
        loss.backward()
        return loss

    optimiser.step(closure)
    return state()


def by_adam(problem: Problem, view: View, steps: int) -> State:
    """Adam with a falling step."""
    change, state = parameters(problem, view)
    optimiser = torch.optim.Adam([change], lr=0.1)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
    for _ in range(steps):
        optimiser.zero_grad()
        loss_at(problem, *state()[:2]).sum().backward()
        optimiser.step()
        schedule.step()
    return state()


def parameters(problem: Problem, view: View) -> tuple[Tensor, Callable[[], State]]:
    """What is optimised, of like scales in all places, and the state that it stands for."""
    count = len(problem.precision)
    change = torch.zeros(FACES, VIEW_PARAMETERS + count, dtype=torch.float64, requires_grad=True)
    scales = torch.tensor([0.1] * 3 + [5.0] * 2 + [0.05] + [1.0] * count, dtype=torch.float64)

    def state() -> State:
        scaled = change * scales
        moved = view.moved(scaled[:, :VIEW_PARAMETERS], calibrated=problem.calibrated)
        return State(moved, scaled[:, VIEW_PARAMETERS:], torch.zeros(FACES, dtype=torch.int64))

    return change, state


if __name__ == "__main__":
    main()
