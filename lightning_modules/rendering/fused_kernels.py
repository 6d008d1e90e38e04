"""Interpolation, Phong shading and their derivatives for one image, compiled.

The arithmetic of `barycentrics`, `shading.phong` and the renderer's plain path, which judge it in the tests.
Covered samples are gathered in blocks, and every step is a loop over a block that the compiler turns into
vector instructions: no branches, one value of a kind per row. A sample's corners and barycentrics are float64
(`wide`); all that follows has the images' dtype (`lanes`), and takes what is small as a difference, such as a
triangle's edges, from the float64 side. i, j, k are a triangle's corners.
"""

# ruff: noqa: ANN001, ANN201, ANN202 - kernels take and return arrays, scalars and triples of scalars

import math
from functools import partial

import numpy as np
from numpy.polynomial import chebyshev

from . import compilation

compiled = partial(compilation.compiled, contract=True)

BLOCK = 64  # samples; its rows stay in the fastest cache
SMALLEST_LENGTH = 1e-12  # as in torch.nn.functional.normalize

# Rows of `wide`: the corners' places.
VERTICES_I, VERTICES_J, VERTICES_K, WIDE_ROWS = 0, 3, 6, 9
# Rows of `lanes`; the compiler proves no bounds of sums of these, so each has a name. The pixel; what its
# corners hold.
PIXEL_X, PIXEL_Y, NORMAL_I, ALBEDO_I, NORMAL_J, ALBEDO_J, NORMAL_K, ALBEDO_K = 0, 1, 2, 5, 8, 11, 14, 17
# Barycentrics, the inverse of the area that they were divided by, the corners' offsets, two edges.
WEIGHTS, INVERSE_AREA, OFFSETS_X, OFFSETS_Y, EDGE_J, EDGE_K = 20, 23, 24, 27, 30, 33
# The surface: place, normal, the inverse of its length before, albedo, its linear colour, the slope of that.
POSITION, NORMAL, NORMAL_INVERSE, COLOUR, DIFFUSE, DIFFUSE_SLOPE = 36, 39, 42, 43, 46, 49
# To the eye, inverse distance, n.v, and all light for the diffuse and for the specular colour.
TO_EYE, EYE_INVERSE, UPRIGHT, DIFFUSE_LIGHT, SPECULAR_LIGHT = 52, 55, 56, 57, 60
# One light: direction, inverse distance, fall-off, n.l, l.v, r.v, (r.v)^(shininess - 1), squares on the way.
DIRECTION, INVERSE, FALLOFF, FACING, TOWARD, MIRRORED, POWER, SQUARE = 63, 66, 67, 68, 69, 70, 71, 72
# What is seen, in rows that are then no longer needed: linear light, the same as sRGB, the slope of sRGB.
LINEAR, ENCODED, ENCODED_SLOPE, FORWARD_ROWS = 57, 60, 43, 73
# Gradients: by the linear image, by the light's place and its fall-off; then by the rows above.
GRADIENT, OF_LIGHT, OF_FALLOFF, OF_NORMAL, OF_EYE, OF_POSITION = 73, 76, 79, 80, 83, 86
OF_UPRIGHT, OF_COLOUR, OF_OFFSETS_X, OF_OFFSETS_Y, OF_I, OF_J, OF_K = 89, 90, 93, 96, 99, 102, 105
BACKWARD_ROWS = 108
# Rows of `sums`, float64 and over all blocks: gradients by the camera's rows, their shifts and its place.
OF_ROW_X, OF_ROW_Y, OF_ROW_Z, OF_SHIFT, OF_CENTRE, CAMERA_ROWS = 0, 3, 6, 9, 12, 15


def _polynomial(function, low, high):
    """Twelve coefficients, highest first, of a function between two bounds that are mapped to -1 and 1."""
    fitted = chebyshev.chebinterpolate(lambda z: function((low + high) / 2 + z * (high - low) / 2), 11)
    return tuple(float(c) for c in chebyshev.cheb2poly(fitted)[::-1])


# sRGB's powers for float32 images, of a root that straightens them: their relative error is below 2e-8, under
# half of what float32 resolves. A call of `pow` takes ten times as long.
DECODE_LOW, ENCODE_LOW = ((0.04045 + 0.055) / 1.055) ** 0.5, 0.0031308**0.25
DECODE_POWER = _polynomial(lambda s: s**0.8, DECODE_LOW, 1.0)  # u^2.4 = u^2 s^0.8 with s = sqrt(u)
ENCODE_POWER = _polynomial(lambda q: q ** (5 / 3), ENCODE_LOW, 1.0)  # u^(1/2.4), q the fourth root of u


