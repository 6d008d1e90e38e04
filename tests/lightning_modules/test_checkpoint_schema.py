import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from lightning_modules.checkpoint_schema import FINGERPRINT, KEY, check_checkpoint, check_training_state
from lightning_modules.checkpoints import checkpoint_content
from lightning_modules.losses import SUITE_WEIGHTS
from lightning_modules.optimisation import Optimisation
from lightning_modules.pretraining import Pretraining
from lightning_modules.teachers import Teachers

from .conftest import small_regressor

Change = Callable[[dict[str, Any]], Any]


def of_module(teachers: Teachers) -> tuple[dict[str, Any], Pretraining]:
    """A checkpoint with what training goes on from, and the module that it is of."""
    module = Pretraining(small_regressor(), SUITE_WEIGHTS, Optimisation(1e-3, 0.1, 2, 10))
    configured: Any = module.configure_optimizers()
    optimiser, schedule = configured["optimizer"], configured["lr_scheduler"]["scheduler"]
    sum(part.square().mean() for part in module.regressor(torch.ones(2, 20))).backward()
    optimiser.step()
    schedule.step()
    content = checkpoint_content(
        stage=1, regressor=module.regressor, model=teachers.model,
        networks={"encoder": teachers.encoder}, centres={}, settings={"morphable_model": "open"},
        training_data={"kind": "photographs", "count": 3, "digest": "0", "stand_in": False},
        tone={"mean": 0.0, "variance": 1.0}, commit=None, random_state=torch.get_rng_state(),
    )  # fmt: skip
    checkpoint = {
        "state_dict": dict(module.state_dict()), "global_step": 1, KEY: content, "loops": {},
        "optimizer_states": [optimiser.state_dict()], "lr_schedulers": [schedule.state_dict()],
    }  # fmt: skip
    return copy.deepcopy(checkpoint), module


def setting(*path: Any, to: Any) -> Change:  # noqa: ANN401
    """Puts a value in a place."""

    def change(checkpoint: dict[str, Any]) -> None:
        *above, last = path
        for step in above:
            checkpoint = checkpoint[step]
        checkpoint[last] = to

    return change


def without(*path: Any) -> Change:  # noqa: ANN401
    """Takes a place away."""

    def change(checkpoint: dict[str, Any]) -> None:
        *above, last = path
        for step in above:
            checkpoint = checkpoint[step]
        del checkpoint[last]

    return change


def in_a_circle(checkpoint: dict[str, Any]) -> None:
    checkpoint[KEY]["settings"]["again"] = checkpoint[KEY]


def that_doubles(checkpoint: dict[str, Any]) -> None:
    values: list[Any] = ["ha"]
    for _ in range(40):
        values = [values, values]
    checkpoint[KEY]["settings"]["laughs"] = values


