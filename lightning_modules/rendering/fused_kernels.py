"""Interpolation, Phong shading and their derivatives for one image, compiled.

The arithmetic of `barycentrics`, `shading.phong` and the renderer's plain path, which judge it in the tests,
in one pass over the covered samples. Vectors are tuples, which compile to registers; geometry is float64,
powers have the images' dtype. i, j, k are a triangle's corners.
"""

# ruff: noqa: ANN001, ANN201, ANN202 - kernels take and return arrays, scalars and triples of float64

import math

import numpy as np

from .compilation import compiled

SMALLEST_LENGTH = 1e-12  # as in torch.nn.functional.normalize


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
def _power(base, exponent, like):
    kind = like.dtype.type
    return np.float64(kind(base) ** kind(exponent))


@compiled
def _decode(encoded, like):
    if encoded > 0.04045:
        return _power((encoded + 0.055) / 1.055, 2.4, like)
    return encoded / 12.92


@compiled
def _decode_slope(encoded, linear):
    return 2.4 * linear / (encoded + 0.055) if encoded > 0.04045 else 1 / 12.92


@compiled
def _encode(linear, like):
    if linear > 0.0031308:
        return 1.055 * _power(linear, 1 / 2.4, like) - 0.055
    return 12.92 * linear


@compiled
def _encode_slope(linear, encoded):
    return (encoded + 0.055) / (2.4 * linear) if linear > 0.0031308 else 12.92


@compiled
def _in_pixel(matrix, point, x, y):
    """A corner seen from the pixel (x, y), whose ray is the depth axis, times its depth."""
    u = matrix[0, 0] * point[0] + matrix[0, 1] * point[1] + matrix[0, 2] * point[2] + matrix[0, 3]
    v = matrix[1, 0] * point[0] + matrix[1, 1] * point[1] + matrix[1, 2] * point[2] + matrix[1, 3]
    depth = matrix[2, 0] * point[0] + matrix[2, 1] * point[1] + matrix[2, 2] * point[2] + matrix[2, 3]
    return u - x * depth, v - y * depth


@compiled
def _barycentrics(ci, cj, ck):
    """Barycentrics and the inverse of the triangle's area."""
    wi = cj[0] * ck[1] - ck[0] * cj[1]
    wj = ck[0] * ci[1] - ci[0] * ck[1]
    wk = ci[0] * cj[1] - cj[0] * ci[1]
    inverse = 1.0 / (wi + wj + wk)
    return (wi * inverse, wj * inverse, wk * inverse), inverse


@compiled
def _light_at(light, position, normal, to_eye, positions, references):
    """Direction, inverse distance, fall-off, n.l and r.v of a light, the two 0 where unlit."""
    direction, inverse = _unit(_plus(_row(positions, light), position, -1.0))
    falloff = (references[light] * inverse) ** 2 if references[light] > 0 else 1.0
    facing = max(_dot(normal, direction), 0.0)
    mirrored = 0.0
    if facing > 0:
        mirrored = max(2 * facing * _dot(normal, to_eye) - _dot(direction, to_eye), 0.0)
    return direction, inverse, falloff, facing, mirrored


@compiled
def _light_sums(position, normal, to_eye, positions, irradiance, ambient, references, shininess, like):
    """Light for the diffuse and for the specular colour."""
    diffuse_light = (ambient[0], ambient[1], ambient[2])
    specular_light = (0.0, 0.0, 0.0)
    for light in range(positions.shape[0]):
        _, _, falloff, facing, mirrored = _light_at(light, position, normal, to_eye, positions, references)
        if facing > 0:
            arriving = _row(irradiance, light)
            diffuse_light = _plus(diffuse_light, arriving, falloff * facing)
            if mirrored > 0:
                highlight = _power(mirrored, shininess, like)
                specular_light = _plus(specular_light, arriving, falloff * highlight)
    return diffuse_light, specular_light


@compiled
def _specular(diffuse, constant):
    return constant * (1 - diffuse[0]), constant * (1 - diffuse[1]), constant * (1 - diffuse[2])


