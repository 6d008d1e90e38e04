"""Solves the distributions of the open model's sliders for the proportions of people.

    python -m benchmarks.open_model_proportions

Prints `lightning_modules/faces/open_model/calibration.py`, the constants of the recipe, and before it the
measures that they make. Two least-squares problems in slider space are solved in turns:

* Means. A measure's mean follows the sliders' means and the head's scale nearly linearly; the moves are the
  least that bring every mean to the surveys'.
* Deviations. A measure's variance is what age, sex, ethnicity and build make, plus a sum over sliders of
  their variance times the square of the same slope; the variances are those nearest to the start that bring
  every deviation to a little above the surveys'.

Nobody's photograph or scan has a say in it, only `anthropometry/survey.py`.
"""

import argparse
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import lsq_linear
from threadpoolctl import threadpool_limits

from lightning_modules.faces.anthropometry.measures import NAMES, measured
from lightning_modules.faces.anthropometry.survey import FINDINGS
from lightning_modules.faces.open_model import identities
from lightning_modules.faces.open_model.build import read_head
from lightning_modules.faces.open_model.calibration import HEAD_SCALE
from lightning_modules.faces.open_model.identities import Slider
from lightning_modules.faces.open_model.marks import marked_landmarks

PEOPLE, PEOPLE_OF_A_SLOPE, TURNS = 1500, 150, 5
# A mean that is off by this many of the survey's deviations costs as much as a slider that moves by one of
# its own; a variance that is off by this share as much as one of a slider that doubles.
MEAN_TOLERANCE, VARIANCE_TOLERANCE = 0.07, 0.04
# Deviations are to be this many times people's: a network tells renderings of faces that vary as people's do
# apart less well than people's photographs (benchmarks/search.md).
SPREAD = 1.1
# Sliders that no measure binds vary by this many times their start's deviations.
FREE = 1.6
# Where the solution would stay below it, or above: what is aimed at instead.
AIMS = {"outer eye corners": 1.1, "eyes to chin": 1.0, "jaw breadth": 1.4, "between pupils": 1.3}
# Measures that stay away from people's for longest weigh more.
WEIGHTS = {"sellion to chin": 2.0, "jaw breadth": 4.0, "outer eye corners": 2.5}
# Of a slider's mean, in its own deviations: from the start, and from rest.
FARTHEST_MOVE, FARTHEST_MEAN = 2.5, 3.2
SCALE_STEP = 0.05  # of the head, that costs as much as a slider's one deviation
VARIANCE_FACTORS = (0.1, 3.2)  # 1.4 times larger deviations of all sliders gave caricatures
# A slider in one direction only is zero for half of the people: the variance of a half normal.
ONE_SIDED_VARIANCE = 0.5 - 0.5 / np.pi
# How high the skull is, which hair hides from surveys' landmarks and from photographs: with the start's
# deviations, the top of the head above the sellion would have one of 12 mm; people's is about 8 (ANSUR 1988,
# recalled). Such heads were also a way of renderings to resemble hair.
DEVIATIONS_OF_SKULLS = {"forehead-scale-vert": 0.5, "forehead-nubian": 0.5}
# Folders of sliders that no measure is about.
LEFT_ALONE = ("asym", "ears", "eyebrows", "neck")


class SliderSpace:
    """Measures of people by their sliders, without making whole meshes."""

    def __init__(self) -> None:
        source = read_head(1)
        self.start = identities.sliders(calibrated=False)
        landmarks = marked_landmarks(source.head)
        corners = landmarks.vertex_ids.numpy()
        self._weights = landmarks.weights.numpy()[..., None]
        rows = source.head.matrix[corners.ravel()]
        targets = identities.MorphTargets(source.head.base_vertices, source.vertex_count)
        keys = identities.target_weights(self._people(self.start, 2, seed=0), self.start)
        self._base = (rows @ source.base / HEAD_SCALE).ravel()
        self._targets = np.stack([(rows @ targets.displacement(key) / HEAD_SCALE).ravel() for key in keys])

    @staticmethod
    def _people(features: list[Slider], count: int, seed: int) -> identities.Identities:
        return identities.draw_identities(count, np.random.default_rng(seed), features)

    def measures(self, features: list[Slider], scale: float, count: int, seed: int) -> NDArray[np.float64]:
        """[count, M] measures in mm of people who are drawn with these sliders and scaled."""
        shares = identities.target_weights(self._people(features, count, seed), features)
        points = self._base + np.stack(list(shares.values()), 1) @ self._targets
        points = scale * points.reshape(count, -1, 3)
        landmarks = (points.reshape(count, -1, 3, 3) * self._weights).sum(2)
        return measured(torch.from_numpy(landmarks)).numpy()


class Solution(NamedTuple):
    """Means and deviations of sliders, [F] in the sliders' units, and the scale of the head."""

    means: NDArray[np.float64]
    deviations: NDArray[np.float64]
    scale: float

    def sliders(self, start: list[Slider]) -> list[Slider]:
        """The sliders with these distributions."""
        numbers = zip(start, self.means.tolist(), self.deviations.tolist(), strict=True)
        return [slider._replace(mean=mean, deviation=deviation) for slider, mean, deviation in numbers]