FIRST = "regressor.layers.0.weight"
DAMAGES = {
    "no stage": (without(KEY, "stage"), "'stage' is a required property"),
    "a stage of text": (setting(KEY, "stage", to="2"), r"stage: '2' is not one of"),
    "no content": (setting(KEY, to=None), "its content: None is not of type 'object'"),
    "content of a number": (setting(KEY, to=5), "its content: 5 is not of type"),
    "no widths": (without(KEY, "regressor"), "'regressor' is a required property"),
    "a negative width": (setting(KEY, "regressor", "hidden_width", to=-4), "less than the minimum"),
    "a huge width": (setting(KEY, "regressor", "hidden_width", to=10**12), "greater than the maximum"),
    "a width of text": (setting(KEY, "regressor", "hidden_width", to="wide"), "is not of type 'integer'"),
    "an unknown width": (setting(KEY, "regressor", "depth", to=3), "'depth' was unexpected"),
    "another width": (setting(KEY, "regressor", "hidden_width", to=17), r"must be \[17, 20\], got \[16"),
    "other counts": (setting(KEY, "regressor", "shape_count", to=5), "gives 5 shape coefficients, its m"),
    "no networks": (setting(KEY, "networks", to=[]), r"networks: \[\] is not of type 'object'"),
    "no encoder": (setting(KEY, "networks", to={}), "'encoder' is a required property"),
    "a digest of a number": (setting(KEY, "networks", "encoder", "sha256", to=1), "is not of type 'string'"),
    "a centre of text": (setting(KEY, "centres", "sface", to="middle"), "centres.sface: 'middle' is not"),
    "no settings": (setting(KEY, "settings", to=None), "settings: None is not of type 'object'"),
    "no model": (without(KEY, "morphable_model"), "'morphable_model' is a required property"),
    "a fingerprint of text": (setting(KEY, FINGERPRINT, to="x"), "is not of type 'object'"),
    "training data of text": (setting(KEY, "training_data", to="x"), "training_data: 'x' is not"),
    "a tone of text": (setting(KEY, "tone", "mean", to="dark"), "tone.mean: 'dark' is not of type 'number'"),
    "names of numbers": (setting(KEY, "settings", 7, to=7), "names that are no text"),
    "a circle": (in_a_circle, "nested too deeply|more than 100,000"),
    "a content without end": (that_doubles, "holds more than 100,000 values"),
    "no step": (without("global_step"), "global_step is no number of steps"),
    "a step of text": (setting("global_step", to="7"), "global_step is no number of steps"),
    "no weights": (without("state_dict"), "there is no state_dict"),
    "weights in a list": (setting("state_dict", to=[]), "there is no state_dict"),
    "a missing tensor": (without("state_dict", FIRST), "the regressor lacks layers.0.weight"),
    "a superfluous tensor": (setting("state_dict", "regressor.extra", to=torch.ones(1)), r"\(extra\)"),
    "a tensor of another shape": (setting("state_dict", FIRST, to=torch.ones(3)), r"got \[3\]"),
    "a sparse tensor": (setting("state_dict", FIRST, to=torch.eye(16, 20).to_sparse()), "plain numbers"),
    "a tensor on meta": (setting("state_dict", FIRST, to=torch.ones(16, 20, device="meta")), "plain num"),
    "a tensor of one value": (setting("state_dict", FIRST, to=torch.ones(1, 1).expand(16, 20)), "plain num"),
    "a tensor of integers": (setting("state_dict", FIRST, to=torch.ones(16, 20).int()), "plain numbers"),
    "a tensor that is text": (setting("state_dict", FIRST, to="ones"), "is no tensor but str"),
    "a weight of NaN": (setting("state_dict", FIRST, to=torch.full((16, 20), torch.nan)), "not finite"),
}  # fmt: skip


@pytest.mark.parametrize(("change", "reason"), DAMAGES.values(), ids=DAMAGES.keys())
def test_a_damaged_checkpoint_is_one_sentence(teachers: Teachers, change: Change, reason: str) -> None:
    checkpoint, _ = of_module(teachers)
    check_checkpoint(checkpoint, "some.ckpt")
    change(checkpoint)
    with pytest.raises(ValueError, match=rf"^some.ckpt is no whole checkpoint: .*({reason}).*; get it again"):
        check_checkpoint(checkpoint, "some.ckpt")


@pytest.mark.parametrize(
    ("foreign", "found"),
    [
        ({"state_dict": {}, "epoch": 1}, "state_dict, epoch"),
        ({f"module.layer{i}.weight": torch.ones(1) for i in range(9)}, r"module.layer0.weight, .*, \.\.\."),
        ({}, "an empty dictionary"),
        ([1, 2], "a list"),
        (nn.Parameter(torch.ones(2)).data, "a Tensor"),
    ],
)
def test_another_program_s_checkpoint_is_called_what_it_holds(foreign: object, found: str) -> None:
    with pytest.raises(ValueError, match=f"is no checkpoint of this project: expected .* found {found}$"):
        check_checkpoint(foreign, "some.ckpt")


def test_checking_changes_no_random_state(teachers: Teachers) -> None:
    checkpoint, _ = of_module(teachers)
    before = torch.get_rng_state()
    check_checkpoint(checkpoint, "some.ckpt")
    assert torch.equal(torch.get_rng_state(), before)


