"""What a checkpoint must hold, checked once when it is read: whoever uses it trusts it.

One sentence says what is wrong. The first part is what every checkpoint holds, the second what a run that
goes on from one needs besides.
"""

import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch

from .expected_shape import HIDDEN_WIDTH, is_earlier
from .plain.saved_objects import kind_of, why_no_tensor, why_not_tensors

KEY = "unsupervised_morphable_faces"
PREFIX = "regressor."
FINGERPRINT = "morphable_model_fingerprint"
# No encoder here has wider features than 4,096; a width beyond this is a damaged number.
WIDEST = 1_000_000
MOMENTS = ("exp_avg", "exp_avg_sq")

# A check says what is wrong with a value, as "must be ..."; nothing if it is right.
Check = Callable[[Any], str]


def check_checkpoint(checkpoint: object, name: str) -> None:
    """Refuse what is no checkpoint of this project, or a damaged one.

    Args:
        checkpoint: as read.
        name: of the file.

    Raises:
        ValueError: in one sentence.
    """
    if not isinstance(checkpoint, dict) or KEY not in checkpoint:
        raise ValueError(
            f"{name} is no checkpoint of this project but {_of_another_program(checkpoint)}; expected what "
            "ablations/run.py writes"
        )
    reason = (
        _wrong({KEY: _is(dict, "a dictionary"), "global_step": _count, "state_dict": _named}, checkpoint, "")
        or _wrong(CONTENT, checkpoint[KEY], f"{KEY}.")
        or _wrong(REGRESSOR, checkpoint[KEY]["regressor"], "regressor.")
        or _wrong(MODEL, checkpoint[KEY]["morphable_model"], "morphable_model.")
        or _networks(checkpoint[KEY]["networks"])
        or _centres(checkpoint[KEY]["centres"])
        or _wrong(DATA, checkpoint[KEY].get("training_data", NO_DATA), "training_data.")
        or _expected_shape(checkpoint[KEY])
        or _weights(checkpoint["state_dict"], checkpoint[KEY]["regressor"])
    )
    if reason:
        raise ValueError(f"{name} is damaged, or of another version: {reason}; take another checkpoint")


def check_resumable(checkpoint: dict[str, Any], name: str) -> None:
    """Refuse a checkpoint that no run can go on from: an exported one, or one with a damaged state.

    An optimiser's moments of other shapes than the weights would be read beyond their end.

    Args:
        checkpoint: as `check_checkpoint` let it pass.
        name: of the file.

    Raises:
        ValueError: in one sentence.
    """
    if missing := [part for part in STATE if part not in checkpoint]:
        raise ValueError(
            f"{name} holds weights to use and no {', '.join(missing)} to train on with; give a run's "
            "checkpoints/last.ckpt"
        )
    shapes = list(_in_order(weight_shapes(checkpoint[KEY]["regressor"])).values())
    reason = (
        _wrong(STATE, checkpoint, "")
        or _wrong({"random_state": _random_state}, checkpoint[KEY], f"{KEY}.")
        or _optimiser(checkpoint["optimizer_states"][0], shapes)
        or _wrong(SCHEDULE, checkpoint["lr_schedulers"][0], "lr_schedulers.")
        or _steps(checkpoint)
        or _places(checkpoint["callbacks"])
    )
    for part in ("current_model_state", "averaging_state"):
        if not reason and part in checkpoint:
            reason = _named(checkpoint[part]) and f"{part} {_named(checkpoint[part])}"
    if not reason and "current_model_state" in checkpoint:
        reason = _weights(checkpoint["current_model_state"], checkpoint[KEY]["regressor"])
    if reason:
        raise ValueError(
            f"{name} cannot be continued from: {reason}; take another checkpoint, or start anew with "
            "--overwrite or another --output"
        )


