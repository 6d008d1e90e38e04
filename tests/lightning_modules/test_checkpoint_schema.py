import copy
import math
from collections.abc import Callable
from typing import Any

import pytest
import torch

from lightning_modules.checkpoint_schema import (
    KEY,
    check_checkpoint,
    check_resumable,
    weight_shapes,
)
from lightning_modules.regressor import Regressor

WIDTHS = {"feature_width": 5, "shape_count": 3, "albedo_count": 2, "hidden_width": 4, "linear_path": True}
Content = dict[str, Any]


def whole() -> Content:
    """A checkpoint as a run writes it, with its optimiser's state."""
    regressor = Regressor(**WIDTHS)
    parameters = [value for value in regressor.parameters() if value.ndim > 1]
    parameters += [value for value in regressor.parameters() if value.ndim == 1]
    state = {
        number: {"step": torch.tensor(3.0), "exp_avg": value.detach(), "exp_avg_sq": value.detach() ** 2}
        for number, value in enumerate(parameters)
    }
    groups = [{"params": list(range(4)), "lr": 0.1}, {"params": list(range(4, 8)), "lr": 0.1}]
    centre = {"values": torch.ones(7), "network": "sface", "sha256": "00", "source": "some", "count": 600}
    return {
        "global_step": 3,
        "pytorch-lightning_version": "2.6",
        "state_dict": {f"regressor.{name}": value for name, value in regressor.state_dict().items()},
        "loops": {},
        "callbacks": {},
        "optimizer_states": [{"state": state, "param_groups": groups}],
        "lr_schedulers": [{"last_epoch": 3}],
        KEY: {
            "stage": 2,
            "regressor": dict(WIDTHS),
            "morphable_model": {
                "kind": "open",
                "name": "open",
                "sha256": "00",
                "shape_components": 3,
                "albedo_components": 2,
            },
            "morphable_model_fingerprint": torch.ones(7),
            "networks": {"encoder": {"name": "dlib", "sha256": "00"}},
            "centres": {"sface": centre},
            "settings": {"seed": 0},
            "training_data": {"kind": "photographs", "count": 9, "digest": "00", "stand_in": False},
            "commit": None,
            "random_state": torch.get_rng_state(),
        },
    }


def at(content: Content, *path: Any) -> Any:  # noqa: ANN401
    for part in path:
        content = content[part]
    return content


def put(*path: Any, to: Any) -> Callable[[Content], None]:  # noqa: ANN401
    return lambda content: at(content, *path[:-1]).__setitem__(path[-1], to)


def drop(*path: Any) -> Callable[[Content], None]:  # noqa: ANN401
    return lambda content: at(content, *path[:-1]).pop(path[-1])


def test_a_whole_checkpoint_passes_and_shapes_are_the_regressors() -> None:
    check_checkpoint(whole(), "a.ckpt")
    check_resumable(whole(), "a.ckpt")
    check_resumable(whole() | {"loops": counted(3)}, "a.ckpt")
    for linear in (True, False):
        widths = WIDTHS | {"linear_path": linear}
        shapes = {name: tuple(value.shape) for name, value in Regressor(**widths).state_dict().items()}
        assert weight_shapes(widths) == shapes


def test_what_an_exported_checkpoint_leaves_out_is_only_missed_by_whoever_continues() -> None:
    small = {name: value for name, value in whole().items() if name in (KEY, "global_step", "state_dict")}
    del small[KEY]["random_state"], small[KEY]["training_data"], small[KEY]["commit"]
    check_checkpoint(small, "a.ckpt")
    with pytest.raises(ValueError, match=r"a\.ckpt holds weights to use and no optimizer_states, lr_sched"):
        check_resumable(small, "a.ckpt")


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (None, "nothing"),
        ([1, 2], "a list of 2"),
        (torch.zeros(3), r"a tensor of shape \[3\]"),
        ({}, "a dictionary of 0"),
        ({"module.fc.weight": torch.zeros(2)}, "a state dict of 1 tensors, such as module.fc.weight"),
        ({"state_dict": {"a": torch.zeros(2)}}, "another program's, with the weights of 1 tensors"),
        (
            {"model": {"a": torch.zeros(2)}, "optimizer": {}},
            "another program's, with the weights of 1 tensors",
        ),
        ({"pytorch-lightning_version": "2", "state_dict": {}}, "another program's, by Lightning"),
    ],
)
def test_other_programs_checkpoints_are_told(content: object, what: str) -> None:
    with pytest.raises(ValueError, match=rf"a\.ckpt is no checkpoint of this project but {what}; expected"):
        check_checkpoint(content, "a.ckpt")


