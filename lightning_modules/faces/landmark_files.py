"""Reads 68 iBUG landmarks from a file: JSON, text, NumPy or LJSON."""

import json
from pathlib import Path

import numpy as np
import torch
from scipy.spatial import cKDTree
from torch import Tensor

from lightning_modules.faces.files import require_file
from lightning_modules.faces.landmarks import NUMBER_OF_LANDMARKS, Landmarks, landmarks_on_vertices

FORMS = "68 vertex ids or 68 points x y z, as .json, .ljson, .txt or .npy"
# A user's point this far from every vertex was marked on another mesh or in another unit.
FARTHEST_MM = 10.0


def read_landmarks(path: Path) -> Tensor:
    """The 68 landmarks of a file, in iBUG's order.

    Forms: JSON with a list of vertex ids or of points; text with one id or one point a line (spaces or
    commas, # starts a comment); a NumPy array; LJSON of version 2 (`landmarks.points`) or 3 (one group's
    `landmarks.points`), where a null coordinate means a point that was not marked.

    Args:
        path: of the suffix .json, .ljson, .txt or .npy.

    Returns:
        [68] int64 vertex ids or [68, 3] float64 points in the file's unit, NaN where not marked.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it holds anything else.
    """
    path = Path(path)
    require_file(path, f"a landmark file with {FORMS}")
    try:
        values = _read(path)
        array = np.array(values, dtype=float)  # null becomes NaN
    except (ValueError, TypeError, KeyError, OSError, EOFError) as error:
        raise ValueError(f"{path} cannot be read as landmarks ({error}); give {FORMS}") from error
    if array.shape not in {(NUMBER_OF_LANDMARKS,), (NUMBER_OF_LANDMARKS, 3)}:
        raise ValueError(f"{path} must hold {FORMS}, got an array of shape {list(array.shape)}")
    if array.ndim == 2:
        return torch.from_numpy(array)
    if not np.array_equal(array, np.floor(array)):  # NaN too
        raise ValueError(f"{path} must hold whole numbers where it lists vertex ids; give {FORMS}")
    return torch.from_numpy(array.astype(np.int64))


def _read(path: Path) -> list | np.ndarray:
    if path.suffix == ".npy":
        return np.load(path, allow_pickle=False)
    if path.suffix == ".txt":
        return np.loadtxt(path, delimiter="," if "," in path.read_text() else None, ndmin=1)
    if path.suffix not in {".json", ".ljson"}:
        raise ValueError(f"unknown suffix {path.suffix!r}")
    content = json.loads(path.read_text())
    if isinstance(content, list):
        return content
    if "groups" in content:  # LJSON 3
        groups = content["groups"]
        if len(groups) != 1:
            raise ValueError(f"one group of landmarks expected, found {', '.join(sorted(groups)) or 'none'}")
        (content,) = groups.values()
    return content["landmarks"]["points"]


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