def weight_shapes(widths: Mapping[str, Any]) -> dict[str, tuple[int, ...]]:
    """The shapes of a regressor's state dict, by name."""
    features, hidden = widths["feature_width"], widths["hidden_width"]
    out = widths["shape_count"] + widths["albedo_count"]
    shapes: dict[str, tuple[int, ...]] = {"feature_mean": (features,), "feature_scale": (features,)}
    layers = {"layers.0": (hidden, features), "layers.2": (hidden, hidden), "layers.4": (out, hidden)}
    if widths.get("linear_path", False):
        layers["linear"] = (out, features)
    for layer, (rows, columns) in layers.items():
        shapes |= {f"{layer}.weight": (rows, columns), f"{layer}.bias": (rows,)}
    return shapes


# ---------------------------------------------------------------------------------------------- single values


def _is(kind: type | tuple[type, ...], words: str) -> Check:
    def check(value: object) -> str:
        right = isinstance(value, kind) and (kind is bool or not isinstance(value, bool))
        return "" if right else f"must be {words}, got {kind_of(value)}"

    return check


def _count(value: object) -> str:
    right = isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**53
    return "" if right else f"must be a count, got {kind_of(value)}"


def _width(value: object) -> str:
    right = isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= WIDEST
    return "" if right else f"must be from 1 to {WIDEST:,}, got {kind_of(value)}"


def _number(value: object) -> str:
    right = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    return "" if right else f"must be a number, got {kind_of(value)}"


def _at_least_0(value: object) -> str:
    reason = _number(value)
    too_small = not reason and isinstance(value, int | float) and value < 0
    return f"must be at least 0, got {kind_of(value)}" if too_small else reason


def _rates(value: object) -> str:
    right = isinstance(value, list) and len(value) == 2 and not any(map(_at_least_0, value))
    return "" if right else f"must be two numbers, at least 0, got {kind_of(value)}"


def _shares(value: object) -> str:
    right = isinstance(value, list | tuple) and len(value) == 2 and not any(map(_at_least_0, value))
    return "" if right and max(value) < 1 else f"must be two numbers from 0 to 1, got {kind_of(value)}"  # type: ignore[call-overload]  # two numbers


def _off(value: object) -> str:
    return "" if value is False else f"must be false, got {kind_of(value)}"


def _optional(check: Check) -> Check:
    return lambda value: "" if value is None else check(value)


def _vector(value: object) -> str:
    if reason := why_no_tensor(value):
        return reason
    right = isinstance(value, torch.Tensor) and value.ndim == 1
    return "" if right else f"must have one axis, got {kind_of(value)}"


def _random_state(value: object) -> str:
    expected = torch.get_rng_state()
    right = (
        isinstance(value, torch.Tensor)
        and value.dtype == expected.dtype
        and not why_no_tensor(value, tuple(expected.shape))
    )
    return "" if right else f"must be the {len(expected)} bytes of torch's generator, got {kind_of(value)}"


def _named(value: object) -> str:
    right = isinstance(value, dict) and all(isinstance(name, str) for name in value)
    return "" if right else f"must be tensors by name, got {kind_of(value)}"


def _one_dictionary(value: object) -> str:
    right = isinstance(value, list) and len(value) == 1 and isinstance(value[0], dict)
    return "" if right else f"must be a list of one dictionary, got {kind_of(value)}"


def _runs(value: object) -> str:
    right = isinstance(value, list) and value != [] and all(map(_is_run, value))
    return "" if right else f"must be runs with their settings, got {kind_of(value)}"


def _is_run(value: object) -> bool:
    return isinstance(value, dict) and isinstance(value.get("settings"), dict)


