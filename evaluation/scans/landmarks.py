"""The 68 landmarks of scans and meshes: from files, from a shared topology, or found by a face detector."""

from collections.abc import Callable
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from datamodules.alignment.detection import DetectorName, load_detector
from evaluation.metrics.marked_mesh import NOSE_TIP, MarkedMesh, Unscorable, known
from evaluation.metrics.similarity_transform import fit_similarity
from evaluation.metrics.surface import scorable_surface
from evaluation.scans.model_fit import fit_model
from evaluation.shared.mesh_detection import detected_points
from lightning_modules.faces.landmarks.ibug import Landmarks, five_points
from lightning_modules.faces.landmarks.mesh_landmark_files import read_marked_points
from lightning_modules.faces.mesh import Mesh
from lightning_modules.faces.mesh_files.units import MILLIMETRES
from lightning_modules.faces.morphable_model import MorphableModel
from lightning_modules.faces.surfaces import closest_on_surface

Source = Literal["marked", "completed", "detected"]
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
        if points is not None and len(ids) >= FEWEST_KNOWN:
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


def marked_mesh(mesh: Mesh, marks: Marks) -> MarkedMesh:
    """A mesh in mm as the metrics take it."""
    return MarkedMesh(mesh.vertices.double().numpy(), mesh.triangles.numpy(), marks.points)
