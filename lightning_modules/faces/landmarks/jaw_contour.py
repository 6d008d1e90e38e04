"""Where the 17 landmarks of the jaw lie in a picture of a turned head: on the contour that is seen.

Landmarks of the jaw are marked in photographs on the outline of the face. While a head turns, its outline on
the far side moves across the cheek, so that they are no fixed points of the surface. Zhu et al., "Face
alignment across large poses", CVPR 2016 (landmark marching): each slides along its own level of the face.
"""

import torch
from torch import Tensor

from lightning_modules.faces.landmarks.ibug import GROUPS
from lightning_modules.faces.morphable_model import MorphableModel

CANDIDATES = 16  # for each landmark, itself among them
# Of a landmark's azimuth: so far towards the nose and the lips the outline moves at most.
INNERMOST_SHARE = 0.35
BAND_MM = 3.0  # vertices this near to a landmark's level belong to it
# The axis about which azimuths are measured, behind the landmarks' centre; about that of the neck.
AXIS_DEPTH_MM = 40.0


def jaw_candidates(model: MorphableModel) -> Tensor:
    """Vertex ids [17, CANDIDATES] of the points to which each landmark of the jaw may slide.

    They lie at the landmark's level of the mean face, at even steps of azimuth from it towards the middle of
    the face; first comes the landmark's own vertex. The tip of the chin stays where it is.

    Raises:
        ValueError: if the model has no landmarks.
    """
    mean = model.neutral_mean.detach().view(-1, 3).double()
    marks = model.landmarks.on(mean[None])[0]
    own = model.landmark_vertex_ids.gather(1, model.landmark_weights.argmax(1, keepdim=True))[:, 0]
    axis = marks.mean(0) - mean.new_tensor([0.0, 0.0, AXIS_DEPTH_MM])
    azimuth, radius = _cylindrical(mean - axis)
    mark_azimuth = _cylindrical(marks - axis)[0]
    shares = torch.linspace(1, INNERMOST_SHARE, CANDIDATES, dtype=mean.dtype, device=mean.device)
    rows = []
    for landmark in GROUPS["jaw"]:
        level = (mean[:, 1] - marks[landmark, 1]).abs() < BAND_MM
        step = (mark_azimuth[landmark] * (1 - shares[1])).abs().clamp(min=1e-3)
        ids = [own[landmark]]
        for target in mark_azimuth[landmark] * shares[1:]:
            # The outermost vertex near this azimuth: what lies behind it is inside of the mouth.
            near = level & ((azimuth - target).abs() < step)
            found = torch.where(near, radius, -torch.inf).argmax()
            ids.append(found if bool(near.any()) else ids[-1])
        middle = landmark == len(GROUPS["jaw"]) // 2
        rows.append(torch.stack([own[landmark]] * CANDIDATES if middle else ids))
    return torch.stack(rows)


def outermost(points: Tensor, crowns: Tensor) -> Tensor:
    """Which candidate [B, 17] of each landmark of the jaw lies on the outline of the face as it is seen.

    Args:
        points: [B, 17, C, 2] candidates in the image, x right and y down.
        crowns: [B, 2] direction of the head's upward axis in the image; any length.
    """
    # The head's right-to-left direction in the image, if it were not turned.
    leftward = torch.stack([-crowns[:, 1], crowns[:, 0]], -1)
    along = (points * leftward[:, None, None]).sum(-1)
    side = torch.ones(points.shape[1], dtype=points.dtype, device=points.device)
    side[: points.shape[1] // 2] = -1  # iBUG begins at the subject's right ear
    return (along * side[:, None]).argmax(-1)


def _cylindrical(points: Tensor) -> tuple[Tensor, Tensor]:
    """Azimuth in radians, to the subject's left, and distance from the vertical axis."""
    return torch.atan2(points[:, 0], points[:, 2]), points[:, [0, 2]].norm(dim=1)
