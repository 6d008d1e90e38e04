"""Pictures of any mesh from around its front, and the surface point that each pixel shows."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from lightning_modules.faces.mesh import Mesh, surface_vertices
from lightning_modules.faces.normals import vertex_normals
from lightning_modules.faces.portraits import studio_lights
from lightning_modules.rendering.camera import Cameras, camera_matrices
from lightning_modules.rendering.pose import Poses, cameras_from_poses
from lightning_modules.rendering.renderer import geometry_buffer, interpolate, render, visible_triangles
from lightning_modules.rendering.shading import Material

SKIN = (0.76, 0.60, 0.51)  # sRGB, of meshes without colours
DISTANCE_MM = 1000.0
MARGIN = 1.15  # of the picture around the mesh's extent
OUTLIERS = 0.005  # share of vertices on either side that the extent leaves out


class MeshView(NamedTuple):
    """A picture of a mesh.

    Attributes:
        image: [3, H, W], sRGB in [0, 1].
        points: [H, W, 3], the surface point at each pixel in the mesh's own frame; NaN beside the mesh.
    """

    image: Tensor
    points: Tensor


def view_of(
    mesh: Mesh,
    *,
    size: int = 320,
    turn: Tensor | None = None,
    yaw_degrees: float = 0.0,
    extent_mm: float | None = None,
    centre: Sequence[float] | Tensor | None = None,
    background: float = 0.0,
    samples_per_axis: int = 1,
    backend: str | None = None,
) -> MeshView:
    """A picture of a mesh in studio light, as large as fits.

    Args:
        mesh: in mm.
        size: of the square picture in pixels.
        turn: [3, 3], rotation of the mesh into the frame with x to the subject's left, y up, z forward, where
            it has another one.
        yaw_degrees: the mesh turned to its own left, about its middle.
        extent_mm: height of what the picture shows; the mesh's own extent by default.
        centre: the point in the middle, in the mesh's own frame; the middle of its extent by default.
        background: grey, sRGB.
        samples_per_axis: 2 averages 2 x 2 samples in each pixel.
        backend: of the rasterizer.
    """
    turn = torch.eye(3) if turn is None else turn.float()
    turned = mesh.vertices.float() @ turn.T
    low, high = _extent(surface_vertices(mesh).float() @ turn.T)
    middle = 0.5 * (low + high) if centre is None else turn @ torch.as_tensor(centre).float()
    turned = (turned - middle)[None]
    shown = MARGIN * float((high - low)[:2].max()) if extent_mm is None else extent_mm
    cameras = _camera(yaw_degrees, shown, size)
    colours = torch.tensor(SKIN).expand_as(turned[0]) if mesh.colours is None else mesh.colours
    image = render(
        turned,
        mesh.triangles,
        vertex_normals(turned, mesh.triangles),
        colours[None].float(),
        cameras,
        studio_lights(cameras),
        (size, size),
        material=Material(specular_constant=0.0),
        background=torch.full((3, 1, 1), background),
        samples_per_axis=samples_per_axis,
        backend=backend,
    )[0, 0]
    matrices = camera_matrices(cameras)
    ids = visible_triangles(turned, mesh.triangles, matrices, (size, size), backend=backend)
    buffer = geometry_buffer(turned, mesh.triangles, matrices, ids)
    points = torch.full((size, size, 3), float("nan"))
    points[buffer.rows, buffer.columns] = interpolate(mesh.vertices[None].float(), buffer)
    return MeshView(image, points)


def _extent(vertices: Tensor) -> tuple[Tensor, Tensor]:
    ordered, cut = vertices.sort(dim=0).values, int(OUTLIERS * len(vertices))
    return ordered[cut], ordered[len(vertices) - 1 - cut]


def _camera(yaw_degrees: float, shown_mm: float, size: int) -> Cameras:
    one = torch.ones(1, 1)
    poses = Poses(yaw_degrees * one, 0 * one, 0 * one, DISTANCE_MM * one, shown_mm * one)
    return cameras_from_poses(poses, (size, size))
