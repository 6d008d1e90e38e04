"""ICC profiles of three primaries, made by hand: the parts of the format that a matrix profile needs."""

import struct

# Columns of XYZ (D50) of red, green and blue.
DISPLAY_P3 = ((0.51512, 0.24120, -0.00105), (0.29198, 0.69225, 0.04189), (0.15710, 0.06657, 0.78407))
ADOBE_RGB = ((0.60974, 0.31111, 0.01947), (0.20528, 0.62567, 0.06087), (0.14919, 0.06322, 0.74457))
SRGB = ((0.43607, 0.22249, 0.01392), (0.38515, 0.71687, 0.09708), (0.14307, 0.06061, 0.71410))
WHITE = (0.96420, 1.0, 0.82491)
# Of the curve (a x + b)^g above d, c x below.
SRGB_CURVE = (2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045)


def fixed(value: float) -> bytes:
    return struct.pack(">i", round(value * 65536))


def curve(parameters: tuple[float, ...]) -> bytes:
    """A parametric curve: an exponent alone, or sRGB's five numbers."""
    kind = {1: 0, 5: 3}[len(parameters)]
    return b"para" + bytes(4) + struct.pack(">HH", kind, 0) + b"".join(map(fixed, parameters))


def matrix_profile(
    primaries: tuple[tuple[float, ...], ...], parameters: tuple[float, ...] = SRGB_CURVE
) -> bytes:
    """A display profile of version 4."""
    tags = {b"wtpt": WHITE, b"rXYZ": primaries[0], b"gXYZ": primaries[1], b"bXYZ": primaries[2]}
    data = {name: b"XYZ " + bytes(4) + b"".join(map(fixed, value)) for name, value in tags.items()}
    data |= dict.fromkeys((b"rTRC", b"gTRC", b"bTRC"), curve(parameters))
    return profile(data, b"RGB ")


def grey_profile(gamma: float) -> bytes:
    """A display profile of grey."""
    white = b"XYZ " + bytes(4) + b"".join(map(fixed, WHITE))
    return profile({b"wtpt": white, b"kTRC": curve((gamma,))}, b"GRAY")


def profile(data: dict[bytes, bytes], space: bytes) -> bytes:
    text = "made for a test".encode("utf-16-be")
    words = (
        b"mluc" + bytes(4) + struct.pack(">II", 1, 12) + b"enUS" + struct.pack(">II", len(text), 28) + text
    )
    data = {b"desc": words, b"cprt": words} | data
    table, body = b"", b""
    start = 128 + 4 + 12 * len(data)
    for name, content in data.items():
        table += name + struct.pack(">II", start + len(body), len(content))
        body += content + bytes(-len(content) % 4)
    size = start + len(body)
    header = struct.pack(">I4sI4s4s4s", size, bytes(4), 0x04200000, b"mntr", space, b"XYZ ")
    header += struct.pack(">6H", 2026, 1, 1, 0, 0, 0) + b"acsp" + bytes(28)
    header += b"".join(map(fixed, WHITE))
    return header.ljust(128, b"\0") + struct.pack(">I", len(data)) + table + body
