"""Interpolation, Phong shading and their derivatives for one image, compiled.

The arithmetic of `barycentrics`, `shading.phong` and the renderer's plain path, which judge it in the tests,
in one pass over the covered samples. Vectors are tuples, which compile to registers; geometry is float64,
powers have the images' dtype. i, j, k are a triangle's corners.
"""

# ruff: noqa: ANN001, ANN201, ANN202 - kernels take and return arrays, scalars and triples of float64

import math

import numpy as np
import torch

from .colour import decode_srgb, encode_srgb
from .compilation import compiled

SMALLEST_LENGTH = 1e-12  # as in torch.nn.functional.normalize

# For float32 images, sRGB's curves come from tables: a power takes three times as long. Linear interpolation
# is off by at most 3e-8, half of what float32 resolves at 1; the encoding is tabulated over the square root,
# which straightens it.
STEPS = 4096
DECODED = decode_srgb(torch.arange(STEPS + 2, dtype=torch.float64) / STEPS).numpy()
ENCODED_OF_ROOT = encode_srgb((torch.arange(STEPS + 2, dtype=torch.float64) / STEPS).square()).numpy()


@compiled
def _row(array, index):
    return np.float64(array[index, 0]), np.float64(array[index, 1]), np.float64(array[index, 2])


@compiled
def _dot(a, b):
    return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]


@compiled
def _times(a, b):
    return a[0] * b[0], a[1] * b[1], a[2] * b[2]


@compiled
def _scaled(a, s):
    return a[0] * s, a[1] * s, a[2] * s


@compiled
def _plus(a, b, s):
    return a[0] + s * b[0], a[1] + s * b[1], a[2] + s * b[2]


@compiled
def _add_to(array, index, vector, scale):
    array[index, 0] += scale * vector[0]
    array[index, 1] += scale * vector[1]
    array[index, 2] += scale * vector[2]


@compiled
def _blend(weights, a, b, c):
    return _plus(_plus(_scaled(a, weights[0]), b, weights[1]), c, weights[2])


@compiled
def _unit(a):
    inverse = 1.0 / max(math.sqrt(_dot(a, a)), SMALLEST_LENGTH)
    return _scaled(a, inverse), inverse


@compiled
def _unit_backward(direction, inverse, gradient):
    return _scaled(_plus(gradient, direction, -_dot(direction, gradient)), inverse)


@compiled
def _clamped(value):
    return min(max(value, 0.0), 1.0)


@compiled
def _highlight(mirrored, shininess, like):
    """(r.v)^shininess, by squaring if the exponent is whole."""
    if shininess == math.floor(shininess):
        power, square, left = 1.0, mirrored, int(shininess)
        while left > 0:
            if left & 1:
                power *= square
            square *= square
            left >>= 1
        return power
    kind = like.dtype.type
    return np.float64(kind(mirrored) ** kind(shininess))


@compiled
def _interpolated(table, position):
    place = position * STEPS
    cell = int(place)
    return table[cell] + (place - cell) * (table[cell + 1] - table[cell])


@compiled
def _decode(encoded, like):
    if encoded <= 0.04045:
        return encoded / 12.92
    if like.itemsize == 4:
        return _interpolated(DECODED, encoded)
    return ((encoded + 0.055) / 1.055) ** 2.4


@compiled
def _decode_slope(encoded, linear):
    return 2.4 * linear / (encoded + 0.055) if encoded > 0.04045 else 1 / 12.92


@compiled
def _encode(linear, like):
    if linear <= 0.0031308:
        return 12.92 * linear
    if like.itemsize == 4:
        return _interpolated(ENCODED_OF_ROOT, math.sqrt(linear))
    return 1.055 * linear ** (1 / 2.4) - 0.055


@compiled
def _encode_slope(linear, encoded):
    return (encoded + 0.055) / (2.4 * linear) if linear > 0.0031308 else 12.92