@compiled
def _get(lanes, row, p):
    return lanes[row * BLOCK + p], lanes[(row + 1) * BLOCK + p], lanes[(row + 2) * BLOCK + p]


@compiled
def _put(lanes, row, p, vector):
    lanes[row * BLOCK + p] = vector[0]
    lanes[(row + 1) * BLOCK + p] = vector[1]
    lanes[(row + 2) * BLOCK + p] = vector[2]


@compiled
def _triple(array, kind):
    return kind(array[0]), kind(array[1]), kind(array[2])


@compiled
def _rows(matrix, kind):
    """A camera matrix as three rows for points and the shift of each; an array would hold up the compiler."""
    rows = _triple(matrix[0], kind), _triple(matrix[1], kind), _triple(matrix[2], kind)
    return rows, (kind(matrix[0, 3]), kind(matrix[1, 3]), kind(matrix[2, 3]))


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
def _minus(a, b):
    return a[0] - b[0], a[1] - b[1], a[2] - b[2]


@compiled
def _blend(weights, a, b, c):
    return _plus(_plus(_scaled(a, weights[0]), b, weights[1]), c, weights[2])


@compiled
def _unit(a, kind):
    inverse = kind(1) / max(math.sqrt(_dot(a, a)), kind(SMALLEST_LENGTH))
    return _scaled(a, inverse), inverse


@compiled
def _unit_backward(direction, inverse, gradient):
    return _scaled(_plus(gradient, direction, -_dot(direction, gradient)), inverse)


@compiled
def _cubic(a, b, c, d, place, kind):
    return ((kind(a) * place + kind(b)) * place + kind(c)) * place + kind(d)


@compiled
def _polynomial_at(c, place, kind):
    square = place * place
    fourth = square * square
    high, middle = _cubic(c[0], c[1], c[2], c[3], place, kind), _cubic(c[4], c[5], c[6], c[7], place, kind)
    return (high * fourth + middle) * fourth + _cubic(c[8], c[9], c[10], c[11], place, kind)


@compiled
def _decode(encoded, linear, slopes):
    """Decode to linear light values that are clamped to [0, 1], and its derivative as if they were not."""
    kind = encoded.dtype.type
    for p in range(encoded.size):
        value = min(max(encoded[p], kind(0)), kind(1))
        base = (max(value, kind(0.04045)) + kind(0.055)) * kind(1 / 1.055)
        if encoded.itemsize == 4:
            root = math.sqrt(base)
            place = (root - kind((1 + DECODE_LOW) / 2)) * kind(2 / (1 - DECODE_LOW))
            power = base * _polynomial_at(DECODE_POWER, place, kind)
        else:
            power = base ** kind(1.4)
        curved = value > kind(0.04045)
        linear[p] = base * power if curved else value * kind(1 / 12.92)
        slopes[p] = kind(2.4 / 1.055) * power if curved else kind(1 / 12.92)


@compiled
def _encode(linear, encoded, slopes):
    """Encode, as sRGB, linear light that is clamped to [0, 1], and its derivative as if it were not."""
    kind = linear.dtype.type
    for p in range(linear.size):
        value = min(max(linear[p], kind(0)), kind(1))
        base = max(value, kind(0.0031308))
        if linear.itemsize == 4:
            root = math.sqrt(math.sqrt(base))
            place = (root - kind((1 + ENCODE_LOW) / 2)) * kind(2 / (1 - ENCODE_LOW))
            power = kind(1.055) * _polynomial_at(ENCODE_POWER, place, kind)
        else:
            power = kind(1.055) * base ** kind(1 / 2.4)
        curved = value > kind(0.0031308)
        encoded[p] = power - kind(0.055) if curved else kind(12.92) * value
        slopes[p] = power / (kind(2.4) * base) if curved else kind(12.92)


