"""Stage 2: photographs and synthetic faces, every loss, each with its switch: the paper's figure 2."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import torch
from lightning import LightningModule
from lightning.pytorch.utilities.types import OptimizerLRSchedulerConfig
from torch import Tensor

from .batches import PhotographsOfStep, StepBatch
from .distributed import global_batch, is_distributed, mean_over_processes
from .losses import (
    OF_SYNTHETIC,
    LossWeights,
    batch_distribution_loss,
    contrast_loss,
    identity_loss,
    landmark_loss,
    loopback_loss,
    parameter_loss,
    tone_loss,
)
from .optimisation import Optimisation
from .photographed_landmarks import LandmarkTarget
from .plain.precision import at_least_float32
from .prediction import Prediction
from .recognition.frame import Crop
from .recognition.similarity import Centre, in_one_precision
from .regressor import Regressor
from .rendered_faces import draw_scenes, render_drawn
from .rendering.ranges import SceneRanges
from .rendering.scenes import DrawnScenes
from .skin_tone import ToneTarget
from .teachers import NOTHING_ROUNDED, Seen, Teachers
from .validation import JudgedFaces, joined, judged_faces, validation_scores

# Losses for which a step's faces are rendered, those that compare embeddings, and those that need the
# photographs of all processes.
OF_RENDERINGS = {"identity", "contrast", "loopback"}
OF_EMBEDDINGS = {"identity", "contrast"}
OF_ALL_PROCESSES = {"batch_distribution", *OF_EMBEDDINGS}


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
        retouched: whether faces that are scored are, not in the paper, see `as_judged`.
    """

    photographs: int
    views: int = 3
    ranges: SceneRanges | None = None
    backend: str | None = None
    seed: int = 0
    jitter: float = 0.0
    retouched: bool = True

    def samples(self, size: int, first: int, count: int) -> range:
        """Which photographs of a step of `size` are rendered, of a process's `count` from `first` on."""
        return range(first, first + count, max(1, size // self.photographs))

    def draw(self, crop: Crop, step: int, samples: Sequence[int]) -> DrawnScenes:
        """The scenes in which they are rendered, keyed by seed, step and sample alone."""
        return draw_scenes(
            crop,
            views=self.views,
            seed=self.seed,
            step=step,
            samples=samples,
            jitter=self.jitter,
            ranges=self.ranges,
        )


class Everyone(NamedTuple):
    """The photographs of all processes: coefficients, and embeddings [M, E] of each identity network."""

    predicted: Prediction
    embeddings: tuple[Tensor, ...]


class Compared(NamedTuple):
    """One identity network's unit embeddings: of photographs [M, E], of renderings [B, N, E]; its centre."""

    photographs: Tensor
    renderings: Tensor
    centre: Centre | None


class Renderings(NamedTuple):
    """The photographs of a step that are rendered.

    Attributes:
        index: [B], which photographs of the data set they are.
        own: [B], their places among the step's photographs of all processes.
        predicted: their coefficients.
        images: [B, N, 3, H, W], N views of each.
    """

    index: Tensor  # type: ignore[assignment]  # takes the place of tuple.index
    own: Tensor
    predicted: Prediction
    images: Tensor


class StepPictures(NamedTuple):
    """Renderings of a step to look at, without their graph.

    Attributes:
        index: [B], which photographs of the data set.
        views: [B, N, 3, H, W].
        decoded_again: of the B N views, None without loopback.
    """

    index: Tensor  # type: ignore[assignment]  # takes the place of tuple.index
    views: Tensor
    decoded_again: Prediction | None


class Regression(LightningModule):
    """Trains the regressor on unlabelled photographs, through the renderer and a recognition network.

    Genova et al. 2018, section 3.3 and figure 2.

    Args:
        regressor: to be trained, in place.
        teachers: the frozen morphable model and networks.
        weights: of the losses; one of weight 0 is off and costs nothing.
        rendering: what is rendered at each step.
        optimisation: of the regressor.
        centres: of the identity networks and of the judge, by name; none compares raw cosines.
        tone: what the photographs' skin tone asks of the first albedo component, if anything.
        landmarks: what the photographs' landmarks are compared with, if they are.
        gradient_norm_interval: steps between two measurements of each loss's gradient; 0 never measures.
        rounded: in what precision networks look at a step's renderings, by name, see `rounding`; validation
            and all other networks are exact.
    """

    def __init__(
        self,
        regressor: Regressor,
        teachers: Teachers,
        weights: LossWeights,
        rendering: Rendering,
        optimisation: Optimisation,
        *,
        centres: dict[str, Centre] | None = None,
        tone: ToneTarget | None = None,
        landmarks: LandmarkTarget | None = None,
        gradient_norm_interval: int = 100,
        rounded: Mapping[str, torch.dtype] = NOTHING_ROUNDED,
    ) -> None:
        super().__init__()
        if not weights.on:
            raise ValueError("every loss is off; leave at least one on, with a weight above 0")
        if "tone" in weights.on and tone is None:
            raise ValueError("the tone loss needs a ToneTarget, fitted to photographs")
        if "landmark" in weights.on and landmarks is None:
            raise ValueError("the landmark loss needs a LandmarkTarget, fitted to photographs")
        self.regressor, self.teachers, self.tone, self.landmarks = regressor, teachers, tone, landmarks
        self.weights, self.rendering, self.optimisation = weights, rendering, optimisation
        self.centres = {} if centres is None else centres
        self.gradient_norm_interval, self.rounded = gradient_norm_interval, dict(rounded)
        self.validated: Prediction | None = None
        self._judged: list[JudgedFaces] = []

    def setup(self, stage: str) -> None:
        """Bring teachers, centres and landmarks, of which no hook of Lightning's knows, onto the device."""
        self.teachers = self.teachers.to(self.device)
        self.landmarks = None if self.landmarks is None else self.landmarks.to(self.device)
        self.centres = {
            name: centre._replace(values=centre.values.to(self.device))
            for name, centre in self.centres.items()
        }

    def training_step(self, batch: StepBatch, batch_idx: int) -> dict[str, Any]:
        """The weighted sum of the losses that are on (`loss`), and the step's `pictures` for callbacks."""
        weights, on = self.weights, self.weights.on
        photographs, synthetic = batch.photographs, batch.synthetic
        losses: dict[str, Tensor] = {}
        pictures = None

        predicted, predicted_of_synthetic = self.predict(batch)
        everyone = self.everyone(predicted, photographs) if on & OF_ALL_PROCESSES else None
        if "parameter" in on:
            assert synthetic is not None
            assert predicted_of_synthetic is not None
            drawn = Prediction(synthetic.shape, synthetic.albedo)
            losses["parameter"] = parameter_loss(predicted_of_synthetic, drawn, weights)
        if "batch_distribution" in on:
            assert everyone is not None
            losses["batch_distribution"] = self.batch_distribution(everyone.predicted)
        if "tone" in on:
            losses["tone"] = tone_loss(predicted.albedo[:, 0], self.tone_target(photographs))
        if "known_tone" in on:
            assert synthetic is not None
            assert predicted_of_synthetic is not None
            losses["known_tone"] = tone_loss(predicted_of_synthetic.albedo[:, 0], synthetic.albedo[:, 0])
        if "landmark" in on:
            assert self.landmarks is not None
            assert photographs.landmarks is not None
            losses["landmark"] = landmark_loss(
                *self.landmarks.squared_distances(predicted.shape, photographs.landmarks)
            )

        if on & OF_RENDERINGS:
            rendered = self.render(predicted, batch)
            seen = self.teachers.see(
                rendered.images,
                encode="loopback" in on,
                identify=bool(on & OF_EMBEDDINGS),
                rounded=self.rounded,
            )
            decoded_again = None
            if on & OF_EMBEDDINGS:
                assert everyone is not None
                compared = self.compared(everyone, seen)
            if "identity" in on:
                losses["identity"] = mean_of(
                    identity_loss(each.photographs[rendered.own], each.renderings, each.centre)
                    for each in compared
                )
            if "contrast" in on:
                losses["contrast"] = mean_of(
                    contrast_loss(each.photographs, each.renderings, rendered.own, each.centre)
                    for each in compared
                )
            if "loopback" in on:
                decoded_again = self.regressor(seen.features)
                losses["loopback"] = loopback_loss(rendered.predicted, decoded_again, weights)
            pictures = pictures_of(rendered, decoded_again)

        return {"loss": self.weighted_sum(losses, batch.step), "pictures": pictures}

    def weighted_sum(self, losses: dict[str, Tensor], step: int) -> Tensor:
        """What is minimised; losses are logged times their weights, so that their curves add up to it."""
        terms = {name: getattr(self.weights, name) * loss for name, loss in losses.items()}
        total = torch.stack(list(terms.values())).sum()
        values = mean_over_processes(torch.stack([*terms.values(), total]))
        for name, value in zip([*terms, "total"], values, strict=True):
            self.log(f"train/loss/{name}", value)
        if self.gradient_norm_interval and step % self.gradient_norm_interval == 0:
            self._log_gradient_norms(terms)
        return total

    def predict(self, batch: StepBatch) -> tuple[Prediction, Prediction | None]:
        """Coefficients of photographs and, if a loss of theirs is on, of synthetic faces, in one pass."""
        photographs = batch.photographs.features[self.teachers.encoder.name]
        if not self.weights.on & OF_SYNTHETIC:
            return self.regressor(photographs), None
        assert batch.synthetic is not None
        both = self.regressor(torch.cat([photographs, batch.synthetic.features]))
        counts = len(photographs), len(batch.synthetic.features)
        (shape, synthetic_shape), (albedo, synthetic_albedo) = (part.split(counts) for part in both)
        return Prediction(shape, albedo), Prediction(synthetic_shape, synthetic_albedo)

    def everyone(self, predicted: Prediction, photographs: PhotographsOfStep) -> Everyone:
        """This process's photographs and those of the others: moments and contrasts span all of them."""
        embeddings = tuple(
            photographs.embeddings[network.name] for network in self.teachers.identity_networks
        )
        # In 16 bits a variance would be known to half a percent.
        predicted = Prediction(*map(at_least_float32, predicted))
        if not is_distributed():
            return Everyone(predicted, embeddings)
        # In one message: at every one, the processes wait for each other.
        parts = (*predicted, *embeddings)
        widths = [part.shape[1] for part in parts]
        shape, albedo, *theirs = global_batch(torch.cat(parts, dim=1)).split(widths, dim=1)
        return Everyone(Prediction(shape, albedo), tuple(each.detach() for each in theirs))

    def compared(self, everyone: Everyone, seen: Seen) -> list[Compared]:
        """What each identity network says of photographs and renderings."""
        return [
            Compared(*in_one_precision(photographs, renderings), self.centres.get(network.name))
            for network, photographs, renderings in zip(
                self.teachers.identity_networks, everyone.embeddings, seen.embeddings, strict=True
            )
        ]

    def batch_distribution(self, predicted: Prediction) -> Tensor:
        """The four terms of L_batch over the batch of all processes."""
        loss = partial(
            batch_distribution_loss,
            reduction=self.weights.reduction,
            mean_penalty=self.weights.mean_penalty,
            unbiased=self.weights.unbiased_moments,
        )
        mean, variance = self._albedo_target(predicted.albedo)
        return loss(predicted.shape) + loss(predicted.albedo, mean=mean, variance=variance)

    def render(self, predicted: Prediction, batch: StepBatch) -> Renderings:
        """The photographs that are rendered, evenly spread: the same ones on any number of processes."""
        samples = self.rendering.samples(batch.size, batch.first, len(predicted.shape))
        shown = slice(None, None, samples.step)
        faces = Prediction(predicted.shape[shown], predicted.albedo[shown])
        drawn = batch.scenes or self.rendering.draw(self.teachers.crop, batch.step, samples)
        images = render_drawn(
            self.teachers.model, faces, self.teachers.crop, drawn, backend=self.rendering.backend
        )
        own = torch.arange(samples.start, samples.stop, samples.step, device=self.device)
        return Renderings(batch.photographs.index[shown], own, faces, images)

    def draw_scenes(self, step: int, size: int, first: int, count: int) -> DrawnScenes | None:
        """What `render` needs of `count` photographs from the one at place `first` on, on the CPU.

        None where no loss needs a rendering. For whoever makes batches ahead.
        """
        if not self.weights.on & OF_RENDERINGS:
            return None
        return self.rendering.draw(self.teachers.crop, step, self.rendering.samples(size, first, count))

    def tone_target(self, photographs: PhotographsOfStep) -> Tensor:
        """The first albedo component [B] that the photographs' skin tone asks for."""
        encoder = self.teachers.encoder.name
        own = self.teachers.cheeks(photographs.features[encoder])
        assert self.tone is not None
        return self.tone(photographs.embeddings[encoder], own)

    def target_moments(self, coefficients: Tensor) -> tuple[Tensor, Tensor]:
        """The mean and variance [Ks + Kt] that the batch distribution asks of coefficients [B, Ks + Kt]."""
        shape_count = self.regressor.shape_count
        mean, variance = self._albedo_target(coefficients[:, shape_count:])
        zeros, ones = coefficients.new_zeros(shape_count), coefficients.new_ones(shape_count)
        return torch.cat([zeros, mean]), torch.cat([ones, variance])

    def validation_step(self, batch: PhotographsOfStep, batch_idx: int) -> None:
        """Render held-back photographs' faces from the front and show them to both networks."""
        # In 16 bits moments would be known to half a percent.
        predicted = Prediction(
            *map(at_least_float32, self.regressor(batch.features[self.teachers.encoder.name]))
        )
        self._judged.append(
            judged_faces(
                self.teachers,
                predicted,
                batch,
                backend=self.rendering.backend,
                retouched=self.rendering.retouched,
            )
        )

    def on_validation_epoch_end(self) -> None:
        """Log what the judge says beside what the training network says, and the coefficients' moments."""
        faces = joined(self._judged)
        self._judged.clear()
        self.validated = faces.predicted
        targets = self.target_moments(torch.cat(faces.predicted, dim=1))
        for name, score in validation_scores(faces, self.teachers, self.centres, targets).items():
            self.log(f"validation/{name}", score)

    def configure_optimizers(self) -> OptimizerLRSchedulerConfig:
        """Warm-up, then a cosine."""
        return self.optimisation.configure(self.regressor)

    def _albedo_target(self, albedo: Tensor) -> tuple[Tensor, Tensor]:
        """The prior's moments [Kt] of albedo; those of the photographs' skin tone where they are known."""
        mean, variance = torch.zeros_like(albedo[0]), torch.ones_like(albedo[0])
        if "tone" in self.weights.on:
            assert self.tone is not None
            mean[0], variance[0] = self.tone.mean, self.tone.variance
        return mean, variance

    def _log_gradient_norms(self, terms: dict[str, Tensor]) -> None:
        parameters = list(self.regressor.parameters())
        for name, term in terms.items():
            gradients = torch.autograd.grad(term, parameters, retain_graph=True, allow_unused=True)
            own = torch.cat([gradient.flatten() for gradient in gradients if gradient is not None])
            # The norm of what the optimiser sees: the mean over processes, not one process's own.
            self.log(f"train/gradient_norm/{name}", mean_over_processes(own).norm())


def mean_of(losses: Iterable[Tensor]) -> Tensor:
    """A loss that several networks measure."""
    return torch.stack(list(losses)).mean()


def pictures_of(rendered: Renderings, decoded_again: Prediction | None) -> StepPictures:
    """What callbacks may keep of a step."""
    again = None if decoded_again is None else Prediction(*(part.detach() for part in decoded_again))
    return StepPictures(rendered.index, rendered.images.detach(), again)
