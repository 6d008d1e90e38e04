"""In which unit a mesh is: one of those by name, a number of millimetres, or guessed from its size."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from lightning_modules.faces.mesh import Mesh, surface_vertices
from lightning_modules.faces.mesh_files.any_format import read_mesh
from lightning_modules.faces.mesh_files.glb import MILLIMETRES_PER_METRE
from lightning_modules.faces.orientation import oriented
from lightning_modules.plain.failures import as_one_reason
from lightning_modules.plain.number_types import PositiveFinite

Unit = Literal["auto", "mm", "cm", "dm", "m", "um", "inch"] | PositiveFinite
# In the order in which they are guessed. Powers of ten exclude each other, see PLAUSIBLE_MM. An inch is taken
# where no face is so large in mm, cm or m; it is before dm, as 430 to 700 mm in dm are rarer than a face.
MILLIMETRES = {"mm": 1.0, "cm": 10.0, "m": 1000.0, "inch": 25.4, "dm": 100.0, "um": 1e-3}
# What is no face in metres in a .glb file may still be one in these, or a body in metres.
_OF_GLB = {"mm": 1.0, "cm": 10.0}
WORDS = "mm, cm, dm, m, um, inch, or the millimetres that one unit measures"
# Largest extent, over the three axes, of anything from a face without ears to a head with shoulders. A factor
# of ten lies between no two of them, so that metric units are never confused.
PLAUSIBLE_MM = (110.0, 700.0)
# A crop of a face, guessed where nothing larger fits.
CROP_MM = (50.0, 110.0)
# With a unit that was given, from a crop around the nose to a bust: no face at a tenth or ten times its size.
GIVEN_MM = (40.0, 1000.0)
OUTLIERS = 0.005  # share of the vertices on either side that the extent leaves out
# Edges whose triangles contradict each other, beyond which a surface has no normals worth the name.
MOST_UNSETTLED = 0.1


class MeshInMillimetres(NamedTuple):
    """A mesh and where its millimetres come from.

    Attributes:
        mesh: vertices in mm, triangles wound alike and outward.
        unit: the file's, by name or as a number of millimetres.
        guessed: whether the unit was guessed from the size.
        turned: how many triangles the file winds the other way.
    """

    mesh: Mesh
    unit: str
    guessed: bool
    turned: int = 0


class ImplausibleSizeError(ValueError):
    """A mesh is no face in the unit that was given, or in any."""


def read_mesh_in_mm(path: Path, unit: Unit = "auto") -> MeshInMillimetres:
    """A mesh file's mesh in mm, its size checked, its triangles turned outward.

    Args:
        path: .obj, .ply or .glb; the last is in metres by its specification, and `unit` counts only where it
            is no face in metres.
        unit: the file's; `auto` guesses.

    Raises:
        FileNotFoundError: if there is no such file.
        ImplausibleSizeError: if no face is so large.
        ValueError: if the file is no mesh, the unit is unknown, or the triangles contradict each other.
    """
    if unit != "auto":
        millimetres_per(unit)
    with as_one_reason(f"{path} cannot be read as a mesh"):
        mesh = read_mesh(path)
    name, guessed, in_metres = str(unit), unit == "auto", False
    if Path(path).suffix.lower() == ".glb":  # `read_mesh` gives mm
        if is_plausible(extent_of(surface_vertices(mesh)), GIVEN_MM):
            name, guessed, in_metres = "mm", False, True
        else:
            mesh = mesh._replace(vertices=mesh.vertices / MILLIMETRES_PER_METRE)
    surface = surface_vertices(mesh)
    extent = extent_of(surface)
    if name == "auto":
        found = guess_unit(surface, _OF_GLB if Path(path).suffix.lower() == ".glb" else MILLIMETRES)
        if found is None:
            raise ImplausibleSizeError(_no_face(path, extent, f"in {', '.join(MILLIMETRES)}", PLAUSIBLE_MM))
        name = found
    elif not is_plausible(extent * millimetres_per(name), GIVEN_MM):
        raise ImplausibleSizeError(_no_face(path, extent, f"in {name}", GIVEN_MM))
    found_mesh, turned, unsettled = oriented(mesh)
    if unsettled > MOST_UNSETTLED:
        raise ValueError(
            f"{path}: its triangles face both ways at {unsettled:.0%} of their edges, so that none is the "
            "outside; recalculate its normals in the program that wrote it"
        )
    factor = millimetres_per(name)
    return MeshInMillimetres(
        found_mesh._replace(vertices=found_mesh.vertices * factor),
        "m" if in_metres else name,
        guessed,
        turned,
    )


def _no_face(path: Path, extent: float, units: str, plausible_mm: tuple[float, float]) -> str:
    low, high = plausible_mm
    advice = "check the mesh: all of its vertices lie in one place"
    if math.isfinite(extent) and extent > 0:
        # A face is about 200 mm high.
        advice = (
            f"name its unit, or the millimetres of one of its units: {200 / extent:.3g} if it is a face; cut "
            "away what is no head"
        )
    return (
        f"implausible size: {path} spans {extent:.4g} of its units, which is no face {units} "
        f"({low:g} to {high:g} mm); {advice}"
    )


def millimetres_per(unit: str | float) -> float:
    """The millimetres of a unit that is named, or is their number.

    Raises:
        ValueError: if it is neither.
    """
    if unit in MILLIMETRES:
        return MILLIMETRES[str(unit)]
    try:
        number = float(unit)
    except (TypeError, ValueError):
        number = math.nan
    if not 0 < number < math.inf:
        raise ValueError(f"the unit must be one of {WORDS}, got {unit!r}")
    return number


def guess_unit(vertices: Tensor, units: Mapping[str, float] = MILLIMETRES) -> str | None:
    """The unit in which a face, or else a crop of one, could be so large; None if there is none."""
    extent = extent_of(vertices)
    for plausible in (PLAUSIBLE_MM, CROP_MM):
        for name, factor in units.items():
            if is_plausible(extent * factor, plausible):
                return name
    return None


def extent_of(vertices: Tensor) -> float:
    """The largest extent of vertices [V, 3] over the three axes, a few outliers left out."""
    ordered = vertices.double().sort(dim=0).values
    cut = int(OUTLIERS * len(vertices))
    return float(torch.max(ordered[len(vertices) - 1 - cut] - ordered[cut]))


def is_plausible(extent_mm: float, plausible_mm: tuple[float, float] = PLAUSIBLE_MM) -> bool:
    """Whether a face or head may be so large."""
    return plausible_mm[0] <= extent_mm <= plausible_mm[1]
