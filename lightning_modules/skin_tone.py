"""Skin tone from unlabelled photographs: what their cheeks say of the first albedo component.

Not in the paper. A morphable model's prior need not have the tones of the photographs: matching a batch of
them to N(0, 1) turns light people dark or dark people light, and the map from features to tone that is learnt
on renderings does not carry over to photographs. No label is needed to mend it: what of the cheeks' colour
goes with the encoder's embedding over the training photographs leaves out exposure and keeps the person's. It
also pulls individuals towards those who look alike. A photograph's own cheeks err the other way, with light
and camera: where the encoder's features hold their colour, both are taken together. It is a switch, and
measured (`python -m benchmarks.real_photographs --tone`).
"""

from typing import NamedTuple, Self

import numpy as np
import torch
from torch import Tensor, nn

from evaluation.metrics.skin_tone import individual_typology_angle, lab

from .faces.landmarks.ibug import five_points
from .faces.morphable_model import MorphableModel
from .recognition.frame import CHEEKS, RENDERED_POINTS
from .rendering.camera import align_to_template, project
from .rendering.colour import lab_of_srgb
from .rendering.pose import cameras_from_poses, frontal_poses

# A regression predicts less spread than there is: what the embedding says is spread this much wider about its
# mean, by itself and beside the photograph's own colour, of which that share is added. Chosen on LFW's
# development people (benchmarks/search.md).
SPREAD, SPREAD_BESIDE_OWN = 2.1, 1.4
OWN_SHARE = 0.3
FOLDS = 5
ALBEDO_RANGE = (-3.0, 3.0)


class ToneTarget(nn.Module):
    """The first albedo component that photographs' skin tone asks for.

    Attributes:
        mean: of the target over the photographs it was fitted to.
        variance: likewise.
    """

    weight: Tensor
    offset: Tensor
    angles: Tensor
    own_mean: Tensor | None

    def __init__(
        self, weight: Tensor, offset: Tensor, angles: Tensor, own_mean: Tensor | None = None
    ) -> None:
        """From what the embedding says, what a tone asks for, and where own colours lie.

        Args:
            weight: [E, 3] of a colour in L*a*b*.
            offset: [3] of it.
            angles: [T], `tone_table`.
            own_mean: [3], mean of the photographs' own colours in L*a*b*; None leaves own colours out.
        """
        super().__init__()
        self.register_buffer("weight", weight)
        self.register_buffer("offset", offset)
        self.register_buffer("angles", angles)
        self.register_buffer("own_mean", own_mean)
        self.mean, self.variance = 0.0, 1.0

    @classmethod
    def fit(
        cls, embeddings: Tensor, colours: np.ndarray, model: MorphableModel, own: Tensor | None = None
    ) -> Self:
        """Find how the colours of photographs' cheeks go with the encoder's embeddings.

        Args:
            embeddings: [N, E].
            colours: [N, 3] in L*a*b*, from which is learnt.
            model: whose albedo it is for.
            own: [N, 3], sRGB in [0, 1], the cheeks as the encoder's features hold them (`Teachers.cheeks`).

        Raises:
            ValueError: if the model's first albedo component does not change skin tone steadily.
        """
        weight, offset = _regression(
            embeddings.double().cpu(),
            torch.from_numpy(colours).double(),
            SPREAD if own is None else SPREAD_BESIDE_OWN,
        )
        own_mean = None if own is None else _lab(own).mean(0)
        target = cls(weight.float(), offset.float(), tone_table(model), own_mean).to(embeddings.device)
        fitted = target(embeddings, own)
        target.mean, target.variance = float(fitted.mean()), float(fitted.var())
        return target

    def angle(self, embeddings: Tensor, own: Tensor | None = None) -> Tensor:
        """The individual typology angle [B] in degrees of people, from embeddings [B, E] and own [B, 3].

        Raises:
            ValueError: if own colours are given to a target that was fitted without, or the other way round.
        """
        if (own is None) != (self.own_mean is None):
            given, fitted = ("not given", "with") if own is None else ("given", "without")
            raise ValueError(
                f"the photographs' own colours are {given}, but the target was fitted {fitted} them; "
                "use the encoder that it was fitted with"
            )
        colour = embeddings @ self.weight + self.offset
        if own is not None and self.own_mean is not None:
            colour = colour + OWN_SHARE * (_lab(own) - self.own_mean)
        lightness, _, yellowness = colour.unbind(-1)
        return torch.atan2(lightness - 50, yellowness).rad2deg()

    def forward(self, embeddings: Tensor, own: Tensor | None = None) -> Tensor:
        """The first albedo component [B] whose cheeks have that angle, other components being zero."""
        angles, table = self.angle(embeddings, own), self.angles
        values = torch.linspace(*ALBEDO_RANGE, len(table), device=table.device, dtype=table.dtype)
        keys, order = table.sort()  # without asking whether it rises or falls: a GPU would be waited for
        values = values[order]
        place = torch.searchsorted(keys, angles.contiguous()).clamp(1, len(keys) - 1)
        share = ((angles - keys[place - 1]) / (keys[place] - keys[place - 1])).clamp(0, 1)
        return torch.lerp(values[place - 1], values[place], share)


