"""A fitted face as files: meshes with and without its expression, pose and coefficients, an overlay."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from PIL import Image
from torch import Tensor

from datamodules.marked_faces import MarkedFace
from evaluation.reconstruction.face_files import rounded
from evaluation.reporting.results import plain
from lightning_modules.faces.landmarks.pose_fitting import Fit
from lightning_modules.faces.mesh import Mesh
from lightning_modules.faces.mesh_files.any_format import write_mesh
from lightning_modules.plain.files import write_whole, written_atomically
from lightning_modules.plain.json_content import read_json
from lightning_modules.plain.output_folder import OutputFolder
from lightning_modules.rendering.camera import Cameras
from lightning_modules.rendering.pose import head_angles

SCHEMA_VERSION = 1
_NUMBERS = {"type": "object", "additionalProperties": {"type": ["number", "array"]}}
DOCUMENT = {
    "type": "object",
    "required": ["source", "pose", "residuals"],
    "properties": {
        "source": {"type": "object"},
        "pose": {**_NUMBERS, "required": ["yaw_degrees", "pitch_degrees", "roll_degrees", "centre_mm"]},
        "residuals": {**_NUMBERS, "required": ["mean_pixels", "root_mean_square_pixels", "landmarks"]},
        "seconds": {"type": "number"},
    },
}
FITTED, NEUTRAL = "", "-neutral"  # what the meshes' names end in


class FittedFiles(NamedTuple):
    """The files of one fitted face.

    The document is written last: where it is, all files are whole.

    Attributes:
        folder: of all faces.
        name: of this one, perhaps with folders before it.
        formats: of its meshes, such as glb.
    """

    folder: OutputFolder
    name: str
    formats: Sequence[str]

    def path(self, ending: str) -> Path:
        """The file whose name ends so."""
        return self.folder.path / f"{self.name}{ending}"

    @property
    def endings(self) -> list[str]:
        """What the names of all files end in."""
        return endings_of(self.formats)

    def write(self, fitted: Mesh, neutral: Mesh, overlay: Image.Image, document: Mapping[str, Any]) -> None:
        """Write all files, each whole or not at all; meshes are in mm, but GLB, which is in metres."""
        self.folder.claims([f"{self.name}{ending}" for ending in self.endings])
        for form in self.formats:
            write_mesh(fitted, self.path(f"{FITTED}.{form}"))
            write_mesh(neutral, self.path(f"{NEUTRAL}.{form}"))
        with written_atomically(self.path(".png")) as temporary:
            overlay.save(temporary)
        text = json.dumps(plain(document), indent=1, ensure_ascii=False)
        write_whole(self.path(".json"), text + "\n")

    def document(self) -> dict[str, Any] | None:
        """What the document says; None where the face is not finished or the file is damaged."""
        if not all(self.path(ending).is_file() for ending in self.endings):
            return None
        try:
            return read_json(self.path(".json"), DOCUMENT)
        except ValueError:
            return None


def endings_of(formats: Sequence[str]) -> list[str]:
    """What the names of a face's files end in: meshes of these formats, overlay, document."""
    return [*(f"{kind}.{form}" for kind in (FITTED, NEUTRAL) for form in formats), ".png", ".json"]


def document_of(
    source: Mapping[str, Any], face: MarkedFace, fit: Fit, albedo: Tensor, *, distance_assumed: bool
) -> dict[str, Any]:
    """What there is to say of a fitted face.

    Args:
        source: what it was made from: photograph, checkpoint, options.
        face: the photograph with its landmarks.
        fit: of this face alone.
        albedo: [Kt], in standard deviations.
        distance_assumed: whether the focal length follows from an assumed distance, or the other way round.

    Returns:
        `source`, `photograph` {width, height}, `pose` (angles in degrees as the head turns to its own left,
        rises and leans to its own left shoulder; its centre's place in the camera's frame, mm), `camera`
        (x right, y down, z forward; pixels of the whole photograph), `expression`, `shape` and `albedo` in
        standard deviations, and `residuals` in pixels, null where a landmark was not marked.
    """
    cameras = Cameras(*(part[0, 0].cpu() for part in fit.cameras))
    yaw, pitch, roll = (float(angle) for angle in head_angles(cameras.rotations))
    centre = cameras.rotations @ fit.centres[0].cpu() + cameras.translations
    residuals = fit.residuals[0].cpu()
    marked = residuals[residuals.isfinite()]
    return {
        "schema": SCHEMA_VERSION,
        "source": dict(source),
        "photograph": {"width": face.size[1], "height": face.size[0]},
        "pose": {
            "yaw_degrees": yaw,
            "pitch_degrees": pitch,
            "roll_degrees": roll,
            "centre_mm": rounded(centre),
        },
        "camera": {
            "rotation": [rounded(row) for row in cameras.rotations],
            "translation_mm": rounded(cameras.translations),
            "focal_length_pixels": float(cameras.focal_lengths),
            "principal_point_pixels": rounded(cameras.principal_points),
            "distance_assumed": distance_assumed,
        },
        "mesh_unit": "mm",
        "coefficient_unit": "standard deviations",
        "expression": rounded(fit.expression[0].cpu()),
        "shape": rounded(fit.shape[0].cpu()),
        "albedo": rounded(albedo.cpu()),
        "residuals": {
            "mean_pixels": float(marked.mean()),
            "root_mean_square_pixels": float(marked.square().mean().sqrt()),
            "landmark_deviation_mm": float(fit.deviations_mm[0]),
            "landmarks": len(marked),
            "each_pixels": [value if value == value else None for value in rounded(residuals)],
        },
        "steps": int(fit.steps[0]),
    }


def fit_of(fit: Fit, place: int) -> Fit:
    """One face of a batch, as a batch of one."""
    one = slice(place, place + 1)
    cameras = Cameras(*(part[one] for part in fit.cameras))
    return Fit(cameras, *(part[one] for part in fit[1:]))


def mesh_of(vertices: Tensor, triangles: Tensor, albedo: Tensor) -> Mesh:
    """One face's mesh with its colours in [0, 1]."""
    return Mesh(vertices, triangles, torch.clamp(albedo, 0, 1))
