"""Faces in 3-D inside a page: compact meshes and the few lines of WebGL that draw them."""

from base64 import b64encode
from collections.abc import Sequence

import numpy as np
from markupsafe import Markup

from .templates import file_content, part

# Positions are whole steps of so many mm: a head of 65 cm still fits into 16 bits.
STEP_MM = 0.01


def viewer(
    triangles: np.ndarray,
    vertices: np.ndarray,
    colours: np.ndarray,
    people: Sequence[str],
    variants: Sequence[str],
    caption: str,
) -> Markup:
    """A person's faces by two variants, side by side, to be turned.

    Args:
        triangles: [T, 3], the same in all faces.
        vertices: [P, V, N, 3] in mm, by person and variant.
        colours: [P, V, N, 3], sRGB in [0, 1].
        people: [P], their names.
        variants: [V], their names.
        caption: below.

    Raises:
        ValueError: if there is nothing to show, or a face is too large to be one in mm.
    """
    if vertices.ndim != 4 or not vertices.size:
        raise ValueError(f"vertices must be [P, V, N, 3] with a face at least, got {list(vertices.shape)}")
    centre = vertices.reshape(-1, 3).mean(0)
    moved = vertices - centre
    if not np.abs(moved).max() < STEP_MM * 2**15:
        raise ValueError(
            f"a face reaches {np.abs(moved).max():.4g} mm from the faces' centre; expected less than "
            f"{STEP_MM * 2**15:.0f}: vertices must be in mm"
        )
    steps = np.round(moved / STEP_MM).astype("<i2")
    levels = np.round(np.clip(colours, 0, 1) * 255).astype(np.uint8)
    wide = vertices.shape[2] > 2**16
    content = {
        "triangles": _encoded(triangles.astype("<u4" if wide else "<u2")),
        "wide": wide,
        "step": STEP_MM,
        "centre": [0.0, 0.0, 0.0],
        "radius": float(np.linalg.norm(moved, axis=-1).max()),
        "faces": [
            [{"positions": _encoded(p), "colours": _encoded(c)} for p, c in zip(*person, strict=True)]
            for person in zip(steps, levels, strict=True)
        ],
    }
    return part("viewer", people, variants, caption, content, file_content("viewer.js"))


def _encoded(values: np.ndarray) -> str:
    return b64encode(np.ascontiguousarray(values).tobytes()).decode()
