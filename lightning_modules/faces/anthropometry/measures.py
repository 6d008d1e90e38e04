"""Measures of a face that its 68 landmarks leave no choice about."""

from typing import NamedTuple

import torch
from torch import Tensor

from lightning_modules.faces.landmarks.ibug import GROUPS

Group = tuple[int, ...]


class Measure(NamedTuple):
    """A distance between landmarks, in mm.

    Attributes:
        name: in the field's words.
        ends: pairs of groups of 0-based iBUG ids; a distance lies between the means of two groups.
        greatest: the greatest of the pairs' distances is taken instead of their mean.
    """

    name: str
    ends: tuple[tuple[Group, Group], ...]
    greatest: bool = False

    def of(self, landmarks: Tensor) -> Tensor:
        """The measure [B] of landmarks [B, 68, 3]."""
        distances = torch.stack(
            [
                (landmarks[:, list(first)].mean(1) - landmarks[:, list(second)].mean(1)).norm(dim=-1)
                for first, second in self.ends
            ]
        )
        return distances.amax(0) if self.greatest else distances.mean(0)


EYE_CORNERS = (36, 39, 42, 45)
EYES = (tuple(GROUPS["right_eye"]), tuple(GROUPS["left_eye"]))
STOMION = (62, 66)
# Names as in `survey.py`. The sellion is landmark 28 (27 from zero), the menton 9, the subnasale 34.
MEASURES = (
    Measure("mouth width", (((48,), (54,)),)),
    Measure("inner eye corners", (((39,), (42,)),)),
    Measure("outer eye corners", (((36,), (45,)),)),
    Measure("between pupils", (EYES,)),
    Measure("eye opening", (((37, 38), (40, 41)), ((43, 44), (46, 47)))),
    Measure("eyes to mouth", ((EYE_CORNERS, (48, 54)),)),
    Measure("eyes to chin", ((EYE_CORNERS, (8,)),)),
    Measure("sellion to chin", (((27,), (8,)),)),
    Measure("nose length", (((27,), (33,)),)),
    Measure("nose protrusion", (((33,), (30,)),)),
    Measure("nose width", (((31,), (35,)),)),
    Measure("nose to chin", (((33,), (8,)),)),
    Measure("nose to lips' line", (((33,), STOMION),)),
    Measure("lips' line to chin", ((STOMION, (8,)),)),
    Measure("upper lip's red", (((51,), STOMION),)),
    Measure("lower lip's red", ((STOMION, (57,)),)),
    Measure("face breadth", (((0,), (16,)), ((1,), (15,)), ((2,), (14,))), greatest=True),
    Measure("jaw breadth", (((3,), (13,)),)),
)
NAMES = tuple(measure.name for measure in MEASURES)


def measured(landmarks: Tensor) -> Tensor:
    """All measures [B, M] in mm, in the order of `NAMES`, of landmarks [B, 68, 3] in mm."""
    return torch.stack([measure.of(landmarks) for measure in MEASURES], 1)
