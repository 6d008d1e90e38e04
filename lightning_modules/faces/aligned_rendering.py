"""Renders a model's faces straight into an aligned frame, where photographs of them would be aligned to."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from lightning_modules.rendering.camera import align_to_template
from lightning_modules.rendering.pose import Poses, cameras_from_poses, frontal_poses
from lightning_modules.rendering.renderer import render
from lightning_modules.rendering.scenes import Scenes
from lightning_modules.rendering.shading import Lights, Material

from .landmarks.ibug import five_points
from .morphable_model import Faces, MorphableModel


class AlignedFrame(NamedTuple):
    """A square image and where the five points of a face lie in it.

    Attributes:
        template: [5, 2], or [B, N, 5, 2] for each view its own, x and y in pixels: right and left eye, nose
            tip, right and left mouth corner.
        size: in pixels.
    """

    template: Tensor
    size: int


def render_aligned(
    model: MorphableModel,
    faces: Faces,
    scenes: Scenes,
    frame: AlignedFrame,
    *,
    background: Tensor | None = None,
    material: Material | None = None,
    samples_per_axis: int = 1,
    backend: str | None = None,
) -> Tensor:
    """Images [B, N, 3, size, size] of B faces in N scenes each, sRGB in [0, 1].

    A camera's scale, roll and shift follow from the five points, as in the alignment of a photograph, so that
    nothing is resampled. Differentiable in vertices and albedo, also through the cameras that follow the
    face.

    Args:
        model: whose topology and landmarks the faces have.
        faces: vertices [B, V, 3] in mm and albedo [B, V, 3].
        scenes: poses and lights of shape [B, N]; moved to the faces' device.
        frame: see AlignedFrame.
        background: what broadcasts to [B, N, 3, size, size]; black if not given.
        material: specular constant and shininess.
        samples_per_axis: 2 averages 2 x 2 samples in each pixel.
        backend: of the rasterizer.

    Raises:
        ValueError: if the model has no landmarks, or a value is not finite.
    """
    vertices = faces.vertices
    poses = Poses(*(part.to(vertices) for part in scenes.poses))
    lights = scenes.lights.changed(lambda part: part.to(vertices))
    size = (frame.size, frame.size)
    cameras = align_to_template(
        cameras_from_poses(poses, size), five_points(model.landmarks.on(vertices)), frame.template
    )
    return render(
        vertices,
        model.triangles,
        model.normals(vertices),
        faces.albedo,
        cameras,
        lights,
        size,
        material=material,
        background=background,
        samples_per_axis=samples_per_axis,
        backend=backend,
    )


# The frontal rendering of a face: a key light from above and one side, a weaker one from the other, light
# from everywhere, matte skin, black behind it, from a metre away. The paper is silent; chosen on LFW's
# development people, as is what `as_judged` makes of it: benchmarks/search.md. Cameras expose for the face,
# and light is warmer than what they call white: brightness and colour are such that the mean colour of cheeks
# is that of photographs' cheeks (benchmarks/skin_tone.md).
FRONTAL_LIGHTS_MM = ((1500.0, 1000.0, 1500.0), (-900.0, 600.0, 2400.0))
FRONTAL_INTENSITIES = (0.85, 0.355)
FRONTAL_AMBIENT = 0.355
FRONTAL_COLOUR = (1.09, 0.985, 0.88)  # linear sRGB, luminance 1
FRONTAL_DISTANCE_MM = 1000.0
FRONTAL_MATERIAL = Material(specular_constant=0.0)
JUDGED_BLUR = 1 / 224  # standard deviation, of the image's size
JUDGED_FOREHEAD = 0.78  # how far above the eyes a judge still sees a face, of the eyes' distance to the mouth


def frontal_scenes(count: int, yaw_degrees: Sequence[float] = (0.0,)) -> Scenes:
    """The same even light for each of `count` faces, seen from the front or at the given yaws, [count, N]."""
    views = len(yaw_degrees)
    like = torch.zeros((), dtype=torch.float32)
    poses = frontal_poses((count, views), distance_mm=FRONTAL_DISTANCE_MM, like=like)
    poses = poses._replace(yaw_degrees=like.new_tensor(yaw_degrees).expand(count, views))
    colour = like.new_tensor(FRONTAL_COLOUR)
    lights = Lights(
        like.new_tensor(FRONTAL_LIGHTS_MM).expand(count, views, 2, 3),
        colour.expand(count, views, 2, 3),
        like.new_tensor(FRONTAL_INTENSITIES).expand(count, views, 2),
        (FRONTAL_AMBIENT * colour).expand(count, views, 3),
    )
    return Scenes(poses, lights)


def render_frontal(
    model: MorphableModel,
    faces: Faces,
    frame: AlignedFrame,
    *,
    yaw_degrees: Sequence[float] = (0.0,),
    backend: str | None = None,
) -> Tensor:
    """Images [B, N, 3, size, size] of faces in `frontal_scenes` on black, antialiased."""
    scenes = frontal_scenes(len(faces.vertices), yaw_degrees)
    return render_aligned(
        model, faces, scenes, frame, material=FRONTAL_MATERIAL, samples_per_axis=2, backend=backend
    )


def as_judged(images: Tensor, frame: AlignedFrame) -> Tensor:
    """Frontal renderings [B, 3, size, size] as a judge sees them: softened, black above the forehead.

    A rendering's edges are sharper than a photograph's, and its crown is bald; on LFW's development people
    some photographs are near all renderings alike, and less so without both.

    Args:
        images: aligned into the frame, on black.
        frame: with one template.
    """
    eyes, mouth = frame.template[:2, 1].mean(), frame.template[3:, 1].mean()
    top = round(float(eyes - JUDGED_FOREHEAD * (mouth - eyes)))
    softened = _softened(images, JUDGED_BLUR * frame.size)
    softened[..., : max(top, 0), :] = 0
    return softened


def _softened(images: Tensor, sigma: float) -> Tensor:
    """Images [B, 3, H, W] under a Gaussian of so many pixels, their border pixels repeated outwards."""
    reach = math.ceil(4 * sigma)
    offsets = torch.arange(-reach, reach + 1, dtype=images.dtype, device=images.device)
    kernel = torch.exp(-0.5 * (offsets / sigma).square())
    kernel = (kernel / kernel.sum()).expand(images.shape[1], 1, 1, -1)
    padded = functional.pad(images, (reach,) * 4, mode="replicate")
    rows = functional.conv2d(padded, kernel, groups=images.shape[1])
    return functional.conv2d(rows, kernel.mT, groups=images.shape[1])
