"""From photographs to neutral faces with their previews, some at a time."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from datamodules.filmed_faces import PersonSeen
from lightning_modules.contact_sheets import contact_sheet, picture
from lightning_modules.faces.landmarks.ibug import five_points
from lightning_modules.faces.mesh import Mesh
from lightning_modules.faces.morphable_model import Faces, MorphableModel
from lightning_modules.faces.portraits import FRONTAL, PROFILE, THREE_QUARTER, portraits
from lightning_modules.prediction import Prediction
from lightning_modules.recognition.frame import WHOLE_FRAME
from lightning_modules.reconstruction import Reconstructor
from lightning_modules.rendered_faces import frame_of

PREVIEW_YAWS = (FRONTAL, THREE_QUARTER, PROFILE)
VIEWS = ("photograph", "front", "three-quarter", "profile")


class ReconstructedFace(NamedTuple):
    """A face as its files hold it.

    Attributes:
        mesh: in mm, colours sRGB-encoded in [0, 1].
        preview: photograph, front, three-quarter view, profile.
        coefficients: shape [Ks] and albedo [Kt].
        typical: which of the person's photographs or frames has features nearest to their mean.
        photograph: [3, 224, 224], that one, aligned.
    """

    mesh: Mesh
    preview: Image.Image
    coefficients: Prediction
    typical: int
    photograph: Tensor


def faces_of(
    people: Sequence[PersonSeen], loaded: Reconstructor, preview_size: int
) -> Iterator[ReconstructedFace]:
    """The neutral face of each person, from the mean features of his or her photographs.

    Genova et al. 2018, section 4.2: features are averaged and decoded once.

    Args:
        people: the photographs or frames of each, with the encoder's features.
        loaded: the checkpoint.
        preview_size: of each picture.
    """
    features = [person.batch(np.arange(len(person))).features[loaded.encoder.name] for person in people]
    means = torch.stack([each.mean(0) for each in features])
    coefficients = loaded.coefficients(means)
    faces = loaded.faces(coefficients)
    images = preview_images(faces, loaded.model, preview_size).cpu()
    for place, (person, each) in enumerate(zip(people, features, strict=True)):
        typical = int((each - each.mean(0)).norm(dim=1).argmin())
        photograph = person.images([typical])[0]
        yield ReconstructedFace(
            Mesh(faces.vertices[place], loaded.model.triangles, faces.albedo[place].clamp(0, 1)),
            preview(photograph, images[place], preview_size, of=len(person)),
            Prediction(*(part[place].cpu() for part in coefficients)),
            typical,
            photograph,
        )


def preview_images(
    faces: Faces, model: MorphableModel, size: int, yaw_degrees: Sequence[float] = PREVIEW_YAWS
) -> Tensor:
    """Front, three-quarter view and profile [B, 3, 3, size, size] at the scale of aligned photographs."""
    frame = frame_of(WHOLE_FRAME._replace(size=size))
    points = five_points(model.landmarks.on(faces.vertices))
    return portraits(faces.vertices, model.triangles, faces.albedo, points, frame, yaw_degrees=yaw_degrees)


def preview(photograph: Tensor, views: Tensor, size: int, *, of: int) -> Image.Image:
    """The preview of a face.

    Args:
        photograph: [3, 224, 224], aligned.
        views: [3, 3, size, size].
        size: of each picture.
        of: how many photographs the face was made from.
    """
    caption = VIEWS[0] if of == 1 else f"one of {of} photographs"
    pictures = [picture(image, size) for image in (photograph, *views)]
    return contact_sheet([pictures], columns=[caption, *VIEWS[1:]])
