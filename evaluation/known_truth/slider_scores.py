"""Synthetic people of known sliders: what is true of them, and how far a checkpoint is from it."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from datamodules.slider_people import NOSE_TIP, SliderPeople
from evaluation.groups.panel import Measurement
from evaluation.likeness.comparison import MEAN_FACE, SHUFFLED, TRUE_FACE, paired_cosines
from evaluation.likeness.rendering_embeddings import mean_face_embedding
from evaluation.metrics.scan_region import Region
from evaluation.metrics.skin_tone import individual_typology_angle, lab
from evaluation.metrics.true_error import true_error_mm, truth_of
from lightning_modules.faces.aligned_rendering import as_judged, render_frontal
from lightning_modules.faces.morphable_model import MorphableModel
from lightning_modules.plain.stand_in_label import STAND_IN
from lightning_modules.prediction import Prediction
from lightning_modules.recognition.frame import WHOLE_FRAME
from lightning_modules.recognition.network import RecognitionNetwork
from lightning_modules.reconstruction import Reconstructor
from lightning_modules.rendered_faces import frame_of
from lightning_modules.skin_tone import cheek_vertices

FACE_RADIUS_MM = 95.0  # around the nose tip, where the shape's error is taken
AT_ONCE = 16


class TrueFaces(NamedTuple):
    """What is known of the N people whose photograph shows a face.

    Attributes:
        vertices: [N, V, 3] mm.
        cheeks: [N, 3], the albedo of their cheeks, sRGB.
        seen: [N, D], the judge's embeddings of their true faces from the front.
    """

    vertices: Tensor
    cheeks: np.ndarray
    seen: Tensor


@torch.no_grad()
def truth_of_people(
    people: SliderPeople, judge: RecognitionNetwork, numbers: np.ndarray, *, retouched: bool = True
) -> TrueFaces:
    """What is known of people, by their numbers; for `retouched` see `render_for_judge`."""
    device, frame = next(judge.buffers()).device, frame_of(WHOLE_FRAME)
    vertices, cheeks, seen = [], [], []
    for start in range(0, len(numbers), AT_ONCE):
        faces = people.true_faces(numbers[start : start + AT_ONCE])
        vertices.append(faces.vertices)
        cheeks.append(cheeks_of(people, faces.albedo))
        images = render_frontal(people.model, faces, frame)[:, 0]
        images = as_judged(images, frame) if retouched else images
        seen.append(judge(images.to(device)).embedding.cpu())
    return TrueFaces(torch.cat(vertices), np.concatenate(cheeks), torch.cat(seen))


def cheeks_of(people: SliderPeople, albedo: Tensor) -> np.ndarray:
    """The median colour [B, 3] of the cheeks of albedos [B, V, 3], sRGB in [0, 1]."""
    return albedo[:, cheek_vertices(people.model)].clamp(0, 1).median(1).values.cpu().numpy()


def angles_of(colours: np.ndarray) -> np.ndarray:
    """The individual typology angles [B] of colours [B, 3], in degrees."""
    return individual_typology_angle(lab(colours))


class MadeFaces(NamedTuple):
    """A checkpoint's faces of N people, and the mean face.

    Attributes:
        vertices: [N, V, 3] mm.
        cheeks: [N, 3], of their albedo, sRGB.
        seen: [N, D], the judge's embeddings of their renderings.
        mean_vertices: [V, 3].
        mean_cheeks: [3].
        mean_seen: [D].
        expected: [N, V, 3] mm, by the expected shape; None of a checkpoint that keeps none.
    """

    vertices: Tensor
    cheeks: np.ndarray
    seen: Tensor
    mean_vertices: Tensor
    mean_cheeks: np.ndarray
    mean_seen: Tensor
    expected: Tensor | None


@torch.no_grad()
def made_by(
    loaded: Reconstructor,
    judge: RecognitionNetwork,
    people: SliderPeople,
    faces: np.ndarray,
    seen: Tensor,
    *,
    retouched: bool = True,
) -> MadeFaces:
    """What a checkpoint makes of photographs.

    Args:
        loaded: the checkpoint, with the encoder that all its readings need.
        judge: the network.
        people: with their photographs.
        faces: [N], which of the data set.
        seen: [N, D], the judge's embeddings of the renderings.
        retouched: see `render_for_judge`.
    """
    features = people.dataset.batch(faces).features[loaded.encoder.name]
    found = loaded.coefficients(features)
    expected = None
    if "expected" in (readings := loaded.readings):
        expected = vertices_of(loaded, readings["expected"].coefficients(features).shape)
    cheeks = [cheeks_of(people, loaded.model.albedo(some).cpu()) for some in found.albedo.split(AT_ONCE)]
    nothing = loaded.model.shape_mean.new_zeros(1, 0)
    mean = loaded.faces(Prediction(nothing, nothing))
    return MadeFaces(
        vertices_of(loaded, found.shape), np.concatenate(cheeks), seen, mean.vertices[0].cpu(),
        cheeks_of(people, mean.albedo.cpu())[0],
        mean_face_embedding(loaded.model, judge, retouched=retouched), expected,
    )  # fmt: skip


def vertices_of(loaded: Reconstructor, shape: Tensor) -> Tensor:
    """Vertices [N, V, 3] of shape coefficients [N, Ks], on the CPU."""
    return torch.cat([loaded.model.vertices(some).cpu() for some in shape.split(AT_ONCE)])


def measurements_of(
    method: str, people: SliderPeople, photographs: Tensor, truth: TrueFaces, made: MadeFaces
) -> list[Measurement]:
    """Shape error, similarity and shift of tone of a method and of what stands beside it.

    Args:
        method: its name.
        people: of the photographs.
        photographs: [N, D], the judge's unit embeddings.
        truth: of them.
        made: by the method.
    """
    count, mean = len(made.vertices), made.mean_vertices.expand_as(made.vertices)
    shapes = {method: made.vertices}
    if made.expected is not None:
        shapes[f"{method}, expected"] = made.expected
    shapes |= {SHUFFLED: made.vertices.roll(1, 0), MEAN_FACE: mean}
    seen = {method: made.seen, TRUE_FACE: truth.seen, SHUFFLED: made.seen.roll(1, 0)}
    seen[MEAN_FACE] = made.mean_seen.expand_as(made.seen)
    tones = {method: made.cheeks, MEAN_FACE: np.tile(made.mean_cheeks, (count, 1))}
    own_tones = angles_of(truth.cheeks)
    similarities = {name: paired_cosines(photographs, each) for name, each in seen.items()}
    figures = (
        ("shape error", "mm", shape_errors(people.model, truth.vertices, shapes)),
        ("rendering to photograph", "similarity", similarities),
        ("skin too light by", "degrees", {name: angles_of(each) - own_tones for name, each in tones.items()}),
    )
    return [
        Measurement(name, f"{STAND_IN}, {count} people", metric, unit, values, drawn=name == method)
        for metric, unit, by_method in figures
        for name, values in by_method.items()
    ]


def photographs_of(people: SliderPeople, judge: RecognitionNetwork, faces: np.ndarray) -> Tensor:
    """The judge's unit embeddings [N, D] of photographs."""
    return functional.normalize(people.dataset.descriptors(judge.name, faces), dim=1)


def shape_errors(
    model: MorphableModel, true: Tensor, by_method: Mapping[str, Tensor]
) -> dict[str, np.ndarray]:
    """By method the mean distance [N] in mm of vertices [N, V, 3] from their true places, by area.

    After the best similarity, within FACE_RADIUS_MM of the nose tip.
    """
    noses = model.landmarks.on(true.to(model.shape_mean))[:, NOSE_TIP].double().cpu().numpy()
    triangles = model.triangles.cpu().numpy()
    errors: dict[str, list[float]] = {method: [] for method in by_method}
    for number, (face, nose) in enumerate(zip(true.double().numpy(), noses, strict=True)):
        known = truth_of(face, triangles, Region(nose, FACE_RADIUS_MM))
        for method, vertices in by_method.items():
            made = vertices[number].double().numpy()
            errors[method].append(true_error_mm(made, known, statistic="mean"))
    return {method: np.array(values) for method, values in errors.items()}
