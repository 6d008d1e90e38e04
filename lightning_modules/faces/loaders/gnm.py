"""Loads Google's GNM Head (Apache-2.0, github.com/google/GNM, version 3) as a MorphableModel.

Names and shapes are those of its own loader and tests (`gnm/shape/gnm_data_loader.py`, `gnm_xnp.py`):
identity [I, V, 3], expression [E, V, 3], in metres, for coefficients within about ±3, as its README says.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lightning_modules.faces.albedo_transfer import borrowed_albedo
from lightning_modules.faces.landmarks.ibug import GROUPS, NUMBER_OF_LANDMARKS, Landmarks
from lightning_modules.faces.landmarks.mesh_landmark_files import landmarks_from_file
from lightning_modules.faces.landmarks.transfer import completed_landmarks
from lightning_modules.faces.loaders.array_pickles import as_array, read_arrays
from lightning_modules.faces.loaders.file_content import check_triangles, checked_count, checked_finite
from lightning_modules.faces.loaders.mesh_cuts import MeshCut, are_places, with_exact
from lightning_modules.faces.loaders.principal_components import own_components
from lightning_modules.faces.morphable_model import ModelSource, MorphableModel
from lightning_modules.plain.files import require_file, sha256_of_file

WHERE = "gnm_head.npz of https://github.com/google/GNM (gnm/shape/data/versions/v3_0)"
MILLIMETRES_PER_UNIT = 1000.0
NUMBERS = (
    "template_vertex_positions", "vertex_identity_basis", "expression_basis", "triangles", "vertex_groups",
)  # fmt: skip
NAMES = ("identity_names", "expression_names", "vertex_group_names")
# Which vertex groups a part of the mesh is made of, and which identity components are about it.
PARTS = {
    "skin": (("skin",), "head"),
    "eyes": (("eyes",), "eyes"),
    "teeth": (("upper_teeth_and_gums", "lower_teeth_and_gums"), "teeth"),
    "tongue": (("tongue",), None),
}
# A group of the skin that is never seen and would shine through the lips.
LEFT_OUT = "mouth_sock"
LANDMARKS = "head_sparse_68.txt"


def load_gnm(
    path: Path,
    *,
    subset: str = "skin",
    albedo: str = "open",
    shape_components: int | None = None,
    albedo_components: int | None = None,
    expression_components: int | None = None,
    landmarks: Path | None = None,
    open_model: Callable[[], MorphableModel] | None = None,
) -> MorphableModel:
    """GNM Head in mm with its own coefficients, joints at rest.

    Shape coefficients are GNM's identity parameters `head_*`, in the file's order, then those of the other
    parts that are taken. Expressions are those that move the taken part, in the file's order.

    Args:
        path: gnm_head.npz.
        subset: `skin`, or joined by +, such as `skin+eyes` or `skin+eyes+teeth+tongue`.
        albedo: the file has none. `open` transfers the open model's, `constant` is one colour.
        shape_components: how many to keep; None keeps all.
        albedo_components: likewise, of the transferred ones.
        expression_components: likewise.
        landmarks: a landmark file for the subset's mesh. None takes `head_sparse_68.txt`, which lies beside
            the file or where GNM's repository has it; without it they are transferred.
        open_model: gives the open model; called only if something is transferred from it.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it is no GNM Head, or an option is none of the above.
    """
    path = Path(path)
    require_file(path, WHERE)
    parts = _parts(path, subset)
    content = _content(path)
    cut = _cut(path, content, parts)
    identities = _of_parts(content["identity_names"], parts)
    checked = checked_count(path, "shape", shape_components, len(identities))
    mean = cut.rows(MILLIMETRES_PER_UNIT * content["template_vertex_positions"])
    shape = own_components(mean, _modes(content["vertex_identity_basis"], identities, cut), checked)
    moving = np.abs(content["expression_basis"][:, cut.kept]).max((1, 2)).nonzero()[0]
    expression = own_components(
        torch.zeros_like(mean),
        _modes(content["expression_basis"], moving, cut),
        checked_count(path, "expression", expression_components, len(moving)),
    )
    vertices = mean.unflatten(0, (-1, 3))
    found = _landmarks(path, landmarks, vertices, cut, open_model)
    colours, note = borrowed_albedo(str(path), albedo, vertices, cut.triangles, found, open_model)
    own = f"{_ranges(identities)} of {len(content['identity_names'])}"
    note = f"shape coefficients are GNM's identity parameters {own}, {note}"
    return MorphableModel(
        shape=shape,
        albedo=colours.cut(checked_count(path, "albedo", albedo_components, colours.basis.shape[1])),
        expression=expression,
        triangles=cut.triangles,
        landmarks=found,
        provenance=ModelSource("gnm", f"{path.name} {subset}", sha256_of_file(path), note),
    )


def _parts(path: Path, subset: str) -> list[str]:
    names = subset.split("+")
    if unknown := [name for name in names if name not in PARTS]:
        raise ValueError(
            f"the subset {subset!r} of {path} names {', '.join(map(repr, unknown))}; join any of "
            f"{', '.join(PARTS)} by +"
        )
    return names


def _content(path: Path) -> dict[str, Any]:
    """The arrays that are needed, their shapes checked, and lists of names."""
    raw = read_arrays(path)
    if missing := [name for name in (*NUMBERS, *NAMES) if name not in raw]:
        raise ValueError(f"{path} is no GNM Head: {', '.join(missing)} is missing; give {WHERE}")
    content: dict[str, Any] = {name: as_array(raw[name], f"{path}: {name}") for name in NUMBERS}
    content |= {name: [str(each) for each in np.asarray(raw[name]).ravel()] for name in NAMES}
    count = len(content["template_vertex_positions"])
    expected = {
        "template_vertex_positions": (count, 3),
        "vertex_identity_basis": (len(content["identity_names"]), count, 3),
        "expression_basis": (len(content["expression_names"]), count, 3),
        "vertex_groups": (len(content["vertex_group_names"]), count),
        "triangles": (len(content["triangles"]), 3),
    }
    for name, shape in expected.items():
        if content[name].shape != shape:
            raise ValueError(
                f"{path}: {name} must be {list(shape)}, got {list(content[name].shape)}; the file is damaged "
                f"or of another version, give {WHERE}"
            )
    for name in NUMBERS[:3]:
        content[name] = content[name].astype(np.float32)
    checked_finite(path, {name: torch.from_numpy(content[name]) for name in NUMBERS[:3]})
    content["triangles"] = content["triangles"].astype(np.int64)
    check_triangles(path, torch.from_numpy(content["triangles"]), count)
    return content


def _cut(path: Path, content: dict[str, Any], parts: list[str]) -> MeshCut:
    groups = dict(zip(content["vertex_group_names"], content["vertex_groups"] > 0.5, strict=True))
    wanted = [group for part in parts for group in PARTS[part][0]]
    if missing := [group for group in wanted if group not in groups]:
        raise ValueError(
            f"{path} has no vertex group {', '.join(missing)}; it has {', '.join(sorted(groups))}"
        )
    mask = np.any([groups[group] for group in wanted], 0)
    if LEFT_OUT in groups:
        mask = mask & ~groups[LEFT_OUT]
    cut = MeshCut.of(mask, content["triangles"])
    if not len(cut.kept):
        raise ValueError(f"{path} has no triangle within {', '.join(wanted)}; give {WHERE}")
    return cut


def _of_parts(names: list[str], parts: list[str]) -> np.ndarray:
    """Numbers of the identity components that are about the parts, those of the head always first."""
    prefixes = ["head", *(PARTS[part][1] for part in parts if PARTS[part][1] not in (None, "head"))]
    # An older file of this version calls eyes eyeballs.
    spelled = [name.replace("eyeballs_", "eyes_") for name in names]
    return np.array(
        [i for prefix in prefixes for i, name in enumerate(spelled) if name.startswith(f"{prefix}_")]
    )


def _modes(basis: np.ndarray, numbers: np.ndarray, cut: MeshCut) -> Tensor:
    """[3V, K] in mm of a basis [K, V, 3]."""
    return cut.rows(MILLIMETRES_PER_UNIT * basis[numbers].transpose(1, 2, 0))


def _ranges(numbers: np.ndarray) -> str:
    """`0 to 169, 173 to 252` of numbers that follow each other in runs."""
    starts = [i for i, number in enumerate(numbers) if i == 0 or number != numbers[i - 1] + 1]
    runs = np.split(numbers, starts[1:])
    return ", ".join(f"{run[0]} to {run[-1]}" for run in runs)


def _landmarks(
    path: Path,
    given: Path | None,
    vertices: Tensor,
    cut: MeshCut,
    open_model: Callable[[], MorphableModel] | None,
) -> Landmarks | str:
    if given is not None:
        return landmarks_from_file(given, vertices)
    places = (path.parent / LANDMARKS, path.parent.parent.parent / "landmarks" / LANDMARKS)
    file = next((place for place in places if place.is_file()), None)
    exact: dict[int, tuple[Tensor, Tensor]] = {}
    if file is not None:
        corners, weights = _sparse_landmarks(file, len(cut.position))
        exact = _in_order(cut.landmarks(corners, weights), vertices)
    nearest = {number: (int(ids[weight.argmax()]), "file") for number, (ids, weight) in exact.items()}
    found = completed_landmarks(vertices, cut.triangles, nearest, open_model)
    return found if isinstance(found, str) else with_exact(found, exact, "file")


def _sparse_landmarks(path: Path, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Vertex ids and weights [68, 3] of a file with three pairs of id and weight a line."""
    try:
        rows = np.loadtxt(path, ndmin=2)
    except ValueError as error:
        raise ValueError(f"{path} cannot be read as GNM's landmarks ({error}); get it again") from error
    ids, weights = rows[:, ::2].astype(np.int64), rows[:, 1::2]
    if rows.shape != (NUMBER_OF_LANDMARKS, 6) or not are_places(ids, weights, count):
        raise ValueError(
            f"{path} must hold {NUMBER_OF_LANDMARKS} lines of three pairs of vertex and weight that sum to "
            f"1, of vertices 0 to {count - 1}; get it again, or move it away"
        )
    return ids, weights


def _in_order(exact: dict[int, tuple[Tensor, Tensor]], vertices: Tensor) -> dict[int, tuple[Tensor, Tensor]]:
    """The landmarks with the jaw's in iBUG's order, from the right ear by the chin to the left one.

    Users of the published file report that it lists some of the jaw's in another order; by geometry that does
    no harm, whichever it is.
    """
    jaw = [number for number in GROUPS["jaw"] if number in exact]
    if len(jaw) < len(GROUPS["jaw"]):
        return {number: point for number, point in exact.items() if number not in jaw}
    points = {number: (vertices[ids] * weight[:, None]).sum(0) for number, (ids, weight) in exact.items()}
    rest = torch.stack([point for number, point in points.items() if number not in jaw])
    centre = rest.mean(0)

    def angle(number: int) -> float:
        """From straight up by the right ear and the chin to the left ear."""
        x, y, _ = points[number] - centre
        return float(torch.atan2(-x, y) % (2 * torch.pi))

    ordered = sorted(jaw, key=angle)
    return exact | {number: exact[source] for number, source in zip(jaw, ordered, strict=True)}
