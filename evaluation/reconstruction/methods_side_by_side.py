"""Columns of a comparison: what each method makes of the same photographs, by one camera and one light."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from datamodules.alignment.detection import Detector
from datamodules.alignment.feature_cache import FaceFeatures
from datamodules.chosen_faces import ChosenFaces
from datamodules.face_data import FaceDataset
from evaluation.shared.mesh_detection import upright_points
from evaluation.shared.scored_method import files_by_name, paired
from lightning_modules.faces.landmarks.ibug import five_points
from lightning_modules.faces.mesh import Mesh
from lightning_modules.faces.mesh_files.units import Unit, read_mesh_in_mm
from lightning_modules.faces.portraits import portraits
from lightning_modules.recognition.frame import WHOLE_FRAME
from lightning_modules.reconstruction import Reconstructor
from lightning_modules.rendered_faces import frame_of

AT_ONCE = 16


class SheetPlace(NamedTuple):
    """What one method makes of one photograph.

    Attributes:
        images: [N, 3, size, size], a view each; None where there is none.
        reason: why there is none.
        shape_only: whether the mesh has no colours and is shown in grey.
    """

    images: Tensor | None
    reason: str = ""
    shape_only: bool = False


@torch.no_grad()
def of_checkpoint(
    loaded: Reconstructor,
    data: ChosenFaces,
    *,
    detector: Detector,
    size: int,
    yaw_degrees: Sequence[float],
) -> list[SheetPlace]:
    """A checkpoint's face of each photograph, framed as other methods' meshes are.

    A face on which the detector sees none is framed by the morphable model's own landmarks.

    Args:
        loaded: the checkpoint.
        data: the photographs' faces, aligned.
        detector: as for meshes.
        size: of the images.
        yaw_degrees: of the views.
    """
    faces, encoder = data.dataset.faces, loaded.encoder
    FaceFeatures(data.cache, encoder).compute(data.cache, faces, encoder, progress=data.progress)
    dataset = FaceDataset(data.cache, data.dataset.paths, faces, [encoder])
    cells = []
    for start in range(0, len(dataset), AT_ONCE):
        some = np.arange(start, min(start + AT_ONCE, len(dataset)))
        vertices, albedo = loaded.faces(loaded.coefficients(dataset.batch(some).features[encoder.name]))
        points = five_points(loaded.model.landmarks.on(vertices)).cpu()
        triangles = loaded.model.triangles.cpu()
        for face, colours, marked in zip(vertices.cpu(), albedo.cpu(), points, strict=True):
            mesh = Mesh(face, triangles, colours)
            seen = _seen_points(mesh, detector)
            shown = marked if seen is None else seen
            cells.append(mesh_cell(mesh, shown, size=size, yaw_degrees=yaw_degrees))
    return cells


def seen_points(mesh: Mesh, detector: Detector) -> Tensor:
    """Eyes, nose tip and mouth corners [5, 3] on an upright mesh in mm, where the detector sees them."""
    return torch.from_numpy(upright_points(mesh, detector)).float()


def _seen_points(mesh: Mesh, detector: Detector) -> Tensor | None:
    try:
        return seen_points(mesh, detector)
    except ValueError:
        return None


def of_meshes(
    folder: Path,
    names: Sequence[str],
    *,
    unit: Unit,
    detector: Detector,
    size: int,
    yaw_degrees: Sequence[float],
) -> list[SheetPlace]:
    """Another method's mesh of each photograph, of any topology, upright and facing along z.

    Args:
        folder: of .obj, .ply or .glb files, named as the photographs are.
        names: of the photographs, without suffix.
        unit: of the files.
        detector: finds eyes, nose and mouth on a picture of the mesh.
        size: of the images.
        yaw_degrees: of the views.

    Raises:
        ValueError: if no file is named as a photograph is.
    """
    found = paired(files_by_name(folder), names).found

    def draw(file: Path) -> SheetPlace:
        mesh = read_mesh_in_mm(file, unit).mesh
        return mesh_cell(mesh, seen_points(mesh, detector), size=size, yaw_degrees=yaw_degrees)

    return [_cell(found, name, draw) for name in names]


def mesh_cell(mesh: Mesh, points: Tensor, *, size: int, yaw_degrees: Sequence[float]) -> SheetPlace:
    """A mesh in mm with its five points [5, 3], as our own faces are shown; grey without colours."""
    colours = None if mesh.colours is None else mesh.colours[None].float()
    frame = frame_of(WHOLE_FRAME._replace(size=size))
    images = portraits(
        mesh.vertices[None].float(), mesh.triangles, colours, points[None], frame, yaw_degrees=yaw_degrees
    )
    return SheetPlace(images[0], shape_only=colours is None)


def _cell(found: Mapping[str, Path], name: str, draw: Callable[[Path], SheetPlace]) -> SheetPlace:
    if name not in found:
        return SheetPlace(None, "no mesh of this name")
    try:
        return draw(found[name])
    except (ValueError, OSError) as error:
        return SheetPlace(None, str(error))
