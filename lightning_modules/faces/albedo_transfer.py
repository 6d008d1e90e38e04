"""Carries the albedo of one morphable model over to the mesh of another."""

from collections.abc import Callable

import torch
from torch import Tensor

from lightning_modules.faces.landmarks.ibug import Landmarks
from lightning_modules.faces.landmarks.transfer import laid_over
from lightning_modules.faces.loaders.principal_components import principal_components
from lightning_modules.faces.morphable_model import MorphableModel, PrincipalComponents
from lightning_modules.faces.surfaces import closest_on_surface

# sRGB of the one colour that all vertices get where no albedo is transferred: mid skin.
CONSTANT_ALBEDO = (0.70, 0.55, 0.48)


def borrowed_albedo(
    model: str,
    albedo: str,
    vertices: Tensor,
    triangles: Tensor,
    landmarks: Landmarks | str,
    open_model: Callable[[], MorphableModel] | None,
) -> tuple[PrincipalComponents, str]:
    """The albedo of a model that has none of its own, and the sentence that says where it came from.

    Args:
        model: its name, for messages.
        albedo: `constant` gives every vertex one colour; `open` transfers the open model's.
        vertices: [V, 3] in mm, of the model's mean.
        triangles: [T, 3].
        landmarks: of the model, or why there are none.
        open_model: gives the open model; called only for `open`.

    Raises:
        ValueError: if `albedo` is neither, or there is nothing to transfer from.
    """
    if albedo == "constant":
        mean = torch.tensor(CONSTANT_ALBEDO).repeat(len(vertices))
        return PrincipalComponents(mean, torch.zeros(len(mean), 0), torch.zeros(0), 0.0), (
            "albedo: one constant colour, the model has none of its own"
        )
    if albedo != "open":
        raise ValueError(f"the albedo of {model} must be 'constant' or 'open', got {albedo!r}")
    if open_model is None:
        raise ValueError(f"no open model was given to transfer an albedo to {model} from; take 'constant'")
    source = open_model()
    components = transferred_albedo(source, vertices, triangles, landmarks)
    return components, f"albedo: transferred by closest point from {source.provenance.name}"


def transferred_albedo(
    source: MorphableModel, vertices: Tensor, triangles: Tensor, landmarks: Landmarks | str
) -> PrincipalComponents:
    """The source's albedo on another mesh: mean and components at the closest points of the aligned means.

    The source's mean is laid over the mesh by its landmarks and closest points. Components sampled at other
    points are no longer orthogonal, so the principal components of their Gaussian are taken.

    Args:
        source: the model with an albedo and landmarks.
        vertices: [V, 3] in mm, of the mesh that gets the albedo.
        triangles: [T, 3].
        landmarks: of that mesh, or why there are none (then closest points alone align it).

    Raises:
        ValueError: if the two cannot be laid over each other.
    """
    known = {}
    if not isinstance(landmarks, str):
        known = dict(enumerate(landmarks.on(vertices[None])[0].numpy()))
    over = laid_over(source, vertices, triangles, known)
    if isinstance(over, str):
        raise ValueError(f"the albedo of {source.provenance.name} cannot be transferred: {over}")
    nearest = closest_on_surface(vertices, over.vertices, source.triangles)
    components = source.components("albedo")
    modes = components.basis * components.variance.sqrt()

    def sampled(per_vertex: Tensor) -> Tensor:
        corners = per_vertex.unflatten(0, (-1, 3))[nearest.vertex_ids]  # [V, 3 corners, 3 channels, ...]
        weights = nearest.weights.reshape(*nearest.weights.shape, *[1] * (corners.ndim - 2))
        return (corners * weights).sum(1).flatten(0, 1)

    return principal_components(sampled(components.mean), sampled(modes))