@compiled
def shade_image(mesh, view, constants, ids, image, diffuses, slopes):
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
                    weights, _ = _barycentrics(
                        _in_pixel(matrix, vi, x, y), _in_pixel(matrix, vj, x, y), _in_pixel(matrix, vk, x, y)
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
def shade_image_backward(
    mesh, view, constants, ids, diffuses, slopes, image_gradient, mesh_gradient, view_gradient
):
    """Add to the gradients of vertices, normals and albedo and of all parts of `view`, given the image's."""
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
            ci, cj, ck = (
                _in_pixel(matrix, vi, x, y),
                _in_pixel(matrix, vj, x, y),
                _in_pixel(matrix, vk, x, y),
            )
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
            for light in range(positions.shape[0]):
                direction, inverse, falloff, facing, mirrored = _light_at(
                    light, position, normal, to_eye, positions, references
                )
                if facing <= 0:
                    continue
                highlight = _power(mirrored, shininess, image_gradient) if mirrored > 0 else 0.0
                arriving = _row(irradiance, light)
                diffuse_light = _plus(diffuse_light, arriving, falloff * facing)
                specular_light = _plus(specular_light, arriving, falloff * highlight)
                to_arriving = _plus(_scaled(to_diffuse_light, facing), to_specular_light, highlight)
                _add_to(irradiance_gradient, light, to_arriving, falloff)
                to_falloff = _dot(to_arriving, arriving)
                to_facing = falloff * _dot(to_diffuse_light, arriving)
                to_direction = (0.0, 0.0, 0.0)
                if mirrored > 0:
                    to_mirrored = (
                        falloff * _dot(to_specular_light, arriving) * shininess * highlight / mirrored
                    )
                    upright = _dot(normal, to_eye)
                    to_facing += 2 * to_mirrored * upright
                    to_normal = _plus(to_normal, to_eye, 2 * to_mirrored * facing)
                    to_view = _plus(_plus(to_view, normal, 2 * to_mirrored * facing), direction, -to_mirrored)
                    to_direction = _scaled(to_eye, -to_mirrored)
                to_normal = _plus(to_normal, direction, to_facing)
                to_direction = _plus(to_direction, normal, to_facing)
                to_light = _unit_backward(direction, inverse, to_direction)
                if references[light] > 0:
                    to_light = _plus(to_light, direction, -2 * to_falloff * falloff * inverse)
                    references_gradient[light] += 2 * to_falloff * falloff / references[light]
                _add_to(positions_gradient, light, to_light, 1.0)
                to_position = _plus(to_position, to_light, -1.0)
            ambient_gradient[0] += to_diffuse_light[0]
            ambient_gradient[1] += to_diffuse_light[1]
            ambient_gradient[2] += to_diffuse_light[2]
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
            # The derivative of (u, v) in the pixel by the corner is these two rows.
            across = _plus(_row(matrix, 0), _row(matrix, 2), -x)
            down = _plus(_row(matrix, 1), _row(matrix, 2), -y)
            _add_to(
                vertices_gradient,
                i,
                _plus(_plus(_scaled(to_position, weights[0]), across, ui), down, si),
                1.0,
            )
            _add_to(
                vertices_gradient,
                j,
                _plus(_plus(_scaled(to_position, weights[1]), across, uj), down, sj),
                1.0,
            )
            _add_to(
                vertices_gradient,
                k,
                _plus(_plus(_scaled(to_position, weights[2]), across, uk), down, sk),
                1.0,
            )
            u_sum, v_sum = _blend((ui, uj, uk), vi, vj, vk), _blend((si, sj, sk), vi, vj, vk)
            depth_sum = _plus(_scaled(u_sum, -x), v_sum, -y)
            _add_to(matrix_gradient, 0, u_sum, 1.0)
            _add_to(matrix_gradient, 1, v_sum, 1.0)
            _add_to(matrix_gradient, 2, depth_sum, 1.0)
            u, v = ui + uj + uk, si + sj + sk
            matrix_gradient[0, 3] += u
            matrix_gradient[1, 3] += v
            matrix_gradient[2, 3] -= x * u + y * v