OF_EVERY_CHECKPOINT = [
    (put(KEY, to=None), f"{KEY} must be a dictionary, got nothing"),
    (drop("global_step"), "global_step is missing"),
    (put("global_step", to=-1), "global_step must be a count, got int -1"),
    (put("global_step", to="7"), "global_step must be a count"),
    (put("state_dict", to=[]), "state_dict must be tensors by name"),
    (put(KEY, "stage", to=3), "stage must be 1 or 2"),
    (drop(KEY, "regressor"), "regressor is missing"),
    (drop(KEY, "regressor", "feature_width"), "regressor.feature_width is missing"),
    (put(KEY, "regressor", "hidden_width", to=-4), "hidden_width must be from 1 to 1,000,000, got int -4"),
    (put(KEY, "regressor", "hidden_width", to=10**12), "hidden_width must be from 1 to"),
    (
        put(KEY, "regressor", "hidden_width", to=5),
        "layers.0.weight that has the shape .4, 5. instead of .5, 5.",
    ),
    (put(KEY, "regressor", "hidden_width", to="4"), "hidden_width must be from 1 to"),
    (put(KEY, "regressor", "linear_path", to=1), "linear_path must be true or false"),
    (put(KEY, "regressor", "linear_path", to=False), "has 2 tensors too many, such as linear"),
    (drop(KEY, "morphable_model", "sha256"), "morphable_model.sha256 is missing"),
    (put(KEY, "morphable_model", "shape_components", to=None), "shape_components must be a count"),
    (put(KEY, "morphable_model_fingerprint", to=torch.ones(2, 2)), "fingerprint must have one axis"),
    (put(KEY, "networks", to=[]), "networks must be a dictionary"),
    (drop(KEY, "networks", "encoder"), "networks.encoder is missing"),
    (put(KEY, "networks", "judge", to="sface"), "networks.judge: must be a dictionary"),
    (put(KEY, "networks", "encoder", "name", to=3), "networks.encoder: name must be text"),
    (put(KEY, "centres", "sface", "values", to=[1.0]), "centres.sface: values is a list of 1, no tensor"),
    (put(KEY, "centres", "sface", "more", to=1), "centres.sface has more, which no centre has"),
    (drop(KEY, "centres", "sface", "count"), "centres.sface: count is missing"),
    (put(KEY, "settings", to=None), "settings must be a dictionary"),
    (put(KEY, "training_data", to=[]), "training_data must be a dictionary"),
    (drop(KEY, "training_data", "digest"), "training_data.digest is missing"),
    (put(KEY, "commit", to=7), "commit must be text"),
    (put("state_dict", to={"other": torch.ones(2)}), r"its state_dict names no regressor\.\*"),
    (drop("state_dict", "regressor.layers.0.bias"), "lacks 1 of 10 tensors, such as layers.0.bias"),
    (put("state_dict", "regressor.layers.0.bias", to=torch.ones(3)), r"has the shape \[3\] instead of \[4\]"),
    (put("state_dict", "regressor.layers.0.bias", to=None), "layers.0.bias that is nothing, no tensor"),
    (put("state_dict", "regressor.layers.0.bias", to=torch.ones(4).to_sparse()), "is no dense tensor"),
    (put("state_dict", "regressor.layers.0.bias", to=torch.ones(4, device="meta")), "is no dense tensor"),
    (put("state_dict", "regressor.layers.0.bias", to=torch.full((4,), torch.nan)), "are not finite"),
    (put("state_dict", "regressor.layers.9.bias", to=torch.ones(4)), "1 tensors too many, such as layers.9"),
]


@pytest.mark.parametrize(("damage", "reason"), OF_EVERY_CHECKPOINT)
def test_every_kind_of_damage_is_one_sentence(damage: Callable[[Content], None], reason: str) -> None:
    content = copy.deepcopy(whole())
    damage(content)
    with pytest.raises(ValueError, match=rf"^a\.ckpt is damaged, or of another version: .*{reason}.*; take"):
        check_checkpoint(content, "a.ckpt")


