"""The 68 iBUG landmarks, marked by hand on the base mesh.

They were marked once, anatomically, on magnified renderings of the subdivided base mesh that showed vertex
ids and the lip mask, before any detector was run, and never moved towards one. The subject's right side was
marked; the left is its mirror image. A landmark between vertices is their mean, one named twice counting
double.

Jaw: along the mandible's lower border from the front of the ear at eye level to the menton. Brows: along the
centre line that the painted brows follow (`appearances.py`). Nose: sellion to pronasale, the foremost point
of the tip with the head in the Frankfort horizontal, as the mean face holds it, then the alar base where it
meets the lip (until recipe 4 its outer border, 4 mm farther out than on the marks of scans), nostril sill and
subnasale. Eyes: the lids' inner rims; the inner corner is where the lids join, medial of the
caruncle. Lips: the vermilion border, then the line where the lips part.
"""

import numpy as np
import torch

from lightning_modules.faces.landmarks.ibug import Landmarks
from lightning_modules.faces.open_model.head import Head

# fmt: off
BASE_VERTICES: tuple[tuple[int, ...], ...] = (
    # jaw
    (870,), (868,), (869,), (895,), (893,), (3697,), (922,), (918,), (732,),
    (7620,), (7624,), (10365,), (7595,), (7597,), (7574,), (7573,), (7575,),
    # right brow, left brow
    (262,), (224, 232), (222,), (205, 223), (208, 228),
    (6983, 7001), (6980, 6997), (6996,), (6998, 7005), (7031,),
    # nose bridge, nose base
    (133,), (5063,), (291,), (297, 5054, 5054),
    (360,), (285,), (343,), (7054,), (7121,),
    # right eye, left eye
    (21,), (1081,), (1099,), (4869, 4870), (1096,), (1094,),
    (11487, 11488), (7791,), (7773,), (6805,), (7786,), (7788,),
    # outer lips
    (500,), (410, 5354), (456,), (455,), (7215,), (7170, 11956), (7249,),
    (7130, 7235), (7235, 7241), (492,), (480, 486), (370, 480),
    # inner lips
    (433, 445), (471,), (474,), (7227,), (7193, 7205), (7265, 7264), (523,), (518, 517),
)
# fmt: on


def marked_landmarks(head: Head) -> Landmarks:
    """The landmarks on the model's mesh: each mark carried through the subdivision."""
    corners = np.array([head.vertex_of(np.array(_padded(mark))) for mark in BASE_VERTICES])
    weights = np.array([_weights(mark) for mark in BASE_VERTICES], dtype=np.float32)
    return Landmarks(torch.from_numpy(corners), torch.from_numpy(weights), ("marked",) * len(BASE_VERTICES))


def _padded(mark: tuple[int, ...]) -> tuple[int, ...]:
    return mark + mark[:1] * (3 - len(mark))


def _weights(mark: tuple[int, ...]) -> tuple[float, ...]:
    return (1 / len(mark),) * len(mark) + (0.0,) * (3 - len(mark))
