"""Reads 68 iBUG landmarks, or some, from a file: JSON, LJSON, text, NumPy or MeshLab's picked points."""

import json
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.spatial import cKDTree
from torch import Tensor

from lightning_modules.faces.landmarks.ibug import NUMBER_OF_LANDMARKS, Landmarks, landmarks_on_vertices
from lightning_modules.faces.landmarks.point_lists import file_of_suffix, read_point_list
from lightning_modules.plain.files import read_text, require_file

SUFFIXES = (".ljson", ".json", ".txt", ".npy", ".pp", ".csv", ".lnd")
FORMS = f"68 vertex ids or 68 points x y z, as {', '.join(SUFFIXES)}"
# Which iBUG landmarks (0-based) a list of so many points holds. Seven are those of the NoW challenge; the tip
# of the nose may follow.
SEVEN = (36, 39, 42, 45, 33, 48, 54)
PARTIAL = {68: tuple(range(68)), 51: tuple(range(17, 68)), 7: SEVEN, 8: (*SEVEN, 30)}
# A user's point this far from every vertex was marked on another mesh or in another unit.
FARTHEST_MM = 10.0


def landmark_file_beside(mesh_file: Path) -> Path | None:
    """The landmark file of a mesh file's name in its folder, if there is one.

    A .json that `reconstruct.py` wrote beside its meshes holds coefficients, and is none.
    """
    stem = mesh_file.with_suffix("")
    found = (file_of_suffix(stem, (suffix,)) for suffix in SUFFIXES)
    return next((path for path in found if path is not None and not _holds_coefficients(path)), None)


def _holds_coefficients(path: Path) -> bool:
    if path.suffix.lower() != ".json":
        return False
    try:
        content = json.loads(read_text(path))
    except (ValueError, OSError, RecursionError):
        return False
    return isinstance(content, dict) and "coefficient_unit" in content


def read_landmarks(path: Path) -> Tensor:
    """The 68 landmarks of a file, in iBUG's order.

    Forms: JSON with a list of vertex ids or of points; text or CSV with one id or one point a line (blanks,
    commas, semicolons or tabs; # starts a comment; a header may name x, y and z); a NumPy array; LJSON of
    every version, whose labels tell which point is which, where a null coordinate means a point that was not
    marked.

    Args:
        path: of a suffix in SUFFIXES.

    Returns:
        [68] int64 vertex ids or [68, 3] float64 points in the file's unit, NaN where not marked.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it holds anything else.
    """
    array = _array(Path(path), FORMS)
    if array.shape not in {(NUMBER_OF_LANDMARKS,), (NUMBER_OF_LANDMARKS, 3)}:
        raise ValueError(f"{path} must hold {FORMS}, got an array of shape {list(array.shape)}")
    if array.ndim == 1 and np.isnan(array).any():
        raise ValueError(f"{path} must hold whole numbers where it lists vertex ids; give {FORMS}")
    return torch.from_numpy(array.astype(np.int64) if array.ndim == 1 else array)


def read_marked_points(path: Path, vertices: Tensor) -> Tensor:
    """Landmarks that were marked on a scan or a mesh, as points [68, 3] in iBUG's order.

    Args:
        path: as for `read_landmarks`, or a list of fewer points or vertex ids: 51 (without the jaw), 7 (the
            NoW challenge's: outer and inner corner of the right eye, inner and outer of the left, below the
            nose, right and left mouth corner), 8 (these and the nose's tip). MeshLab's picked points (.pp)
            count in the order of picking; inactive ones keep their places, and are not known. FG2018's (.lnd)
            have their number before them.
        vertices: [V, 3] that vertex ids refer to.

    Returns:
        Float64 in the file's unit, NaN where not marked.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it holds anything else, or names vertices that are not there.
    """
    forms = f"{', '.join(map(str, PARTIAL))} points x y z or vertex ids, as {', '.join(SUFFIXES)}"
    array = _array(Path(path), forms)
    if len(array) not in PARTIAL or array.shape[1:] not in {(), (3,)}:
        raise ValueError(f"{path} must hold {forms}, got an array of shape {list(array.shape)}")
    if np.isnan(array).all():
        raise ValueError(f"{path} marks no point; mark some, or leave the file out")
    points = np.full((NUMBER_OF_LANDMARKS, 3), np.nan)
    points[list(PARTIAL[len(array)])] = array if array.ndim == 2 else _of_vertices(array, vertices, path)
    return torch.from_numpy(points)


def _of_vertices(ids: NDArray[np.float64], vertices: Tensor, path: Path) -> NDArray[np.float64]:
    """The points [P, 3] of vertex ids [P], NaN where one is NaN."""
    named = ids[~np.isnan(ids)].astype(np.int64)
    if named.min() < 0 or named.max() >= len(vertices):
        raise ValueError(
            f"{path} names vertices {named.min()} to {named.max()}, but the mesh has 0 to "
            f"{len(vertices) - 1}; give the file that belongs to this mesh"
        )
    points = np.full((len(ids), 3), np.nan)
    points[~np.isnan(ids)] = vertices.double().numpy()[named]
    return points


def _array(path: Path, forms: str) -> NDArray[np.float64]:
    """A landmark file's numbers; ids are whole, or NaN where missing."""
    require_file(path, f"a landmark file with {forms}")
    try:
        array = read_point_list(path, tuple(PARTIAL)).values
    except (ValueError, TypeError, KeyError, OSError, EOFError, ElementTree.ParseError) as error:
        raise ValueError(f"{path} cannot be read as landmarks ({str(error)[:200]}); give {forms}") from error
    given = array[~np.isnan(array)]
    if array.ndim == 1 and not (np.array_equal(given, np.floor(given)) and (abs(given) < 2**53).all()):
        raise ValueError(f"{path} must hold whole numbers where it lists vertex ids; give {forms}")
    return array


def landmarks_from_file(path: Path, vertices: Tensor) -> Landmarks:
    """A user's 68 landmarks on a mesh, with the source `user`.

    Points become the nearest vertex; vertex ids stay.

    Args:
        path: see `read_landmarks`; points in the mesh's frame, mm.
        vertices: [V, 3] in mm, of the mesh that the landmarks were marked on.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it holds anything but 68 landmarks of this mesh.
    """
    landmarks = read_landmarks(path)
    if landmarks.ndim == 1:
        if int(landmarks.min()) < 0 or int(landmarks.max()) >= len(vertices):
            raise ValueError(
                f"{path} names vertices {int(landmarks.min())} to {int(landmarks.max())}, but the model has "
                f"0 to {len(vertices) - 1}; give the file that belongs to this model"
            )
        return landmarks_on_vertices(landmarks, "user")
    if not bool(landmarks.isfinite().all()):
        missing = (~landmarks.isfinite().all(1)).nonzero().flatten() + 1
        raise ValueError(f"{path} leaves landmarks {missing.tolist()} (iBUG, from 1) unmarked; mark all 68")
    distances, nearest = cKDTree(vertices.numpy()).query(landmarks.numpy())
    if distances.max() > FARTHEST_MM:
        raise ValueError(
            f"{path}: landmark {int(distances.argmax()) + 1} lies {distances.max():.1f} mm from the mesh; "
            "give points in mm, in the model's frame"
        )
    return landmarks_on_vertices(torch.from_numpy(nearest), "user")