@compiled
def _seen_from(matrix, axis, pixel):
    """The row that takes a point to its offset from the pixel along an axis, times its depth."""
    return (
        matrix[axis, 0] - pixel * matrix[2, 0],
        matrix[axis, 1] - pixel * matrix[2, 1],
        matrix[axis, 2] - pixel * matrix[2, 2],
        matrix[axis, 3] - pixel * matrix[2, 3],
    )


@compiled
def _offset(across, down, point):
    return _dot(across, point) + across[3], _dot(down, point) + down[3]


@compiled
def _barycentrics(ci, cj, ck):
    """Barycentrics and the inverse of the triangle's area."""
    wi = cj[0] * ck[1] - ck[0] * cj[1]
    wj = ck[0] * ci[1] - ci[0] * ck[1]
    wk = ci[0] * cj[1] - cj[0] * ci[1]
    inverse = 1.0 / (wi + wj + wk)
    return (wi * inverse, wj * inverse, wk * inverse), inverse


@compiled
def _light_at(light, position, normal, to_eye, upright, positions, references):
    """Direction, inverse distance, fall-off, n.l, l.v and r.v of a light; zeros where it is behind.

    `upright` is n.v. Such a light is sent away before its distance is asked for.
    """
    offset = _plus(_row(positions, light), position, -1.0)
    facing = _dot(normal, offset)
    if facing <= 0:
        return offset, 0.0, 0.0, 0.0, 0.0, 0.0
    toward = _dot(offset, to_eye)
    inverse = 1.0 / max(math.sqrt(_dot(offset, offset)), SMALLEST_LENGTH)
    falloff = (references[light] * inverse) ** 2 if references[light] > 0 else 1.0
    facing, toward = facing * inverse, toward * inverse
    return _scaled(offset, inverse), inverse, falloff, facing, toward, max(2 * facing * upright - toward, 0.0)


@compiled
def _light_sums(position, normal, to_eye, positions, irradiance, ambient, references, shininess, like):
    """Light for the diffuse and for the specular colour."""
    upright = _dot(normal, to_eye)
    diffuse_light = (ambient[0], ambient[1], ambient[2])
    specular_light = (0.0, 0.0, 0.0)
    for light in range(positions.shape[0]):
        _, _, falloff, facing, _, mirrored = _light_at(
            light, position, normal, to_eye, upright, positions, references
        )
        if facing > 0:
            arriving = _row(irradiance, light)
            diffuse_light = _plus(diffuse_light, arriving, falloff * facing)
            if mirrored > 0:
                highlight = _highlight(mirrored, shininess, like)
                specular_light = _plus(specular_light, arriving, falloff * highlight)
    return diffuse_light, specular_light


@compiled
def _specular(diffuse, constant):
    return constant * (1 - diffuse[0]), constant * (1 - diffuse[1]), constant * (1 - diffuse[2])


