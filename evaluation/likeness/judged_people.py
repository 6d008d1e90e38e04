"""Reconstructed people before the judge: the scores of the reporting protocol, and what each person adds."""

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from datamodules.face_data import FaceBatch
from evaluation.metrics.moments import MomentStatistics, moment_statistics
from evaluation.metrics.paired import Statistic
from evaluation.metrics.reporting_protocol import Scores, photograph_pairs, score
from evaluation.metrics.retrieval import centred_by_own_mean
from lightning_modules.faces.alignment import similarity_between
from lightning_modules.faces.morphable_model import MorphableModel
from lightning_modules.prediction import Prediction
from lightning_modules.recognition.network import RecognitionNetwork
from lightning_modules.rendered_faces import render_for_judge

AT_ONCE = 32


class Judged(NamedTuple):
    """Faces under the protocol.

    Attributes:
        scores: by the judge.
        centred: by the judge, renderings and photographs each less their own mean.
        by_training: by the network that trained, centred likewise.
    """

    scores: Scores
    centred: Scores
    by_training: Scores

    @property
    def fooling_gap(self) -> Statistic:
        """Similarity by the training network minus by the judge, both centred: strangers have 0 in both."""
        trained, judged = self.by_training.mean_same, self.centred.mean_same
        return Statistic(trained.value - judged.value, trained.leave_one_out - judged.leave_one_out)


@torch.no_grad()
def judge_faces(
    faces: Prediction,
    gallery: FaceBatch,
    model: MorphableModel,
    judge: RecognitionNetwork,
    trained: RecognitionNetwork,
    *,
    retouched: bool = True,
    shuffled: bool = False,
) -> Judged:
    """Scores of I people's faces.

    Args:
        faces: their coefficients, each from the person's first photograph.
        gallery: the first and second photograph of every person, [2 I].
        model: the morphable model.
        judge: a network that was not trained with.
        trained: the one whose embeddings made the identity loss.
        retouched: see `render_for_judge`.
        shuffled: give each person another's face.
    """
    results = []
    embedded = {
        network.name: embed(network, faces, model, retouched=retouched) for network in (judge, trained)
    }
    for network, centre in ((judge, False), (judge, True), (trained, True)):
        seen, photographs = embedded[network.name], gallery.embeddings[network.name]
        if shuffled:
            seen = seen.roll(1, 0)
        if centre:
            seen, photographs = centred_by_own_mean(seen), centred_by_own_mean(photographs)
        pairs = photograph_pairs((photographs @ photographs.T).numpy())
        results.append(score((seen @ photographs.T).numpy(), pairs))
    return Judged(*results)


@torch.no_grad()
def embed(
    network: RecognitionNetwork, faces: Prediction, model: MorphableModel, *, retouched: bool = True
) -> Tensor:
    """The embeddings [I, E] of frontal renderings, on the CPU."""
    embeddings = []
    for start in range(0, len(faces.shape), AT_ONCE):
        some = Prediction(*(part[start : start + AT_ONCE] for part in faces))
        embeddings.append(network(render_for_judge(model, some, retouched=retouched)).embedding.cpu())
    return torch.cat(embeddings)


def coefficient_statistics(faces: Prediction, tone: dict[str, float] | None) -> MomentStatistics:
    """How far the faces' coefficients are from the prior, or from the photographs' tone where training asked.

    Args:
        faces: coefficients of I people.
        tone: `mean` and `variance` of the first albedo component, as the checkpoint keeps them.
    """
    coefficients = torch.cat([part.cpu() for part in faces], 1)
    mean, variance = torch.zeros(coefficients.shape[1]), torch.ones(coefficients.shape[1])
    if tone is not None:
        place = faces.shape.shape[1]
        mean[place], variance[place] = tone["mean"], tone["variance"]
    return moment_statistics(coefficients, target_mean=mean, target_variance=variance)


@torch.no_grad()
def shape_errors(predicted: Tensor, truth: Tensor, model: MorphableModel) -> np.ndarray:
    """Each face's mean distance in mm [I] of corresponding vertices, after the best similarity.

    Args:
        predicted: shape coefficients [I, K].
        truth: those of the same people, [I, L].
        model: whose vertices are compared.
    """
    errors = []
    for one, other in zip(predicted, truth, strict=True):
        source, target = (model.vertices(part[None])[0].double().cpu().numpy() for part in (one, other))
        moved = similarity_between(source, target).of(source)
        errors.append(np.linalg.norm(moved - target, axis=1).mean())
    return np.array(errors)
