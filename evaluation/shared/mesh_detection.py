"""Where a face detector sees the five points of a face on any mesh."""

from collections.abc import Iterator
from itertools import permutations, product

import numpy as np
import torch
from numpy.typing import NDArray
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


def detected_points(mesh: Mesh, detect: Detector) -> NDArray[np.float64]:
    """A face's five points [5, 3] on the surface: the detector's on a frontal picture, unprojected.

    The mesh may stand in any of the 24 frames whose axes are ours in another order or direction.

    Raises:
        Unscorable: if no face is found, or its points do not lie on the mesh.
    """
    found: list[tuple[Detection, MeshView]] = []
    for number, turn in enumerate(axis_turns()):
        view, faces = _seen(mesh, detect, turn)
        if faces and number == 0:
            return unprojected(view.points, faces[0].points)
        if faces and faces[0].score >= LEAST_SCORE_TURNED:
            found.append((faces[0], view))
    if not found:
        raise Unscorable("no face found: the detector sees none on the mesh's frontal picture")
    face, view = max(found, key=lambda pair: pair[0].score)
    return unprojected(view.points, face.points)


def upright_points(mesh: Mesh, detect: Detector) -> NDArray[np.float64]:
    """The same five points [5, 3] of a mesh that is known to stand upright and to face along z.

    Raises:
        Unscorable: if no face is found, or its points do not lie on the mesh.
    """
    view, faces = _seen(mesh, detect)
    if not faces:
        raise Unscorable("no face is seen on the mesh from the front; turn it to face along z, with y up")
    return unprojected(view.points, faces[0].points)


def _seen(mesh: Mesh, detect: Detector, turn: Tensor | None = None) -> tuple[MeshView, list[Detection]]:
    view = view_of(mesh, size=PICTURE_PIXELS, turn=turn)
    picture = (view.image * 255).round().byte().permute(1, 2, 0).numpy()
    return view, detect(np.ascontiguousarray(picture))


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
