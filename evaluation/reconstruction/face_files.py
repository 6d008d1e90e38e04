"""A reconstructed face as files: GLB, OBJ and PLY meshes in mm, coefficients as JSON, a preview as PNG."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from PIL import Image
from torch import Tensor

from evaluation.reporting.results import plain
from lightning_modules.faces.mesh import Mesh
from lightning_modules.faces.mesh_files.any_format import on_cpu, write_mesh
from lightning_modules.faces.mesh_files.glb_content import ExpressionTargets, Texture, glb_bytes
from lightning_modules.faces.mesh_files.textured_obj import write_textured_obj
from lightning_modules.plain.files import write_whole, written_atomically
from lightning_modules.plain.json_content import read_json
from lightning_modules.plain.output_folder import OutputFolder
from lightning_modules.prediction import Prediction

MESHES = GLB, OBJ, PLY = (".glb", ".obj", ".ply")
COEFFICIENTS, PREVIEW = ".json", ".png"
SUFFIXES = (*MESHES, COEFFICIENTS, PREVIEW)
# Of what is there on request.
MATERIAL_LIBRARY, TEXTURE_PICTURE, PAGE = ".mtl", "-texture.png", ".html"
SCHEMA_VERSION = 1
_NUMBERS = {"type": "array", "items": {"type": "number"}}
DOCUMENT = {
    "type": "object",
    "required": ["shape", "albedo"],
    "properties": {"shape": _NUMBERS, "albedo": _NUMBERS},
}


class ExtraContent(NamedTuple):
    """What there is of a face on request.

    Attributes:
        targets: for its .glb.
        texture: for its .glb and .obj.
        page: HTML.
        record: for its .json.
    """

    targets: ExpressionTargets | None = None
    texture: Texture | None = None
    page: str | None = None
    record: Mapping[str, Any] = {}


class FaceFiles(NamedTuple):
    """The files of one face: one stem in one folder, one suffix each.

    The coefficients are written last: where they are, all files are whole.

    Attributes:
        folder: of all faces.
        name: of this one, perhaps with folders before it.
        more: what the names of further files end in, see `ExtraMaker.endings`.
    """

    folder: OutputFolder
    name: str
    more: tuple[str, ...] = ()

    @property
    def endings(self) -> tuple[str, ...]:
        """What the names of all files end in."""
        return (*SUFFIXES, *self.more)

    def path(self, suffix: str) -> Path:
        """The file of a suffix; the name may hold dots."""
        return self.folder.path / f"{self.name}{suffix}"

    def write(
        self,
        mesh: Mesh,
        preview: Image.Image,
        coefficients: Prediction,
        source: Mapping[str, Any],
        extras: ExtraContent | None = None,
    ) -> None:
        """Write all files, each whole or not at all.

        Args:
            mesh: in mm, its colours sRGB-encoded.
            preview: PNG, see `reconstructed.preview`.
            coefficients: shape [Ks] and albedo [Kt], in standard deviations.
            source: what the face was made from; see `document`.
            extras: what else there is of it.
        """
        self.folder.claims([f"{self.name}{ending}" for ending in self.endings])
        extras = ExtraContent() if extras is None else extras
        whole = glb_bytes(on_cpu(mesh), targets=extras.targets, texture=extras.texture)
        write_whole(self.path(GLB), whole)
        write_mesh(mesh, self.path(PLY))
        if extras.texture is None:
            write_mesh(mesh, self.path(OBJ))
        else:
            library, texture = self.path(MATERIAL_LIBRARY), self.path(TEXTURE_PICTURE)
            write_textured_obj(mesh, extras.texture, self.path(OBJ), library, texture)
        if extras.page is not None:
            write_whole(self.path(PAGE), extras.page)
        with written_atomically(self.path(PREVIEW)) as temporary:
            preview.save(temporary)
        content = document(coefficients, source) | plain(dict(extras.record))
        write_whole(self.path(COEFFICIENTS), json.dumps(content, indent=1, ensure_ascii=False) + "\n")

    def document(self) -> dict[str, Any] | None:
        """What the coefficients' file holds; None where the face is not finished or the file is damaged."""
        if not all(self.path(suffix).is_file() for suffix in self.endings):
            return None
        try:
            return read_json(self.path(COEFFICIENTS), DOCUMENT)
        except ValueError:
            return None

    def finished_from(self, source: Mapping[str, Any]) -> bool:
        """Whether all files are there and were made from this source."""
        content = self.document()
        return content is not None and {name: content.get(name) for name in source} == plain(source)


def document(coefficients: Prediction, source: Mapping[str, Any]) -> dict[str, Any]:
    """The content of a coefficients' file.

    Returns:
        `schema`, the source's entries (`photographs`, each with `file`, `sha256` and `face`; `checkpoint`;
        `morphable_model`; `encoder`), `unit` of the meshes, and `shape` and `albedo` in standard deviations
        of the morphable model's components.
    """
    shape, albedo = (rounded(part) for part in coefficients)
    return plain(
        {"schema": SCHEMA_VERSION, **source, "mesh_unit": "mm", "coefficient_unit": "standard deviations"}
        | {"shape": shape, "albedo": albedo}
    )


def rounded(values: Tensor) -> list[float]:
    """Numbers [K] with the seven digits that float32 has."""
    return [float(f"{value:.7g}") for value in values.tolist()]
