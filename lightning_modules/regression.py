"""Stage 2: photographs and synthetic faces, every loss, each with its switch."""

from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from lightning import LightningModule
from torch import Tensor

from .distributed import global_batch, is_distributed, mean_over_processes
from .losses import (
    LossWeights,
    batch_distribution_loss,
    contrast_loss,
    identity_loss,
    loopback_loss,
    parameter_loss,
    tone_loss,
)
from .optimisation import Optimisation
from .prediction import Prediction
from .recognition.similarity import Centre, cosine_similarity
from .regressor import Regressor
from .rendered_faces import render_for_judge, render_randomly
from .rendering.ranges import SceneRanges
from .skin_tone import ToneTarget
from .teachers import Teachers


@dataclass(frozen=True)
class Losses:
    """Which losses stage 2 has, and how much each counts.

    Attributes:
        weights: see LossWeights.
        parameter: on synthetic faces.
        identity: on photographs.
        batch_distribution: on photographs.
        loopback: on photographs.
        tone: on photographs, not in the paper; what it counts for, 0 is off.
        contrast: part of the identity loss, not in the paper; what it counts for, 0 is off.
    """

    weights: LossWeights
    parameter: bool = True
    identity: bool = True
    batch_distribution: bool = True
    loopback: bool = True
    tone: float = 0.0
    contrast: float = 0.0

    def __post_init__(self) -> None:
        """Refuse a combination that leaves nothing to learn from."""
        if not (self.parameter or self.identity or self.batch_distribution or self.loopback or self.tone):
            raise ValueError("every loss is switched off; leave at least one on")

    @property
    def renders(self) -> bool:
        """Whether photographs' faces are rendered at all."""
        return self.identity or self.loopback


@dataclass(frozen=True)
class Rendering:
    """What is rendered of a step's photographs.

    Attributes:
        photographs: how many of them, over all processes; the others serve the batch distribution alone.
        views: N random scenes of each.
        ranges: of the scenes; the defaults of SceneRanges if None.
        backend: of the rasterizer; chosen by the device if None.
        seed: of the scenes.
        jitter: of the alignment, not in the paper, see `rendered_faces.jittered`.
    """

    photographs: int
    views: int = 3
    ranges: SceneRanges | None = None
    backend: str | None = None
    seed: int = 0
    jitter: float = 0.0


class Everyone(NamedTuple):
    """The photographs of all processes: their coefficients, and the identity network's embeddings [M, E]."""

    decoded: Prediction
    embeddings: Tensor


class Pictures(NamedTuple):
    """Renderings of a step to look at: which photographs [B], their views [B, N, 3, H, W], decoded again."""

    index: Tensor
    views: Tensor
    decoded_again: Prediction


