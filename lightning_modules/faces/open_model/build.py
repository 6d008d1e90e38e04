"""Builds the open morphable model from its recipe.

It is a synthetic morphable model: its variance comes from artists' sliders and a sampling prior, its albedo
is procedural, and shape and albedo are independent. It is not a statistic of scanned people.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from lightning_modules.faces.loaders.principal_components import principal_components as modes_components
from lightning_modules.faces.morphable_model import ModelSource, MorphableModel, PrincipalComponents
from lightning_modules.faces.open_model import appearances, expressions, identities, source_files
from lightning_modules.faces.open_model.head import ORIGIN, Head, build_head
from lightning_modules.faces.open_model.marks import marked_landmarks
from lightning_modules.faces.open_model.regions import find_regions
from lightning_modules.faces.open_model.statistics import principal_components, rigidly_aligned

RECIPE_VERSION = 5  # raise it whenever the built model changes
SEED = 1806_06098
LEVELS = (1, 2)
SHAPE_SAMPLES, ALBEDO_SAMPLES, EXPRESSION_SAMPLES = 1500, 600, 3000
COMPONENTS = 199
STEPS = (
    "base mesh",
    "identities",
    "shape statistics",
    "expressions",
    "ambient occlusion",
    "albedo statistics",
)
NOTE = "synthetic morphable model, not scan statistics"


class HeadSource(NamedTuple):
    """The cropped head and the base mesh's vertices that it depends on, in mm from the origin, [n, 3]."""

    head: Head
    base: NDArray[np.float64]
    vertex_count: int


def read_head(level: int) -> HeadSource:
    """The head of the base mesh at a subdivision level."""
    mesh = source_files.read_base_mesh()
    head = build_head(mesh, level)
    return HeadSource(head, mesh.vertices[head.base_vertices] - mesh.vertices[ORIGIN], len(mesh.vertices))


# Threads of the linear algebra spin against each other on a busy machine, ten times slower than one alone.
@threadpool_limits.wrap(limits=1, user_api="blas")
def build_open_model(level: int = 1, *, progress: Callable[[str], None] | None = None) -> MorphableModel:
    """The open model, made anew: the same numbers on every run of one machine and versions.

    Args:
        level: 1 (about 15,000 vertices) or 2 (about 59,000, the size of Basel's).
        progress: called with each of `STEPS` as it begins.

    Raises:
        ModuleNotFoundError: if the package that carries the base mesh is not installed.
        ValueError: for another level.
    """
    if level not in LEVELS:
        raise ValueError(f"the open model's level must be 1 or 2, got {level}")
    step = progress or (lambda name: None)
    generators = iter(np.random.default_rng(SEED).spawn(3))
    step("base mesh")
    source = read_head(level)
    step("identities")
    people = draw_shapes(SHAPE_SAMPLES, next(generators), source)
    step("shape statistics")
    shape = principal_components(people, COMPONENTS, source.head.matrix)
    shape = _with_origin_at(shape, int(source.head.vertex_of(ORIGIN)[0]))
    landmarks = marked_landmarks(source.head)
    step("expressions")
    expression = _expression_statistics(next(generators), source)
    step("ambient occlusion")
    regions = find_regions(source.head, shape.mean.view(-1, 3).double().numpy(), landmarks)
    step("albedo statistics")
    painted = appearances.Painter(regions).paint(
        appearances.draw_appearances(ALBEDO_SAMPLES, next(generators))
    )
    return MorphableModel(
        shape=shape,
        albedo=principal_components(painted.astype(np.float64), COMPONENTS),
        expression=expression,
        triangles=torch.from_numpy(source.head.triangles),
        landmarks=landmarks,
        provenance=ModelSource("open", model_name(level), "", NOTE),
    )


def model_name(level: int) -> str:
    """Name of the model that this recipe makes of the installed package at a level."""
    return f"open-recipe{RECIPE_VERSION}-{source_files.PACKAGE}{source_files.package_version()}-level{level}"


def draw_shapes(
    count: int, generator: np.random.Generator, source: HeadSource, *, widened: float = 1.0
) -> NDArray[np.float64]:
    """Base vertices [N, n, 3] mm of people drawn from the sliders, aligned rigidly: size is kept.

    Args:
        count: N.
        generator: to draw from.
        source: the head.
        widened: factor on the deviation of every facial slider; above 1 they leave the recipe's ranges.
    """
    features = [slider._replace(deviation=widened * slider.deviation) for slider in identities.sliders()]
    return shapes_of(identities.draw_identities(count, generator, features), features, source)


def shapes_of(
    people: identities.Identities, features: list[identities.Slider], source: HeadSource
) -> NDArray[np.float64]:
    """Base vertices [N, n, 3] mm of people with these slider positions, aligned rigidly: size is kept."""
    targets = identities.MorphTargets(source.head.base_vertices, source.vertex_count)
    shapes = source.base + targets.blend(identities.target_weights(people, features))
    for _ in range(2):
        mean = shapes.mean(0)
        shapes = rigidly_aligned(shapes, mean, front_of_face(mean))
    return shapes


def front_of_face(base: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Which base vertices [n] people are aligned by: the face without ears, forehead's top and neck."""
    return (base[:, 2] > -70) & (np.abs(base[:, 0]) < 65) & (base[:, 1] < 75) & (base[:, 1] > -80)


def _with_origin_at(shape: PrincipalComponents, vertex: int) -> PrincipalComponents:
    mean = shape.mean.view(-1, 3)
    return shape._replace(mean=(mean - mean[vertex]).flatten())


def _expression_statistics(generator: np.random.Generator, source: HeadSource) -> PrincipalComponents:
    """Principal components of random expressions, with a zero mean: e = 0 is the neutral face.

    Samples are weighted sums of a few units, so their covariance is found from the activations' own.
    """
    units = expressions.read_units(source.head.base_vertices, source.vertex_count)
    activations = expressions.draw_activations(EXPRESSION_SAMPLES, generator, list(units))
    modes = np.linalg.cholesky(np.cov(activations.T)).T @ np.stack(list(units.values())).reshape(
        len(units), -1
    )
    modes = source.head.matrix @ modes.T.reshape(-1, 3 * len(units))  # [V, 3U]
    columns = torch.from_numpy(modes.reshape(-1, len(units)))
    return modes_components(torch.zeros(len(columns)), columns)
