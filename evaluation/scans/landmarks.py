"""The 68 landmarks of scans and meshes: from files, from a shared topology, or found by a face detector."""

from collections.abc import Callable, Iterator
from itertools import permutations, product
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from datamodules.alignment.detection import Detection, DetectorName, load_detector
from evaluation.metrics.marked_mesh import NOSE_TIP, MarkedMesh, Unscorable, known
from evaluation.metrics.similarity_transform import fit_similarity
from evaluation.metrics.surface import scorable_surface
from evaluation.scans.model_fit import fit_model
from lightning_modules.faces.landmarks.ibug import Landmarks, five_points
from lightning_modules.faces.landmarks.mesh_landmark_files import read_marked_points
from lightning_modules.faces.mesh import Mesh
from lightning_modules.faces.mesh_files.units import MILLIMETRES
from lightning_modules.faces.mesh_views import MeshView, view_of
from lightning_modules.faces.morphable_model import MorphableModel
from lightning_modules.faces.surfaces import closest_on_surface

Source = Literal["marked", "completed", "detected"]
PICTURE_PIXELS = 320  # YuNet's smaller canvas
# A detected point may fall into a hole of the scan: the nearest pixel that shows it counts, at most so far.
FARTHEST_PIXELS = 6
# A face found upside down or in profile scores low; one that stands upright in another frame does not.
LEAST_SCORE_TURNED = 0.8
FEWEST_KNOWN = 4  # landmarks by which the open model is placed without a detector


class Marks(NamedTuple):
    """Landmarks and where they come from.

    Attributes:
        points: [68, 3] in the mesh's frame, NaN where not known.
        source: `marked` in a file; `completed`: some marked, the others those of the open model fitted to the
            mesh; `detected`: all of them, the fit beginning where a detector sees the face.
    """

    points: NDArray[np.float64]
    source: Source


class Marker:
    """Finds the landmarks of scans and meshes.

    Args:
        open_model: gives the model that is fitted where a file has no landmarks, or not all; called only
            then.
        detector: sees the face in a frontal picture.
    """

    def __init__(self, open_model: Callable[[], MorphableModel], *, detector: DetectorName = "yunet") -> None:
        self._open_model, self._detector = open_model, detector

    def marks(self, mesh: Mesh, file: Path | None, *, unit: str = "mm") -> Marks:
        """The landmarks of a mesh in mm, from its landmark file or by detection.

        Args:
            mesh: in mm.
            file: vertex ids, or points in the mesh's frame; None detects.
            unit: of the file's points, the mesh file's own.

        Raises:
            Unscorable: if the file cannot be used, no face is found, the open model does not fit, or the mesh
                has no triangle with an area.
        """
        if file is None:
            return Marks(self._transferred(mesh, None), "detected")
        try:
            factor = MILLIMETRES[unit]
            points = factor * read_marked_points(file, mesh.vertices / factor).numpy()
        except (ValueError, OSError) as error:
            raise Unscorable(f"unusable landmarks: {error}") from error
        if known(points).all():
            return Marks(points, "marked")
        completed = self._transferred(mesh, points)
        return Marks(np.where(known(points)[:, None], points, completed), "completed")

    def _transferred(self, mesh: Mesh, points: NDArray[np.float64] | None) -> NDArray[np.float64]:
        """All 68 from the open model, fitted from the known points, or from detected ones."""
        surface = scorable_surface(mesh.vertices.numpy(), mesh.triangles.numpy(), "the mesh")
        model = self._open_model()
        own = model.landmarks.on(model.neutral_mean.view(1, -1, 3))[0].double()
        ids = [] if points is None else np.flatnonzero(known(points)).tolist()
        if len(ids) >= FEWEST_KNOWN:
            source, target = own.numpy()[ids], points[ids]
        else:
            source, target = five_points(own).numpy(), detected_points(mesh, load_detector(self._detector))
        start = fit_similarity(source, target)
        nose_tip = start.points(own.numpy()[NOSE_TIP : NOSE_TIP + 1])[0]
        fit = fit_model(surface, model, start, nose_tip)
        if fit.failure:
            raise Unscorable(f"no landmarks: {fit.failure.removeprefix('no fit: ')}")
        marks = model.landmarks.on(torch.from_numpy(fit.vertices)[None])[0].numpy()
        return fit.pose.points(marks)


def carried(marks: Marks, mesh: Mesh) -> Landmarks:
    """A mesh's landmarks as places in its triangles, for other meshes of its topology."""
    found = closest_on_surface(torch.from_numpy(marks.points), mesh.vertices, mesh.triangles)
    return Landmarks(found.vertex_ids, found.weights, (marks.source,) * len(marks.points))


def detected_points(mesh: Mesh, detect: Callable[[NDArray], list[Detection]]) -> NDArray[np.float64]:
    """A face's five points [5, 3] on the surface: the detector's on a frontal picture, unprojected.

    The mesh may stand in any of the 24 frames whose axes are ours in another order or direction.

    Raises:
        Unscorable: if no face is found, or its points do not lie on the mesh.
    """
    found: list[tuple[Detection, MeshView]] = []
    for number, turn in enumerate(axis_turns()):
        view = view_of(mesh, size=PICTURE_PIXELS, turn=turn)
        picture = (view.image * 255).round().byte().permute(1, 2, 0).numpy()
        faces = detect(np.ascontiguousarray(picture))
        if faces and number == 0:
            return unprojected(view.points, faces[0].points)
        if faces and faces[0].score >= LEAST_SCORE_TURNED:
            found.append((faces[0], view))
    if not found:
        raise Unscorable("no face found: the detector sees none on the mesh's frontal picture")
    face, view = max(found, key=lambda pair: pair[0].score)
    return unprojected(view.points, face.points)


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


def marked_mesh(mesh: Mesh, marks: Marks) -> MarkedMesh:
    """A mesh in mm as the metrics take it."""
    return MarkedMesh(mesh.vertices.double().numpy(), mesh.triangles.numpy(), marks.points)
