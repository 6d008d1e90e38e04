"""The open model's face units, by ARKit's names, on its own mesh."""

import numpy as np
from numpy.typing import NDArray

from lightning_modules.faces.open_model.build import read_head
from lightning_modules.faces.open_model.expressions import read_units


def named_units(level: int) -> dict[str, NDArray[np.float64]]:
    """Displacements [V, 3] in mm of the open model's vertices by every face unit, by name.

    Args:
        level: of the model's mesh.
    """
    source = read_head(level)
    units = read_units(source.head.base_vertices, source.vertex_count)
    return {name: source.head.matrix @ displacement for name, displacement in units.items()}
