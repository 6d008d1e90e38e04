"""Every departure from the paper: what the paper does, what is done here, why, and what sets it back.

One list. From it come the methods' values, what `--dry-run` and results say, and the tables of
docs/training.md. The text of the paper at hand lost its numbers: what it does not state is listed apart, and
is no departure.
"""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from lightning_modules.losses import PAPER_WEIGHTS, SUITE_WEIGHTS, least_variance

from .choices import As, Choice, Departure, Unstated

if TYPE_CHECKING:
    from .settings import Method, Settings


def _weight(name: str) -> Choice:
    return Choice(getattr(PAPER_WEIGHTS, name), getattr(SUITE_WEIGHTS, name))


DEPARTURES: Sequence[Departure] = (
    Departure(
        "pool of synthetic faces",
        "fresh faces at every step",
        "drawn from a pool that is rendered once",
        "their features never change, and cost more than a training step",
        {"synthetic_faces": Choice(0, None)},
    ),
    Departure(
        "several crops of a photograph",
        "the encoder sees a photograph once",
        "a switch, off: its features are the mean over several crops, every second one mirrored",
        "what the alignment and the side of the light add to one crop's features averages out",
        {"encoder_crops": Choice(1, 1)},
    ),
    Departure(
        "cheeks' colour among the features",
        "a recognition network's features alone",
        "also the mean colour of the cheeks",
        "a recognition network overlooks light and camera, and most of what tells skin tone with them",
        {"cheek_colour": Choice(False, True)},
    ),
    Departure(
        "standardised features",
        "as the network gives them",
        "with mean 0 and variance 1 over synthetic faces",
        "every network's features then train at the same rate",
        {"standardised": Choice(False, True)},
    ),
    Departure(
        "small last layer",
        "starts like the others",
        "starts at {last_layer_scale.suite:g} of what is drawn",
        "predictions start near the mean face",
        {"last_layer_scale": Choice(1.0, 0.3)},
    ),
    Departure(
        "linear start",
        "a network trained on synthetic faces",
        "the same network with a linear path beside its layers: stage 1 starts from ridge regression, stage "
        "2 from {linear_start.suite:g} times what stage 1 predicts",
        "what a network learns on renderings carries over to photographs worse than ridge regression does, "
        "and both regress to the mean",
        {"linear_start": Choice(0.0, 1.5)},
    ),
    Departure(
        "weights of the losses",
        "w_s {shape_weight.paper:g}, w_t {albedo_weight.paper:g}, w_batch "
        "{batch_distribution_weight.paper:g}, w_loop {loopback_weight.paper:g}, identity "
        "{identity_weight.paper:g} (a reconstruction, see below)",
        "{shape_weight.suite:g}, {albedo_weight.suite:g}, {batch_distribution_weight.suite:g}, "
        "{loopback_weight.suite:g}, {identity_weight.suite:g}",
        "from a search; on the paper's scale albedo starves",
        {
            "shape_weight": _weight("shape"),
            "albedo_weight": _weight("albedo"),
            "identity_weight": _weight("identity"),
            "batch_distribution_weight": _weight("batch_distribution"),
            "loopback_weight": _weight("loopback"),
        },
    ),
    Departure(
        "moments over more photographs",
        "over those that are rendered",
        "over all photographs of a step, most of them not rendered",
        "moments need no rendering, and those of few faces are noise",
        {"photographs_per_step": Choice(As("rendered"), None)},
        loss="batch_distribution",
    ),
    Departure(
        "absolute means",
        "means are squared in the batch distribution",
        "their absolute values",
        "few components keep a mean, those in which photographs differ most from renderings: at the same "
        "average, likeness is better",
        {"mean_penalty": _weight("mean_penalty")},
        loss="batch_distribution",
    ),
    Departure(
        "unbiased moments",
        "moments of a batch, with what its size adds",
        "a switch, off: the noise's share is estimated and subtracted",
        f"the paper's form is least at a variance below 1: {least_variance(8):.2f} with 8 faces, "
        f"{least_variance(64):.2f} with 64",
        {"unbiased_moments": Choice(False, False)},
        loss="batch_distribution",
    ),
    Departure(
        "centred identity",
        "the cosine of embeddings",
        "after subtracting their mean over photographs",
        "`dlib`'s embeddings share a common part",
        {"centred": Choice(False, True)},
    ),
    Departure(
        "another identity network",
        "the encoder's own embedding makes the identity loss",
        "a switch, off: another network's",
        "what fools the network that is read need not fool another",
        {"identity_network": Choice(As("encoder"), As("encoder"))},
        loss="identity",
    ),
    Departure(
        "second identity network",
        "one",
        "a switch, off: the identity and the contrast loss are means over two networks",
        "two disagree on what fools one",
        {"second_identity_network": Choice("none", "none")},
    ),
    Departure(
        "contrast loss",
        "none",
        "each rendering must tell its own photograph from the others of the batch",
        "cosines alone are content with what all faces share",
        {"contrast_weight": _weight("contrast")},
        loss="contrast",
    ),
    Departure(
        "skin tone loss",
        "none",
        "start and target of the first albedo component, from what photographs' cheeks say by the embedding "
        "and by themselves",
        "the map from features to tone learnt on renderings does not carry over, and a prior with other "
        "tones than the photographs' turns light people dark",
        {"tone_weight": _weight("tone")},
        loss="tone",
    ),
    Departure(
        "known tone loss",
        "none",
        "the first albedo component counts by itself in synthetic faces, too",
        "in the parameter loss it is one of many: beside the photographs' target the regressor forgets it, "
        "and the darkest and the lightest synthetic people come out alike",
        {"known_tone_weight": _weight("known_tone")},
        loss="known_tone",
    ),
    Departure(
        "landmark loss",
        "none",
        "a switch, off: landmarks of photographs against the face's, under fitted pose and expression",
        "where the eyes, the nose, the mouth and the chin lie needs no label, and fools no network",
        {"landmark_weight": _weight("landmark")},
        loss="landmark",
    ),
    Departure(
        "jitter",
        "none",
        "each view's alignment is moved a little",
        "a detector's points are not exact either",
        {"jitter": Choice(0.0, 0.015)},
    ),
    Departure(
        "white balance",
        "a light's colour as it is",
        "cameras take out half to all of it",
        "cameras do, and photographs' faces are less tinted than lights",
        {"white_balance": Choice(0.0, 1.0)},
    ),
    Departure(
        "even exposure",
        "lights of varying intensity",
        "only the ratio of two lights varies: every scene's exposure lies between {lowest_exposure.suite:g} "
        "and 1",
        "cameras expose for the face",
        {"lowest_exposure": Choice(0.3, 0.75)},
    ),
    Departure(
        "retouched for the judge",
        "networks score what is rendered",
        "softened, and black above the forehead; evaluation commands do as the checkpoint's training did, or "
        "as their own switch says, and show other methods' meshes so",
        "chosen on development people: photographs that resemble every rendering then mislead a judge less",
        {"retouched": Choice(False, True)},
    ),
    Departure(
        "clipped gradients",
        "none that is stated",
        "to a norm of {gradient_clip.suite:g}",
        "one step of extreme faces cannot undo the training",
        {"gradient_clip": Choice(0.0, 5.0)},
    ),
    Departure(
        "decoupled decay",
        "weights are regularised towards zero, how much is not stated",
        "AdamW: {pretraining_weight_decay.suite:g} in stage 1, {weight_decay.suite:g} in stage 2, times the "
        "learning rate, of matrices only",
        "a pool of faces is learnt by heart otherwise",
        {
            "decoupled_decay": Choice(False, True),
            # With 1e-5 and more, stage 1 hardly learns albedo, whose w_t is small.
            "pretraining_weight_decay": Choice(1e-6, 1.0),
            "weight_decay": Choice(1e-6, 0.1),
        },
    ),
    Departure(
        "averaged weights",
        "the last step's weights count",
        "a switch, off: a moving average of them",
        "smooths what single steps do",
        {"ema": Choice(0.0, 0.0)},
    ),
    Departure(
        "parts left out",
        "stage 1, then the four losses",
        "switches, all on",
        "ablations: what each part is worth",
        {
            "pretraining": Choice(True, True),
            "identity": Choice(True, True),
            "batch_distribution": Choice(True, True),
            "loopback": Choice(True, True),
            "parameter": Choice(True, True),
        },
    ),
    Departure(
        "number of views",
        "each face from three random poses",
        "{views.suite}; one with `--no-multi-view`",
        "likewise an ablation",
        {"multi_view": Choice(True, True), "views": Choice(3, 3)},
    ),
    Departure(
        "another encoder",
        "FaceNet NN2: 1024 pooled features, a 128-D embedding",
        "`dlib`, `sface`, `facenet` (Inception-ResNet-v1) or `vggface`",
        "NN2's weights were never published",
    ),
    Departure(
        "cached features of photographs",
        "computed at every step",
        "computed once",
        "exact: the encoder is frozen, and photographs are not augmented",
    ),
    Departure(
        "aligned renderings",
        "random poses, as the camera sees them",
        "five points of each face lie where a photograph's would: scale, shift and roll are taken out, and "
        "gradients also pass through the camera",
        "the networks here read aligned faces",
    ),
    Departure(
        "another morphable model",
        "Basel 2017, 199 + 199 components",
        "the open model, with as many; others by their files",
        "Basel's licence does not allow to share it",
        set_back="`--morphable-model basel:FILE`",
        present=lambda settings: not settings.morphable_model.startswith("basel:"),
    ),
    Departure(
        "fewer components",
        "all of the model's",
        "a switch: the first so many of each kind",
        "small models train faster",
        set_back="`--shape-components 0` `--albedo-components 0`",
        present=lambda settings: not {settings.shape_components, settings.albedo_components} <= {0, 199},
    ),
    Departure(
        "stand-in photographs",
        "VGG-Face's 2.6 million photographs",
        "rendered stand-ins, where none are given",
        "the suite trains without any download",
        set_back="`--photographs DIR`",
        present=lambda settings: settings.photographs == "stand-in",
    ),
)
UNSTATED: Sequence[Unstated] = (
    Unstated(
        "learning rate of stage 2",
        "{learning_rate.paper:g} under `paper`, {learning_rate.suite:g} under `suite`",
        {"learning_rate": Choice(1e-4, 5e-4)},
    ),
    Unstated(
        "sum or mean over a face's coefficients",
        "the {reduction.paper}, under which every loss has an effect (see below)",
        {"reduction": _weight("reduction")},
    ),
    Unstated("optimiser", "Adam, with a warm-up of 50 steps and a cosine down to zero"),
    Unstated("faces of a step, steps", "by the preset; 8 rendered photographs in `quick` and `standard`"),
    Unstated("width of the layers", "1024, recalled"),
    Unstated("random poses and lights", "`lightning_modules/rendering/ranges.py`: two lights, 2 to 5 m away"),
    Unstated("light from everywhere", "20 to 50 % of the exposure; no fall-off"),
    Unstated("gloss", "the specular constant is 0.15"),
    Unstated("background of renderings", "smooth noise"),
    Unstated("views of the loopback loss", "the same as those of the identity loss"),
    Unstated("validation", "held-back photographs, scored by a network that never trains"),
)