@compiled
def _shade_image(mesh, view, constants, ids, image, diffuses, slopes):
    """Shade the covered samples and put the pixels that hold any over the background in `image`.

    Args:
        mesh: vertices, normals and albedo [V, 3], triangles [T, 3].
        view: camera matrix [3, 4] for S times the pixels, eye [3]; of L lights positions [L, 3], irradiance
            [L, 3], ambient light [3], reference distances [L] with 0 for no fall-off. All float64.
        constants: specular constant, shininess, samples per axis S.
        ids: [H S, W S].
        image: [3, H, W] sRGB, changed in place.
        diffuses: [H S, W S, 3], filled for the backward pass with the linear diffuse colour.
        slopes: [3, H, W], filled for the backward pass with the derivative of the encoded by the linear
        image.
    """
    vertices, normals, albedo, triangles = mesh
    matrix, eye, positions, irradiance, ambient, references = view
    constant, shininess, samples = constants
    _, height, width = image.shape
    eye_position = (eye[0], eye[1], eye[2])
    share = 1.0 / (samples * samples)
    for row in range(height):
        for column in range(width):
            total, seen = (0.0, 0.0, 0.0), 0
            for y in range(row * samples, (row + 1) * samples):
                for x in range(column * samples, (column + 1) * samples):
                    t = ids[y, x]
                    if t < 0:
                        continue
                    seen += 1
                    i, j, k = triangles[t, 0], triangles[t, 1], triangles[t, 2]
                    vi, vj, vk = _row(vertices, i), _row(vertices, j), _row(vertices, k)
                    across, down = _seen_from(matrix, 0, x), _seen_from(matrix, 1, y)
                    weights, _ = _barycentrics(
                        _offset(across, down, vi), _offset(across, down, vj), _offset(across, down, vk)
                    )
                    position = _blend(weights, vi, vj, vk)
                    normal, _ = _unit(_blend(weights, _row(normals, i), _row(normals, j), _row(normals, k)))
                    colour = _blend(weights, _row(albedo, i), _row(albedo, j), _row(albedo, k))
                    diffuse = (
                        _decode(_clamped(colour[0]), image),
                        _decode(_clamped(colour[1]), image),
                        _decode(_clamped(colour[2]), image),
                    )
                    to_eye, _ = _unit(_plus(eye_position, position, -1.0))
                    diffuse_light, specular_light = _light_sums(
                        position, normal, to_eye, positions, irradiance, ambient, references, shininess, image
                    )
                    total = _plus(total, _times(diffuse, diffuse_light), share)
                    total = _plus(total, _times(_specular(diffuse, constant), specular_light), share)
                    diffuses[y, x, 0], diffuses[y, x, 1], diffuses[y, x, 2] = diffuse
            if seen == 0:
                continue
            unseen = (samples * samples - seen) * share
            for c in range(3):
                linear = total[c]
                if unseen > 0:
                    linear += unseen * _decode(_clamped(np.float64(image[c, row, column])), image)
                linear = _clamped(linear)
                encoded = _encode(linear, image)
                image[c, row, column] = encoded
                slopes[c, row, column] = _encode_slope(linear, encoded)


