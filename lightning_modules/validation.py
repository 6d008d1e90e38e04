"""Held-back photographs while training: what the judge says of their faces, and the training network.

The paper reports no validation. The judge takes no part in training, so that the difference of the two, the
fooling gap, shows how far the regressor learnt to please one network alone.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from .batches import PhotographsOfStep
from .prediction import Prediction
from .recognition.similarity import Centre, cosine_similarity, in_one_precision
from .rendered_faces import render_for_judge
from .teachers import Teachers


class JudgedFaces(NamedTuple):
    """Photographs beside the frontal renderings of their faces.

    Attributes:
        judge_photographs: [B, E], the judge's embeddings.
        judge_renderings: [B, E], likewise.
        identity_photographs: [B, E], the identity network's.
        identity_renderings: [B, E], likewise.
        shape: [B, Ks], predicted.
        albedo: [B, Kt], predicted.
    """

    judge_photographs: Tensor
    judge_renderings: Tensor
    identity_photographs: Tensor
    identity_renderings: Tensor
    shape: Tensor
    albedo: Tensor

    @property
    def predicted(self) -> Prediction:
        """The coefficients."""
        return Prediction(self.shape, self.albedo)


def judged_faces(
    teachers: Teachers,
    predicted: Prediction,
    photographs: PhotographsOfStep,
    *,
    backend: str | None = None,
    retouched: bool = True,
) -> JudgedFaces:
    """Render the predicted faces from the front and show them to both networks.

    Args:
        teachers: the frozen parts.
        predicted: of B photographs.
        photographs: with both networks' embeddings.
        backend: of the rasterizer.
        retouched: see `render_for_judge`.
    """
    images = render_for_judge(teachers.model, predicted, backend=backend, retouched=retouched)
    judge, trained = teachers.judge, teachers.identity_network
    return JudgedFaces(
        *in_one_precision(photographs.embeddings[judge.name], judge(images).embedding),
        *in_one_precision(photographs.embeddings[trained.name], trained(images).embedding),
        *predicted,
    )


def joined(parts: Sequence[JudgedFaces]) -> JudgedFaces:
    """The batches of an epoch as one."""
    return JudgedFaces(*(torch.cat(part) for part in zip(*parts, strict=True)))


def validation_scores(
    faces: JudgedFaces,
    teachers: Teachers,
    centres: Mapping[str, Centre],
    targets: tuple[Tensor, Tensor],
) -> dict[str, Tensor]:
    """What is logged under `validation/`: similarities, the fooling gap, top-1, the coefficients' moments.

    Args:
        faces: all held-back photographs.
        teachers: name the networks.
        centres: by the network's name; none compares raw cosines.
        targets: mean and variance [Ks + Kt] that the batch distribution asks for.
    """
    judged = cosine_similarity(
        faces.judge_photographs, faces.judge_renderings, centres.get(teachers.judge.name)
    ).mean()
    by_training = cosine_similarity(
        faces.identity_photographs, faces.identity_renderings, centres.get(teachers.identity_network.name)
    ).mean()
    nearest = (faces.judge_renderings @ faces.judge_photographs.T).argmax(1)
    coefficients = torch.cat(faces.predicted, dim=1)
    mean, variance = targets
    scores = {
        "judge_similarity": judged,
        "training_similarity": by_training,
        "fooling_gap": by_training - judged,
        "top1": (nearest == torch.arange(len(nearest), device=nearest.device)).float().mean(),
        "mean_error": (coefficients.mean(0) - mean).abs().mean(),
    }
    if len(coefficients) > 1:
        scores["variance_error"] = (coefficients.var(0) - variance).abs().mean()
    scores["beyond_three_deviations"] = (coefficients.abs() > 3).float().mean()
    return scores
