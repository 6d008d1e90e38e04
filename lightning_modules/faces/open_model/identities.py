"""The sampling prior of neutral face shapes: artists' sliders with documented distributions.

The distributions are part of the recipe: they give people's proportions, means and deviations as surveys
found them (`calibration.py`). The solution starts from the constants below. Their deviations were chosen by
looking at samples. Their means lie towards where photographs asked for them: regression with a weak batch
distribution loss moved the mean of unlabelled photographs' coefficients, and these sliders make about half of
that move (benchmarks/search.md).
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from lightning_modules.faces.open_model.calibration import CALIBRATED_SLIDERS
from lightning_modules.faces.open_model.source_files import read_target, target_paths

ETHNICITIES = ("african", "asian", "caucasian")
GENDERS = ("female", "male")
AGES = ("child", "young", "old")
BUILDS = ("min", "average", "max")  # of muscle and of weight

ETHNICITY_CONCENTRATIONS = (0.25, 0.35, 0.75)  # Dirichlet over the three ethnicities
GENDER_SHAPE = 0.35  # symmetric Beta, 0 female, 1 male
AGE_OFFSET, AGE_SHAPE, AGE_SCALE = 12.0, 2.4, 9.5  # years: offset + Gamma(shape, scale)
AGE_RANGE = (18.0, 85.0)
CHILD_AGE, YOUNG_AGE, OLD_AGE = 11.0, 25.0, 90.0  # ages that the targets stand for
LARGEST_CHILD_WEIGHT = 0.4
BUILD_DEVIATION = 0.28  # of muscle and of weight, in [-1, 1]

# Standard deviation of each folder's sliders at the start; all 1.4 times larger gave caricatures.
SLIDER_DEVIATIONS = {
    "head": 0.15,
    "forehead": 0.26,
    "eyebrows": 0.26,
    "eyes": 0.24,
    "nose": 0.21,
    "mouth": 0.21,
    "cheek": 0.25,
    "chin": 0.20,
    "ears": 0.22,
    "neck": 0.15,
    "asym": 0.12,
}
# Where the mean person's sliders stand at the start, in those deviations; all others stand at rest.
SLIDER_MEANS = {
    "head-scale-vert": -0.9,
    "head-scale-horiz": -1.0,
    "head-fat": -1.0,
    "head-invertedtriangular": -0.4,
    "forehead-nubian": -0.7,
    "forehead-temple": -1.6,
    "eyebrows-trans": -0.6,
    "eye-scale": 1.6,
    "eye-push1": 3.0,
    "eye-height1": 0.6,
    "eye-height2": 1.4,
    "eye-height3": 1.3,
    "eye-corner2": 0.9,
    "eye-trans": 0.3,
    "nose-trans": 0.7,
    "mouth-angles": 1.0,
    "cheek-inner": 0.8,
    "cheek-bones": -0.5,
    "chin-bones": -0.6,
    "ear-wing": 1.1,
    "ear-rot": 0.6,
    "ear-scale": 0.5,
    "ear-scale-vert": 0.5,
    "neck-scale-depth": -0.4,
    "neck-double": -1.0,
}
LARGEST_SLIDER = 1.2
SIDE_DEVIATION = 0.12  # of a left or right slider around their common draw, as a share of its own
OPPOSITES = {
    "decr": "incr",
    "down": "up",
    "in": "out",
    "backward": "forward",
    "concave": "convex",
    "compress": "uncompress",
}


class Slider(NamedTuple):
    """One facial feature: targets that act together, each with a sign and a side.

    Attributes:
        name: without side and direction.
        deviation: standard deviation of its draw.
        mean: of its draw, in the slider's own units.
        targets: (folder, target name, sign, side), side is -1 for the subject's right, 1 left, 0 neither.
        paired: False where only one direction exists; then negative draws count as zero.
    """

    name: str
    deviation: float
    mean: float
    targets: tuple[tuple[str, str, int, int], ...]
    paired: bool


class Identities(NamedTuple):
    """Slider positions of N people.

    Attributes:
        ethnicity: [N, 3] shares of `ETHNICITIES`.
        gender: [N] in [0, 1], 1 is male.
        age: [N] years.
        muscle: [N] in [-1, 1].
        weight: [N] in [-1, 1].
        features: [N, F, 2], the draw of every slider for the right and the left side.
    """

    ethnicity: NDArray[np.float64]
    gender: NDArray[np.float64]
    age: NDArray[np.float64]
    muscle: NDArray[np.float64]
    weight: NDArray[np.float64]
    features: NDArray[np.float64]


def sliders(*, calibrated: bool = True) -> list[Slider]:
    """All facial sliders of the recipe, in a fixed order.

    Args:
        calibrated: with the distributions that were solved for (`calibration.py`); else with those that the
            solution starts from, the constants above.
    """
    grouped: dict[tuple[str, str], list[tuple[str, str, int, int]]] = {}
    for folder in SLIDER_DEVIATIONS:
        for target in target_paths(folder):
            if _left_out(folder, target):
                continue
            feature, sign = _direction(folder, target)
            side = {"r-": -1, "l-": 1}.get(feature[:2], 0)
            feature = feature[2:] if side else feature
            grouped.setdefault((folder, feature), []).append((folder, target, sign, side))
    found = []
    for (folder, feature), targets in grouped.items():
        mean, factor = SLIDER_MEANS.get(feature, 0.0), 1.0
        if calibrated:
            mean, factor = CALIBRATED_SLIDERS.get(feature, (mean, factor))
        deviation = SLIDER_DEVIATIONS[folder]
        paired = {sign for _, _, sign, _ in targets} == {-1, 1}
        found.append(Slider(feature, factor * deviation, mean * deviation, tuple(targets), paired))
    return found


def _left_out(folder: str, target: str) -> bool:
    """Sliders that only move or turn the head, or push a midline feature sideways."""
    sideways = target.endswith(("-trans-in", "-trans-out")) and folder != "eyes"
    return sideways or target.startswith(("head-trans-", "head-angle-", "asymm-"))


def _direction(folder: str, target: str) -> tuple[str, int]:
    stem, _, ending = target.rpartition("-")
    if folder == "asym":  # asym-nose-1-l and asym-nose-1-r bend the midline to either side
        return stem, {"l": -1, "r": 1}[ending]
    if ending in OPPOSITES:
        return stem, -1
    if ending in OPPOSITES.values():
        return stem, 1
    return target, 1


def draw_identities(count: int, generator: np.random.Generator, features: list[Slider]) -> Identities:
    """Slider positions of `count` people from the recipe's distributions."""
    deviations = np.array([slider.deviation for slider in features])
    common = generator.normal(size=(count, len(features), 1))
    sides = common + SIDE_DEVIATION * generator.normal(size=(count, len(features), 2))
    means = np.array([slider.mean for slider in features])
    draws = np.clip(means[:, None] + deviations[:, None] * sides, -LARGEST_SLIDER, LARGEST_SLIDER)
    paired = np.array([slider.paired for slider in features])[:, None]
    builds = np.clip(BUILD_DEVIATION * generator.normal(size=(2, count)), -1, 1)
    return Identities(
        ethnicity=generator.dirichlet(ETHNICITY_CONCENTRATIONS, size=count),
        gender=generator.beta(GENDER_SHAPE, GENDER_SHAPE, size=count),
        age=np.clip(AGE_OFFSET + generator.gamma(AGE_SHAPE, AGE_SCALE, size=count), *AGE_RANGE),
        muscle=builds[0],
        weight=builds[1],
        features=np.where(paired, draws, np.maximum(draws, 0)),
    )


