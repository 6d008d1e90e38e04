"""How far a face's landmarks lie from those that a detector found in its photograph, whatever pose it is in.

Not in the paper. An identity loss is content with any shape that a recognition network takes for the person;
where the eyes, the nose, the mouth and the chin lie in the photograph needs no label either. With X_i(s) a
landmark of the neutral face of shape s, o_i its offset, E_i the displacements of expression, and l_i where
the detector found it, the photograph is explained by

    l_i  ~  c R (X_i(s) + o_i + E_i e) + t,

R the first two rows of a rotation, c a scale and t a shift: weak perspective, which a face of a metre's
distance nearly is. Pose and expression are fitted for every s, in closed form and by turns (`fitted`), and
gradients pass through both fits. What is left, divided by the distance between the outer corners of the eyes,
is the distance that `losses.landmark_loss` takes.

The offsets are where a detector sees a landmark on an average face, less where the model has it: without them
the loss would teach everybody the detector's habits, and the photographs' mean smile. They are found once,
from the training photographs and the mean face alone, so that of the average face the loss says nothing: that
is the batch distribution's. Of the 68 landmarks the jaw's are left out, but for the chin: in photographs they
lie on the outline, which slides over a turned cheek. Of a model without expressions those that move with them
are, too: lips, brows and the chin.
"""

from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from .faces.landmarks.ibug import GROUPS, NUMBER_OF_LANDMARKS
from .faces.landmarks.pose_fitting import DEVIATION_MM
from .faces.morphable_model import MorphableModel
from .plain.precision import at_least_float32, constant, without_autocast

CHIN = 8
OUTER_EYE_CORNERS = (36, 45)
WITH_EXPRESSION = (CHIN, *range(GROUPS["right_brow"].start, NUMBER_OF_LANDMARKS))
WITHOUT_EXPRESSION = tuple(range(GROUPS["nose_bridge"].start, GROUPS["outer_lips"].start))
FITS = 2  # of pose and expression by turns; a third moves no landmark by a tenth of a millimetre
# Of the offsets: rounds, and how many face-on photographs the prior that a landmark has none counts for.
OFFSET_ROUNDS, OFFSET_PRIOR = 3, 0.05
# What the detector does not see counts for nothing, and the fit must not fail on it.
SMALLEST = 1e-9


class Pose(NamedTuple):
    """Weak perspective of B faces: rows [B, 2, 3] of rotations, scales [B] and shifts [B, 1, 2]."""

    rows: Tensor
    scale: Tensor
    shift: Tensor

    def of(self, points: Tensor) -> Tensor:
        """Where points [B, P, 3] are seen, [B, P, 2]."""
        return self.scale[:, None, None] * (points @ self.rows.mT) + self.shift

    def back(self, seen: Tensor) -> Tensor:
        """The same distances in the points' unit: seen points [B, P, 2] without scale and shift."""
        return (seen - self.shift) / self.scale[:, None, None]


@dataclass(frozen=True)
class LandmarkTarget:
    """A morphable model's landmarks, as photographs show them; mm.

    No module: no optimiser, average or checkpoint holds what is the morphable model's.

    Attributes:
        places: which P of the 68 are compared.
        neutral: [P, 3], of the mean face.
        shape: [Ks, P, 3], for each shape component.
        expression: [Ke, P, 3], for each expression component.
        offsets: [P, 3].
    """

    places: tuple[int, ...]
    neutral: Tensor
    shape: Tensor
    expression: Tensor
    offsets: Tensor

    @classmethod
    def of_model(cls, model: MorphableModel) -> "LandmarkTarget":
        """Without offsets.

        Raises:
            ValueError: if the model has no landmarks.
        """
        places = WITH_EXPRESSION if model.expression_variance.numel() else WITHOUT_EXPRESSION
        kept = torch.tensor(places, device=model.shape_mean.device)

        def marks(vertices: Tensor) -> Tensor:
            return model.landmarks.on(vertices.unflatten(1, (-1, 3)))[:, kept]

        shape, expression = (
            marks((getattr(model, f"{part}_basis") * getattr(model, f"{part}_standard_deviation")).T)
            for part in ("shape", "expression")
        )
        neutral = marks(model.neutral_mean[None])[0]
        return cls(places, neutral, shape, expression, torch.zeros_like(neutral))

    @classmethod
    @torch.no_grad()
    def fit(cls, landmarks: Tensor, model: MorphableModel) -> "LandmarkTarget":
        """With the offsets that a detector's landmarks have from the mean face's.

        Args:
            landmarks: [N, 68, 2], of training photographs, in pixels; NaN of those in which it saw none.
            model: with landmarks.

        Raises:
            ValueError: if the model has no landmarks, or the detector saw none in any photograph.
        """
        target = cls.of_model(model)
        seen = landmarks[landmarks.isfinite().all(-1).all(-1)].to(target.neutral)
        if not len(seen):
            raise ValueError(
                "the landmark detector saw no face in any training photograph; train with --landmark-weight 0"
            )
        seen = target.upright(seen)
        for _ in range(OFFSET_ROUNDS):
            points = (target.neutral + target.offsets).expand(len(seen), -1, -1)
            pose, expressive = fitted(points, target.expression, seen)
            left = pose.back(seen) - expressive @ pose.rows.mT  # [N, P, 2]
            counts = 1 / (1 + left.square().sum(-1) / DEVIATION_MM**2)
            prior = OFFSET_PRIOR * len(seen) * torch.eye(3).to(left)
            normal = torch.einsum("np,nij,nik->pjk", counts, pose.rows, pose.rows) + prior
            moment = torch.einsum("np,nij,npi->pj", counts, pose.rows, left)
            offsets = target.offsets + torch.linalg.solve(normal, moment[..., None])[..., 0]
            target = replace(target, offsets=offsets)
        return target

    def to(self, device: torch.device) -> "LandmarkTarget":
        """The same on a device."""
        parts = (self.neutral, self.shape, self.expression, self.offsets)
        return LandmarkTarget(self.places, *(part.to(device) for part in parts))

    def upright(self, landmarks: Tensor) -> Tensor:
        """Those of landmarks [B, 68, 2] that are compared, y up as in the model."""
        kept = landmarks[:, constant(np.array(self.places), landmarks.device)]
        return torch.stack([kept[..., 0], -kept[..., 1]], -1)

    def squared_distances(self, shape: Tensor, landmarks: Tensor) -> tuple[Tensor, Tensor]:
        """How far photographs' landmarks lie from those of faces of these shapes, and which count.

        Differentiable in shape.

        Args:
            shape: [B, Ks], in standard deviations.
            landmarks: [B, 68, 2], in pixels; NaN of photographs in which the detector saw none.

        Returns:
            Squared distances [B, P] in the distance between the outer corners of the mean face's eyes, under
            the scale at which the mean face fits the photograph: it depends on no shape, and on no turn of
            the head. And [B], 1 where the detector saw a face, else 0; distances are finite there, too.
        """
        with without_autocast(shape.device):
            coefficients = at_least_float32(shape)
            own = self.neutral + self.offsets
            neutral, basis, expression = (
                part.to(coefficients) for part in (own, self.shape, self.expression)
            )
            counted = landmarks.isfinite().all(-1).all(-1)
            seen = self.upright(landmarks.to(coefficients))
            seen = torch.where(counted[:, None, None], seen, neutral[:, :2])
            points = neutral + torch.einsum("bk,kpj->bpj", coefficients, basis)
            pose, expressive = fitted(points, expression, seen)
            unit = weak_perspective(neutral.expand_as(points), seen).scale * self.interocular.to(seen)
            left = (seen - pose.of(expressive)) / unit[:, None, None]
            return left.square().sum(-1), counted.to(coefficients)

    @property
    def interocular(self) -> Tensor:
        """Between the outer corners of the mean face's eyes, mm."""
        right, left = (self.neutral[self.places.index(corner)] for corner in OUTER_EYE_CORNERS)
        return (right - left).norm()