TEXT, DICTIONARY = _is(str, "text"), _is(dict, "a dictionary")
OPTIONAL = "?"  # at the end of a name that need not be there
CONTENT = {
    "stage": lambda value: "" if value in (1, 2) else f"must be 1 or 2, got {kind_of(value)}",
    "regressor": DICTIONARY,
    "morphable_model": DICTIONARY,
    f"{FINGERPRINT}?": _vector,
    "networks": DICTIONARY,
    "centres": DICTIONARY,
    "settings": DICTIONARY,
    "training_data?": DICTIONARY,
    "expected_shape?": DICTIONARY,
    "averaged?": _runs,
    "tone_calibration?": DICTIONARY,
    "training_photographs?": _vector,
    "commit?": _optional(TEXT),
    "wandb_id?": _optional(TEXT),
    "terms?": TEXT,
}
REGRESSOR = {
    **dict.fromkeys(("feature_width", "shape_count", "albedo_count", "hidden_width"), _width),
    "linear_path?": _is(bool, "true or false"),
}
MODEL = {
    **dict.fromkeys(("kind", "name", "sha256"), TEXT),
    **dict.fromkeys(("shape_components", "albedo_components"), _count),
}
NETWORK = {"name": TEXT, "sha256": TEXT}
CENTRE = {"values": _vector, "network": TEXT, "sha256": TEXT, "source": TEXT, "count": _count}
DATA = {"digest": _optional(TEXT), "count": _count}
NO_DATA = {"digest": None, "count": 0}
STATE = {
    "optimizer_states": _one_dictionary,
    "lr_schedulers": _one_dictionary,
    "loops": DICTIONARY,
    "callbacks": DICTIONARY,
    "pytorch-lightning_version": TEXT,
}
# What the optimiser takes over with its moments; with the last ones it would do something else.
GROUP = {
    **dict.fromkeys(("lr", "initial_lr?", "eps?", "weight_decay?"), _at_least_0),
    "betas?": _shares,
    **dict.fromkeys(("amsgrad?", "maximize?", "capturable?", "differentiable?"), _off),
}
SCHEDULE = {"last_epoch": _count, "_step_count?": _count, "base_lrs?": _rates, "_last_lr?": _rates}
# Where Lightning counts the optimiser's steps.
COUNTED = ("fit_loop", "epoch_loop.automatic_optimization.optim_progress", "optimizer", "step", "total")


# ------------------------------------------------------------------------------------------------------ parts


def _wrong(checks: Mapping[str, Check], content: Mapping[str, Any], where: str) -> str:
    """What is wrong with a dictionary; entries that no check names are left to whoever knows them."""
    for label, check in checks.items():
        name = label.removesuffix(OPTIONAL)
        if name not in content:
            if label == name:
                return f"{where}{name} is missing"
        elif reason := check(content[name]):
            return f"{where}{name} {reason}"
    return ""


def _networks(networks: Mapping[Any, Any]) -> str:
    if "encoder" not in networks:
        return "networks.encoder is missing"
    for role, network in networks.items():
        reason = DICTIONARY(network)
        if reason or (reason := _wrong(NETWORK, network, "")):
            return f"networks.{role}: {reason}"
    return ""


def _centres(centres: Mapping[Any, Any]) -> str:
    for network, centre in centres.items():
        reason = DICTIONARY(centre)
        if reason or (reason := _wrong(CENTRE, centre, "")):
            return f"centres.{network}: {reason}"
        if unknown := centre.keys() - CENTRE.keys():
            return f"centres.{network} has {min(map(str, unknown))}, which no centre has"
    return ""


def _expected_shape(content: Mapping[str, Any]) -> str:
    """Of a checkpoint that keeps one; see `expected_shape.ExpectedShape`."""
    if "expected_shape" not in content:
        return ""
    kept, widths = content["expected_shape"], content["regressor"]
    if is_earlier(kept):
        return ""  # an earlier version's: whoever wants to read it is told how to get another
    counts = dict.fromkeys(("people", "photographs_each", "photographs", "map_width"), _count)
    if reason := _wrong(counts, kept, "expected_shape."):
        return reason
    read = widths["feature_width"] + kept["map_width"]
    own = {"feature_width": read, "albedo_count": 0, "hidden_width": HIDDEN_WIDTH, "linear_path": True}
    regression = {"regression": lambda value: why_not_tensors(value, weight_shapes(widths | own))}
    if unknown := kept.keys() - counts.keys() - regression.keys():
        return f"expected_shape has {min(map(str, unknown))}, which none has"
    return _wrong(regression, kept, "expected_shape.")


