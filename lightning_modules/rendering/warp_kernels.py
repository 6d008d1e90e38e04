"""Rasterization, interpolation and Phong shading as Warp kernels: one source for GPUs and for the CPU.

The arithmetic of `numba_rasterizer` (to the last bit: same operations, same order, no fused ones) and of
`barycentrics` and `shading.phong`. The derivatives are those that Warp derives from the kernels; only a clamp
that lets gradients through has its own. i, j, k are a triangle's corners.
"""

# ruff: noqa: ANN201, ANN202 - kernels take and return arrays, vectors and scalars

from collections.abc import Sequence
from contextlib import nullcontext
from functools import cache
from typing import Any

import torch
import warp as wp
from torch import Tensor

wp.config.quiet = True
# No product and sum rounded at once: ids must be the CPU's.
wp.set_module_options({"fuse_fp": False})

BEYOND_ROUNDING = wp.constant(wp.float64(1e-6))  # pixels by which bounding boxes are widened
FARTHEST = 0x7FEFFFFFFFFFFFFF  # the bits of the largest finite depth
VECTOR, MATRIX = wp.vec3d, wp.types.matrix((3, 4), wp.float64)  # of places and of cameras

wp.init()


@wp.kernel
def project(
    vertices: wp.array2d(dtype=wp.vec3d),
    matrices: wp.array2d(dtype=MATRIX),
    positions: wp.array2d(dtype=wp.vec3d),
):
    """Homogeneous pixels [M, V] of vertices [B, V] seen by cameras [B, N], image b * N + n."""
    image, v = wp.tid()
    views = matrices.shape[1]
    matrix, place = matrices[image // views, image % views], vertices[image // views, v]
    positions[image, v] = wp.vec3d(_row(matrix, 0, place), _row(matrix, 1, place), _row(matrix, 2, place))


@wp.func
def _row(matrix: MATRIX, row: int, place: wp.vec3d):
    return matrix[row, 0] * place[0] + matrix[row, 1] * place[1] + matrix[row, 2] * place[2] + matrix[row, 3]


@wp.func
def _columns(position: wp.vec3d, near: wp.float64, axis: int, length: int):
    """First and last pixel along an axis that a vertex allows; all where it is not beyond the near plane."""
    first, last = 0, length - 1
    if position[2] > near:
        inverse = wp.float64(1.0) / position[2]
        place = wp.min(wp.max(position[axis] * inverse, wp.float64(-1.0)), wp.float64(length))
        first, last = int(wp.ceil(place - BEYOND_ROUNDING)), int(wp.floor(place + BEYOND_ROUNDING))
    return first, last


@wp.func
def _span(a: wp.vec3d, b: wp.vec3d, c: wp.vec3d, near: wp.float64, axis: int, length: int):
    """First and last pixel of a triangle along an axis, within the image."""
    first_a, last_a = _columns(a, near, axis, length)
    first_b, last_b = _columns(b, near, axis, length)
    first_c, last_c = _columns(c, near, axis, length)
    first, last = wp.min(wp.min(first_a, first_b), first_c), wp.max(wp.max(last_a, last_b), last_c)
    return wp.max(0, first), wp.min(length - 1, last)


@wp.func
def _cross(a: wp.vec3d, b: wp.vec3d):
    return wp.vec3d(a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0])