@compiled
def _shade_image_backward(
    mesh, view, constants, ids, diffuses, slopes, image_gradient, mesh_gradient, view_gradient, lights_too
):
    """Add to the gradients of vertices, normals, albedo and all parts of `view`, lights only on request."""
    vertices, normals, albedo, triangles = mesh
    matrix, eye, positions, irradiance, ambient, references = view
    constant, shininess, samples = constants
    vertices_gradient, normals_gradient, albedo_gradient = mesh_gradient
    matrix_gradient, eye_gradient, positions_gradient = view_gradient[:3]
    irradiance_gradient, ambient_gradient, references_gradient = view_gradient[3:]
    _, height, width = image_gradient.shape
    eye_position = (eye[0], eye[1], eye[2])
    share = 1.0 / (samples * samples)
    row = 0
    for y in range(height * samples):
        row = row + 1 if y == (row + 1) * samples else row
        column = 0
        for x in range(width * samples):
            column = column + 1 if x == (column + 1) * samples else column
            t = ids[y, x]
            if t < 0:
                continue
            gradient = (
                share * image_gradient[0, row, column] * slopes[0, row, column],
                share * image_gradient[1, row, column] * slopes[1, row, column],
                share * image_gradient[2, row, column] * slopes[2, row, column],
            )
            # The forward pass again.
            i, j, k = triangles[t, 0], triangles[t, 1], triangles[t, 2]
            vi, vj, vk = _row(vertices, i), _row(vertices, j), _row(vertices, k)
            ni, nj, nk = _row(normals, i), _row(normals, j), _row(normals, k)
            ai, aj, ak = _row(albedo, i), _row(albedo, j), _row(albedo, k)
            across, down = _seen_from(matrix, 0, x), _seen_from(matrix, 1, y)
            ci, cj, ck = _offset(across, down, vi), _offset(across, down, vj), _offset(across, down, vk)
            weights, inverse_area = _barycentrics(ci, cj, ck)
            position = _blend(weights, vi, vj, vk)
            normal, normal_inverse = _unit(_blend(weights, ni, nj, nk))
            colour = _blend(weights, ai, aj, ak)
            diffuse = (
                np.float64(diffuses[y, x, 0]),
                np.float64(diffuses[y, x, 1]),
                np.float64(diffuses[y, x, 2]),
            )
            to_eye, eye_inverse = _unit(_plus(eye_position, position, -1.0))
            # Lights.
            diffuse_light = (ambient[0], ambient[1], ambient[2])
            specular_light = (0.0, 0.0, 0.0)
            to_diffuse_light = _times(gradient, diffuse)
            to_specular_light = _times(gradient, _specular(diffuse, constant))
            to_normal, to_view, to_position = (0.0, 0.0, 0.0), (0.0, 0.0, 0.0), (0.0, 0.0, 0.0)
            upright, to_upright = _dot(normal, to_eye), 0.0
            for light in range(positions.shape[0]):
                direction, inverse, falloff, facing, toward, mirrored = _light_at(
                    light, position, normal, to_eye, upright, positions, references
                )
                if facing <= 0:
                    continue
                arriving = _scaled(_row(irradiance, light), falloff)
                diffuse_light = _plus(diffuse_light, arriving, facing)
                to_facing = _dot(to_diffuse_light, arriving)
                highlight, to_highlight, to_mirrored = 0.0, 0.0, 0.0
                if mirrored > 0:
                    highlight = _highlight(mirrored, shininess, image_gradient)
                    specular_light = _plus(specular_light, arriving, highlight)
                    to_highlight = _dot(to_specular_light, arriving)
                    to_mirrored = to_highlight * shininess * highlight / mirrored
                to_falloff = to_facing * facing + to_highlight * highlight  # times the fall-off
                to_upright += 2 * to_mirrored * facing
                to_facing += 2 * to_mirrored * upright
                to_normal = _plus(to_normal, direction, to_facing)
                to_view = _plus(to_view, direction, -to_mirrored)
                # Turning the light's direction; away from the light, only fall-off changes.
                along = to_facing * facing - to_mirrored * toward
                if references[light] > 0:
                    along += 2 * to_falloff
                to_light = _plus(_scaled(normal, to_facing), to_eye, -to_mirrored)
                to_light = _scaled(_plus(to_light, direction, -along), inverse)
                to_position = _plus(to_position, to_light, -1.0)
                if lights_too:
                    _add_to(irradiance_gradient, light, to_diffuse_light, falloff * facing)
                    _add_to(irradiance_gradient, light, to_specular_light, falloff * highlight)
                    _add_to(positions_gradient, light, to_light, 1.0)
                    if references[light] > 0:
                        references_gradient[light] += 2 * to_falloff / references[light]
            if lights_too:
                ambient_gradient[0] += to_diffuse_light[0]
                ambient_gradient[1] += to_diffuse_light[1]
                ambient_gradient[2] += to_diffuse_light[2]
            to_normal = _plus(to_normal, to_eye, to_upright)
            to_view = _plus(to_view, normal, to_upright)
            # Colour, normal and the line to the eye.
            to_diffuse = _times(gradient, _plus(diffuse_light, specular_light, -constant))
            to_colour = (
                to_diffuse[0] * _decode_slope(_clamped(colour[0]), diffuse[0]),
                to_diffuse[1] * _decode_slope(_clamped(colour[1]), diffuse[1]),
                to_diffuse[2] * _decode_slope(_clamped(colour[2]), diffuse[2]),
            )
            to_normal = _unit_backward(normal, normal_inverse, to_normal)
            to_view = _unit_backward(to_eye, eye_inverse, to_view)
            eye_gradient[0] += to_view[0]
            eye_gradient[1] += to_view[1]
            eye_gradient[2] += to_view[2]
            to_position = _plus(to_position, to_view, -1.0)
            # Interpolation.
            _add_to(normals_gradient, i, to_normal, weights[0])
            _add_to(normals_gradient, j, to_normal, weights[1])
            _add_to(normals_gradient, k, to_normal, weights[2])
            _add_to(albedo_gradient, i, to_colour, weights[0])
            _add_to(albedo_gradient, j, to_colour, weights[1])
            _add_to(albedo_gradient, k, to_colour, weights[2])
            # Barycentrics.
            bi = _dot(to_position, vi) + _dot(to_normal, ni) + _dot(to_colour, ai)
            bj = _dot(to_position, vj) + _dot(to_normal, nj) + _dot(to_colour, aj)
            bk = _dot(to_position, vk) + _dot(to_normal, nk) + _dot(to_colour, ak)
            mean = bi * weights[0] + bj * weights[1] + bk * weights[2]
            wi, wj, wk = (bi - mean) * inverse_area, (bj - mean) * inverse_area, (bk - mean) * inverse_area
            ui, uj, uk = wk * cj[1] - wj * ck[1], wi * ck[1] - wk * ci[1], wj * ci[1] - wi * cj[1]
            si, sj, sk = wj * ck[0] - wk * cj[0], wk * ci[0] - wi * ck[0], wi * cj[0] - wj * ci[0]
            # `across` and `down` are also the derivatives of a corner's offset from the pixel.
            to_vi = _plus(_plus(_scaled(to_position, weights[0]), across, ui), down, si)
            to_vj = _plus(_plus(_scaled(to_position, weights[1]), across, uj), down, sj)
            to_vk = _plus(_plus(_scaled(to_position, weights[2]), across, uk), down, sk)
            _add_to(vertices_gradient, i, to_vi, 1.0)
            _add_to(vertices_gradient, j, to_vj, 1.0)
            _add_to(vertices_gradient, k, to_vk, 1.0)
            u_sum, v_sum = _blend((ui, uj, uk), vi, vj, vk), _blend((si, sj, sk), vi, vj, vk)
            depth_sum = _plus(_scaled(u_sum, -x), v_sum, -y)
            _add_to(matrix_gradient, 0, u_sum, 1.0)
            _add_to(matrix_gradient, 1, v_sum, 1.0)
            _add_to(matrix_gradient, 2, depth_sum, 1.0)
            u, v = ui + uj + uk, si + sj + sk
            matrix_gradient[0, 3] += u
            matrix_gradient[1, 3] += v
            matrix_gradient[2, 3] -= x * u + y * v


