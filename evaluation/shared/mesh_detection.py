"""Where a face detector sees the five points of a face on any mesh."""

from collections.abc import Iterator
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
from lightning_modules.faces.mesh import Mesh
from lightning_modules.faces.mesh_views import MeshView, view_of

PICTURE_PIXELS = 320  # YuNet's smaller canvas
# A detected point may fall into a hole of the scan: the nearest pixel that shows it counts, at most so far.
FARTHEST_PIXELS = 6
# A face found upside down or in profile scores low; one that stands upright in another frame does not.
LEAST_SCORE_TURNED = 0.8
# Of the mesh out of the frontal view, about x (from above, below) and y (from the sides), in degrees.
TURNS_AROUND = [
    torch.from_numpy(Rotation.from_euler("xy", angles, degrees=True).as_matrix()).float()
    for angles in ((0, 20), (0, -20), (15, 0), (-15, 0), (0, 40), (0, -40))
]


def detected_points(mesh: Mesh, detect: Detector) -> Iterator[NDArray[np.float64]]:
    """A face's five points [5, 3] on the surface, as the detector sees them, the likeliest first.

    Points of the picture are unprojected. The mesh may stand in any of the 24 frames whose axes are ours in
    another order or direction. Later views are only drawn where an earlier one was of no use: the frontal
    one, the best of the other frames, then views from around these, where a face is seen that from the front
    is seen in part or not at all.

    Raises:
        Unscorable: after the last view, if none shows a face whose points lie on the mesh.
    """
    front, *others = (torch.eye(3), *list(axis_turns())[1:])
    yield from _points_in(view := _seen(mesh, detect, front))
    found = [seen for turn in others if (seen := _seen(mesh, detect, turn)).faces]
    found.sort(key=lambda seen: -seen.faces[0].score)
    for seen in found:
        if seen.faces[0].score >= LEAST_SCORE_TURNED:
            yield from _points_in(seen)
    around = [
        seen
        for frame in (front, *(seen.turn for seen in found[:1]))
        for turn in TURNS_AROUND
        if (seen := _seen(mesh, detect, turn @ frame)).faces
    ]
    for seen in sorted(around, key=lambda seen: -seen.faces[0].score):
        yield from _points_in(seen)
    if view.faces or found or around:
        raise Unscorable("no face found: a point that the detector sees does not lie on the mesh")
    raise Unscorable("no face found: the detector sees none on the mesh's frontal picture")


class _Seen(NamedTuple):
    """A view of a mesh, the faces that the detector sees there, and the rotation of the mesh."""

    view: MeshView
    faces: list[Detection]
    turn: Tensor


def _points_in(seen: _Seen) -> Iterator[NDArray[np.float64]]:
    """The points of the best face, if there is one and all of them lie on the mesh."""
    if seen.faces:
        with suppress(Unscorable):
            yield unprojected(seen.view.points, seen.faces[0].points)


def upright_points(mesh: Mesh, detect: Detector) -> NDArray[np.float64]:
    """The same five points [5, 3] of a mesh that is known to stand upright and to face along z.

    Raises:
        Unscorable: if no face is found, or its points do not lie on the mesh.
    """
    seen = _seen(mesh, detect, torch.eye(3))
    if not seen.faces:
        raise Unscorable("no face is seen on the mesh from the front; turn it to face along z, with y up")
    return unprojected(seen.view.points, seen.faces[0].points)


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
        raise Unscorable("no face found: a point that the detector sees does not lie on the mesh")
    return surface[rows[nearest], columns[nearest]].double().numpy()


def axis_turns() -> Iterator[Tensor]:
    """The 24 rotations [3, 3] that take axes to axes, the one that changes nothing first."""
    for order in permutations(range(3)):
        for signs in product((1.0, -1.0), repeat=3):
            turn = torch.zeros(3, 3)
            turn[torch.arange(3), torch.tensor(order)] = torch.tensor(signs)
            if float(torch.linalg.det(turn)) > 0:
                yield turn