@wp.kernel
def find_nearest(
    positions: wp.array2d(dtype=wp.vec3d),
    triangles: wp.array2d(dtype=wp.int32),
    near: wp.float64,
    nearest: wp.array3d(dtype=wp.int64),
    ids: wp.array3d(dtype=wp.int32),
    choosing: bool,
):
    """Keep the least depth at every pixel of a triangle; or, `choosing`, the least id at that depth."""
    image, t = wp.tid()
    pi = positions[image, triangles[t, 0]]
    pj = positions[image, triangles[t, 1]]
    pk = positions[image, triangles[t, 2]]
    if wp.max(wp.max(pi[2], pj[2]), pk[2]) > near:
        left, right = _span(pi, pj, pk, near, 0, nearest.shape[2])
        top, bottom = _span(pi, pj, pk, near, 1, nearest.shape[1])
        # Weights are linear in the pixel; two triangles' at an edge that they share differ in sign alone.
        ei, ej, ek = _cross(pj, pk), _cross(pk, pi), _cross(pi, pj)
        for row in range(top, bottom + 1):
            y = wp.float64(row)
            ri, rj, rk = ei[1] * y + ei[2], ej[1] * y + ej[2], ek[1] * y + ek[2]
            for column in range(left, right + 1):
                x = wp.float64(column)
                wi, wj, wk = ei[0] * x + ri, ej[0] * x + rj, ek[0] * x + rk
                lowest, highest = wp.min(wp.min(wi, wj), wk), wp.max(wp.max(wi, wj), wk)
                # Inside, the weights have one sign: the smallest and the largest agree.
                if lowest * highest >= wp.float64(0.0):
                    depth = (wi * pi[2] + wj * pj[2] + wk * pk[2]) / (wi + wj + wk)
                    if depth > near:
                        # Depths above zero are ordered as their bits are.
                        bits = wp.cast(depth, wp.int64)
                        if choosing:
                            if bits == nearest[image, row, column]:
                                wp.atomic_min(ids, image, row, column, t)
                        else:
                            wp.atomic_min(nearest, image, row, column, bits)