class Regression(LightningModule):
    """Trains the regressor on unlabelled photographs, through the renderer and a recognition network.

    Genova et al. 2018, sections 3.3 and 3.4, figure 2.

    Args:
        regressor: to be trained, in place.
        teachers: the frozen morphable model and networks.
        losses: switches and weights.
        rendering: what is rendered at each step.
        optimisation: of the regressor.
        centres: of the identity network and of the judge, by name; none compares raw cosines.
        tone: what the photographs' skin tone asks of the first albedo component, if anything.
        gradient_norm_interval: steps between two measurements of each loss's gradient; 0 never measures.
    """

    def __init__(
        self,
        regressor: Regressor,
        teachers: Teachers,
        losses: Losses,
        rendering: Rendering,
        optimisation: Optimisation,
        *,
        centres: dict[str, Centre] | None = None,
        tone: ToneTarget | None = None,
        gradient_norm_interval: int = 100,
    ) -> None:
        super().__init__()
        if losses.tone and tone is None:
            raise ValueError("the tone loss needs a ToneTarget, fitted to photographs")
        self.regressor, self.teachers, self.tone = regressor, teachers, tone
        self.losses, self.rendering, self.optimisation = losses, rendering, optimisation
        self.centres = {} if centres is None else centres
        self.gradient_norm_interval = gradient_norm_interval
        self.pictures: Pictures | None = None
        self.validated: Prediction | None = None
        self._validated: list[tuple[Tensor, ...]] = []

    def setup(self, stage: str) -> None:
        """Bring the frozen teachers, which no hook of Lightning's knows of, onto the device."""
        self.teachers = self.teachers.to(self.device)

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:  # noqa: ANN401 - a TrainingBatch
        """The weighted sum of the losses that are on."""
        terms = self.terms(batch)
        total = torch.stack(list(terms.values())).sum()
        values = mean_over_processes(torch.stack([*terms.values(), total]))
        for name, value in zip([*terms, "total"], values, strict=True):
            self.log(f"train/loss/{name}", value, prog_bar=name == "total")
        if self.gradient_norm_interval and batch.step % self.gradient_norm_interval == 0:
            self._log_gradient_norms(terms)
        return total

    def terms(self, batch: Any) -> dict[str, Tensor]:  # noqa: ANN401
        """Every loss that is on, times its weight; their sum is what is minimised."""
        on, weights = self.losses, self.losses.weights
        photographs = batch.photographs
        decoded, predicted = self._decode(batch)
        everyone = self._gather(decoded, photographs) if on.batch_distribution or on.identity else None
        terms = {}
        if on.parameter:
            drawn = Prediction(batch.synthetic.shape, batch.synthetic.albedo)
            terms["parameter"] = parameter_loss(predicted, drawn, weights)
        if on.batch_distribution:
            terms["batch_distribution"] = weights.batch_distribution * self._batch_distribution(everyone)
        if on.tone:
            terms["tone"] = on.tone * tone_loss(decoded.albedo[:, 0], self.tone_target(photographs))
        if on.renders:
            # Evenly spread, so that a step renders the same photographs on any number of processes.
            shown = slice(None, None, self._stride(batch))
            rendered = Prediction(decoded.shape[shown], decoded.albedo[shown])
            samples = range(batch.first, batch.first + len(decoded.shape))[shown]
            seen = self.teachers.see(self._render(rendered, batch.step, samples))
            if on.identity:
                embeddings = seen.identity.embedding.unflatten(0, seen.images.shape[:2])
                terms["identity"] = self._identity(everyone, embeddings, samples)
            decoded_again = None
            if on.loopback:
                decoded_again = self.regressor(seen.encoder.features)
                terms["loopback"] = weights.loopback * loopback_loss(rendered, decoded_again, weights)
            self._keep(photographs.index[shown], seen.images, decoded_again)
        return terms

    def validation_step(self, batch: Any, batch_idx: int) -> None:  # noqa: ANN401 - a FaceBatch
        """Render held-back photographs' faces from the front and show them to both networks."""
        decoded = self.regressor(batch.features[self.teachers.encoder.name])
        images = render_for_judge(self.teachers.model, decoded, backend=self.rendering.backend)
        judge, trained = self.teachers.judge, self.teachers.identity_network
        self._validated.append(
            (
                *_alike(batch.embeddings[judge.name], judge(images).embedding),
                *_alike(batch.embeddings[trained.name], trained(images).embedding),
                torch.cat(decoded, dim=1),
            )
        )

    def on_validation_epoch_end(self) -> None:
        """Log what the judge says beside what the training network says, and the coefficients' moments."""
        photographs, renderings, photographs_trained, renderings_trained, coefficients = (
            torch.cat(parts) for parts in zip(*self._validated, strict=True)
        )
        self._validated.clear()
        self.validated = Prediction(
            *coefficients.split([self.regressor.shape_count, self.regressor.albedo_count], dim=1)
        )
        judge, trained = self.teachers.judge.name, self.teachers.identity_network.name
        judged = cosine_similarity(photographs, renderings, self.centres.get(judge)).mean()
        by_training = cosine_similarity(
            photographs_trained, renderings_trained, self.centres.get(trained)
        ).mean()
        self.log("validation/judge_similarity", judged, prog_bar=True)
        self.log("validation/training_similarity", by_training)
        self.log("validation/fooling_gap", by_training - judged)
        found = (renderings @ photographs.T).argmax(1) == torch.arange(len(photographs)).to(self.device)
        self.log("validation/top1", found.float().mean())
        mean, variance = self.target_moments(coefficients)
        self.log("validation/mean_error", (coefficients.mean(0) - mean).abs().mean())
        if len(coefficients) > 1:
            self.log("validation/variance_error", (coefficients.var(0) - variance).abs().mean())
        self.log("validation/beyond_three_deviations", (coefficients.abs() > 3).float().mean())

    def configure_optimizers(self) -> dict[str, Any]:
        """AdamW with warm-up and a cosine."""
        return self.optimisation.configure(self.regressor)

    def _decode(self, batch: Any) -> tuple[Prediction, Prediction | None]:  # noqa: ANN401
        """Coefficients of the photographs and, if their loss is on, of the synthetic faces, in one pass."""
        photographs = batch.photographs.features[self.teachers.encoder.name]
        if not self.losses.parameter:
            return self.regressor(photographs), None
        both = self.regressor(torch.cat([photographs, batch.synthetic.features]))
        counts = len(photographs), len(batch.synthetic.features)
        (shape, synthetic_shape), (albedo, synthetic_albedo) = (part.split(counts) for part in both)
        return Prediction(shape, albedo), Prediction(synthetic_shape, synthetic_albedo)

    def _gather(self, decoded: Prediction, photographs: Any) -> Everyone:  # noqa: ANN401 - a FaceBatch
        """This process's photographs and those of the others."""
        embeddings = photographs.embeddings[self.teachers.identity_network.name]
        if not is_distributed():
            return Everyone(decoded, embeddings)
        # In one message: at every one, the processes wait for each other.
        parts = (*decoded, embeddings)
        widths = [part.shape[1] for part in parts]
        shape, albedo, embeddings = global_batch(torch.cat(parts, dim=1)).split(widths, dim=1)
        return Everyone(Prediction(shape, albedo), embeddings.detach())

    def _identity(self, everyone: Everyone, renderings: Tensor, samples: range) -> Tensor:
        """L_id of the rendered photographs, with what the contrast adds where it is on."""
        centre = self.centres.get(self.teachers.identity_network.name)
        embeddings, renderings = _alike(everyone.embeddings, renderings)
        own = torch.tensor(samples, device=self.device)
        loss = self.losses.weights.identity * identity_loss(embeddings[own], renderings, centre)
        if self.losses.contrast:
            contrast = contrast_loss(embeddings, renderings, own, centre)
            loss = loss + self.losses.contrast * contrast
        return loss

    def _batch_distribution(self, everyone: Everyone) -> Tensor:
        """The four terms of L_batch over the batch of all processes."""
        weights, (shape, albedo) = self.losses.weights, everyone.decoded
        options = {"reduction": weights.reduction, "mean_penalty": weights.mean_penalty}
        mean, variance = self._albedo_target(albedo)
        return batch_distribution_loss(shape, **options) + batch_distribution_loss(
            albedo, mean=mean, variance=variance, **options
        )

    def tone_target(self, photographs: Any) -> Tensor:  # noqa: ANN401 - a FaceBatch
        """The first albedo component [B] that the photographs' skin tone asks for."""
        encoder = self.teachers.encoder.name
        own = self.teachers.cheeks(photographs.features[encoder])
        return self.tone(photographs.embeddings[encoder], own)

    def _albedo_target(self, albedo: Tensor) -> tuple[Tensor, Tensor]:
        """The prior's moments [Kt] of albedo; those of the photographs' skin tone where they are known."""
        mean, variance = torch.zeros_like(albedo[0]), torch.ones_like(albedo[0])
        if self.losses.tone:
            mean[0], variance[0] = self.tone.mean, self.tone.variance
        return mean, variance

    def target_moments(self, coefficients: Tensor) -> tuple[Tensor, Tensor]:
        """The mean and variance [Ks + Kt] that the batch distribution asks of coefficients [B, Ks + Kt]."""
        shape_count = self.regressor.shape_count
        mean, variance = self._albedo_target(coefficients[:, shape_count:])
        zeros, ones = coefficients.new_zeros(shape_count), coefficients.new_ones(shape_count)
        return torch.cat([zeros, mean]), torch.cat([ones, variance])

    def _render(self, faces: Prediction, step: int, samples: range) -> Tensor:
        return render_randomly(
            self.teachers.model,
            faces,
            self.teachers.crop,
            views=self.rendering.views,
            seed=self.rendering.seed,
            step=step,
            samples=samples,
            jitter=self.rendering.jitter,
            ranges=self.rendering.ranges,
            backend=self.rendering.backend,
        )

    def _stride(self, batch: Any) -> int:  # noqa: ANN401
        """Every how many photographs of the batch one is rendered."""
        return max(1, batch.size // self.rendering.photographs)

    def _keep(self, index: Tensor, images: Tensor, decoded_again: Prediction | None) -> None:
        """Keep the step's renderings for the image grid; they hold no graph."""
        again = None if decoded_again is None else Prediction(*(part.detach() for part in decoded_again))
        self.pictures = Pictures(index, images.detach(), again)

    def _log_gradient_norms(self, terms: dict[str, Tensor]) -> None:
        parameters = list(self.regressor.parameters())
        for name, term in terms.items():
            gradients = torch.autograd.grad(term, parameters, retain_graph=True, allow_unused=True)
            own = torch.cat([gradient.flatten() for gradient in gradients if gradient is not None])
            # The norm of what the optimiser sees: the mean over processes, not one process's own.
            self.log(f"train/gradient_norm/{name}", mean_over_processes(own).norm())


def _alike(photographs: Tensor, renderings: Tensor) -> tuple[Tensor, Tensor]:
    """Both in the wider precision: a trainer's holds for a batch, or where it casts, not for frozen parts."""
    dtype = torch.promote_types(photographs.dtype, renderings.dtype)
    return photographs.to(dtype), renderings.to(dtype)