OPTIMISER = ("optimizer_states", 0)
MOMENT = (*OPTIMISER, "state", 0, "exp_avg")
SCHEDULE = ("lr_schedulers", 0)
TRAINING_DAMAGES = {
    "no optimiser": (without("optimizer_states"), "optimizer_states is missing or damaged"),
    "an empty optimiser": (setting("optimizer_states", to=[]), "optimizer_states is missing or damaged"),
    "no schedule": (without("lr_schedulers"), "lr_schedulers is missing or damaged"),
    "no loops": (without("loops"), "does not say where training stands"),
    "a larger moment": (setting(*MOMENT, to=torch.ones(64, 64)), r"must be \[16, 20\], got \[64, 64\]"),
    "a smaller moment": (setting(*MOMENT, to=torch.ones(1)), r"must be \[16, 20\], got \[1\]"),
    "a moment without memory": (setting(*MOMENT, to=torch.ones(1, 1).expand(16, 20)), "plain numbers"),
    "a moment on meta": (setting(*MOMENT, to=torch.ones(16, 20, device="meta")), "plain numbers"),
    "a moment of NaN": (setting(*MOMENT, to=torch.full((16, 20), torch.nan)), "not finite"),
    "a moment too few": (without(*MOMENT), "of weight 0 is not AdamW's"),
    "a moment too many": (setting(*OPTIMISER, "state", 0, "max", to=torch.ones(1)), "is not AdamW's"),
    "a step of a matrix": (setting(*OPTIMISER, "state", 0, "step", to=torch.ones(2, 2)), r"must be \[\]"),
    "a negative step": (setting(*OPTIMISER, "state", 0, "step", to=torch.tensor(-1.0)), "negative step"),
    "more weights": (setting(*OPTIMISER, "state", 99, to={}), "is of other weights"),
    "other groups": (setting(*OPTIMISER, "param_groups", to=[]), "other groups of weights"),
    "weights in another order": (
        setting(*OPTIMISER, "param_groups", 0, "params", to=[2, 1, 0]), "other groups of weights",
    ),
    "a rate of text": (setting(*OPTIMISER, "param_groups", 0, "lr", to="high"), "no value to use for lr"),
    "betas of one": (setting(*OPTIMISER, "param_groups", 0, "betas", to=(0.9,)), "no value to use for betas"),
    "no rates": (setting(*SCHEDULE, "base_lrs", to=[]), "the schedule of the learning rate is damaged"),
    "a count of text": (setting(*SCHEDULE, "last_epoch", to="6"), "the schedule of the learning rate is d"),
    "functions": (setting(*SCHEDULE, "lr_lambdas", to=[{"a": 1}, {}]), "the schedule of the learning rate"),
    "no random state": (without(KEY, "random_state"), "its random state is missing or damaged"),
    "a random state cut": (setting(KEY, "random_state", to=torch.zeros(9, dtype=torch.uint8)), "its random"),
    "other weights": (setting("state_dict", "regressor.extra", to=torch.ones(1)), "does not belong there"),
    "an average's weights": (setting("current_model_state", to={}), "current_model_state lacks regressor"),
}  # fmt: skip


@pytest.mark.parametrize(("change", "reason"), TRAINING_DAMAGES.values(), ids=TRAINING_DAMAGES.keys())
def test_training_does_not_go_on_from_a_damaged_state(
    teachers: Teachers, change: Change, reason: str
) -> None:
    checkpoint, module = of_module(teachers)
    check_training_state(checkpoint, module, "some.ckpt")
    change(checkpoint)
    with pytest.raises(ValueError, match=rf"^some.ckpt cannot be continued from: .*{reason}.*; give anoth"):
        check_training_state(checkpoint, module, "some.ckpt")


def test_an_optimiser_that_was_never_used_is_whole(teachers: Teachers) -> None:
    checkpoint, module = of_module(teachers)
    checkpoint["optimizer_states"][0]["state"] = {}
    check_training_state(checkpoint, module, "some.ckpt")
    weights: Tensor = checkpoint["state_dict"][FIRST]
    assert weights.shape == (16, 20)
