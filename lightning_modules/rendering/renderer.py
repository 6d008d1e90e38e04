"""Deferred shading: triangle ids, then barycentrics, attributes and light on covered pixels only."""

from collections.abc import Callable
from operator import itemgetter
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from . import camera, fused, rasterizer
from .barycentrics import barycentrics
from .camera import Cameras
from .colour import clamp_with_gradient, decode_srgb, encode_srgb
from .compilation import vertex_ids
from .shading import Lights, Material, phong

Shading = Literal["numba", "warp", "torch"]
SAMPLES_AT_ONCE = 2**21  # that plain torch shades before it lets go of what they need


class GeometryBuffer(NamedTuple):
    """What the covered pixels of M images see, P of them, in order of image, row and column."""

    triangle_ids: Tensor  # [M, H, W] int32, -1 where nothing is seen
    images: Tensor  # [P] image index of each covered pixel
    rows: Tensor  # [P]
    columns: Tensor  # [P]
    corners: Tensor  # [P, 3] vertex ids
    barycentrics: Tensor  # [P, 3]


def visible_triangles(
    vertices: Tensor,
    triangles: Tensor,
    matrices: Tensor,
    size: tuple[int, int],
    *,
    near: float = rasterizer.NEAR_MM,
    backend: str | None = None,
) -> Tensor:
    """Triangle ids [B N, H, W] of B faces in N views each; image b * N + n is view n of face b.

    Args:
        vertices: [B, V, 3] world, mm.
        triangles: [T, 3].
        matrices: [B, N, 3, 4] of `camera.camera_matrices`.
        size: (H, W).
        near: depth of the near plane, mm.
        backend: see `rasterizer.rasterize`.

    Raises:
        ValueError: for a triangle of a vertex that is not there.
    """
    rasterizer.check_triangles(triangles, vertices.shape[1])
    name = rasterizer.choose_backend(vertices.device) if backend is None else backend
    in_one_go = getattr(rasterizer.load_backend(name), "rasterize_views", None)
    if in_one_go is not None:
        return in_one_go(vertices, matrices, triangles, size, near).to(vertices.device)
    with torch.no_grad():
        positions = camera.homogeneous_pixels(matrices, vertices).flatten(0, 1)
    return rasterizer.rasterize(positions, triangles, size, near=near, backend=name)


def geometry_buffer(vertices: Tensor, triangles: Tensor, matrices: Tensor, ids: Tensor) -> GeometryBuffer:
    """What each covered pixel sees, with barycentrics that are differentiable in vertices and cameras.

    Args:
        vertices: [B, V, 3] world, mm.
        triangles: [T, 3].
        matrices: [B, N, 3, 4] of `camera.camera_matrices`.
        ids: [B N, H, W] of `visible_triangles`.
    """
    images, rows, columns = torch.nonzero(ids >= 0, as_tuple=True)
    corners = triangles.long()[ids[images, rows, columns].long()]  # [P, 3]
    positions = camera.homogeneous_pixels(matrices, vertices).flatten(0, 2)  # [B N V, 3]
    flat = images[:, None] * vertices.shape[1] + corners
    gathered = positions.index_select(0, flat.flatten()).unflatten(0, (-1, 3))
    weights = barycentrics(gathered, torch.stack([columns, rows], dim=-1))
    return GeometryBuffer(ids, images, rows, columns, corners, weights.to(vertices.dtype))


def interpolate(attributes: Tensor, buffer: GeometryBuffer) -> Tensor:
    """Per-vertex attributes at the covered pixels, [P, D].

    Args:
        attributes: [B, V, D], the same for all views of a face.
        buffer: of B x N images.
    """
    batch, vertex_count, _ = attributes.shape
    faces = buffer.images // (len(buffer.triangle_ids) // batch)
    flat = faces[:, None] * vertex_count + buffer.corners
    gathered = attributes.flatten(0, 1).index_select(0, flat.flatten()).unflatten(0, (-1, 3))
    return (buffer.barycentrics[..., None] * gathered).sum(dim=1)