class Calibration:
    """The two problems: what is known of the surveys, the start, and which sliders may move."""

    def __init__(self, space: SliderSpace) -> None:
        self.space, self.start = space, space.start
        findings = [FINDINGS[name].mixed for name in NAMES]
        self.wanted = np.array([finding.mean for finding in findings])
        self.deviations = np.array([finding.deviation for finding in findings])
        self.spread = np.array([AIMS.get(name, SPREAD) for name in NAMES])
        self.weights = np.array([WEIGHTS.get(name, 1.0) for name in NAMES])
        self.units = np.array([slider.deviation for slider in self.start])
        factors = np.array([DEVIATIONS_OF_SKULLS.get(slider.name, 1.0) for slider in self.start])
        self.first = Solution(np.array([slider.mean for slider in self.start]), factors * self.units, 1.0)
        self.paired = np.array([slider.paired for slider in self.start])
        folders = [slider.targets[0][0] for slider in self.start]
        self.moving = np.array([folder not in LEFT_ALONE for folder in folders])

    def solve(self) -> Solution:
        """The solution after `TURNS` turns; they settle after three."""
        solution = self.first
        for _ in range(TURNS):
            slopes = self.slopes(solution)
            solution = self.with_means(solution, slopes)
            solution = self.with_deviations(solution, slopes)
        return solution

    def measures(self, solution: Solution, count: int = PEOPLE, seed: int = 0) -> NDArray[np.float64]:
        """Measures [count, M] of people who are drawn by a solution."""
        return self.space.measures(solution.sliders(self.start), solution.scale, count, seed)

    def slopes(self, solution: Solution) -> NDArray[np.float64]:
        """[M, F + 1] mm by slider, in units of its first deviation, and by `SCALE_STEP` of the head."""
        here = self.measures(solution, PEOPLE_OF_A_SLOPE, seed=1).mean(0)
        slopes = np.zeros((len(NAMES), len(self.start) + 1))
        for index in np.flatnonzero(self.moving):
            step = 0.5 * self.first.deviations[index]
            means = solution.means.copy()
            means[index] += step
            moved = self.measures(solution._replace(means=means), PEOPLE_OF_A_SLOPE, seed=1).mean(0)
            slopes[:, index] = 2 * (moved - here)
        slopes[:, -1] = here / solution.scale * SCALE_STEP
        return slopes

    def with_means(self, solution: Solution, slopes: NDArray[np.float64]) -> Solution:
        """The solution whose means move least from the start and bring measures where people are."""
        moving = np.append(self.moving & self.paired, True)  # of the last, the scale
        moved = self._moves(solution)[moving]
        rest = np.append(self.first.means / self.first.deviations, 0.0)[moving]
        measures = self.measures(solution).mean(0)
        precision = self.weights / (MEAN_TOLERANCE * self.deviations)
        fit = slopes[:, moving] * precision[:, None]
        wanted = (self.wanted - measures) * precision + fit @ moved
        system = np.vstack([fit, np.eye(moving.sum())])
        low = np.minimum(np.maximum(-FARTHEST_MOVE, -FARTHEST_MEAN - rest), -1e-6)
        high = np.maximum(np.minimum(FARTHEST_MOVE, FARTHEST_MEAN - rest), 1e-6)
        moves = np.zeros(len(moving))
        moves[moving] = lsq_linear(system, np.append(wanted, np.zeros(moving.sum())), (low, high)).x
        return solution._replace(
            means=self.first.means + moves[:-1] * self.first.deviations,
            scale=self.first.scale + SCALE_STEP * float(moves[-1]),
        )

    def _moves(self, solution: Solution) -> NDArray[np.float64]:
        """[F + 1], how far the means and the scale are from the start."""
        sliders = (solution.means - self.first.means) / self.first.deviations
        return np.append(sliders, (solution.scale - self.first.scale) / SCALE_STEP)

    def with_deviations(self, solution: Solution, slopes: NDArray[np.float64]) -> Solution:
        """The solution whose deviations are nearest to the start's and make measures vary as people's."""
        still = np.where(self.moving, 0.0, self.first.deviations)
        others = self.measures(solution._replace(deviations=still)).var(0)
        wanted = (self.spread * self.deviations) ** 2
        one_sided = np.where(self.paired, 1.0, ONE_SIDED_VARIANCE)
        effect = (slopes[:, :-1] ** 2 * one_sided)[:, self.moving]
        precision = self.weights / (VARIANCE_TOLERANCE * wanted)
        count = int(self.moving.sum())
        system = np.vstack([effect * precision[:, None], np.eye(count)])
        goal = np.concatenate([(wanted - others) * precision, np.full(count, FREE**2)])
        factors = np.ones(len(self.start))
        factors[self.moving] = lsq_linear(system, goal, VARIANCE_FACTORS).x
        return solution._replace(deviations=self.first.deviations * np.sqrt(factors))


def constants(solution: Solution, calibration: Calibration) -> str:
    """The lines of `calibration.py` that hold the numbers."""
    lines = [f"HEAD_SCALE = {solution.scale:.4f}", "CALIBRATED_SLIDERS: dict[str, tuple[float, float]] = {"]
    means, factors = solution.means / calibration.units, solution.deviations / calibration.units
    for index in np.flatnonzero(calibration.moving):
        name = calibration.start[index].name
        lines.append(f'    "{name}": ({means[index] + 0.0:.2f}, {factors[index]:.2f}),')
    return "\n".join([*lines, "}"]).replace("(-0.00,", "(0.00,")


@threadpool_limits.wrap(limits=1, user_api="blas")
def main(arguments: list[str] | None = None) -> None:
    """Solve, and print what the solution makes and its constants."""
    argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    ).parse_args(arguments)
    calibration = Calibration(SliderSpace())
    solution = calibration.solve()
    people = calibration.measures(solution, seed=2)
    for index, name in enumerate(NAMES):
        mean, deviation = people[:, index].mean(), people[:, index].std()
        off = (mean - calibration.wanted[index]) / calibration.deviations[index]
        print(f"# {name:20} {mean:6.1f} {off:+5.2f} deviations off; {deviation:4.1f}, "
              f"{deviation / calibration.deviations[index]:4.2f} times people's")  # fmt: skip
    print(constants(solution, calibration))


if __name__ == "__main__":
    main()
