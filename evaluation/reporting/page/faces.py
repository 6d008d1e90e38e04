"""Faces in 3-D inside a page: compact meshes and the few lines of WebGL that draw them."""

import json
from base64 import b64encode
from collections.abc import Sequence
from html import escape
from pathlib import Path

import numpy as np

# Positions are whole steps of so many mm: a head of 65 cm still fits into 16 bits.
STEP_MM = 0.01


def viewer(
    triangles: np.ndarray,
    vertices: np.ndarray,
    colours: np.ndarray,
    people: Sequence[str],
    variants: Sequence[str],
    caption: str,
) -> str:
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
    script = (Path(__file__).parent / "viewer.js").read_text(encoding="utf-8")
    last = len(variants) - 1
    return (
        '<div class="viewer">\n<div class="choices">'
        f"{_choice('person', 'person', people, 0)}{_choice('left', 'left', variants, 0)}"
        f"{_choice('right', 'right', variants, last)}</div>\n"
        f'<canvas tabindex="0" role="img" aria-label="{escape(caption)}"></canvas>\n'
        '<p class="message"></p>\n<div class="shown"><span></span><span></span></div>\n'
        f"<p>{escape(caption)}</p>\n</div>\n"
        f'<script type="application/json" id="faces">{json.dumps(content)}</script>\n'
        f"<script>\n{script}</script>"
    )


def _choice(name: str, text: str, options: Sequence[str], chosen: int) -> str:
    entries = "".join(
        f"<option{' selected' if index == chosen else ''}>{escape(option)}</option>"
        for index, option in enumerate(options)
    )
    return f'<label>{text} <select name="{name}">{entries}</select></label> '


def _encoded(values: np.ndarray) -> str:
    return b64encode(np.ascontiguousarray(values).tobytes()).decode()
