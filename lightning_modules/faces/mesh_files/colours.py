"""Colours as files hold them, brought to 0 to 1."""

import numpy as np
from numpy.typing import NDArray

# Our own OBJ files hold albedo as the model gives it, which may leave 0 to 1 a little.
UNCLAMPED = (-1.0, 2.0)
EIGHT_BITS, SIXTEEN_BITS = 255.0, 65535.0
# What is brighter than 8 bits allow must use this share of 16 bits, or it is neither.
LEAST_OF_SIXTEEN_BITS = 1 / 16


def as_fractions(place: str, stored: NDArray, *, what: str = "vertex colour") -> NDArray[np.float32]:
    """Colours [..., C] in 0 to 1, from fractions or from 8 or 16 bits, in integers or in floats.

    The range of all values together tells which they are, as files do not: integers in 8 bits are common in
    16-bit and in float fields. Floats a little outside 0 to 1 are colours that were not clamped, and stay.

    Args:
        place: of them, for errors: the file and what is coloured.
        stored: as read.
        what: each of them is, for errors.

    Raises:
        ValueError: if a colour is NaN or infinite, or they are neither fractions nor of 8 nor of 16 bits.
    """
    if not stored.size:
        return stored.astype(np.float32)
    low, high = float(stored.min()), float(stored.max())
    if not (np.isfinite(low) and np.isfinite(high)):
        raise ValueError(f"{place}: a {what} is NaN or infinite; export it again")
    whole = np.issubdtype(stored.dtype, np.integer)
    if not whole and UNCLAMPED[0] <= low and high <= UNCLAMPED[1]:
        return stored.astype(np.float32)
    if low >= 0 and high <= EIGHT_BITS:
        return (stored / np.float32(EIGHT_BITS)).astype(np.float32)
    if low >= 0 and LEAST_OF_SIXTEEN_BITS * SIXTEEN_BITS <= high <= SIXTEEN_BITS:
        return (stored / np.float32(SIXTEEN_BITS)).astype(np.float32)
    raise ValueError(
        f"{place}: the {what}s go from {low:g} to {high:g}; expected 0 to 1, 0 to 255 or 0 to 65535: "
        "export it with one of these, or without colours"
    )
