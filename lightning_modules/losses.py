"""The losses, one function per equation, and their weights in one place.

Genova et al. 2018, section 3.3. Every function returns a scalar tensor and knows nothing of training. All
but the batch distribution, which is about a batch's mean and variance, average over the batch; `reduction`
says whether coordinates of a coefficient vector are summed, as in a squared norm, or averaged.
"""

import math
from dataclasses import dataclass
from typing import Literal

from torch import Tensor
from torch.nn import functional

from lightning_modules.prediction import Prediction
from lightning_modules.recognition.similarity import Centre, cosine_matrix, cosine_similarity

# Every loss by its name: in this order they are computed, logged and listed.
LOSSES = (
    "parameter", "batch_distribution", "tone", "known_tone", "landmark", "identity", "contrast", "loopback",
)  # fmt: skip
# Those of synthetic faces: without them, stage 2 needs none.
OF_SYNTHETIC = {"parameter", "known_tone"}
Reduction = Literal["sum", "mean"]
MeanPenalty = Literal["squared", "absolute"]
# An absolute penalty is as steep as a square is at a mean of 0.2.
ABSOLUTE_SLOPE = 0.4
CONTRAST_TEMPERATURE = 0.1
# Between the eyes' outer corners; from about there on a landmark's distance counts by itself, not squared.
# What is left of the mean face after fitting pose and expression is half as much.
LANDMARK_SCALE = 0.03


@dataclass(frozen=True)
class LossWeights:
    """What each loss of stage 2 counts for in the sum; a loss of weight 0 is off and is not computed.

    Attributes:
        parameter: of the parameter loss; 1 in the paper.
        identity: of the identity loss; 1 in the paper.
        batch_distribution: w_batch.
        loopback: w_loop.
        contrast: of the contrast loss, not in the paper.
        tone: of the skin tone loss, not in the paper.
        shape: w_s of the parameter distance, by which the parameter and the loopback loss measure.
        albedo: w_t, likewise.
        reduction: of coordinates, in the parameter distance and the batch distribution.
        mean_penalty: of the batch distribution's means.
        unbiased_moments: whether the batch distribution is without what the batch's size adds.
        known_tone: of the skin tone loss of synthetic faces, whose tone is known; not in the paper.
        landmark: of the landmark loss, not in the paper.
    """

    parameter: float
    identity: float
    batch_distribution: float
    loopback: float
    contrast: float
    tone: float
    shape: float
    albedo: float
    reduction: Reduction
    mean_penalty: MeanPenalty
    unbiased_moments: bool = False
    known_tone: float = 0.0
    landmark: float = 0.0

    @property
    def on(self) -> frozenset[str]:
        """The names of the losses that count for anything."""
        measured_by_nothing = {"parameter", "loopback"} if self.shape == self.albedo == 0 else set()
        return frozenset(name for name in LOSSES if getattr(self, name)) - measured_by_nothing


# A reconstruction: the text of the paper at hand lost its formulas. w_s, w_t and w_batch are recalled and not
# checked. Whether coordinates are summed or averaged is not known, and of w_loop there are two recollections,
# 1e-4 and 1: benchmarks/paper_constants.md measured all four readings. Under sums the batch distribution's
# gradient is a thousand times the identity loss's, and under 1e-4 the loopback's is nothing beside it; under
# means and 1 all four are within a factor of a hundred at the start and of ten after training.
PAPER_WEIGHTS = LossWeights(
    parameter=1.0, identity=1.0, batch_distribution=10.0, loopback=1.0, contrast=0.0, tone=0.0,
    shape=0.4, albedo=0.002, reduction="mean", mean_penalty="squared",
)  # fmt: skip
# Ours, from the search in benchmarks/search.md.
SUITE_WEIGHTS = LossWeights(
    parameter=1.0, identity=16.0, batch_distribution=16.0, loopback=0.1, contrast=2.0, tone=2.0,
    shape=1.0, albedo=1.0, reduction="mean", mean_penalty="absolute", known_tone=4.0,
)  # fmt: skip


def parameter_distance(
    first: Prediction, second: Prediction, *, shape_weight: float, albedo_weight: float, reduction: Reduction
) -> Tensor:
    """The weighted squared distance between two sets of coefficients, averaged over the batch.

    Genova et al. 2018, section 3.3.1: w_s |s - s'|^2 + w_t |t - t'|^2. Gradients flow into both.

    Args:
        first: coefficients of B faces.
        second: likewise.
        shape_weight: w_s.
        albedo_weight: w_t.
        reduction: of the coordinates.
    """
    shape = _reduced((first.shape - second.shape).square(), reduction).mean()
    albedo = _reduced((first.albedo - second.albedo).square(), reduction).mean()
    return shape_weight * shape + albedo_weight * albedo


