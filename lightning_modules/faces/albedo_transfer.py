"""Carries the albedo of one morphable model over to the mesh of another."""

from torch import Tensor

from lightning_modules.faces.landmarks.ibug import Landmarks
from lightning_modules.faces.landmarks.transfer import laid_over
from lightning_modules.faces.loaders.principal_components import principal_components
from lightning_modules.faces.morphable_model import MorphableModel, PrincipalComponents
from lightning_modules.faces.surfaces import closest_on_surface


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