def render(
    vertices: Tensor,
    triangles: Tensor,
    normals: Tensor,
    albedo: Tensor,
    cameras: Cameras,
    lights: Lights,
    size: tuple[int, int],
    *,
    material: Material | None = None,
    background: Tensor | None = None,
    samples_per_axis: int = 1,
    near: float = rasterizer.NEAR_MM,
    backend: str | None = None,
    shading: Shading | None = None,
) -> Tensor:
    """Images of B faces in N views each, [B, N, 3, H, W], sRGB in [0, 1].

    Genova et al. 2018, section 3.2. Differentiable in vertices, normals, albedo, cameras and lights, but not
    in which triangle a pixel sees: a silhouette that moves over a pixel gives no gradient.

    Args:
        vertices: [B, V, 3] world, mm.
        triangles: [T, 3] integer vertex ids.
        normals: [B, V, 3] world, outwards, of any length.
        albedo: [B, V, 3] sRGB-encoded, unclamped.
        cameras: of shape [B, N].
        lights: of shape [B, N].
        size: (H, W).
        material: specular constant and shininess.
        background: sRGB, anything that broadcasts to [B, N, 3, H, W], such as a colour [3, 1, 1]; black if
            not given. It gets no gradient.
        samples_per_axis: 2 averages 2 x 2 samples in each pixel, in linear light.
        near: depth of the near plane, mm.
        backend: of the rasterizer.
        shading: numba (on the CPU, where alone it runs), warp, or plain torch, the others' judge; by default
            numba on the CPU and warp elsewhere.

    Returns:
        Images with the dtype of `vertices`. Pixels that see nothing are exactly the background.

    Raises:
        ValueError: for wrong shapes or precisions, values that are not finite, triangle ids out of range,
            reference distances that are not above zero, an empty image. On a GPU no value is read, since that
            would wait for it: where one is not finite, the images are NaN.
    """
    material = Material() if material is None else material
    _check(vertices, triangles, normals, albedo, cameras, lights, size, samples_per_axis)
    rasterizer.check_near(near)
    if not material.shininess > 0:
        raise ValueError(f"material.shininess must be above zero, got {material.shininess}")
    batch, views = cameras.focal_lengths.shape
    background = _background(background, (batch, views, 3, *size), like=vertices)
    matrices = camera.supersampled(camera.camera_matrices(cameras), samples_per_axis)
    eyes = camera.centres(cameras)
    fine_size = (size[0] * samples_per_axis, size[1] * samples_per_axis)
    if vertices.device.type == "cpu":
        triangles = torch.from_numpy(vertex_ids(triangles))  # once for all kernels
    ids = visible_triangles(vertices, triangles, matrices, fine_size, near=near, backend=backend)
    if shading is None:
        shading = "numba" if vertices.device.type == "cpu" else "warp"
    images = SHADERS[shading](
        vertices, triangles, normals, albedo, matrices, eyes, lights, material, ids, background.flatten(0, 1),
        samples_per_axis,
    )  # fmt: skip
    if not rasterizer.can_be_read(images):
        images = images + _nan_if_not_finite(vertices, normals, albedo, *cameras, *lights)
    return images.unflatten(0, (batch, views))


def _nan_if_not_finite(*inputs: Tensor | None) -> Tensor:
    """Zero where all values are finite, else NaN: what a step's losses show without a wait."""
    return (
        0 * torch.stack([part.detach().double().sum() for part in inputs if part is not None]).sum().float()
    )


def _background(background: Tensor | None, shape: tuple[int, ...], *, like: Tensor) -> Tensor:
    if background is None:
        return like.new_zeros(()).expand(shape)
    rasterizer.check_finite("background", background)
    try:
        return background.detach().to(like).expand(shape)
    except RuntimeError as error:
        raise ValueError(
            f"background must broadcast to {list(shape)}, such as a colour [3, 1, 1], "
            f"got {list(background.shape)}"
        ) from error


