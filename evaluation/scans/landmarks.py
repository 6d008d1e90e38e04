"""The 68 landmarks of scans and meshes: from files, from a shared topology, or found by a face detector."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.spatial import cKDTree
from torch import Tensor

from datamodules.alignment.detection import DetectorName, load_detector
from evaluation.metrics.marked_mesh import NOSE_TIP, MarkedMesh, Unscorable, known
from evaluation.metrics.scan_protocols import ALL_LANDMARKS
from evaluation.metrics.similarity_transform import fit_similarity
from evaluation.metrics.surface import scorable_surface
from evaluation.scans.model_fit import ModelFit, fit_model
from evaluation.shared.mesh_detection import detected_points
from lightning_modules.faces.landmarks.ibug import Landmarks, five_points
from lightning_modules.faces.landmarks.mesh_landmark_files import read_marked_points
from lightning_modules.faces.landmarks.topologies import topology_landmarks
from lightning_modules.faces.landmarks.typical_places import misplaced
from lightning_modules.faces.mesh import Mesh
from lightning_modules.faces.mesh_files.units import millimetres_per
from lightning_modules.faces.morphable_model import MorphableModel
from lightning_modules.faces.surfaces import closest_on_surface
from lightning_modules.plain.quotations import first_of

Source = Literal["marked", "topology", "completed", "detected"]
FEWEST_KNOWN = 4  # landmarks by which the open model is placed without a detector
# A marked point this far from the surface lies on another mesh, or in another unit or frame; a hole of a scan
# is let pass, where the surface may have gone on, though not farther than a face is wide.
FARTHEST_MM, FARTHEST_OVER_HOLE_MM = 10.0, 150.0
MOST_NAMED = 8  # of landmarks that lie off the surface
MOST_STARTS = 8  # of the fit, from where a detector sees the face in different views
# Of the fit. With the oracle's weight of 1 a real head, which no model can make, took 3.5 deviations, and
# the inner corners of the eyes came to lie 14 mm off the marks by hand; with 10 it takes 1.8, and 7 mm.
MARKING_PRIOR_MM2 = 10.0
# Root mean square of the fitted coefficients. Faces of the model take 0.6 to 0.9, also half of one, and the
# real head 1.8; fits that lay across the face 2.4 to 3.4, and met two thirds of the surface all the same.
LARGEST_DEVIATION = 2.0


class Marks(NamedTuple):
    """Landmarks and where they come from.

    Attributes:
        points: [68, 3] in the mesh's frame, NaN where not known.
        source: `marked` in a file; `topology`: published vertex ids of a mesh with so many vertices, or the
            open model's on a mesh with its triangles;
            `completed`: some of these, the others those of the open model fitted to the mesh; `detected`:
            all of them, the fit beginning where a detector sees the face.
    """

    points: NDArray[np.float64]
    source: Source


@dataclass(frozen=True)
class Marker:
    """Finds the landmarks of scans and meshes.

    Attributes:
        open_model: gives the model that is fitted where a file has no landmarks, or not all; called only
            then.
        detector: sees the face in a frontal picture.
        needed: ids of the landmarks that must be known; where a file has them, others are not looked for.
    """

    open_model: Callable[[], MorphableModel]
    detector: DetectorName = "yunet"
    needed: tuple[int, ...] = ALL_LANDMARKS

    def marks(self, mesh: Mesh, file: Path | None, *, unit: str = "mm") -> Marks:
        """The landmarks of a mesh in mm, from its landmark file, its topology, or by detection.

        Args:
            mesh: in mm.
            file: vertex ids, or points in the mesh's frame; None takes those of a known topology, or detects.
            unit: of the file's points, the mesh file's own.

        Raises:
            Unscorable: if the file cannot be used, a point of it lies where a face does not have it or off
                the surface, no face is found, the open model does not fit, or the mesh has no triangle with
                an area.
        """
        points = (
            topology_landmarks(mesh.vertices.double().numpy()) if file is None else _read(mesh, file, unit)
        )
        if points is None:
            points = _of_model(mesh, self.open_model())
            if points is not None:
                return Marks(points, "topology")
            return Marks(self._transferred(mesh, None), "detected")
        if known(points)[list(self.needed)].all():
            return Marks(points, "topology" if file is None else "marked")
        completed = self._transferred(mesh, points)
        return Marks(np.where(known(points)[:, None], points, completed), "completed")

    def _transferred(self, mesh: Mesh, points: NDArray[np.float64] | None) -> NDArray[np.float64]:
        """All 68 from the open model, fitted from the known points, or from detected ones."""
        surface = scorable_surface(mesh.vertices.numpy(), mesh.triangles.numpy(), "the mesh")
        model = self.open_model()
        own = model.landmarks.on(model.neutral_mean.view(1, -1, 3))[0].double()
        failures: list[str] = []
        try:
            for source, target in self._starts(mesh, points, own):
                start = fit_similarity(source, target)
                nose_tip = start.points(own.numpy()[NOSE_TIP : NOSE_TIP + 1])[0]
                fit = fit_model(surface, model, start, nose_tip, prior_mm2=MARKING_PRIOR_MM2)
                failure = fit.failure.removeprefix("no fit: ") or _unlikely(fit)
                if not failure:
                    marks = model.landmarks.on(torch.from_numpy(fit.vertices)[None])[0].numpy()
                    return fit.pose.points(marks)
                failures.append(failure)
                if len(failures) == MOST_STARTS:
                    break
        except Unscorable:  # no further view shows a face
            if not failures:
                raise
        raise Unscorable(f"no landmarks: {failures[0]}; mark them in a file")

    def _starts(
        self, mesh: Mesh, points: NDArray[np.float64] | None, own: Tensor
    ) -> Iterator[tuple[NDArray[np.float64], NDArray[np.float64]]]:
        """Points of the model and of the mesh that a fit may begin with, the likeliest first."""
        ids = [] if points is None else np.flatnonzero(known(points)).tolist()
        if points is not None and len(ids) >= FEWEST_KNOWN:
            yield own.numpy()[ids], points[ids]
            return
        for seen in detected_points(mesh, load_detector(self.detector)):
            yield five_points(own).numpy(), seen


def _of_model(mesh: Mesh, model: MorphableModel) -> NDArray[np.float64] | None:
    """The landmarks [68, 3] of a mesh that has the model's own triangles, as our reconstructions have.

    Returns:
        None for another mesh, or one that is no face.
    """
    if not same_topology(mesh.triangles, model.triangles):
        return None
    points = model.landmarks.on(mesh.vertices.double()[None])[0].numpy()
    return points if np.isfinite(points).all() and not misplaced(points) else None


def same_topology(one: Tensor, other: Tensor) -> bool:
    """Whether triangles name the same vertices; each mesh is turned outward by itself."""
    return one.shape == other.shape and torch.equal(one.sort(1).values, other.sort(1).values)


def _unlikely(fit: ModelFit) -> str:
    """Why a fit is no face's, though the surfaces meet; empty if it may be one."""
    deviation = float(np.sqrt((fit.coefficients**2).mean()))
    if deviation <= LARGEST_DEVIATION:
        return ""
    return f"the model's points meet the surface only as no face's do ({deviation:.1f} standard deviations)"