# Slicing here rather than in Python saves a tenth of a millisecond an image.
@compiled
def _of_face(arrays, face):
    return arrays[0][face], arrays[1][face], arrays[2][face]


@compiled
def _of_view(arrays, face, view):
    matrices, eyes, positions, irradiance, ambient, references = arrays
    return (
        matrices[face, view],
        eyes[face, view],
        positions[face, view],
        irradiance[face, view],
        ambient[face, view],
        references[face, view],
    )


@compiled
def shade_view(meshes, triangles, views, constants, ids, images, diffuses, slopes, face, view):
    """`_shade_image` for one view of one face, of arrays for B faces in N views each."""
    vertices, normals, albedo = _of_face(meshes, face)
    scene, m = _of_view(views, face, view), face * views[0].shape[1] + view
    mesh = vertices, normals, albedo, triangles
    _shade_image(mesh, scene, constants, ids[m], images[m], diffuses[m], slopes[m])


@compiled
def shade_view_backward(
    meshes, triangles, views, constants, ids, diffuses, slopes, images_gradient,
    mesh_gradients, first, view_gradients, lights_too, face, view,
):  # fmt: skip
    """`_shade_image_backward` likewise; `mesh_gradients` [F, N, V, 3] begin with face `first`."""
    vertices, normals, albedo = _of_face(meshes, face)
    scene, m = _of_view(views, face, view), face * views[0].shape[1] + view
    mesh = vertices, normals, albedo, triangles
    of_vertices, of_normals, of_albedo = mesh_gradients
    mesh_gradient = (
        of_vertices[face - first, view],
        of_normals[face - first, view],
        of_albedo[face - first, view],
    )
    _shade_image_backward(
        mesh, scene, constants, ids[m], diffuses[m], slopes[m], images_gradient[m],
        mesh_gradient, _of_view(view_gradients, face, view), lights_too,
    )  # fmt: skip
