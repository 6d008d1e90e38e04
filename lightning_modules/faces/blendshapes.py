"""Expressions of a morphable model as named displacements of its vertices, for animation programs."""

import re
from typing import NamedTuple

import torch
from torch import Tensor

from lightning_modules.faces.loaders.ict import named_expressions
from lightning_modules.faces.loading import place_of_model
from lightning_modules.faces.morphable_model import MorphableModel

# As many as ARKit has; of a model's own components the first ones, which move most in most models.
MOST_COMPONENTS = 52
ACTIVATIONS, DEVIATIONS = (0.0, 1.0), (-3.0, 3.0)


class Blendshapes(NamedTuple):
    """U named expressions.

    Attributes:
        names: ARKit's (jawOpen, eyeBlinkLeft and so on) where the model has such expressions.
        displacements: [U, V, 3] in mm, at a weight of 1.
        limits: what weights mean something: 0 to 1, or standard deviations of a component.
    """

    names: tuple[str, ...]
    displacements: Tensor
    limits: tuple[float, float]


def blendshapes_of(model: MorphableModel, specification: str) -> Blendshapes:
    """The named expressions of a model.

    The open model has ARKit's but tongueOut, which moves nothing that it keeps; ICT-FaceKit has its own, by
    ARKit's names. Of the others come the first components, `expression001` and so on, one standard deviation
    each.

    Args:
        model: loaded, with its expressions.
        specification: by which it was loaded, such as open or ict:FOLDER.

    Raises:
        ValueError: if it has no expressions.
    """
    level = re.search(r"-level(\d)$", model.provenance.name)
    vertices = model.shape_mean.numel() // 3
    if model.provenance.kind == "open" and level is not None:
        # Only here, so that the recipe and what it reads are imported when they are needed.
        from lightning_modules.faces.open_model.named_units import named_units

        units = named_units(int(level[1]))
        if next(iter(units.values())).shape[0] == vertices:  # not built by another version's recipe
            return _named({name: torch.from_numpy(unit) for name, unit in units.items()})
    folder = place_of_model(specification)
    if model.provenance.kind == "ict" and folder is not None:
        named = named_expressions(folder, model.provenance.name.rpartition(" ")[2])
        return _named(named)
    count = min(MOST_COMPONENTS, model.expression_variance.numel())
    if not count:
        raise ValueError(f"{model.provenance.name} has no expressions; leave --blendshapes out")
    modes = (model.expression_basis[:, :count] * model.expression_standard_deviation[:count]).cpu()
    names = tuple(f"expression{number:03d}" for number in range(1, count + 1))
    return Blendshapes(names, modes.T.unflatten(1, (-1, 3)).float(), DEVIATIONS)


def _named(displacements: dict[str, Tensor]) -> Blendshapes:
    return Blendshapes(tuple(displacements), torch.stack(list(displacements.values())).float(), ACTIVATIONS)