def _shade_in_chunks(
    vertices: Tensor, triangles: Tensor, normals: Tensor, albedo: Tensor, matrices: Tensor, eyes: Tensor,
    lights: Lights, material: Material, ids: Tensor, background: Tensor, samples_per_axis: int,
) -> Tensor:  # fmt: skip
    """`fused.shade` in plain torch, a few faces at a time; their shading is computed again in backward."""
    batch, views = matrices.shape[:2]
    if not batch:
        return background
    faces_at_once = max(1, SAMPLES_AT_ONCE // (views * ids[0].numel()))
    images = []
    for first in range(0, batch, faces_at_once):
        faces, rows = (
            slice(first, first + faces_at_once),
            slice(first * views, (first + faces_at_once) * views),
        )
        arguments = (
            vertices[faces], triangles, normals[faces], albedo[faces], matrices[faces], eyes[faces],
            lights.changed(itemgetter(faces)), material, ids[rows],
            background[rows], samples_per_axis,
        )  # fmt: skip
        if faces_at_once < batch:
            images.append(checkpoint(_shade_plainly, *arguments, use_reentrant=False))
        else:
            images.append(_shade_plainly(*arguments))
    return torch.cat(images)


def _shade_by_warp(*arguments: Any) -> Tensor:  # noqa: ANN401 - those of `fused.shade`
    from .warp_shading import shade  # here, since loading it starts Warp

    return shade(*arguments)


SHADERS: dict[Shading, Callable[..., Tensor]] = {
    "numba": fused.shade, "warp": _shade_by_warp, "torch": _shade_in_chunks,
}  # fmt: skip


def _shade_plainly(
    vertices: Tensor, triangles: Tensor, normals: Tensor, albedo: Tensor, matrices: Tensor, eyes: Tensor,
    lights: Lights, material: Material, ids: Tensor, background: Tensor, samples_per_axis: int,
) -> Tensor:  # fmt: skip
    buffer = geometry_buffer(vertices, triangles, matrices, ids)
    linear = phong(
        interpolate(vertices, buffer),
        interpolate(normals, buffer),
        interpolate(albedo, buffer),
        eyes.flatten(0, 1).index_select(0, buffer.images).to(vertices.dtype),
        lights.changed(lambda part: part.flatten(0, 1).index_select(0, buffer.images)),
        material,
    )
    return _resolve(linear, buffer, background, samples_per_axis)


def _resolve(linear: Tensor, buffer: GeometryBuffer, background: Tensor, samples_per_axis: int) -> Tensor:
    """Average each pixel's samples in linear light, encode, and keep the background where nothing is seen."""
    behind = decode_srgb(clamp_with_gradient(background))
    if samples_per_axis > 1:
        behind = behind.repeat_interleave(samples_per_axis, -1).repeat_interleave(samples_per_axis, -2)
    canvas = behind.movedim(1, -1).contiguous()  # [M, H S, W S, 3]
    canvas = canvas.index_put((buffer.images, buffer.rows, buffer.columns), linear)
    averaged = torch.nn.functional.avg_pool2d(canvas.movedim(-1, 1), samples_per_axis)
    seen = (
        torch.nn.functional.max_pool2d((buffer.triangle_ids >= 0).to(linear)[:, None], samples_per_axis) > 0
    )
    return torch.where(seen, encode_srgb(clamp_with_gradient(averaged)), background)


def _check(
    vertices: Tensor, triangles: Tensor, normals: Tensor, albedo: Tensor, cameras: Cameras, lights: Lights,
    size: tuple[int, int], samples_per_axis: int,
) -> None:  # fmt: skip
    rasterizer.check_size(size)
    if samples_per_axis < 1:
        raise ValueError(f"samples_per_axis must be at least 1, got {samples_per_axis}")
    if vertices.dim() != 3 or vertices.shape[-1] != 3:
        raise ValueError(f"vertices must be [B, V, 3], got {list(vertices.shape)}")
    if vertices.dtype not in (torch.float32, torch.float64):
        raise ValueError(
            f"vertices must be float32 or float64, got {vertices.dtype}; convert them by .float()"
        )
    rasterizer.check_triangles(triangles, vertices.shape[1])
    for name, values in (("vertices", vertices), ("normals", normals), ("albedo", albedo)):
        if values.shape != vertices.shape:
            raise ValueError(
                f"{name} must be {list(vertices.shape)} like the vertices, got {list(values.shape)}"
            )
        if values.dtype != vertices.dtype:
            raise ValueError(f"{name} must be {vertices.dtype} like the vertices, got {values.dtype}")
        rasterizer.check_finite(name, values)
    if cameras.focal_lengths.dim() != 2 or len(cameras.focal_lengths) != len(vertices):
        raise ValueError(
            f"cameras must be of shape [{len(vertices)}, N], got {list(cameras.focal_lengths.shape)}"
        )
    views, count = cameras.focal_lengths.shape, lights.intensities.shape[-1]
    shapes = {
        "cameras.rotations": (cameras.rotations, (*views, 3, 3)),
        "cameras.translations": (cameras.translations, (*views, 3)),
        "cameras.principal_points": (cameras.principal_points, (*views, 2)),
        "lights.positions": (lights.positions, (*views, count, 3)),
        "lights.colours": (lights.colours, (*views, count, 3)),
        "lights.intensities": (lights.intensities, (*views, count)),
        "lights.ambient": (lights.ambient, (*views, 3)),
    }
    if lights.reference_distances is not None:
        shapes["lights.reference_distances"] = (lights.reference_distances, (*views, count))
    for name, (values, shape) in shapes.items():
        if values.shape != shape:
            raise ValueError(f"{name} must be {list(shape)}, got {list(values.shape)}")
        rasterizer.check_finite(name, values)
    rasterizer.check_finite("cameras.focal_lengths", cameras.focal_lengths)
    distances = lights.reference_distances
    if distances is None or not rasterizer.can_be_read(distances):
        return
    if not bool((distances > 0).all()):
        raise ValueError(f"lights.reference_distances must be above zero, got {float(distances.min())}")
