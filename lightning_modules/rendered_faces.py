"""Renderings of predicted faces: in random scenes for training, from the front, and for the judge."""

from collections.abc import Sequence

import torch
from torch import Tensor

from .faces.aligned_rendering import AlignedFrame, as_judged, render_aligned, render_frontal
from .faces.morphable_model import Faces, MorphableModel
from .plain.precision import constant, without_autocast
from .prediction import Prediction
from .recognition.frame import RENDERED_POINTS, WHOLE_FRAME, Crop
from .rendering.ranges import SceneRanges
from .rendering.scenes import DrawnScenes, backgrounds_of, noise_cells, random_scenes, scene_generators


def frame_of(crop: Crop) -> AlignedFrame:
    """Where renderings' five points lie in a network's crop."""
    return AlignedFrame(torch.from_numpy(crop.to_crop(RENDERED_POINTS)), crop.size)


def render_randomly(
    model: MorphableModel,
    coefficients: Prediction,
    crop: Crop,
    *,
    views: int,
    seed: int,
    step: int,
    samples: Sequence[int],
    jitter: float = 0.0,
    ranges: SceneRanges | None = None,
    backend: str | None = None,
) -> Tensor:
    """Images [B, N, 3, size, size] of faces in random scenes, each keyed by seed, step and sample.

    Genova et al. 2018, sections 3.2 and 3.3.2. Backgrounds are smooth noise; the paper does not say.

    Args:
        model: the morphable model.
        coefficients: of B neutral faces.
        crop: of the aligned frame.
        views: N.
        seed: of the run.
        step: counted over all epochs.
        samples: B numbers of the faces within the step's batch over all processes.
        jitter: see `jittered`; 0 aligns every view exactly.
        ranges: of the scenes.
        backend: of the rasterizer.
    """
    drawn = draw_scenes(
        crop, views=views, seed=seed, step=step, samples=samples, jitter=jitter, ranges=ranges
    )
    return render_drawn(model, coefficients, crop, drawn, backend=backend)


def draw_scenes(
    crop: Crop,
    *,
    views: int,
    seed: int,
    step: int,
    samples: Sequence[int],
    jitter: float = 0.0,
    ranges: SceneRanges | None = None,
) -> DrawnScenes:
    """What is random in `render_randomly`, on the CPU: for a worker that draws it before it is needed."""
    generators = scene_generators(seed, step, samples)
    scenes = random_scenes(generators, views, ranges=ranges)
    noise = noise_cells(generators, views)
    template = jittered(frame_of(crop), generators, views, jitter).template if jitter else None
    return DrawnScenes(scenes, noise, template)


def render_drawn(
    model: MorphableModel,
    coefficients: Prediction,
    crop: Crop,
    drawn: DrawnScenes,
    *,
    backend: str | None = None,
) -> Tensor:
    """Images [B, N, 3, size, size] of faces in scenes that were drawn; they are moved to the model's device.

    Args:
        model: the morphable model.
        coefficients: of B neutral faces.
        crop: of the aligned frame.
        drawn: of B faces.
        backend: of the rasterizer.
    """
    with without_autocast(model.shape_mean.device):
        drawn = drawn.to(model.shape_mean.device)
        background = backgrounds_of(drawn.noise, (crop.size, crop.size)).to(model.shape_mean)
        template = drawn.template
        if template is None:
            template = constant(crop.to_crop(RENDERED_POINTS), drawn.noise.device)
        frame = AlignedFrame(template, crop.size)
        faces = _faces(model, coefficients)
        return render_aligned(model, faces, drawn.scenes, frame, background=background, backend=backend)


def jittered(
    frame: AlignedFrame, generators: Sequence[torch.Generator], views: int, amount: float
) -> AlignedFrame:
    """The frame with each view's template moved, turned and scaled a little, as a detector's points are.

    Not in the paper: photographs are aligned by points that a detector found, with its errors; exact
    renderings let the regressor fit the network's response to single pixels.

    Args:
        frame: with one template.
        generators: one for each face.
        views: N of each face.
        amount: standard deviation of the shift, as a share of the image; of the angle in radians and of the
            logarithm of the scale, likewise.
    """
    draws = torch.stack(
        [torch.randn(views, 4, generator=generator, dtype=torch.float32) for generator in generators]
    )
    x, y, angle, scale = (amount * draws.to(frame.template)).unbind(-1)
    centre = frame.template.mean(0)
    cosine, sine = (scale.exp() * f(angle) for f in (torch.cos, torch.sin))
    turn = torch.stack([cosine, -sine, sine, cosine], -1).unflatten(-1, (2, 2))
    shift = frame.size * torch.stack([x, y], -1)[..., None, :]
    return AlignedFrame((frame.template - centre) @ turn.mT + centre + shift, frame.size)


def render_from_the_front(
    model: MorphableModel, coefficients: Prediction, crop: Crop = WHOLE_FRAME, *, backend: str | None = None
) -> Tensor:
    """Images [B, 3, size, size] of faces from the front in even light, to look at."""
    with without_autocast(model.shape_mean.device):
        return render_frontal(model, _faces(model, coefficients), frame_of(crop), backend=backend)[:, 0]


def render_for_judge(
    model: MorphableModel, coefficients: Prediction, *, backend: str | None = None, retouched: bool = True
) -> Tensor:
    """Images [B, 3, 224, 224] of faces by which they are judged.

    Args:
        model: the morphable model.
        coefficients: of B neutral faces.
        backend: of the rasterizer.
        retouched: whether they are softened, and black above the forehead, as `as_judged` does; the paper
            shows a network what it has rendered.
    """
    images = render_from_the_front(model, coefficients, backend=backend)
    return as_judged(images, frame_of(WHOLE_FRAME)) if retouched else images


def _faces(model: MorphableModel, coefficients: Prediction) -> Faces:
    return model(*(part.to(model.shape_mean) for part in coefficients))
