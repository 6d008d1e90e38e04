"""What a training run is made of: every option, the methods and the budgets."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, ClassVar, Literal, Self

from lightning_modules.losses import LossWeights, MeanPenalty, Reduction, expected_at_prior, least_variance
from lightning_modules.plain.declared_options import in_words
from lightning_modules.plain.number_types import (
    ClosedUnitInterval,
    CropCount,
    JitterShare,
    NonNegativeFinite,
    NonNegativeInt,
    PositiveFinite,
    PositiveInt,
    PositiveShare,
    SeedInt,
    ShareBelowOne,
)
from lightning_modules.recognition.network_names import NetworkName, place_of_network
from lightning_modules.rendering.ranges import SceneRanges

from .budgets import PRESETS
from .departures import FOLLOWING, METHODS, departures_of

Stage = Literal["both", "1", "2"]
Method = Literal["suite", "paper"]
Preset = Literal["quick", "standard", "paper-scale"]
# Photographs of a step below which its moments are mostly noise.
ENOUGH_FOR_MOMENTS = 64


WIDEST = 2**15  # of a hidden layer, whose weights are 4 GiB then; the optimiser keeps twice as much


@dataclass(frozen=True)
class Settings:
    """What the result of a run depends on.

    An option that is not given follows from the method and the preset.

    Attributes:
        photographs: a folder of unlabelled photographs, lfw:DIR, or stand-in (renderings, labelled so).
        stage: 1 (synthetic faces only), 2 (from a finished stage 1 of the same settings), or both.
        method: paper sets back every departure from the paper that an option can set back; suite has them.
        preset: the budget. quick: some minutes on two cores; standard: under an hour on two cores;
            paper-scale: a GPU, days on a CPU.
        morphable_model: open, open:2, basel:FILE, bfm-front:FILE, ict:DIR, flame:FILE or gnm:FILE.
        shape_components: of the morphable model; 0 takes all.
        albedo_components: likewise.
        encoder: the frozen network whose features the regressor reads; one of a file is arcface:FILE,
            onnx:FILE or torch:FILE.
        encoder_crops: of a photograph, every second one mirrored, over which the encoder's features are
            averaged; 1 in the paper. Renderings are seen once.
        cheek_colour: whether the cheeks' colour belongs to the encoder's features, not in the paper.
        identity_network: whose embeddings make the identity loss; the encoder if not given.
        second_identity_network: another such network, or none: the identity and the contrast loss are then
            the means over both, for two disagree on what fools one. Not in the paper.
        judge: another network, which training never sees; it scores held-back photographs.
        identity: the identity loss of stage 2.
        batch_distribution: the batch distribution loss of stage 2.
        loopback: the loopback loss of stage 2.
        parameter: the parameter loss of stage 2 (stage 1 has no other).
        contrast: the contrast loss of stage 2, which tells the batch's photographs apart; not in the paper.
        tone: the skin tone loss of stage 2; not in the paper.
        known_tone: the same of synthetic faces, whose tone is known; not in the paper.
        multi_view: several views of each photograph; --no-multi-view is --views 1.
        pretraining: whether there is a stage 1; without it stage 2 starts from a network that knows nothing.
        views: random scenes in which each rendered face is seen; 3 in the paper.
        identity_weight: of the identity loss; a loss of weight 0 is off, as by its switch.
        batch_distribution_weight: of the batch distribution loss.
        loopback_weight: of the loopback loss.
        shape_weight: w_s, of shape in the parameter and loopback losses.
        albedo_weight: w_t, of albedo.
        contrast_weight: of the contrast loss.
        landmark_weight: of the landmark loss of stage 2, which compares 68 landmarks that MediaPipe finds in
            photographs with the face's under fitted pose and expression; 0 leaves it off. Not in the paper.
        tone_weight: of the skin tone loss.
        known_tone_weight: of the known tone loss.
        reduction: whether coordinates of a coefficient vector are summed or averaged.
        mean_penalty: of the batch distribution: squared as in the paper, or absolute, which lets few
            components keep a mean.
        unbiased_moments: whether what a batch's size adds to the batch distribution loss is taken out, so
            that it asks for the prior at every size. Not in the paper.
        centred: whether the mean embedding of photographs is subtracted before cosines in the identity loss.
        jitter: of each view's alignment, not in the paper: standard deviation as a share of the image.
        white_balance: the largest share of a light's colour that cameras take out, at least half of it each
            time; 0 leaves all, as in the paper.
        lowest_exposure: of a random scene; the highest is 1. High, all scenes are equally bright, which is
            not in the paper.
        retouched: whether faces are softened, and black above the forehead, before networks score them; not
            in the paper.
        rendered: photographs of a step that are rendered, over all processes.
        photographs_per_step: photographs of a step, over all processes; those not rendered serve the batch
            distribution alone.
        synthetic_per_step: synthetic faces of a step of stage 2, over all processes.
        synthetic_per_pretraining_step: of stage 1.
        synthetic_faces: how many different ones there are; 0 renders fresh ones at every step.
        hidden_width: of the regressor's layers.
        standardised: whether features get mean 0 and variance 1 over synthetic faces first; not in the paper.
        last_layer_scale: a factor on the weights of the regressor's last layer at the start; 1 in the paper.
        linear_start: stage 1 starts from ridge regression in a linear path beside the layers, and stage 2
            multiplies what stage 1 predicts by this; 0 has neither. Not in the paper.
        pretraining_steps: of stage 1.
        max_steps: of stage 2.
        pretraining_learning_rate: of stage 1; lower where it starts from ridge regression.
        learning_rate: of stage 2.
        decoupled_decay: whether weights shrink by a share at each step (AdamW), or by the gradient of their
            squares, as in the paper.
        pretraining_weight_decay: of stage 1: strong, or it learns the pool's faces by heart.
        weight_decay: of stage 2.
        warmup_steps: of both stages.
        gradient_clip: largest norm of a gradient; 0 is off.
        ema: decay of a moving average of the weights, which then is what is validated and kept; 0 is off.
        validation_fraction: share of the photographs that is held back.
        validation_photographs: at most so many are held back.
        seed: of everything that is drawn.
    """

    headings: ClassVar[Mapping[str, str]] = MappingProxyType(
        {
            "photographs": "What is trained",
            "morphable_model": "Morphable model and networks",
            "identity": "Losses and parts, each with its switch",
            "views": "Weights and details, which the method sets",
            "rendered": "Sizes and budget, which the preset sets",
            "linear_start": "Optimisation",
            "validation_fraction": "Validation and chance",
        }
    )

    photographs: str = "stand-in"
    stage: Stage = "both"
    method: Method = "suite"
    preset: Preset = "quick"
    morphable_model: str = "open"
    shape_components: NonNegativeInt = 0
    albedo_components: NonNegativeInt = 0
    encoder: NetworkName = "dlib"
    encoder_crops: CropCount | None = None
    cheek_colour: bool | None = None
    identity_network: NetworkName | None = None
    second_identity_network: NetworkName | Literal["none"] | None = None
    judge: NetworkName = "sface"
    identity: bool = True
    batch_distribution: bool = True
    loopback: bool = True
    parameter: bool = True
    contrast: bool = True
    tone: bool = True
    known_tone: bool = True
    multi_view: bool = True
    pretraining: bool = True
    views: PositiveInt | None = None
    identity_weight: NonNegativeFinite | None = None
    batch_distribution_weight: NonNegativeFinite | None = None
    loopback_weight: NonNegativeFinite | None = None
    shape_weight: NonNegativeFinite | None = None
    albedo_weight: NonNegativeFinite | None = None
    contrast_weight: NonNegativeFinite | None = None
    landmark_weight: NonNegativeFinite | None = None
    tone_weight: NonNegativeFinite | None = None
    known_tone_weight: NonNegativeFinite | None = None
    reduction: Reduction | None = None
    mean_penalty: MeanPenalty | None = None
    unbiased_moments: bool | None = None
    centred: bool | None = None
    jitter: JitterShare | None = None
    white_balance: ClosedUnitInterval | None = None
    lowest_exposure: PositiveShare | None = None
    retouched: bool | None = None
    rendered: PositiveInt | None = None
    photographs_per_step: PositiveInt | None = None
    synthetic_per_step: PositiveInt | None = None
    synthetic_per_pretraining_step: PositiveInt | None = None
    synthetic_faces: NonNegativeInt | None = None
    hidden_width: PositiveInt = 1024
    standardised: bool | None = None
    last_layer_scale: PositiveFinite | None = None
    linear_start: NonNegativeFinite | None = None
    pretraining_steps: PositiveInt | None = None
    max_steps: PositiveInt | None = None
    pretraining_learning_rate: NonNegativeFinite | None = None
    learning_rate: NonNegativeFinite | None = None
    decoupled_decay: bool | None = None
    pretraining_weight_decay: NonNegativeFinite | None = None
    weight_decay: NonNegativeFinite | None = None
    warmup_steps: NonNegativeInt = 50
    gradient_clip: NonNegativeFinite | None = None
    ema: ShareBelowOne = 0.0
    validation_fraction: ShareBelowOne = 0.05
    validation_photographs: PositiveInt = 1000
    seed: SeedInt = 0

    def resolved(self) -> Self:
        """The same with every option set that follows from the method and the preset.

        Raises:
            ValueError: if options contradict one another.
        """
        if not self.multi_view and self.views not in (None, 1):
            raise ValueError(f"--no-multi-view means one view, but --views is {self.views}; give one of them")
        chosen: dict[str, Any] = {} if self.multi_view else {"views": 1}
        if self.linear_start and not self.pretraining:
            raise ValueError("--linear-start begins in the stage 1 that --no-pretraining removes; give one")
        defaults = PRESETS[self.preset] | METHODS[self.method] | chosen
        for name, followed in FOLLOWING[self.method].items():
            given = getattr(self, followed)
            defaults[name] = defaults[followed] if given is None else given
        missing = {
            name: value for name, value in defaults.items() if getattr(self, name) is None or name in chosen
        }
        full = replace(self, **missing)
        if full.pretraining_learning_rate is None:
            # From ridge regression, ten times as much loses what the start had won (benchmarks/search.md).
            full = replace(full, pretraining_learning_rate=1e-4 if full.linear_start else 1e-3)
        full._check()
        return full

    def origin_of(self, name: str) -> str:
        """What an option's resolved value follows from: the user, the method, the preset, or a default."""
        usual = next(field.default for field in fields(self) if field.name == name)
        if getattr(self, name) != usual:
            return "given"
        if usual is not None:
            return "default"
        if name == "views" and not self.multi_view:
            return "--no-multi-view"
        followed = FOLLOWING[self.method].get(name)
        if followed is not None:
            alike = all(options.get(name) == followed for options in FOLLOWING.values())
            return f"as --{followed.replace('_', '-')}" + ("" if alike else f", by method {self.method}")
        for origin, table in (
            (f"method {self.method}", METHODS[self.method]),
            (f"preset {self.preset}", PRESETS[self.preset]),
        ):
            if name in table:
                return origin
        return ORIGINS[name]

    @classmethod
    def resolved_defaults(cls) -> dict[str, str]:
        """What options that are not given become with the usual method and preset, in words for `--help`."""
        given = cls()
        full = given.resolved()
        return {
            field.name: f"{in_words(getattr(full, field.name))}, {given.origin_of(field.name)}"
            for field in fields(cls)
            if field.default is None
        }

    def _check(self) -> None:
        if _same(self.judge) in map(_same, self.training_networks):
            raise ValueError(
                f"the judge {self.judge} also trains; a network scores its own training too well: "
                "give another --judge"
            )
        if _same(self.second_identity_network) == _same(self.identity_network):
            raise ValueError(
                f"--second-identity-network {self.second_identity_network} is the identity network already; "
                "give another, or none"
            )
        if not self.photographs.rpartition(":")[2]:
            raise ValueError(f"--photographs {self.photographs!r} names no folder; give one, or stand-in")
        if self.hidden_width > WIDEST:
            raise ValueError(f"--hidden-width must be at most {WIDEST:,}, got {self.hidden_width:,}")
        if self.stage == "1" and not self.pretraining:
            raise ValueError("--stage 1 is the pretraining that --no-pretraining removes; give one of them")
        # The skin tone losses know one component, the landmark loss no albedo: none trains by itself.
        if not self.weights.on - {"tone", "known_tone", "landmark"}:
            raise ValueError(
                "every loss is off, by its switch or by a weight of 0 (the skin tone and the landmark loss "
                "alone train some components only); leave at least one on"
            )
        if self.photographs_per_step % self.rendered:
            raise ValueError(
                f"--photographs-per-step ({self.photographs_per_step}) must be a multiple of --rendered "
                f"({self.rendered})"
            )
        if "batch_distribution" in self.weights.on and self.photographs_per_step < 2:
            raise ValueError(
                "a batch of one photograph has no variance: raise --photographs-per-step, or give "
                "--no-batch-distribution"
            )
        for name in ("synthetic_per_pretraining_step", "synthetic_per_step"):
            if 0 < self.synthetic_faces < getattr(self, name):
                raise ValueError(
                    f"--{name.replace('_', '-')} ({getattr(self, name)}) must not be above --synthetic-faces "
                    f"({self.synthetic_faces})"
                )

    @property
    def training_networks(self) -> tuple[str, ...]:
        """The networks that train, as they are named: the encoder, then those that make the identity loss."""
        second = self.second_identity_network
        names = (self.encoder, self.identity_network or self.encoder)
        return names if second in (None, "none") else (*names, second)

    @property
    def weights(self) -> LossWeights:
        """Of the losses of stage 2, 0 where one is switched off."""
        return LossWeights(
            parameter=1.0 if self.parameter else 0.0,
            identity=self.identity_weight if self.identity else 0.0,
            batch_distribution=self.batch_distribution_weight if self.batch_distribution else 0.0,
            loopback=self.loopback_weight if self.loopback else 0.0,
            contrast=self.contrast_weight if self.contrast else 0.0,
            tone=self.tone_weight if self.tone else 0.0,
            known_tone=self.known_tone_weight if self.known_tone else 0.0,
            shape=self.shape_weight,
            albedo=self.albedo_weight,
            reduction=self.reduction,
            mean_penalty=self.mean_penalty,
            unbiased_moments=self.unbiased_moments,
            landmark=self.landmark_weight,
        )

    @property
    def scene_ranges(self) -> SceneRanges:
        """Of the random scenes in which faces are rendered."""
        return SceneRanges(
            white_balance=(0.5 * self.white_balance, self.white_balance),
            exposure=(self.lowest_exposure, 1.0),
        )

    @property
    def warning(self) -> str | None:
        """What a user should know of the batch distribution over few photographs; None over many."""
        count = self.photographs_per_step
        if "batch_distribution" not in self.weights.on or count >= ENOUGH_FOR_MOMENTS:
            return None
        follows = "photographs_per_step" in FOLLOWING[self.method] and count == self.rendered
        remedy = (
            f"raise --{'rendered' if follows else 'photographs-per-step'} to {ENOUGH_FOR_MOMENTS} or more"
        )
        says = f"warning: the batch distribution sees {count} photographs a step, over all processes: "
        if self.unbiased_moments:
            return f"{says}most of its value is noise; {remedy}"
        noise = expected_at_prior(count, self.mean_penalty)
        says += f"at the prior itself it is {noise:.2g} a coefficient on average"
        if self.mean_penalty == "squared":
            says += f", and it is least at a variance of {least_variance(count):.2f}"
        return f"{says}; {remedy}, or give --unbiased-moments"

    @property
    def departures(self) -> list[str]:
        """The names of the departures from the paper that are on, once options are resolved."""
        return [departure.name for departure in departures_of(self)]

    def of_stage_1(self) -> dict[str, Any]:
        """The settings that stage 1 depends on: runs that share them share it."""
        names = (
            "morphable_model", "shape_components", "albedo_components", "encoder", "encoder_crops",
            "cheek_colour", "shape_weight", "albedo_weight", "reduction", "synthetic_per_pretraining_step",
            "synthetic_faces", "white_balance", "lowest_exposure", "hidden_width", "standardised",
            "last_layer_scale", "pretraining_steps", "pretraining_learning_rate", "decoupled_decay",
            "pretraining_weight_decay", "warmup_steps", "gradient_clip", "ema", "seed",
        )  # fmt: skip
        return {name: getattr(self, name) for name in names} | {"linear_path": self.linear_path}

    @property
    def linear_path(self) -> bool:
        """Whether the regressor has a linear path beside its layers."""
        return self.pretraining and self.linear_start > 0

    def as_dict(self) -> dict[str, Any]:
        """All of them."""
        return asdict(self)


def _same(network: str | None) -> str | Path | None:
    """What two options share that name one network, however its file is written."""
    place = place_of_network(network)
    return network if place is None else place.resolve()


# What the rest follow from, where they are not given.
ORIGINS = {
    "pretraining_learning_rate": "by --linear-start",
}

assert all(
    name in {field.name for field in fields(Settings)}
    for table in (METHODS, PRESETS)
    for options in table.values()
    for name in options
), "a method or preset names an option that does not exist"