def parameter_loss(predicted: Prediction, drawn: Prediction, weights: LossWeights) -> Tensor:
    """L_param: how far the coefficients predicted of synthetic faces are from the drawn ones.

    Genova et al. 2018, section 3.3.1.

    Args:
        predicted: of B synthetic faces.
        drawn: their own, from the prior.
        weights: w_s, w_t and the reduction.
    """
    return parameter_distance(
        predicted,
        drawn,
        shape_weight=weights.shape,
        albedo_weight=weights.albedo,
        reduction=weights.reduction,
    )


def identity_loss(photographs: Tensor, renderings: Tensor, centre: Centre | None = None) -> Tensor:
    """L_id: one minus the cosine between each photograph's embedding and its renderings', averaged.

    Genova et al. 2018, section 3.3.2 (multi-view identity): N random views of each face. Ours differs where a
    centre is given: it is subtracted before the cosine, as everywhere in this project. The paper writes the
    score itself; one minus it is zero at its optimum.

    Args:
        photographs: [B, E] unit embeddings.
        renderings: [B, N, E] unit embeddings.
        centre: of the identity network.
    """
    return 1 - cosine_similarity(photographs[:, None], renderings, centre).mean()


def contrast_loss(
    photographs: Tensor, renderings: Tensor, own: Tensor, centre: Centre | None = None
) -> Tensor:
    """How badly each rendering tells its own photograph from the others of the batch.

    Not in the paper: cross-entropy of the softmax over cosines divided by CONTRAST_TEMPERATURE (InfoNCE, van
    den Oord et al. 2018, equation 4). The identity loss is content with what all faces share; this is not.

    Args:
        photographs: [M, E] unit embeddings, of all processes.
        renderings: [B, N, E] unit embeddings, N of each of B faces.
        own: [B], which of the M photographs each face is of.
        centre: of the identity network.
    """
    views = renderings.shape[1]
    scores = cosine_matrix(renderings.flatten(0, 1), photographs, centre) / CONTRAST_TEMPERATURE
    return functional.cross_entropy(scores, own.repeat_interleave(views))


def batch_distribution_loss(
    coefficients: Tensor,
    reduction: Reduction,
    *,
    mean: Tensor | float = 0.0,
    variance: Tensor | float = 1.0,
    mean_penalty: MeanPenalty = "squared",
    unbiased: bool = False,
) -> Tensor:
    """L_batch of one kind of coefficients: squared distances of the batch's moments from the prior's.

    Genova et al. 2018, section 3.3.3: |mean|^2 + |variance - 1|^2, per coordinate, for shape and for albedo.
    The variance is the unbiased one. Ours differs in that the batch spans all processes (`distributed`), may
    hold photographs that are not rendered, may have another target for a component whose distribution among
    photographs is known (`skin_tone`), and may penalise a mean's absolute value in place of its square: then
    few components keep a mean, those in which photographs differ most from renderings.

    The moments of N faces are noisy, and a square does not average noise out. Of normal coefficients with
    mean m and variance v, a coordinate's expected value is m^2 + v/N + (v - 1)^2 + 2 v^2/(N - 1). At the
    prior that is 1/N + 2/(N - 1): 0.411 of 8 faces, 0.0474 of 64, 0.0117 of 256. It is least not there but at
    a smaller variance, (2 - 1/N) / (2 + 4/(N - 1)): 0.729, 0.962, 0.990. `unbiased` subtracts what estimates
    the noise's part without bias (a mere number would move no optimum): of the mean's, s^2/N, and of the
    variance's, 2 s^4/(N + 1), where s^2 is the batch's variance. The expected value is then
    m^2 + (v - 1)^2, zero and least at the prior whatever N is; a single batch's may be below zero.

    Args:
        coefficients: [B, K] in standard deviations, of all processes.
        reduction: of the coordinates.
        mean: target, a number or [K].
        variance: target, a number or [K].
        mean_penalty: "squared" as in the paper, or "absolute".
        unbiased: whether to take out what the batch's size adds.

    Raises:
        ValueError: if the batch holds fewer than two faces.
    """
    if len(coefficients) < 2:
        raise ValueError(
            f"the batch distribution needs at least 2 faces over all processes, got {len(coefficients)}; "
            "a single face has no variance: take a larger batch, or --no-batch-distribution"
        )
    means = coefficients.mean(0) - mean
    means = ABSOLUTE_SLOPE * means.abs() if mean_penalty == "absolute" else means.square()
    measured = coefficients.var(0)
    variances = (measured - variance).square()
    if unbiased:
        means = means - _noise_of_means(measured, len(coefficients), mean_penalty)
        variances = variances - 2 * measured.square() / (len(coefficients) + 1)
    return _reduced(means, reduction) + _reduced(variances, reduction)