def counted(steps: object) -> Content:
    """Loops that have counted so many steps."""
    progress = {"optimizer": {"step": {"total": {"ready": steps, "completed": steps}}}}
    return {"fit_loop": {"epoch_loop.automatic_optimization.optim_progress": progress}}


OPTIMISER = ("optimizer_states", 0)
GROUPS = (*OPTIMISER, "param_groups")
OF_A_RUN = [
    (put("optimizer_states", to=[]), "optimizer_states must be a list of one dictionary, got a list of 0"),
    (put("lr_schedulers", to=None), "lr_schedulers must be a list of one dictionary"),
    (put("loops", to=3), "loops must be a dictionary"),
    (put(KEY, "random_state", to="text"), "random_state must be the .* bytes of torch's generator"),
    (put(KEY, "random_state", to=torch.get_rng_state()[:99]), "random_state must be the"),
    (drop(KEY, "random_state"), "random_state is missing"),
    (put(*OPTIMISER, "state", 0, "exp_avg", to=torch.ones(1)), "exp_avg of parameter 0 that has the shape"),
    (put(*OPTIMISER, "state", 5, "exp_avg_sq", to=torch.ones(9)), "exp_avg_sq of parameter 5 that has the"),
    (put(*OPTIMISER, "state", 0, "step", to=torch.ones(2)), "a step of parameter 0 that has the shape"),
    (put(*OPTIMISER, "state", 99, to={}), "entry 99 of no parameter"),
    (drop(*OPTIMISER, "state"), "must hold `state` and `param_groups`"),
    (put(*OPTIMISER, "param_groups", to=[]), "must number 8 parameters in two groups"),
    (put(*OPTIMISER, "state", 0, "exp_avg_sq", to=-torch.ones(4, 5)), "exp_avg_sq of parameter 0 that no op"),
    (
        put(*OPTIMISER, "state", 0, "exp_avg", to=torch.ones(4, 5, dtype=torch.int64)),
        "exp_avg of parameter 0",
    ),
    (put(*OPTIMISER, "state", 0, "step", to=torch.tensor(-1.0)), "a step of parameter 0 that no optimiser"),
    (put(*GROUPS, 0, "lr", to="fast"), "param_groups.lr must be a number, got str 'fast'"),
    (put(*GROUPS, 1, "lr", to=-0.1), "param_groups.lr must be at least 0, got float -0.1"),
    (put(*GROUPS, 1, "weight_decay", to=math.nan), "param_groups.weight_decay must be a number"),
    (drop(*GROUPS, 0, "lr"), "param_groups.lr is missing"),
    (put(*GROUPS, 0, "betas", to=(0.9, 1.5)), "param_groups.betas must be two numbers from 0 to 1"),
    (put(*GROUPS, 0, "betas", to=(0.9, 0.9, 0.9)), "param_groups.betas must be two numbers"),
    (put(*GROUPS, 0, "amsgrad", to=True), "param_groups.amsgrad must be false"),
    (put(*GROUPS, 0, "maximize", to=True), "param_groups.maximize must be false"),
    (put("lr_schedulers", 0, "last_epoch", to="3"), "lr_schedulers.last_epoch must be a count"),
    (put("lr_schedulers", 0, "base_lrs", to=[0.1]), "lr_schedulers.base_lrs must be two numbers"),
    (put("loops", to=counted(7)), "its loops count 7 steps and global_step 3"),
    (put("loops", to=counted("many")), "its loops count 'many' steps and global_step 3"),
    (put("callbacks", "best", to={"best_k_models": {"/a/checkpoints/../../b.png": 1.0}}), "callbacks name"),
    (put("callbacks", "best", to={"kth_best_model_path": "s3://a/b.ckpt"}), "callbacks name 's3://a/b.ckpt'"),
    (put("callbacks", "best", to={"best_model_path": 3}), "callbacks name 3 as the place"),
    (put("current_model_state", to={}), "its state_dict names no regressor"),
    (put("averaging_state", to=[]), "averaging_state must be tensors by name"),
]


@pytest.mark.parametrize(("damage", "reason"), OF_A_RUN)
def test_a_state_that_no_run_can_go_on_from_is_refused(
    damage: Callable[[Content], None], reason: str
) -> None:
    content = copy.deepcopy(whole())
    damage(content)
    check_checkpoint(content, "a.ckpt")
    with pytest.raises(ValueError, match=rf"^a\.ckpt cannot be continued from: .*{reason}.*; take another"):
        check_resumable(content, "a.ckpt")
