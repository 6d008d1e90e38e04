"""Where a face detector sees the five points of a face on any mesh."""

from collections.abc import Iterable, Iterator
from contextlib import suppress
from itertools import permutations, product
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation
from torch import Tensor

from datamodules.alignment.detection import Detection, Detector
from evaluation.metrics.marked_mesh import Unscorable
from evaluation.metrics.similarity_transform import fit_similarity
from lightning_modules.faces.landmarks.ibug import five_points
from lightning_modules.faces.landmarks.typical_places import TYPICAL_PLACES
from lightning_modules.faces.mesh import Mesh
from lightning_modules.faces.mesh_views import MeshView, view_of

PICTURE_PIXELS = 320  # YuNet's smaller canvas
# A detected point may fall into a hole of the scan: the nearest pixel that shows it counts, at most so far.
FARTHEST_PIXELS = 6
# A face found upside down or in profile scores low; one that stands upright in another frame does not.
LEAST_SCORE_TURNED = 0.8
OFF_THE_MESH = "no face found: a point that the detector sees does not lie on the mesh"
# Of a typical face, after a similarity, from where it has them. On 246 of our own reconstructions most points
# stayed within 12 mm; a mouth corner that falls past the lips onto the back of the head lies 50 mm off.
FARTHEST_MM = 20.0
# Of the mesh out of the frontal view, about x (from above, below) and y (from the sides), in degrees.
TURNS_AROUND = [
    torch.from_numpy(Rotation.from_euler("xy", angles, degrees=True).as_matrix()).float()
    for angles in ((0, 20), (0, -20), (15, 0), (-15, 0), (0, 40), (0, -40))
]


def detected_points(mesh: Mesh, detect: Detector) -> Iterator[NDArray[np.float64]]:
    """A face's five points [5, 3] on the surface, as the detector sees them, the likeliest first.

    Points of the picture are unprojected. The mesh may stand in any of the 24 frames whose axes are ours in
    another order or direction. Later views are only drawn where an earlier one was of no use: the frontal one
    and those from around it, the best of the other frames, and those from around that: a face that from the
    front is seen in part, or through its open mouth, is seen whole from a little aside.

    Raises:
        Unscorable: after the last view, if none shows a face whose points lie on the mesh.
    """
    front, *others = (torch.eye(3), *list(axis_turns())[1:])
    looked_around = [view := _seen(mesh, detect, front)]
    yield from _points_in(view)
    if view.faces:
        looked_around += (around := _seen_around(mesh, detect, front))
        yield from _points_of(around)
    found = _with_faces(_seen(mesh, detect, turn) for turn in others)
    yield from _points_of(seen for seen in found if seen.faces[0].score >= LEAST_SCORE_TURNED)
    for frame in [*([] if view.faces else [front]), *(seen.turn for seen in found[:1])]:
        looked_around += (around := _seen_around(mesh, detect, frame))
        yield from _points_of(around)
    if found or any(seen.faces for seen in looked_around):
        raise Unscorable(OFF_THE_MESH)
    raise Unscorable(
        "no face found: the detector sees none on the mesh's frontal picture; mark its landmarks in a file"
    )


class _Seen(NamedTuple):
    """A view of a mesh, the faces that the detector sees there, and the rotation of the mesh."""

    view: MeshView
    faces: list[Detection]
    turn: Tensor


def _seen_around(mesh: Mesh, detect: Detector, frame: Tensor) -> list[_Seen]:
    """The views around a frame in which a face is seen, the best first."""
    return _with_faces(_seen(mesh, detect, turn @ frame) for turn in TURNS_AROUND)


def _with_faces(views: Iterable[_Seen]) -> list[_Seen]:
    return sorted((seen for seen in views if seen.faces), key=lambda seen: -seen.faces[0].score)


def _points_of(views: Iterable[_Seen]) -> Iterator[NDArray[np.float64]]:
    for seen in views:
        yield from _points_in(seen)


def _points_in(seen: _Seen) -> Iterator[NDArray[np.float64]]:
    """The points of the best face, if there is one, and they lie on the mesh as a face has them."""
    if seen.faces:
        with suppress(Unscorable):
            points = unprojected(seen.view.points, seen.faces[0].points)
            if _farthest_off(points) <= FARTHEST_MM:
                yield points


def _farthest_off(points: NDArray[np.float64]) -> float:
    """The largest distance of five points [5, 3] from a face's, mm of a typical face, after a similarity."""
    typical = five_points(torch.from_numpy(TYPICAL_PLACES)).numpy()
    try:
        placed = fit_similarity(points, typical).points(points)
    except ValueError:  # all in one place
        return np.inf
    return float(np.linalg.norm(placed - typical, axis=1).max())


def upright_points(mesh: Mesh, detect: Detector) -> NDArray[np.float64]:
    """The same five points [5, 3] of a mesh that is known to stand upright and to face along z.

    Raises:
        Unscorable: if no face is found, or its points do not lie on the mesh.
    """
    front = _seen(mesh, detect, torch.eye(3))
    for points in _points_in(front):
        return points
    around = _seen_around(mesh, detect, torch.eye(3))
    for points in _points_of(around):
        return points
    if front.faces or around:
        raise Unscorable(OFF_THE_MESH)
    raise Unscorable("no face is seen on the mesh from the front; turn it to face along z, with y up")


def _seen(mesh: Mesh, detect: Detector, turn: Tensor) -> _Seen:
    view = view_of(mesh, size=PICTURE_PIXELS, turn=turn)
    picture = (view.image * 255).round().byte().permute(1, 2, 0).numpy()
    return _Seen(view, detect(np.ascontiguousarray(picture)), turn)


def unprojected(surface: Tensor, pixels: NDArray) -> NDArray[np.float64]:
    """The surface points [P, 3] at pixels [P, 2], x and y; the nearest pixel that shows the surface counts.

    Args:
        surface: [H, W, 3], NaN beside it.
        pixels: of the picture.

    Raises:
        Unscorable: if the surface is too far from one of them.
    """
    rows, columns = torch.nonzero(surface.isfinite().all(-1), as_tuple=True)
    shown = np.stack([columns.numpy(), rows.numpy()], -1)
    if not len(shown):
        raise Unscorable("no face found: the picture of the mesh is empty")
    distances = np.linalg.norm(shown[None] - np.asarray(pixels)[:, None], axis=-1)  # [P, N]
    nearest = distances.argmin(1)
    if distances.min(1).max() > FARTHEST_PIXELS:
        raise Unscorable(OFF_THE_MESH)
    return surface[rows[nearest], columns[nearest]].double().numpy()


def axis_turns() -> Iterator[Tensor]:
    """The 24 rotations [3, 3] that take axes to axes, the one that changes nothing first."""
    for order in permutations(range(3)):
        for signs in product((1.0, -1.0), repeat=3):
            turn = torch.zeros(3, 3)
            turn[torch.arange(3), torch.tensor(order)] = torch.tensor(signs)
            if float(torch.linalg.det(turn)) > 0:
                yield turn
