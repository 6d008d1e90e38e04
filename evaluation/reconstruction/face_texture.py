"""The texture of a face: the photograph's colours where it shows the surface, the model's elsewhere."""

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt
from scipy.sparse import coo_array, csgraph, diags_array
from scipy.sparse.linalg import splu
from torch import Tensor

from evaluation.reconstruction.photograph_view import PhotographView, ShownColours, seen_in
from lightning_modules.faces.landmarks.ibug import five_points
from lightning_modules.faces.mesh_files.glb_content import Texture
from lightning_modules.faces.morphable_model import MorphableModel
from lightning_modules.faces.normals import vertex_normals
from lightning_modules.faces.surfaces import closest_on_surface
from lightning_modules.faces.texture_atlas import Texels, TextureAtlas, texels_of

FEATHER = 0.02  # of the picture's side, over which a seen part fades out before it ends
# How much the corrections of two neighbouring vertices pull at each other, against what a vertex's own colour
# weighs; and how much the mean correction pulls everywhere: a correction fades over some 20 edges.
SMOOTHNESS, TOWARDS_MEAN = 0.5, 1e-3


class FacesOfTexture(NamedTuple):
    """A face twice, each [V, 3] in mm: neutral, and as it was fitted to the photograph."""

    neutral: Tensor
    fitted: Tensor


class Layer(NamedTuple):
    """Colours as far as they are painted: of the mesh's vertices [V, 3] and of the texels [P, 3]."""

    vertices: NDArray[np.float64]
    texels: NDArray[np.float64]


class Painted(NamedTuple):
    """A texture, and the share of the mesh's area that the photograph shows, mirrored parts included."""

    texture: Texture
    seen: float


def painted(
    view: PhotographView,
    faces: FacesOfTexture,
    albedo: Tensor,
    model: MorphableModel,
    atlas: TextureAtlas,
    size: int,
    *,
    mirrored: bool = False,
) -> Painted:
    """The texture of a face.

    Where the photograph shows little or nothing, the model's colour takes over, moved by a smooth correction.
    It meets the photograph's colours where the two meet (the membrane of Poisson blending, on the mesh), and
    fades to their mean difference away from it. The photograph's light stays in its colours.

    Args:
        view: of the photograph.
        faces: the face.
        albedo: [V, 3] of the model, sRGB in [0, 1].
        model: gives triangles and landmarks.
        atlas: of the model's mesh.
        size: of the picture.
        mirrored: whether what is not seen takes the colours of the other half of the face; they are corrected
            like the model's, since its light is another.
    """
    triangles = model.triangles.cpu()
    albedo, fitted = albedo.detach().cpu().double(), faces.fitted.detach().cpu().double()
    surface = torch.cat([fitted, vertex_normals(fitted[None], triangles)[0], view.shifts], 1)  # [V, 8]
    surfaces = [_of_mirrored(surface, faces.neutral.detach().cpu().double(), model)] if mirrored else []
    texels = texels_of(atlas, size)
    colours = Layer(albedo.numpy(), texels.of(albedo).numpy())
    unseen = np.ones(len(albedo))
    for each in [*surfaces, surface]:  # what the photograph shows itself lies on top
        at_vertices, at_texels = _shown(view, each), _shown(view, texels.of(each))
        weights = _feathered(at_texels.weights, texels.rows.numpy(), texels.columns.numpy(), size)
        correction = _correction(at_vertices, colours.vertices, triangles.numpy())
        shift = texels.of(torch.from_numpy(correction)).numpy()
        colours = Layer(
            _mixed(at_vertices.colours, colours.vertices + correction, at_vertices.weights),
            _mixed(at_texels.colours, colours.texels + shift, weights),
        )
        unseen = unseen * (1 - at_vertices.weights)
    picture = _spread(colours.texels, texels, size)
    return Painted(Texture(atlas, picture), _share(1 - unseen, fitted, triangles))


def in_picture(atlas: TextureAtlas, albedo: Tensor, size: int) -> NDArray[np.uint8]:
    """Colours [V, 3] of a mesh's vertices, sRGB in [0, 1], as a texture [size, size, 3]."""
    texels = texels_of(atlas, size)
    return _spread(texels.of(albedo.detach().cpu().double()).numpy().clip(0, 1), texels, size)


def _spread(colours: NDArray[np.float64], texels: Texels, size: int) -> NDArray[np.uint8]:
    """A picture of the texels' colours [P, 3]; what lies beside the mesh takes the nearest one's."""
    picture, on_mesh = np.zeros((size, size, 3)), np.zeros((size, size), bool)
    picture[texels.rows, texels.columns], on_mesh[texels.rows, texels.columns] = colours, True
    nearest = distance_transform_edt(~on_mesh, return_distances=False, return_indices=True)
    return (picture[tuple(nearest)] * 255).round().astype(np.uint8)


def _shown(view: PhotographView, surface: Tensor) -> ShownColours:
    return seen_in(view, *surface.split([3, 3, 2], 1))


def _mixed(
    above: NDArray[np.float64], below: NDArray[np.float64], weights: NDArray[np.float64]
) -> NDArray[np.float64]:
    return (weights[:, None] * above + (1 - weights[:, None]) * below).clip(0, 1)


def _of_mirrored(surface: Tensor, neutral: Tensor, model: MorphableModel) -> Tensor:
    """The surface [V, 8] at the points that lie across the neutral face from its vertices."""
    across = five_points(model.landmarks.on(neutral[None].to(model.shape_mean)))[0, [0, 1, 3, 4], 0].mean()
    mirrored = neutral.clone()
    mirrored[:, 0] = 2 * float(across) - mirrored[:, 0]
    found = closest_on_surface(mirrored, neutral, model.triangles.cpu())
    return (surface[found.vertex_ids] * found.weights[..., None]).sum(1)


def _correction(
    seen: ShownColours, below: NDArray[np.float64], triangles: NDArray[np.int64]
) -> NDArray[np.float64]:
    """What to add to the colours [V, 3] below: the photograph's difference where seen, smooth elsewhere."""
    certainty = seen.weights**2
    if not certainty.any():
        return np.zeros_like(below)
    difference = seen.colours - below
    mean = (certainty[:, None] * difference).sum(0) / certainty.sum()
    one, other = (np.concatenate([triangles[:, k] for k in ids]) for ids in ((0, 1, 2), (1, 2, 0)))
    shape = (len(below), len(below))
    edges = coo_array((np.ones(len(one)), (one, other)), shape).tocsr()
    edges = ((edges + edges.T) > 0).astype(np.float64)
    stiffness = SMOOTHNESS * csgraph.laplacian(edges) + diags_array(certainty + TOWARDS_MEAN)
    known = certainty[:, None] * difference + TOWARDS_MEAN * mean
    return splu(stiffness.tocsc()).solve(known)


def _feathered(
    weights: NDArray[np.float64], rows: NDArray[np.int64], columns: NDArray[np.int64], size: int
) -> NDArray[np.float64]:
    """The weights, fading out before every part of the mesh that is not seen."""
    unseen = np.zeros((size, size), bool)
    unseen[rows, columns] = weights <= 0
    if not unseen.any():
        return weights
    distance = distance_transform_edt(~unseen)[rows, columns]
    return np.minimum(weights, (distance - 1).clip(0) / (FEATHER * size))


def _share(weights: NDArray[np.float64], vertices: Tensor, triangles: Tensor) -> float:
    corners = vertices[triangles]
    areas = torch.linalg.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]).norm(dim=1)
    shares = torch.from_numpy(weights)[triangles].mean(1)
    return float((areas * shares).sum() / areas.sum())