def _read(mesh: Mesh, file: Path, unit: str) -> NDArray[np.float64]:
    """A landmark file's points [68, 3] in mm, once they are found to be those of a face on this mesh.

    Points in mm are taken, too, whatever the mesh's unit: only one unit puts them on the surface.
    """
    reasons = []
    for factor in dict.fromkeys((millimetres_per(unit), 1.0)):
        try:
            points = factor * read_marked_points(file, mesh.vertices / factor).numpy()
        except (ValueError, OSError) as error:
            raise Unscorable(f"unusable landmarks: {error}") from error
        reason = off_surface(mesh, points) or misplaced(points)
        if not reason:
            return points
        reasons.append(reason)
    raise Unscorable(f"unusable landmarks: {file}: {reasons[0]}")


def off_surface(mesh: Mesh, points: NDArray[np.float64]) -> str:
    """Which points [68, 3] lie off a mesh's surface, and not over a hole of it; empty if none does."""
    ids = np.flatnonzero(known(points))
    vertices = mesh.vertices.double().numpy()
    nearest, _ = cKDTree(vertices[np.isfinite(vertices).all(1)]).query(points[ids])
    ids = ids[nearest > FARTHEST_MM]
    if not len(ids):
        return ""
    closest = scorable_surface(vertices, mesh.triangles.numpy(), "the mesh").closest_points(points[ids])
    over_hole = closest.on_border & (closest.distances <= FARTHEST_OVER_HOLE_MM)
    off = (closest.distances > FARTHEST_MM) & ~over_hole
    if not off.any():
        return ""
    names = first_of([str(index + 1) for index in ids[off]], MOST_NAMED)
    return (
        f"landmark {names} (iBUG, from 1) lies {closest.distances[off].max():.0f} mm off the surface; mark "
        "it again, leave it out (null), or check the unit"
    )


def carried(marks: Marks, mesh: Mesh) -> Landmarks:
    """A mesh's landmarks as places in its triangles, for other meshes of its topology."""
    found = closest_on_surface(torch.from_numpy(marks.points), mesh.vertices, mesh.triangles)
    return Landmarks(found.vertex_ids, found.weights, (marks.source,) * len(marks.points))


def marked_mesh(mesh: Mesh, marks: Marks) -> MarkedMesh:
    """A mesh in mm as the metrics take it."""
    return MarkedMesh(mesh.vertices.double().numpy(), mesh.triangles.numpy(), marks.points)