def expected_at_prior(count: int, mean_penalty: MeanPenalty = "squared") -> float:
    """What the batch distribution loss of one coordinate is on average where coefficients follow the prior.

    Args:
        count: N, faces of the batch over all processes, at least 2.
        mean_penalty: of the loss.
    """
    means = 1 / count if mean_penalty == "squared" else ABSOLUTE_SLOPE * math.sqrt(2 / (math.pi * count))
    return means + 2 / (count - 1)


def least_variance(count: int) -> float:
    """The variance of normal coefficients at which the batch distribution loss is least on average.

    Args:
        count: N, faces of the batch over all processes, at least 2; means penalised by their squares.
    """
    return (2 - 1 / count) / (2 + 4 / (count - 1))


def _noise_of_means(variance: Tensor, count: int, mean_penalty: MeanPenalty) -> Tensor:
    """What the penalty of a normal batch's means is on average where their true mean is the target."""
    if mean_penalty == "squared":
        return variance / count
    # A sample's standard deviation is too small on average, by a factor that only depends on its size.
    shortfall = math.sqrt(2 / (count - 1)) * math.exp(math.lgamma(count / 2) - math.lgamma((count - 1) / 2))
    deviation = variance.clamp(min=1e-12).sqrt() / shortfall
    return ABSOLUTE_SLOPE * math.sqrt(2 / (math.pi * count)) * deviation


def loopback_loss(decoded: Prediction, decoded_again: Prediction, weights: LossWeights) -> Tensor:
    """L_loop: how far the coefficients change when a face is rendered, encoded and decoded again.

    Genova et al. 2018, section 3.3.4. Both gradient paths are kept: through the coefficients that were
    rendered, and through those decoded from the rendering (and so through the renderer and the encoder).

    Args:
        decoded: of B photographs.
        decoded_again: of B N renderings, N of each face in turn.
        weights: w_s and w_t of the distance.
    """
    views = len(decoded_again.shape) // len(decoded.shape)
    repeated = Prediction(*(part.repeat_interleave(views, 0) for part in decoded))
    return parameter_loss(decoded_again, repeated, weights)


def tone_loss(first_albedo: Tensor, target: Tensor) -> Tensor:
    """Squared distance of the first albedo component, which is skin tone, from what it should be.

    Not in the paper; see `skin_tone`. Of photographs, it should be what their cheeks ask for; of synthetic
    faces (the known tone loss) what was drawn. In the parameter loss the component is one of many: beside
    the photographs' target the regressor would forget what it knew of synthetic tones.

    Args:
        first_albedo: [B].
        target: [B].
    """
    return (first_albedo - target).square().mean()


def landmark_loss(squared_distances: Tensor, counted: Tensor) -> Tensor:
    """How far photographs' landmarks lie from the faces', robustly: the mean of 2 sqrt(1 + d^2 / S^2) - 2.

    Not in the paper; see `photographed_landmarks`. With S = LANDMARK_SCALE it is (d/S)^2 of a small distance
    d, and 2 d/S of a large one (Charbonnier): what a hand hides must not bend the face.

    Args:
        squared_distances: [B, P], of P landmarks, in distances between the eyes' outer corners.
        counted: [B], 0 of photographs in which the detector saw no face; the mean is over all, so that
            processes agree about it.
    """
    each = 2 * (1 + squared_distances / LANDMARK_SCALE**2).sqrt() - 2
    return (counted * each.mean(1)).mean()


def _reduced(values: Tensor, reduction: Reduction) -> Tensor:
    if reduction not in ("sum", "mean"):
        raise ValueError(f'reduction must be "sum" or "mean", got {reduction!r}')
    return values.sum(-1) if reduction == "sum" else values.mean(-1)
