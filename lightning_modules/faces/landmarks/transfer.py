"""Carries landmarks from one model over to a mesh that lacks some."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from scipy.spatial import cKDTree
from torch import Tensor

from lightning_modules.faces.alignment import (
    SampledSurface,
    SimilarityOfFaces,
    closest_point_alignment,
    refined,
    similarity_between,
    smooth_warp,
    surface_of,
    thinned,
    trusted_distance,
)
from lightning_modules.faces.landmarks.ibug import NUMBER_OF_LANDMARKS, Landmarks
from lightning_modules.faces.morphable_model import MorphableModel
from lightning_modules.faces.surfaces import closest_on_surface

# So near its nose tip lies the source's face; ears, neck and skull differ too much to align by.
FACE_RADIUS_MM = 90.0
# The target's vertices this much nearer to its nose tip must have a partner in the source's face.
BACKWARD_SHARE = 0.8
LARGEST_EDGE_MM = 4.0  # both meshes are refined to this: gaps are measured between their points
# Well aligned heads of different models stay 1.2 to 2.3 mm apart, at a scale near 1 (open model, ICT-FaceKit,
# a Basel sample, a scan); one that lies the wrong way round 5.8 mm or more, a sphere 3.5 mm.
LARGEST_GAP_MM = 3.0
SCALES = (0.75, 1.35)
# Without a known landmark, the source starts at the target's foremost point under these pitches, in degrees.
PITCHES = (0, -20, 20)
NOSE_TIP = 30


class Overlay(NamedTuple):
    """A source model's mean, laid over another mesh: vertices [V, 3] and landmarks [68, 3] in its frame."""

    vertices: Tensor
    landmarks: Tensor


def completed_landmarks(
    vertices: Tensor,
    triangles: Tensor,
    known: dict[int, tuple[int, str]],
    open_model: Callable[[], MorphableModel] | None,
) -> Landmarks | str:
    """All 68 landmarks: the known ones, and the others transferred from the open model's mean.

    Args:
        vertices: [V, 3] in mm, x left, y up, z forward.
        triangles: [T, 3].
        known: iBUG landmarks (0-based) to vertex id and source.
        open_model: gives the model to transfer from; called only if a landmark is missing.

    Returns:
        The landmarks, or the reason why there are none.
    """
    vertex_ids = torch.zeros(NUMBER_OF_LANDMARKS, 3, dtype=torch.int64)
    weights = torch.zeros(NUMBER_OF_LANDMARKS, 3)
    sources = ["transferred"] * NUMBER_OF_LANDMARKS
    if len(known) < NUMBER_OF_LANDMARKS:
        if open_model is None:
            return (
                f"its file names {len(known)} of {NUMBER_OF_LANDMARKS}, no model to transfer from was given"
            )
        points = {index: vertices[vertex].numpy() for index, (vertex, _) in known.items()}
        over = laid_over(open_model(), vertices, triangles, points)
        if isinstance(over, str):
            return over
        vertex_ids, weights, _ = closest_on_surface(over.landmarks, vertices, triangles)
    for index, (vertex, source) in known.items():
        vertex_ids[index], sources[index] = vertex, source
        weights[index] = torch.tensor([1.0, 0, 0])
    return Landmarks(vertex_ids, weights, tuple(sources))


def laid_over(
    model: MorphableModel, vertices: Tensor, triangles: Tensor, known: dict[int, np.ndarray]
) -> Overlay | str:
    """The model's mean, aligned with a mesh by landmarks, closest points and a smooth warp.

    Args:
        model: with landmarks, in mm.
        vertices: [V, 3] in mm.
        triangles: [T, 3].
        known: points on the mesh, by iBUG landmark (0-based). The result passes through them.

    Returns:
        The overlay, or the reason why the two do not fit.
    """
    mean = model.neutral_mean.unflatten(0, (-1, 3)).cpu()
    marked = model.landmarks.on(mean[None])[0].cpu().double().numpy()
    source, target = mean.double().numpy(), vertices.double().numpy()
    fine, _ = refined(source, model.triangles.cpu().numpy(), LARGEST_EDGE_MM)
    face = fine[np.linalg.norm(fine - marked[NOSE_TIP], axis=1) < FACE_RADIUS_MM]
    ids = sorted(known)
    points = np.stack([known[index] for index in ids]).astype(float) if ids else np.zeros((0, 3))
    starts = [similarity_between(marked[ids], points)] if len(ids) >= 4 else _starts(marked[NOSE_TIP], target)
    dense = surface_of(*refined(target, triangles.numpy(), LARGEST_EDGE_MM))
    attempts = [closest_point_alignment(face, dense, start) for start in starts]
    gaps = [_gap(attempt, face, marked[NOSE_TIP], dense) for attempt in attempts]
    best = min(range(len(attempts)), key=gaps.__getitem__)
    if reason := _implausible(attempts[best].scale, gaps[best], model):
        return reason
    moved = attempts[best].of(np.concatenate([source, marked]))
    moved = smooth_warp(moved, attempts[best].of(marked[ids]), points)
    result = torch.from_numpy(moved).to(vertices.dtype)
    return Overlay(result[: len(source)], result[len(source) :])


def _gap(
    similarity: SimilarityOfFaces, face: np.ndarray, nose_tip: np.ndarray, target: SampledSurface
) -> float:
    """Distance between the two faces in mm of the source, the larger of both directions.

    One direction alone, or the target's millimetres, would favour a source that shrinks onto a smooth part.
    """
    moved = similarity.of(face)
    reach = BACKWARD_SHARE * FACE_RADIUS_MM * similarity.scale
    near = target.points[np.linalg.norm(target.points - similarity.of(nose_tip[None]), axis=1) < reach]
    if len(near) < 4:
        return float("inf")
    forward = target.tree.query(thinned(moved))[0]
    backward = cKDTree(moved).query(thinned(near))[0]
    return max(trusted_distance(forward), trusted_distance(backward)) / similarity.scale


def _starts(nose_tip: np.ndarray, target: np.ndarray) -> list[SimilarityOfFaces]:
    foremost = target[target[:, 2].argmax()]
    starts = []
    for degrees in PITCHES:
        cosine, sine = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
        rotation = np.array([[1, 0, 0], [0, cosine, -sine], [0, sine, cosine]])
        starts.append(SimilarityOfFaces(1.0, rotation, foremost - rotation @ nose_tip))
    return starts


def _implausible(scale: float, gap: float, model: MorphableModel) -> str:
    if gap <= LARGEST_GAP_MM and SCALES[0] <= scale <= SCALES[1]:
        return ""
    return (
        f"the mean of {model.provenance.name} does not fit the mesh to transfer them: it stays {gap:.1f} mm "
        f"off at scale {scale:.2f} (plausible: {LARGEST_GAP_MM:g} mm, scales of {SCALES[0]} to {SCALES[1]})"
    )
