"""What a face's files hold on request: named expressions, the photograph's texture, a page to look at it."""

import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from datamodules.alignment.images import PhotographError
from datamodules.alignment.mediapipe_landmarks import ENVIRONMENT_VARIABLE, FaceMesh
from datamodules.filmed_faces import PersonSeen
from datamodules.marked_faces import JAWS, LandmarkSource, marked_like
from evaluation.reconstruction.face_files import (
    MATERIAL_LIBRARY,
    PAGE,
    TEXTURE_PICTURE,
    ExtraContent,
    FaceFiles,
)
from evaluation.reconstruction.face_texture import FacesOfTexture, in_picture, painted
from evaluation.reconstruction.neutral_faces import ReconstructedFace
from evaluation.reconstruction.opened_pictures import opened_picture
from evaluation.reconstruction.photograph_view import view_of
from evaluation.reporting.page.face_page import face_page, three
from evaluation.shared.options import NO_SETTING
from evaluation.shared.present_inputs import require_optional_file
from lightning_modules.contact_sheets import picture
from lightning_modules.faces.blendshapes import Blendshapes, blendshapes_of
from lightning_modules.faces.landmarks.pose_fitting import DEVIATIONS_MM, fit_landmarks
from lightning_modules.faces.mesh_files.any_format import on_cpu
from lightning_modules.faces.mesh_files.glb_content import ExpressionTargets, Texture, glb_bytes
from lightning_modules.faces.texture_atlas import TextureAtlas, spherical_atlas
from lightning_modules.plain.files import as_characters
from lightning_modules.plain.number_types import PositiveInt
from lightning_modules.reconstruction import Reconstructor
from lightning_modules.rendering.camera import Cameras, image_centre
from lightning_modules.rendering.pose import head_angles

TEXTURE_NOTICE = (
    "The texture shows the photograph's own light; without the light here it looks as photographed."
)
UNFIT = "landmarks do not fit a face"
PAGE_PICTURE = 448  # pixels of the photograph in the page


@dataclass(frozen=True)
class FaceExtras:
    """What each face's files hold besides mesh, coefficients and preview.

    Attributes:
        blendshapes: named expressions in the .glb, as morph targets: ARKit's where the model has them.
        texture: a texture in .glb and .obj: the photograph's colours where it shows the face, the model's
            elsewhere. 68 landmarks place it where MediaPipe's file is given, else YuNet's five points.
        texture_size: of the texture, in pixels a side.
        mirror_texture: what the photograph does not show takes the colours of the other half of the face.
        landmark_model: MediaPipe's face landmarker for the texture: the downloaded wheel, a .task or a
            .tflite; the environment variable FACE_LANDMARKER does the same.
        viewer: a page, NAME.html, to turn and light the face and move its expressions in a browser.
    """

    blendshapes: bool = False
    texture: bool = False
    texture_size: PositiveInt = 1024
    mirror_texture: bool = False
    landmark_model: Path | None = field(default=None, metadata=NO_SETTING)
    viewer: bool = False


