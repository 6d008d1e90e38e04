"""A file of the corpus and what it holds."""

from typing import NamedTuple

import numpy as np


class Written(NamedTuple):
    """A file of the corpus and what it says: vertices [V, 3], triangles [T, 3], colours [V, 3] or None.

    `features` names what libraries are known to read wrongly.
    """

    name: str
    content: bytes
    vertices: np.ndarray
    triangles: np.ndarray
    colours: np.ndarray | None
    features: frozenset[str] = frozenset()
