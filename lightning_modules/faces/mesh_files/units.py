"""In which unit a mesh is: millimetres, centimetres, metres, or guessed from its size."""

from pathlib import Path
from typing import Literal, NamedTuple, get_args

import torch
from torch import Tensor

from lightning_modules.faces.mesh import Mesh
from lightning_modules.faces.mesh_files.any_format import read_mesh
from lightning_modules.plain.failures import as_one_reason

Unit = Literal["mm", "cm", "m", "auto"]
MILLIMETRES = {"mm": 1.0, "cm": 10.0, "m": 1000.0}
# Largest extent, over the three axes, of anything from a face without ears to a head with shoulders. A factor
# of ten lies between no two of them, so that a guess is either right or refused.
PLAUSIBLE_MM = (110.0, 700.0)
OUTLIERS = 0.005  # share of the vertices on either side that the extent leaves out


class MeshInMillimetres(NamedTuple):
    """A mesh and where its millimetres come from.

    Attributes:
        mesh: vertices in mm.
        unit: the file's.
        guessed: whether the unit was guessed from the size.
    """

    mesh: Mesh
    unit: str
    guessed: bool


class ImplausibleSizeError(ValueError):
    """A mesh is no face in the unit that was given, or in any."""


def read_mesh_in_mm(path: Path, unit: Unit = "auto") -> MeshInMillimetres:
    """A mesh file's mesh in mm, its size checked.

    Args:
        path: .obj, .ply or .glb; the last is in metres by its specification, whatever the unit.
        unit: the file's; `auto` guesses.

    Raises:
        FileNotFoundError: if there is no such file.
        ImplausibleSizeError: if no face is so large.
        ValueError: if the file is no mesh, or the unit is unknown.
    """
    if unit not in get_args(Unit):
        raise ValueError(f"the unit must be one of {', '.join(get_args(Unit))}, got {unit!r}")
    with as_one_reason(f"{path} cannot be read as a mesh"):
        mesh = read_mesh(path)
    known = "mm" if Path(path).suffix.lower() == ".glb" else unit  # `read_mesh` gives mm for .glb
    name = guess_unit(mesh.vertices) if known == "auto" else known
    extent = extent_of(mesh.vertices)
    if name is None or not is_plausible(extent * MILLIMETRES[name]):
        wanted = "mm, cm or m" if name is None else name
        raise ImplausibleSizeError(
            f"implausible size: {path} spans {extent:.4g} of its units, which is no face in {wanted} "
            f"({PLAUSIBLE_MM[0]:g} to {PLAUSIBLE_MM[1]:g} mm); give its unit, or scale it"
        )
    return MeshInMillimetres(
        mesh._replace(vertices=mesh.vertices * MILLIMETRES[name]), name, guessed=known == "auto"
    )


def guess_unit(vertices: Tensor) -> str | None:
    """The unit in which a face could be so large, or None."""
    extent = extent_of(vertices)
    return next((name for name, factor in MILLIMETRES.items() if is_plausible(extent * factor)), None)


def extent_of(vertices: Tensor) -> float:
    """The largest extent of vertices [V, 3] over the three axes, a few outliers left out."""
    ordered = vertices.double().sort(dim=0).values
    cut = int(OUTLIERS * len(vertices))
    return float(torch.max(ordered[len(vertices) - 1 - cut] - ordered[cut]))


def is_plausible(extent_mm: float) -> bool:
    """Whether a face or head may be so large."""
    return PLAUSIBLE_MM[0] <= extent_mm <= PLAUSIBLE_MM[1]