class ExtraMaker:
    """Makes what is wanted of faces besides; what all faces share is made once.

    Args:
        chosen: what is wanted.

    Attributes:
        untextured: faces whose texture shows no photograph, with the reason; see `find_untextured`.

    Raises:
        ValueError: if an option belongs to a texture that is not wanted.
        FileNotFoundError: if the landmarker's file is not there.
        ImportError: if the viewer's library is not there.
    """

    def __init__(self, chosen: FaceExtras) -> None:
        if chosen.mirror_texture and not chosen.texture:
            raise ValueError("--mirror-texture mirrors a texture; give --texture, too")
        require_optional_file(chosen.landmark_model, "MediaPipe's face landmarker")
        if chosen.viewer:
            three()
        self.chosen = chosen
        self.untextured: dict[str, str] = {}
        given = chosen.landmark_model is not None or bool(os.environ.get(ENVIRONMENT_VARIABLE))
        self._mesh = FaceMesh(chosen.landmark_model) if chosen.texture and given else None
        self._atlas: TextureAtlas | None = None
        self._blendshapes: Blendshapes | None = None

    @property
    def landmarks(self) -> LandmarkSource:
        """What finds the landmarks by which a texture is placed."""
        return "yunet" if self._mesh is None else "mediapipe"

    @property
    def settings(self) -> dict[str, Any]:
        """What files depend on: only what is wanted, so that folders without extras stay as they are."""
        chosen = self.chosen
        wanted: dict[str, Any] = {
            name: True for name in ("blendshapes", "texture", "viewer") if getattr(chosen, name)
        }
        if chosen.texture:
            wanted |= {"texture_size": chosen.texture_size, "texture_landmarks": self.landmarks}
            wanted |= {"mirror_texture": True} if chosen.mirror_texture else {}
        return wanted

    @property
    def endings(self) -> tuple[str, ...]:
        """What the names of the files end in that are there besides."""
        texture = (MATERIAL_LIBRARY, TEXTURE_PICTURE) if self.chosen.texture else ()
        return (*texture, PAGE) if self.chosen.viewer else texture

    def prepare(self, loaded: Reconstructor) -> None:
        """Make what all faces share.

        Raises:
            ValueError: if expressions are wanted and the model has none.
        """
        if self.chosen.blendshapes or (self.chosen.viewer and loaded.model.expression_variance.numel()):
            self._blendshapes = blendshapes_of(loaded.model, loaded.specification)
        if self.chosen.texture:
            mean = loaded.model.neutral_mean.unflatten(0, (-1, 3))
            self._atlas = spherical_atlas(mean, loaded.model.triangles)

    def of(
        self, face: ReconstructedFace, person: PersonSeen, loaded: Reconstructor, title: str
    ) -> ExtraContent:
        """What is wanted of one face.

        Args:
            face: it.
            person: the photographs or frames that it was made from.
            loaded: the checkpoint.
            title: of the page.
        """
        targets, texture, page = self._targets(), None, None
        record: dict[str, Any] = {}
        if self.chosen.texture:
            texture, record = self._texture(face, person, loaded)
        if self.chosen.viewer:
            notices = [TEXTURE_NOTICE] if texture is not None else []
            shown = glb_bytes(on_cpu(face.mesh), targets=targets, texture=texture)
            limits = (0.0, 1.0) if self._blendshapes is None else self._blendshapes.limits
            aligned = picture(face.photograph, PAGE_PICTURE)
            page = face_page(
                as_characters(title), shown, aligned, notices=notices, limits=limits,
                caption="photograph, aligned" if len(person) == 1 else f"one of {len(person)} photographs",
            )  # fmt: skip
        return ExtraContent(targets if self.chosen.blendshapes else None, texture, page, record)

    def find_untextured(self, files: Iterable[FaceFiles]) -> None:
        """Note which finished faces have a texture of the model's colours alone, in `untextured`."""
        documents = ((each.name, each.document()) for each in files if self.chosen.texture)
        reasons = (
            (name, document.get("texture", {}).get("reason")) for name, document in documents if document
        )
        self.untextured = {name: reason for name, reason in reasons if reason}

    def _targets(self) -> ExpressionTargets | None:
        if self._blendshapes is None:
            return None
        return ExpressionTargets(self._blendshapes.names, self._blendshapes.displacements)

    @torch.no_grad()
    def _texture(
        self, face: ReconstructedFace, person: PersonSeen, loaded: Reconstructor
    ) -> tuple[Texture, dict[str, Any]]:
        """The texture, and what is to be said of it: where there is a reason, all colours are the model's."""
        assert self._atlas is not None
        model, wanted = loaded.model, self.chosen
        albedo, like = face.mesh.colours, torch.zeros((), dtype=torch.float64)
        assert albedo is not None
        crop = (face.photograph * 255).round().byte().permute(1, 2, 0).cpu().numpy()
        try:
            marked = marked_like(opened_picture(person, face.typical), crop, self._mesh)
        except PhotographError as error:
            return self._of_the_model(albedo, str(error))
        more = self._mesh is not None
        fit = fit_landmarks(
            model,
            face.coefficients.shape[None].to(model.shape_mean),
            torch.from_numpy(marked.landmarks)[None],
            image_centre(marked.size, like=like)[None],
            jaw=JAWS[self.landmarks],
            expression=more,
            refine_shape=more,
        )
        if float(fit.deviations_mm) >= DEVIATIONS_MM[1]:
            return self._of_the_model(albedo, UNFIT)
        shape, expression = fit.shape.to(model.shape_mean), fit.expression.to(model.shape_mean)
        fitted = model.vertices(shape, expression)[0].cpu()
        cameras = Cameras(*(part.cpu() for part in fit.cameras))
        view = view_of(marked, cameras, fit.projections[0].cpu().numpy(), fitted, model.triangles.cpu())
        found = painted(
            view, FacesOfTexture(face.mesh.vertices, fitted), albedo, model, self._atlas,
            wanted.texture_size, mirrored=wanted.mirror_texture,
        )  # fmt: skip
        yaw, pitch, roll = (float(angle) for angle in head_angles(cameras.rotations[0, 0]))
        record = {"yaw_degrees": yaw, "pitch_degrees": pitch, "roll_degrees": roll}
        record |= {"residual_pixels": float(fit.residuals.nanmean())}
        return found.texture, {"texture": {"seen": found.seen, "reason": None} | record}

    def _of_the_model(self, albedo: Tensor, reason: str) -> tuple[Texture, dict[str, Any]]:
        assert self._atlas is not None
        texture = Texture(self._atlas, in_picture(self._atlas, albedo, self.chosen.texture_size))
        return texture, {"texture": {"seen": 0.0, "reason": reason}}