@cache
def shading_kernel(dtype: torch.dtype, lights: int) -> Any:  # noqa: ANN401 - a kernel
    """The kernel `shade` for a precision, float32 or float64, and a number of lights, with its derivative.

    The number is the compiler's: Warp derives no sum that a loop of unknown length changes.
    """
    kind, vec3 = (wp.float32 if dtype == torch.float32 else wp.float64), vector_of(dtype)

    @wp.func
    def clamped(value: kind):
        return wp.min(wp.max(value, kind(0.0)), kind(1.0))

    @wp.func
    def decoded(value: kind):
        """Linear light of an sRGB value that is clamped to [0, 1]; the gradient passes as if it were not."""
        encoded = clamped(value)
        base = (wp.max(encoded, kind(0.04045)) + kind(0.055)) / kind(1.055)
        return wp.where(encoded > kind(0.04045), wp.pow(base, kind(2.4)), encoded / kind(12.92))

    @wp.func_grad(decoded)
    def decoded_adjoint(value: kind, adj_ret: kind):
        encoded = clamped(value)
        base = (wp.max(encoded, kind(0.04045)) + kind(0.055)) / kind(1.055)
        curved = kind(2.4) / kind(1.055) * wp.pow(base, kind(1.4))
        wp.adjoint[value] += adj_ret * wp.where(encoded > kind(0.04045), curved, kind(1.0) / kind(12.92))

    @wp.func
    def narrow(vector: wp.vec3d):
        return vec3(kind(vector[0]), kind(vector[1]), kind(vector[2]))

    @wp.func
    def unit(vector: vec3):
        return vector / wp.max(wp.length(vector), kind(1e-12))

    @wp.func
    def weight(across: wp.vec3d, down: wp.vec3d, first: int, second: int):
        return across[first] * down[second] - across[second] * down[first]

    @wp.kernel(module="unique", module_options={"fuse_fp": True})
    def shade(
        vertices: wp.array2d(dtype=vec3),
        normals: wp.array2d(dtype=vec3),
        albedo: wp.array2d(dtype=vec3),
        matrices: wp.array2d(dtype=MATRIX),
        eyes: wp.array2d(dtype=wp.vec3d),
        positions: wp.array3d(dtype=wp.vec3d),
        irradiance: wp.array3d(dtype=wp.vec3d),
        ambient: wp.array2d(dtype=wp.vec3d),
        references: wp.array3d(dtype=wp.float64),
        triangles: wp.array2d(dtype=wp.int32),
        ids: wp.array3d(dtype=wp.int32),
        constant: kind,
        shininess: kind,
        linear: wp.array3d(dtype=vec3),
    ):
        """Linear light [M, H, W] of the samples that see a triangle; the others keep what they hold."""
        image, row, column = wp.tid()
        t = ids[image, row, column]
        if t < 0:
            return
        views = matrices.shape[1]
        face, view = image // views, image % views
        i, j, k = triangles[t, 0], triangles[t, 1], triangles[t, 2]
        matrix, x, y = matrices[face, view], wp.float64(column), wp.float64(row)
        # The corners seen from the pixel: its ray becomes the depth axis, and volumes become areas.
        ai, aj, ak = vertices[face, i], vertices[face, j], vertices[face, k]
        vi = wp.vec3d(wp.float64(ai[0]), wp.float64(ai[1]), wp.float64(ai[2]))
        vj = wp.vec3d(wp.float64(aj[0]), wp.float64(aj[1]), wp.float64(aj[2]))
        vk = wp.vec3d(wp.float64(ak[0]), wp.float64(ak[1]), wp.float64(ak[2]))
        zi, zj, zk = _row(matrix, 2, vi), _row(matrix, 2, vj), _row(matrix, 2, vk)
        across = wp.vec3d(
            _row(matrix, 0, vi) - x * zi, _row(matrix, 0, vj) - x * zj, _row(matrix, 0, vk) - x * zk
        )
        down = wp.vec3d(
            _row(matrix, 1, vi) - y * zi, _row(matrix, 1, vj) - y * zj, _row(matrix, 1, vk) - y * zk
        )
        wi, wj, wk = weight(across, down, 1, 2), weight(across, down, 2, 0), weight(across, down, 0, 1)
        area = wi + wj + wk
        bi, bj, bk = wi / area, wj / area, wk / area
        place = narrow(bi * vi + bj * vj + bk * vk)
        ci, cj, ck = kind(bi), kind(bj), kind(bk)
        normal = unit(ci * normals[face, i] + cj * normals[face, j] + ck * normals[face, k])
        colour = ci * albedo[face, i] + cj * albedo[face, j] + ck * albedo[face, k]
        diffuse = vec3(decoded(colour[0]), decoded(colour[1]), decoded(colour[2]))
        to_eye = unit(narrow(eyes[face, view]) - place)
        upright = wp.dot(normal, to_eye)
        diffuse_light = narrow(ambient[face, view])
        specular_light = vec3(kind(0.0), kind(0.0), kind(0.0))
        for light in range(lights):
            offset = narrow(positions[face, view, light]) - place
            distance = wp.length(offset)
            direction = offset / distance
            arriving = narrow(irradiance[face, view, light])
            reference = kind(references[face, view, light])
            if reference > kind(0.0):
                arriving = arriving * (reference / distance) * (reference / distance)
            facing = wp.dot(normal, direction)
            if facing > kind(0.0):
                diffuse_light = diffuse_light + arriving * facing
                mirrored = kind(2.0) * facing * upright - wp.dot(direction, to_eye)
                if mirrored > kind(0.0):
                    specular_light = specular_light + arriving * wp.pow(mirrored, shininess)
        specular = vec3(constant, constant, constant) - constant * diffuse
        linear[image, row, column] = wp.cw_mul(diffuse, diffuse_light) + wp.cw_mul(specular, specular_light)

    return shade


def vector_of(dtype: torch.dtype) -> Any:  # noqa: ANN401 - Warp's
    """The type of a vector of three numbers of a precision, float32 or float64."""
    return wp.vec3f if dtype == torch.float32 else wp.vec3d


def array(tensor: Tensor, kind: Any = None) -> Any:  # noqa: ANN401 - Warp's
    """A tensor's own memory as a kernel takes it; its last dimensions are one vector or matrix of `kind`."""
    given = {} if kind is None else {"dtype": kind}
    return wp.from_torch(tensor.detach().contiguous(), requires_grad=False, **given)


def launch(
    kernel: Any,  # noqa: ANN401 - Warp's
    shape: Sequence[int],
    inputs: list,
    device: torch.device,
    adjoints: list | None = None,
) -> None:
    """Start a kernel on a device, in the order of torch's own work there; with `adjoints`, its derivative."""
    stream = nullcontext()
    if device.type == "cuda":
        stream = wp.ScopedStream(wp.stream_from_torch(torch.cuda.current_stream(device)))
    with stream:
        wp.launch(
            kernel, dim=tuple(shape), inputs=inputs, adj_inputs=adjoints or [], adjoint=adjoints is not None,
            device=wp.device_from_torch(device),
        )  # fmt: skip