def _values(method: "Method") -> Iterator[tuple[str, Any]]:
    for options in (*(each.options for each in DEPARTURES), *(each.options for each in UNSTATED)):
        for name, choice in options.items():
            yield name, getattr(choice, method)


# What a method sets, except where another option or the preset is followed.
METHODS: dict[str, dict[str, Any]] = {
    method: {
        name: value for name, value in _values(method) if value is not None and not isinstance(value, As)
    }
    for method in ("paper", "suite")
}
# Options that follow others, by method.
FOLLOWING: dict[str, dict[str, str]] = {
    method: {name: value.option for name, value in _values(method) if isinstance(value, As)}
    for method in ("paper", "suite")
}


def departures_of(settings: "Settings") -> list[Departure]:
    """The departures from the paper that resolved settings have."""
    return [departure for departure in DEPARTURES if departure.is_on(settings)]


def departures_in_lines(settings: "Settings") -> str:
    """The departures that resolved settings have, one a line, and what sets each back."""
    lines = []
    for departure in departures_of(settings):
        remedy = " ".join(departure.commands) or (departure.set_back or "no option sets it back").replace(
            "`", ""
        )
        lines.append(f"  {departure.name}: {remedy}")
    return "\n".join(["Departures from the paper, and what sets each back:", *lines])


def tables() -> str:
    """The tables of docs/training.md, in Markdown."""
    heading = "| | paper | here | why | set back by |\n|---|---|---|---|---|"
    rows = (
        f"| {each.name} | {each.paper.format(**each.options)} | {each.here.format(**each.options)} | "
        f"{each.why} | "
        f"{' '.join(f'`{command}`' for command in each.commands) or each.set_back or 'nothing'} |"
        for each in DEPARTURES
    )
    unstated = (f"| {each.name} | {each.here.format(**each.options)} |" for each in UNSTATED)
    return "\n".join(
        [
            heading,
            *rows,
            "",
            "What the paper at hand does not state:",
            "",
            "| | here |\n|---|---|",
            *unstated,
        ]
    )