class ToneCalibration(NamedTuple):
    """What gives predictions of synthetic people's skin tone the spread of their true tones.

    Not in the paper. What is predicted from a single photograph regresses to the mean. The same factor and
    shift for everybody undo that at the ends and keep every order; they cannot tell more than was told, so
    that errors grow in the middle (benchmarks/skin_tone.md).

    Attributes:
        factor: of the first albedo component.
        shift: added to it after that.
    """

    factor: float
    shift: float

    @classmethod
    def learn(cls, true: Tensor, predicted: Tensor) -> Self:
        """From true and predicted values [N] of the first albedo component.

        Raises:
            ValueError: if the predictions are all the same.
        """
        if not float(predicted.std()) > 0:
            raise ValueError("the predicted skin tones are all the same; a calibration cannot spread them")
        factor = float(true.std() / predicted.std())
        return cls(factor, float(true.mean() - factor * predicted.mean()))


def tone_table(model: MorphableModel, steps: int = 61) -> Tensor:
    """The angle [steps] of the albedo's cheeks as its first component runs over ALBEDO_RANGE.

    Raises:
        ValueError: if it does not rise or fall all the way, so that no tone has one value of its own.
    """
    values = torch.linspace(*ALBEDO_RANGE, steps)[:, None].to(model.albedo_mean)
    angles = torch.from_numpy(albedo_angles(model, model.albedo(values))).float()
    steps_between = angles.diff()
    if not (bool((steps_between > 0).all()) or bool((steps_between < 0).all())):
        raise ValueError(
            f"the first albedo component of {model.provenance.name} is not skin tone: the angle of its "
            "cheeks does not rise or fall steadily; train with --tone-weight 0"
        )
    return angles.to(model.albedo_mean.device)


@torch.no_grad()
def albedo_angles(model: MorphableModel, albedo: Tensor) -> np.ndarray:
    """The individual typology angle [B] in degrees of the cheeks of albedos [B, V, 3]."""
    cheeks = albedo[:, cheek_vertices(model)].clamp(0, 1).median(1).values
    return individual_typology_angle(lab(cheeks.cpu().numpy()))


@torch.no_grad()
def cheek_vertices(model: MorphableModel) -> Tensor:
    """Ids of the vertices that the mean face, seen from the front, shows in the boxes of both cheeks."""
    vertices = model.neutral_mean.view(1, -1, 3)
    cameras = cameras_from_poses(frontal_poses((1, 1), like=vertices), (224, 224))
    points = five_points(model.landmarks.on(vertices))
    cameras = align_to_template(cameras, points, torch.from_numpy(RENDERED_POINTS))
    x, y = project(cameras, vertices)[0, 0, :, :2].unbind(-1)
    facing = model.normals(vertices)[0, :, 2] > 0.3
    inside = [(x >= left) & (x <= right) & (y >= top) & (y <= bottom) for left, top, right, bottom in CHEEKS]
    return torch.nonzero(facing & (inside[0] | inside[1]))[:, 0]


def _lab(colours: Tensor) -> Tensor:
    if colours.device.type != "cpu":
        return lab_of_srgb(colours.detach().float()).to(colours)
    return torch.from_numpy(lab(colours.detach().float().cpu().numpy())).to(colours)


def _regression(inputs: Tensor, values: Tensor, spread: float) -> tuple[Tensor, Tensor]:
    """Weights [E, 3] and offset [3] that predict values [N, 3] from inputs [N, E], spread so much wider.

    Each weight is a covariance with a standardised input: the limit of a ridge regression under an ever
    stronger penalty, which on development people was better than any weaker one. The slope, which that limit
    leaves open, is set on folds that the weights did not see.
    """
    fold = torch.arange(len(inputs)) % FOLDS
    predicted = torch.empty_like(values)
    for number in fold.unique():
        held_out = fold == number
        predicted[held_out] = inputs[held_out] @ _covariances(inputs[~held_out], values[~held_out])
        predicted[held_out] -= predicted[held_out].mean(0)
    slope = (predicted * (values - values.mean(0))).sum(0) / predicted.square().sum(0).clamp(min=1e-12)
    weight = spread * slope.clamp(min=0) * _covariances(inputs, values)
    return weight, values.mean(0) - inputs.mean(0) @ weight


def _covariances(inputs: Tensor, values: Tensor) -> Tensor:
    """Covariances [E, 3] of values with each standardised input, per unit of the input."""
    scale = inputs.std(0).clamp(min=1e-9)
    standardised = (inputs - inputs.mean(0)) / scale
    return standardised.T @ (values - values.mean(0)) / len(inputs) / scale[:, None]