@compiled
def _find(ids, start, samples, block):
    """Gather the next covered samples from `start` on, row by row; returns their count and the next start.

    Indices that do not come from `range` are unsigned, here and below: numba asks of every other whether it
    counts from the end.
    """
    found, pixels, lanes = block
    width, flat, count = ids.shape[1], ids.reshape(-1), np.uintp(0)
    while start < flat.size and count < BLOCK:
        end = min(start + BLOCK - np.intp(count), flat.size)
        for place in range(start, end):
            found[count] = place
            count += np.uintp(flat[place] >= 0)
        start = end
    n, rows = np.intp(count), 1.0 / width
    for p in range(n):
        lanes[PIXEL_Y * BLOCK + p] = np.floor((found[p] + 0.5) * rows)
    for p in range(n):
        pixels[p] = found[p]
        lanes[PIXEL_X * BLOCK + p] = found[p] - np.float64(lanes[PIXEL_Y * BLOCK + p]) * width
    if samples > 1:
        for p in range(n):
            x, y = np.intp(lanes[PIXEL_X * BLOCK + p]), np.intp(lanes[PIXEL_Y * BLOCK + p])
            pixels[p] = (y // samples) * (width // samples) + x // samples
    for p in range(n):
        found[p] = flat[np.uint32(found[p])]
    return n, start


@compiled
def _gather(mesh, triangles, found, corners, wide, lanes, n):
    vertices, normals, albedo = mesh
    for p in range(n):
        t = np.uint32(found[p])
        i, j, k = np.uint32(triangles[t, 0]), np.uint32(triangles[t, 1]), np.uint32(triangles[t, 2])
        corners[p], corners[BLOCK + p], corners[2 * BLOCK + p] = i, j, k
        _put(wide, VERTICES_I, p, _triple(vertices[i], np.float64))
        _put(wide, VERTICES_J, p, _triple(vertices[j], np.float64))
        _put(wide, VERTICES_K, p, _triple(vertices[k], np.float64))
        _put(lanes, NORMAL_I, p, normals[i])
        _put(lanes, NORMAL_J, p, normals[j])
        _put(lanes, NORMAL_K, p, normals[k])
        _put(lanes, ALBEDO_I, p, albedo[i])
        _put(lanes, ALBEDO_J, p, albedo[j])
        _put(lanes, ALBEDO_K, p, albedo[k])


@compiled
def _locate(rows, wide, lanes, n):
    """Barycentrics, place and edges, from float64."""
    (row_x, row_y, row_z), (shift_x, shift_y, shift_z) = rows
    for p in range(n):
        x, y = np.float64(lanes[PIXEL_X * BLOCK + p]), np.float64(lanes[PIXEL_Y * BLOCK + p])
        # These take a point to its offset from the pixel, times its depth.
        across, across_shift = _plus(row_x, row_z, -x), shift_x - x * shift_z
        down, down_shift = _plus(row_y, row_z, -y), shift_y - y * shift_z
        vi, vj, vk = _get(wide, VERTICES_I, p), _get(wide, VERTICES_J, p), _get(wide, VERTICES_K, p)
        xi, yi = _dot(across, vi) + across_shift, _dot(down, vi) + down_shift
        xj, yj = _dot(across, vj) + across_shift, _dot(down, vj) + down_shift
        xk, yk = _dot(across, vk) + across_shift, _dot(down, vk) + down_shift
        wi, wj, wk = xj * yk - xk * yj, xk * yi - xi * yk, xi * yj - xj * yi
        inverse = 1.0 / (wi + wj + wk)
        weights = wi * inverse, wj * inverse, wk * inverse
        _put(lanes, WEIGHTS, p, weights)
        lanes[INVERSE_AREA * BLOCK + p] = inverse
        _put(lanes, OFFSETS_X, p, (xi, xj, xk))
        _put(lanes, OFFSETS_Y, p, (yi, yj, yk))
        _put(lanes, EDGE_J, p, _minus(vj, vi))
        _put(lanes, EDGE_K, p, _minus(vk, vi))
        _put(lanes, POSITION, p, _blend(weights, vi, vj, vk))


@compiled
def _interpolate(eye, ambient, lanes, n):
    """Normal, colour and the line to the eye; the sums over lights begin."""
    kind = lanes.dtype.type
    for p in range(n):
        weights = _get(lanes, WEIGHTS, p)
        normal, inverse = _unit(
            _blend(weights, _get(lanes, NORMAL_I, p), _get(lanes, NORMAL_J, p), _get(lanes, NORMAL_K, p)),
            kind,
        )
        _put(lanes, NORMAL, p, normal)
        lanes[NORMAL_INVERSE * BLOCK + p] = inverse
        to_eye, inverse = _unit(_minus(eye, _get(lanes, POSITION, p)), kind)
        _put(lanes, TO_EYE, p, to_eye)
        lanes[EYE_INVERSE * BLOCK + p] = inverse
        lanes[UPRIGHT * BLOCK + p] = _dot(normal, to_eye)
        colours = _get(lanes, ALBEDO_I, p), _get(lanes, ALBEDO_J, p), _get(lanes, ALBEDO_K, p)
        _put(lanes, COLOUR, p, _blend(weights, colours[0], colours[1], colours[2]))
        _put(lanes, DIFFUSE_LIGHT, p, ambient)
        _put(lanes, SPECULAR_LIGHT, p, (kind(0), kind(0), kind(0)))
    _decode(
        lanes[COLOUR * BLOCK : (COLOUR + 3) * BLOCK],
        lanes[DIFFUSE * BLOCK : (DIFFUSE + 3) * BLOCK],
        lanes[DIFFUSE_SLOPE * BLOCK : (DIFFUSE_SLOPE + 3) * BLOCK],
    )


@compiled
def _meet(place, reference, shininess, lanes, n):
    """How a light stands to the surface; n.l and r.v are zero where it is behind."""
    kind = lanes.dtype.type
    for p in range(n):
        normal, to_eye = _get(lanes, NORMAL, p), _get(lanes, TO_EYE, p)
        direction, inverse = _unit(_minus(place, _get(lanes, POSITION, p)), kind)
        facing, toward = max(_dot(normal, direction), kind(0)), _dot(direction, to_eye)
        mirrored = max((facing + facing) * lanes[UPRIGHT * BLOCK + p] - toward, kind(0))
        _put(lanes, DIRECTION, p, direction)
        lanes[INVERSE * BLOCK + p] = inverse
        lanes[FALLOFF * BLOCK + p] = (
            (reference * inverse) * (reference * inverse) if reference > 0 else kind(1)
        )
        lanes[FACING * BLOCK + p] = facing
        lanes[TOWARD * BLOCK + p] = toward
        lanes[MIRRORED * BLOCK + p] = mirrored if facing > kind(0) else kind(0)
    _raise(shininess - 1, lanes, n)


@compiled
def _raise(exponent, lanes, n):
    """A power of r.v, zero where r.v is; by squaring if the exponent is whole."""
    kind = lanes.dtype.type
    for p in range(n):
        mirrored = lanes[MIRRORED * BLOCK + p]
        lanes[POWER * BLOCK + p] = kind(1) if mirrored > kind(0) else kind(0)
        lanes[SQUARE * BLOCK + p] = mirrored
    if exponent != math.floor(exponent):
        for p in range(n):
            if lanes[MIRRORED * BLOCK + p] > 0:
                lanes[POWER * BLOCK + p] = lanes[MIRRORED * BLOCK + p] ** kind(exponent)
        return
    left = int(exponent)
    while left > 0:
        if left & 1:
            for p in range(n):
                lanes[POWER * BLOCK + p] *= lanes[SQUARE * BLOCK + p]
        left >>= 1
        for p in range(n):
            lanes[SQUARE * BLOCK + p] *= lanes[SQUARE * BLOCK + p]


@compiled
def _light(irradiance, lanes, n):
    """Add a light to the sums."""
    for p in range(n):
        arriving = _scaled(irradiance, lanes[FALLOFF * BLOCK + p])
        highlight = lanes[POWER * BLOCK + p] * lanes[MIRRORED * BLOCK + p]
        diffuse_light = _plus(_get(lanes, DIFFUSE_LIGHT, p), arriving, lanes[FACING * BLOCK + p])
        _put(lanes, DIFFUSE_LIGHT, p, diffuse_light)
        _put(lanes, SPECULAR_LIGHT, p, _plus(_get(lanes, SPECULAR_LIGHT, p), arriving, highlight))


@compiled
def _specular(diffuse, constant):
    return (
        constant - constant * diffuse[0],
        constant - constant * diffuse[1],
        constant - constant * diffuse[2],
    )


@compiled
def _reflect(constant, lanes, n):
    """Linear light towards the eye."""
    for p in range(n):
        diffuse = _get(lanes, DIFFUSE, p)
        light = _times(diffuse, _get(lanes, DIFFUSE_LIGHT, p))
        shine = _times(_specular(diffuse, constant), _get(lanes, SPECULAR_LIGHT, p))
        _put(lanes, LINEAR, p, (light[0] + shine[0], light[1] + shine[1], light[2] + shine[2]))


@compiled
def _shade_image(mesh, triangles, view, constants, ids, image, slopes):
    """Shade the covered samples and put the pixels that hold any over the background in `image`.

    Args:
        mesh: vertices, normals and albedo [V, 3].
        triangles: [T, 3].
        view: camera matrix [3, 4] for S times the pixels, eye [3]; of L lights positions [L, 3], irradiance
            [L, 3], ambient light [3], reference distances [L] with 0 for no fall-off. All float64.
        constants: specular constant, shininess, samples per axis S.
        ids: [H S, W S].
        image: [3, H W] sRGB, changed in place.
        slopes: [3, H W], filled for the backward pass with the derivative of the encoded by the linear image
            where a pixel holds a sample.
    """
    matrix, eye, positions, irradiance, ambient, references = view
    constant, shininess, samples = constants
    kind = image.dtype.type
    lanes, wide = np.zeros(FORWARD_ROWS * BLOCK, image.dtype), np.zeros(WIDE_ROWS * BLOCK)
    found, pixels = np.zeros(BLOCK, np.int32), np.zeros(BLOCK, np.int32)
    corners = np.zeros(3 * BLOCK, np.int32)
    seen = np.zeros(image.shape[1], image.dtype)
    if samples > 1:
        slopes[:] = 0  # until `_resolve`, a place for the linear image
    eye, ambient, start = _triple(eye, kind), _triple(ambient, kind), 0
    while start < ids.size:
        n, start = _find(ids, start, samples, (found, pixels, lanes))
        _gather(mesh, triangles, found, corners, wide, lanes, n)
        _locate(_rows(matrix, np.float64), wide, lanes, n)
        _interpolate(eye, ambient, lanes, n)
        for light in range(positions.shape[0]):
            _meet(_triple(positions[light], kind), kind(references[light]), shininess, lanes, n)
            _light(_triple(irradiance[light], kind), lanes, n)
        _reflect(kind(constant), lanes, n)
        if samples == 1:
            _place(pixels, lanes, n, image, slopes)
        else:
            _collect(pixels, lanes, n, seen, slopes)
    if samples > 1:
        _resolve(seen, kind(1 / (samples * samples)), ids.shape[1] // samples, image, slopes)


@compiled
def _place(pixels, lanes, n, image, slopes):
    """Encode samples that are pixels, and put them where they are seen."""
    _encode(
        lanes[LINEAR * BLOCK : (LINEAR + 3) * BLOCK],
        lanes[ENCODED * BLOCK : (ENCODED + 3) * BLOCK],
        lanes[ENCODED_SLOPE * BLOCK : (ENCODED_SLOPE + 3) * BLOCK],
    )
    for p in range(n):
        for c in range(3):
            image[c, np.uint32(pixels[p])] = lanes[(ENCODED + c) * BLOCK + p]
            slopes[c, np.uint32(pixels[p])] = lanes[(ENCODED_SLOPE + c) * BLOCK + p]


@compiled
def _collect(pixels, lanes, n, seen, linear):
    """Add samples up in their pixels, and count them."""
    kind = linear.dtype.type
    for p in range(n):
        seen[pixels[p]] += kind(1)
        for c in range(3):
            linear[c, pixels[p]] += lanes[(LINEAR + c) * BLOCK + p]


@compiled
def _resolve(seen, share, width, image, slopes):
    """Average samples, put background behind those that see nothing, encode, row by row."""
    kind = image.dtype.type
    linear, behind, spare = (
        np.empty(width, image.dtype),
        np.empty(width, image.dtype),
        np.empty(width, image.dtype),
    )
    for c in range(3):
        for first in range(0, seen.size, width):
            row, slope, covered = (
                image[c, first : first + width],
                slopes[c, first : first + width],
                seen[first : first + width],
            )
            _decode(row, behind, spare)
            for p in range(width):
                linear[p] = share * slope[p] + (kind(1) - share * covered[p]) * behind[p]
            _encode(linear, behind, slope)
            for p in range(width):
                row[p] = behind[p] if covered[p] > 0 else row[p]


@compiled
def _begin_backward(pixels, share, image_gradient, slopes, lanes, n):
    kind = lanes.dtype.type
    for p in range(n):
        for c in range(3):
            slope = share * slopes[c, np.uint32(pixels[p])]
            lanes[(GRADIENT + c) * BLOCK + p] = slope * image_gradient[c, np.uint32(pixels[p])]
    for at in range(OF_NORMAL * BLOCK, (OF_UPRIGHT + 1) * BLOCK):
        lanes[at] = kind(0)


@compiled
def _light_backward(irradiance, reference, constant, shininess, lanes, n):
    """Gradients through one light, added to those of the surface; `_light` on the way."""
    kind = lanes.dtype.type
    falls_off = kind(2) if reference > 0 else kind(0)
    for p in range(n):
        normal, to_eye, direction = _get(lanes, NORMAL, p), _get(lanes, TO_EYE, p), _get(lanes, DIRECTION, p)
        facing, mirrored, power = (
            lanes[FACING * BLOCK + p],
            lanes[MIRRORED * BLOCK + p],
            lanes[POWER * BLOCK + p],
        )
        gradient, diffuse = _get(lanes, GRADIENT, p), _get(lanes, DIFFUSE, p)
        arriving = _scaled(irradiance, lanes[FALLOFF * BLOCK + p])
        _put(lanes, DIFFUSE_LIGHT, p, _plus(_get(lanes, DIFFUSE_LIGHT, p), arriving, facing))
        _put(lanes, SPECULAR_LIGHT, p, _plus(_get(lanes, SPECULAR_LIGHT, p), arriving, power * mirrored))
        of_facing = _dot(_times(gradient, diffuse), arriving) if facing > kind(0) else kind(0)
        of_highlight = _dot(_times(gradient, _specular(diffuse, constant)), arriving)
        of_mirrored = of_highlight * shininess * power
        of_falloff = of_facing * facing + of_highlight * power * mirrored  # times the fall-off
        lanes[OF_FALLOFF * BLOCK + p] = of_falloff
        lanes[OF_UPRIGHT * BLOCK + p] += (of_mirrored + of_mirrored) * facing
        of_facing += (of_mirrored + of_mirrored) * lanes[UPRIGHT * BLOCK + p]
        _put(lanes, OF_NORMAL, p, _plus(_get(lanes, OF_NORMAL, p), direction, of_facing))
        _put(lanes, OF_EYE, p, _plus(_get(lanes, OF_EYE, p), direction, -of_mirrored))
        # Turning the light's direction; away from the light, only fall-off changes.
        along = of_facing * facing - of_mirrored * lanes[TOWARD * BLOCK + p] + falls_off * of_falloff
        of_light = _plus(_plus(_scaled(normal, of_facing), to_eye, -of_mirrored), direction, -along)
        of_light = _scaled(of_light, lanes[INVERSE * BLOCK + p])
        _put(lanes, OF_LIGHT, p, of_light)
        _put(lanes, OF_POSITION, p, _minus(_get(lanes, OF_POSITION, p), of_light))


@compiled
def _surface_backward(constant, lanes, n):
    """From the surface to what was interpolated: place, normal before its length, albedo."""
    for p in range(n):
        normal, to_eye = _get(lanes, NORMAL, p), _get(lanes, TO_EYE, p)
        of_upright = lanes[OF_UPRIGHT * BLOCK + p]
        of_normal = _plus(_get(lanes, OF_NORMAL, p), to_eye, of_upright)
        of_eye = _plus(_get(lanes, OF_EYE, p), normal, of_upright)
        of_eye = _unit_backward(to_eye, lanes[EYE_INVERSE * BLOCK + p], of_eye)
        _put(lanes, OF_NORMAL, p, _unit_backward(normal, lanes[NORMAL_INVERSE * BLOCK + p], of_normal))
        _put(lanes, OF_EYE, p, of_eye)
        _put(lanes, OF_POSITION, p, _minus(_get(lanes, OF_POSITION, p), of_eye))
        light = _plus(_get(lanes, DIFFUSE_LIGHT, p), _get(lanes, SPECULAR_LIGHT, p), -constant)
        of_diffuse = _times(_get(lanes, GRADIENT, p), light)
        _put(lanes, OF_COLOUR, p, _times(of_diffuse, _get(lanes, DIFFUSE_SLOPE, p)))


@compiled
def _barycentrics_backward(rows, lanes, n):
    """From what was interpolated to the corners' places."""
    (row_x, row_y, row_z), _ = rows
    for p in range(n):
        weights, inverse = _get(lanes, WEIGHTS, p), lanes[INVERSE_AREA * BLOCK + p]
        of_position, of_normal, of_colour = (
            _get(lanes, OF_POSITION, p), _get(lanes, OF_NORMAL, p), _get(lanes, OF_COLOUR, p)
        )  # fmt: skip
        # Weights sum to one, so only the corners' differences count.
        ni, ai = _get(lanes, NORMAL_I, p), _get(lanes, ALBEDO_I, p)
        of_wj = _dot(of_position, _get(lanes, EDGE_J, p)) + _dot(
            of_normal, _minus(_get(lanes, NORMAL_J, p), ni)
        )
        of_wj += _dot(of_colour, _minus(_get(lanes, ALBEDO_J, p), ai))
        of_wk = _dot(of_position, _get(lanes, EDGE_K, p)) + _dot(
            of_normal, _minus(_get(lanes, NORMAL_K, p), ni)
        )
        of_wk += _dot(of_colour, _minus(_get(lanes, ALBEDO_K, p), ai))
        of_wi = -(weights[1] * of_wj + weights[2] * of_wk)
        wi, wj, wk = of_wi * inverse, (of_wj + of_wi) * inverse, (of_wk + of_wi) * inverse
        (xi, xj, xk), (yi, yj, yk) = _get(lanes, OFFSETS_X, p), _get(lanes, OFFSETS_Y, p)
        of_x = wk * yj - wj * yk, wi * yk - wk * yi, wj * yi - wi * yj
        of_y = wj * xk - wk * xj, wk * xi - wi * xk, wi * xj - wj * xi
        _put(lanes, OF_OFFSETS_X, p, of_x)
        _put(lanes, OF_OFFSETS_Y, p, of_y)
        across, down = (
            _plus(row_x, row_z, -lanes[PIXEL_X * BLOCK + p]),
            _plus(row_y, row_z, -lanes[PIXEL_Y * BLOCK + p]),
        )
        _put(lanes, OF_I, p, _plus(_plus(_scaled(of_position, weights[0]), across, of_x[0]), down, of_y[0]))
        _put(lanes, OF_J, p, _plus(_plus(_scaled(of_position, weights[1]), across, of_x[1]), down, of_y[1]))
        _put(lanes, OF_K, p, _plus(_plus(_scaled(of_position, weights[2]), across, of_x[2]), down, of_y[2]))


@compiled
def _add_to(array, index, vector, scale):
    array[index, 0] += scale * vector[0]
    array[index, 1] += scale * vector[1]
    array[index, 2] += scale * vector[2]


@compiled
def _scatter(mesh_gradient, corners, lanes, n):
    of_vertices, of_normals, of_albedo = mesh_gradient
    one = lanes.dtype.type(1)
    for p in range(n):
        i, j, k = np.uint32(corners[p]), np.uint32(corners[BLOCK + p]), np.uint32(corners[2 * BLOCK + p])
        weights, normal, colour = (
            _get(lanes, WEIGHTS, p),
            _get(lanes, OF_NORMAL, p),
            _get(lanes, OF_COLOUR, p),
        )
        _add_to(of_vertices, i, _get(lanes, OF_I, p), one)
        _add_to(of_vertices, j, _get(lanes, OF_J, p), one)
        _add_to(of_vertices, k, _get(lanes, OF_K, p), one)
        _add_to(of_normals, i, normal, weights[0])
        _add_to(of_normals, j, normal, weights[1])
        _add_to(of_normals, k, normal, weights[2])
        _add_to(of_albedo, i, colour, weights[0])
        _add_to(of_albedo, j, colour, weights[1])
        _add_to(of_albedo, k, colour, weights[2])


@compiled
def _add_light(light, reference, constant, lanes, n, gradients):
    positions_gradient, irradiance_gradient, references_gradient = gradients
    for p in range(n):
        gradient, diffuse = _get(lanes, GRADIENT, p), _get(lanes, DIFFUSE, p)
        of_diffuse, of_specular = _times(gradient, diffuse), _times(gradient, _specular(diffuse, constant))
        falloff, facing = np.float64(lanes[FALLOFF * BLOCK + p]), np.float64(lanes[FACING * BLOCK + p])
        highlight = np.float64(lanes[POWER * BLOCK + p] * lanes[MIRRORED * BLOCK + p])
        for c in range(3):
            positions_gradient[light, c] += lanes[(OF_LIGHT + c) * BLOCK + p]
            irradiance_gradient[light, c] += falloff * (facing * of_diffuse[c] + highlight * of_specular[c])
        if reference > 0:
            references_gradient[light] += 2 * np.float64(lanes[OF_FALLOFF * BLOCK + p]) / reference


@compiled
def _add_ambient(lanes, n, ambient_gradient):
    for p in range(n):
        of_light = _times(_get(lanes, GRADIENT, p), _get(lanes, DIFFUSE, p))
        for c in range(3):
            ambient_gradient[c] += of_light[c]


@compiled
def _add_camera(wide, lanes, n, sums):
    """Add to each lane's sums of the camera's gradients; one sum of all lanes would hold up the next."""
    for p in range(n):
        x, y = np.float64(lanes[PIXEL_X * BLOCK + p]), np.float64(lanes[PIXEL_Y * BLOCK + p])
        vi, vj, vk = _get(wide, VERTICES_I, p), _get(wide, VERTICES_J, p), _get(wide, VERTICES_K, p)
        of_x, of_y = (
            _triple(_get(lanes, OF_OFFSETS_X, p), np.float64),
            _triple(_get(lanes, OF_OFFSETS_Y, p), np.float64),
        )
        along_x, along_y = _blend(of_x, vi, vj, vk), _blend(of_y, vi, vj, vk)
        sum_x, sum_y = of_x[0] + of_x[1] + of_x[2], of_y[0] + of_y[1] + of_y[2]
        of_row_z = _plus(_scaled(along_x, -x), along_y, -y)
        of_eye = _triple(_get(lanes, OF_EYE, p), np.float64)
        _put(sums, OF_ROW_X, p, _plus(_get(sums, OF_ROW_X, p), along_x, 1.0))
        _put(sums, OF_ROW_Y, p, _plus(_get(sums, OF_ROW_Y, p), along_y, 1.0))
        _put(sums, OF_ROW_Z, p, _plus(_get(sums, OF_ROW_Z, p), of_row_z, 1.0))
        _put(sums, OF_SHIFT, p, _plus(_get(sums, OF_SHIFT, p), (sum_x, sum_y, -x * sum_x - y * sum_y), 1.0))
        _put(sums, OF_CENTRE, p, _plus(_get(sums, OF_CENTRE, p), of_eye, 1.0))


@compiled
def _sum_lanes(sums, matrix_gradient, eye_gradient):
    for p in range(BLOCK):
        for c in range(3):
            matrix_gradient[0, c] += sums[(OF_ROW_X + c) * BLOCK + p]
            matrix_gradient[1, c] += sums[(OF_ROW_Y + c) * BLOCK + p]
            matrix_gradient[2, c] += sums[(OF_ROW_Z + c) * BLOCK + p]
            matrix_gradient[c, 3] += sums[(OF_SHIFT + c) * BLOCK + p]
            eye_gradient[c] += sums[(OF_CENTRE + c) * BLOCK + p]


@compiled
def _shade_image_backward(
    mesh, triangles, view, constants, ids, slopes, image_gradient, mesh_gradient, view_gradient, asked
):
    """Add to the gradients of the mesh and, where asked, of the camera and of the lights of `view`."""
    matrix, eye, positions, irradiance, ambient, references = view
    of_matrix, of_eye, of_positions, of_irradiance, of_ambient, of_references = view_gradient
    (constant, shininess, samples), (of_camera_too, of_lights_too) = constants, asked
    kind = slopes.dtype.type
    lanes, wide = np.zeros(BACKWARD_ROWS * BLOCK, slopes.dtype), np.zeros(WIDE_ROWS * BLOCK)
    sums = np.zeros(CAMERA_ROWS * BLOCK)
    found, pixels = np.zeros(BLOCK, np.int32), np.zeros(BLOCK, np.int32)
    corners = np.zeros(3 * BLOCK, np.int32)
    constant, eye, ambient, start = kind(constant), _triple(eye, kind), _triple(ambient, kind), 0
    while start < ids.size:
        n, start = _find(ids, start, samples, (found, pixels, lanes))
        _gather(mesh, triangles, found, corners, wide, lanes, n)
        _locate(_rows(matrix, np.float64), wide, lanes, n)
        _interpolate(eye, ambient, lanes, n)
        _begin_backward(pixels, kind(1 / (samples * samples)), image_gradient, slopes, lanes, n)
        for light in range(positions.shape[0]):
            reference = kind(references[light])
            _meet(_triple(positions[light], kind), reference, shininess, lanes, n)
            _light_backward(_triple(irradiance[light], kind), reference, constant, kind(shininess), lanes, n)
            if of_lights_too:
                _add_light(light, reference, constant, lanes, n, (of_positions, of_irradiance, of_references))
        _surface_backward(constant, lanes, n)
        _barycentrics_backward(_rows(matrix, kind), lanes, n)
        _scatter(mesh_gradient, corners, lanes, n)
        if of_camera_too:
            _add_camera(wide, lanes, n, sums)
        if of_lights_too:
            _add_ambient(lanes, n, of_ambient)
    _sum_lanes(sums, of_matrix, of_eye)


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
def shade_view(meshes, triangles, views, constants, ids, images, slopes, face, view):
    """`_shade_image` for one view of one face, of arrays for B faces in N views each."""
    scene, m = _of_view(views, face, view), face * views[0].shape[1] + view
    _shade_image(_of_face(meshes, face), triangles, scene, constants, ids[m], images[m], slopes[m])


@compiled
def shade_face_backward(
    meshes, triangles, views, constants, ids, slopes, images_gradient, meshes_gradient, views_gradient,
    asked, face,
):  # fmt: skip
    """`_shade_image_backward` for all views of one face, in order; `meshes_gradient` may hold anything.

    `asked` says whether the cameras' gradients are, and whether the lights' are.
    """
    mesh, mesh_gradient = _of_face(meshes, face), _of_face(meshes_gradient, face)
    for part in mesh_gradient:
        part[:] = 0
    for view in range(views[0].shape[1]):
        m = face * views[0].shape[1] + view
        _shade_image_backward(
            mesh, triangles, _of_view(views, face, view), constants, ids[m], slopes[m],
            images_gradient[m], mesh_gradient, _of_view(views_gradient, face, view), asked,
        )  # fmt: skip