def _weights(state: Mapping[str, Any], widths: Mapping[str, Any]) -> str:
    own = {name.removeprefix(PREFIX): value for name, value in state.items() if name.startswith(PREFIX)}
    if not own:
        return f"its state_dict names no {PREFIX}*"
    reason = why_not_tensors(own, weight_shapes(widths))
    return reason and f"its state_dict {reason}"


def _in_order(shapes: Mapping[str, tuple[int, ...]]) -> dict[str, tuple[int, ...]]:
    """Parameters as the optimiser numbers them: matrices, then vectors; buffers are none."""
    parameters = {name: shape for name, shape in shapes.items() if not name.startswith("feature_")}
    return dict(sorted(parameters.items(), key=lambda item: len(item[1]) < 2))


def _optimiser(state: Mapping[str, Any], shapes: list[tuple[int, ...]]) -> str:
    moments, groups = state.get("state"), state.get("param_groups")
    if not isinstance(moments, dict) or not isinstance(groups, list):
        return "optimizer_states must hold `state` and `param_groups`"
    numbers = [group.get("params") if isinstance(group, dict) else None for group in groups]
    matrices = sum(len(shape) > 1 for shape in shapes)
    if numbers != [list(range(matrices)), list(range(matrices, len(shapes)))]:
        return f"optimizer_states must number {len(shapes)} parameters in two groups"
    for group in groups:
        if reason := _wrong(GROUP, group, "optimizer_states.param_groups."):
            return reason
    for number, values in moments.items():
        known = isinstance(number, int) and 0 <= number < len(shapes)
        if not known or not isinstance(values, dict):
            return f"optimizer_states has an entry {number!r:.40} of no parameter"
        for name in ("step", *MOMENTS):
            shape = shapes[number] if name in MOMENTS else ()
            if reason := why_no_tensor(values.get(name), shape):
                return f"optimizer_states has a {name} of parameter {number} that {reason}"
            if not values[name].is_floating_point() or (
                name != MOMENTS[0] and bool((values[name] < 0).any())
            ):
                return f"optimizer_states has a {name} of parameter {number} that no optimiser makes"
    return ""


def _steps(checkpoint: Mapping[str, Any]) -> str:
    """Two counts of the same steps: the run would go on from one, and say the other."""
    counts = checkpoint["loops"]
    for name in COUNTED:
        counts = counts.get(name) if isinstance(counts, Mapping) else None
    completed = counts.get("completed") if isinstance(counts, Mapping) else None
    if completed is None or completed == checkpoint["global_step"]:
        return ""  # without it, Lightning says what is missing
    return f"its loops count {completed!r:.40} steps and global_step {checkpoint['global_step']}"


def _places(callbacks: Mapping[Any, Any]) -> str:
    """Lightning deletes an earlier best checkpoint by the path that is kept of it."""
    for state in callbacks.values():
        if not isinstance(state, Mapping):
            continue
        best = state.get("best_k_models")
        kept = [value for name, value in state.items() if str(name).endswith("_model_path")]
        for path in [*kept, *(best if isinstance(best, Mapping) else ())]:
            if not isinstance(path, str) or "://" in path or ".." in Path(path).parts:
                return f"callbacks name {path!r:.80} as the place of a checkpoint"
    return ""


def _of_another_program(content: object) -> str:
    if isinstance(content, Mapping):
        names = [name for name in content if isinstance(name, str)]
        if "pytorch-lightning_version" in content:
            return "another program's, by Lightning"
        inner = content.get("state_dict", content.get("model"))
        if isinstance(inner, Mapping):
            return f"another program's, with the weights of {len(inner)} tensors"
        tensors = [name for name in names if isinstance(content[name], torch.Tensor)]
        if tensors:
            return f"a state dict of {len(tensors)} tensors, such as {tensors[0]}"
    return kind_of(content)