def target_weights(people: Identities, features: list[Slider]) -> dict[tuple[str, str], NDArray[np.float64]]:
    """How much of each morph target, (folder, name), every person has: [N] each."""
    genders = dict(zip(GENDERS, (1 - people.gender, people.gender), strict=True))
    ages = _age_weights(people.age)
    ethnicities = dict(zip(ETHNICITIES, people.ethnicity.T, strict=True))
    muscles, weights = _build_weights(people.muscle), _build_weights(people.weight)
    shares = {}
    for gender, of_gender in genders.items():
        for age, of_age in ages.items():
            for ethnicity, of_ethnicity in ethnicities.items():
                name = f"{ethnicity}-{gender}-{age}"
                shares["macrodetails", name] = of_gender * of_age * of_ethnicity
            for muscle, of_muscle in muscles.items():
                for weight, of_weight in weights.items():
                    name = f"universal-{gender}-{age}-{muscle}muscle-{weight}weight"
                    shares["macrodetails", name] = of_gender * of_age * of_muscle * of_weight
    for index, slider in enumerate(features):
        for folder, target, sign, side in slider.targets:
            value = people.features[:, index, 1 if side == 1 else 0]
            shares[folder, target] = np.maximum(sign * value, 0)
    return shares


def _age_weights(age: NDArray[np.float64]) -> dict[str, NDArray[np.float64]]:
    child = np.clip((YOUNG_AGE - age) / (YOUNG_AGE - CHILD_AGE), 0, LARGEST_CHILD_WEIGHT)
    old = np.clip((age - YOUNG_AGE) / (OLD_AGE - YOUNG_AGE), 0, 1)
    return dict(zip(AGES, (child, 1 - child - old, old), strict=True))


def _build_weights(position: NDArray[np.float64]) -> dict[str, NDArray[np.float64]]:
    values = (np.maximum(-position, 0), 1 - np.abs(position), np.maximum(position, 0))
    return dict(zip(BUILDS, values, strict=True))


class MorphTargets:
    """Every morph target of the recipe on chosen base-mesh vertices; reads each file once.

    Args:
        base_vertices: [n] ids of base-mesh vertices.
        vertex_count: of the whole base mesh.
    """

    def __init__(self, base_vertices: NDArray[np.int64], vertex_count: int) -> None:
        self._base_vertices, self._vertex_count = base_vertices, vertex_count
        self._paths = {
            (folder, name): path
            for folder in ("macrodetails", *SLIDER_DEVIATIONS)
            for name, path in target_paths(folder).items()
        }
        self._displacements: dict[tuple[str, str], NDArray[np.float64]] = {}

    def displacement(self, key: tuple[str, str]) -> NDArray[np.float64]:
        """The target's displacement of the chosen vertices, [n, 3] mm."""
        if key not in self._displacements:
            whole = read_target(self._paths[key], self._vertex_count)
            self._displacements[key] = whole[self._base_vertices]
        return self._displacements[key]

    def blend(self, shares: dict[tuple[str, str], NDArray[np.float64]]) -> NDArray[np.float64]:
        """Sum of the targets' displacements by the people's shares of them, [N, n, 3] mm."""
        weights = np.stack(list(shares.values()), 1)
        stack = np.stack([self.displacement(key) for key in shares])
        return np.tensordot(weights, stack, 1)