def fitted(points: Tensor, expression: Tensor, seen: Tensor) -> tuple[Pose, Tensor]:
    """The pose in which landmarks are seen, and the landmarks [B, P, 3] under the expression that is.

    Args:
        points: [B, P, 3], of neutral faces, mm.
        expression: [Ke, P, 3], for each expression component, mm.
        seen: [B, P, 2], y up.
    """
    expressive = points
    for _ in range(FITS if len(expression) else 0):
        coefficients = expression_seen(points, expression, seen, weak_perspective(expressive, seen))
        expressive = points + torch.einsum("bk,kpj->bpj", coefficients, expression)
    return weak_perspective(expressive, seen), expressive


def weak_perspective(points: Tensor, seen: Tensor) -> Pose:
    """The pose in which points [B, P, 3] come close to where they are seen, [B, P, 2].

    In closed form: the affine camera A of least squares, the nearest rotation (A A^T)^(-1/2) A, whose root of
    a 2 x 2 matrix M is (M + sqrt(det M) 1) / sqrt(tr M + 2 sqrt(det M)), and for it the scale and the shift
    of least squares. A singular value decomposition would have no gradient where its two values are equal,
    which they are where the fit is good.
    """
    middle, seen_middle = points.mean(-2, keepdim=True), seen.mean(-2, keepdim=True)
    centred, target = points - middle, seen - seen_middle
    # Not `solve`, which waits for a GPU to say whether it worked.
    affine = torch.linalg.solve_ex(centred.mT @ centred, centred.mT @ target).result.mT  # [B, 2, 3]
    square = affine @ affine.mT
    determinant = square[:, 0, 0] * square[:, 1, 1] - square[:, 0, 1] * square[:, 1, 0]
    root_of_determinant = determinant.clamp(min=SMALLEST).sqrt()
    trace = square.diagonal(dim1=-2, dim2=-1).sum(-1)
    identity = torch.eye(2, dtype=points.dtype, device=points.device)
    root = (square + root_of_determinant[:, None, None] * identity) / (
        (trace + 2 * root_of_determinant).sqrt()[:, None, None]
    )
    rows = torch.linalg.solve_ex(root, affine).result
    projected = centred @ rows.mT
    scale = (projected * target).sum((-2, -1)) / projected.square().sum((-2, -1))
    return Pose(rows, scale, seen_middle - scale[:, None, None] * (middle @ rows.mT))


def expression_seen(points: Tensor, expression: Tensor, seen: Tensor, pose: Pose) -> Tensor:
    """The likeliest expression [B, Ke], in standard deviations, of faces seen in a pose.

    Least squares of the distances over DEVIATION_MM, plus the squared coefficients: their prior is a standard
    normal.
    """
    left = pose.back(seen) - points @ pose.rows.mT
    moved = torch.einsum("bij,kpj->bpik", pose.rows, expression).flatten(1, 2) / DEVIATION_MM  # [B, 2 P, Ke]
    prior = torch.eye(len(expression), dtype=points.dtype, device=points.device)
    factor = torch.linalg.cholesky_ex(moved.mT @ moved + prior).L
    moment = moved.mT @ (left.flatten(1) / DEVIATION_MM)[..., None]
    return torch.cholesky_solve(moment, factor)[..., 0]
