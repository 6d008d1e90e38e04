"""What a checkpoint must hold, checked where it is read: weights, content, and the state of training."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from jsonschema import Draft202012Validator
from jsonschema.exceptions import best_match
from lightning import LightningModule
from torch import Tensor

from .regressor import Regressor

# Under which a checkpoint keeps what is ours; the rest is Lightning's.
KEY = "unsupervised_morphable_faces"
PREFIX = "regressor."
FINGERPRINT = "morphable_model_fingerprint"
# Far above what any model or network has: a width beyond is damage.
LARGEST_WIDTH = 2**20
# Of all that a content holds; a file can repeat one list without end by naming it again.
MOST_VALUES = 100_000
MOMENTS = ("exp_avg", "exp_avg_sq")  # AdamW's

_TEXT, _COUNT, _NUMBER = {"type": "string"}, {"type": "integer", "minimum": 0}, {"type": "number"}
_TEXT_OR_NONE = {"type": ["string", "null"]}
_WIDTH = {"type": "integer", "minimum": 1, "maximum": LARGEST_WIDTH}
_NETWORK = {"type": "object", "required": ["name", "sha256"], "properties": {"name": _TEXT, "sha256": _TEXT}}


def _tensor(kind: str) -> dict[str, Any]:
    return {
        "type": "object",
        "required": ["tensor", "shape"],
        "properties": {"tensor": {"enum": [kind]}, "shape": {"minItems": 1, "maxItems": 1}},
    }


# Of the content, its tensors described as `_described` does.
CONTENT = {
    "type": "object",
    "required": ["stage", "regressor", "morphable_model", "networks", "centres", "settings"],
    "properties": {
        "stage": {"enum": [1, 2]},
        "regressor": {
            "type": "object",
            "required": ["feature_width", "shape_count", "albedo_count", "hidden_width"],
            "properties": {
                **dict.fromkeys(("feature_width", "shape_count", "albedo_count", "hidden_width"), _WIDTH),
                "linear_path": {"type": "boolean"},
            },
            "additionalProperties": False,
        },
        "morphable_model": {
            "type": "object",
            "required": ["kind", "name", "sha256", "shape_components", "albedo_components"],
            "properties": {
                **dict.fromkeys(("kind", "name", "sha256"), _TEXT),
                **dict.fromkeys(("shape_components", "albedo_components"), _COUNT),
            },
        },
        FINGERPRINT: _tensor("floating"),
        "networks": {
            "type": "object",
            "required": ["encoder"],
            "properties": dict.fromkeys(("encoder", "identity", "judge"), _NETWORK),
        },
        "centres": {
            "type": "object",
            "additionalProperties": {
                "type": "object",
                "required": ["values", "network", "sha256", "source", "count"],
                "properties": {
                    "values": _tensor("floating"),
                    **dict.fromkeys(("network", "sha256", "source"), _TEXT),
                    "count": _COUNT,
                },
                "additionalProperties": False,
            },
        },
        "settings": {
            "type": "object",
            "properties": {
                "morphable_model": _TEXT,
                "photographs": _TEXT_OR_NONE,
                "tone_weight": _NUMBER,
            },
        },
        "training_data": {
            "type": "object",
            "required": ["kind", "count", "digest"],
            "properties": {
                "kind": _TEXT,
                "count": _COUNT,
                "digest": _TEXT_OR_NONE,
                "stand_in": {"type": "boolean"},
            },
        },
        "tone": {
            "type": "object",
            "required": ["mean", "variance"],
            "properties": {"mean": _NUMBER, "variance": _NUMBER},
        },
        "random_state": _tensor("bytes"),
        **dict.fromkeys(("commit", "wandb_id", "terms"), _TEXT_OR_NONE),
    },
}


def check_checkpoint(checkpoint: Any, name: str) -> None:  # noqa: ANN401 - whatever a file holds
    """Refuse what is no checkpoint of ours, or not a whole one.

    Args:
        checkpoint: as a file holds it.
        name: of the file.

    Raises:
        ValueError: saying what is missing or wrong.
    """
    if not isinstance(checkpoint, dict) or KEY not in checkpoint:
        raise ValueError(
            f"{name} is no checkpoint of this project: expected what ablations/run.py writes, found "
            f"{_summary(checkpoint)}"
        )
    try:
        _check_content(checkpoint[KEY])
        step = checkpoint.get("global_step")
        _require(type(step) is int and step >= 0, "global_step is no number of steps")
        weights = checkpoint.get("state_dict")
        _require(isinstance(weights, dict), "there is no state_dict")
        own = {
            str(key).removeprefix(PREFIX): value
            for key, value in weights.items()
            if str(key).startswith(PREFIX)
        }
        check_tensors(own, _shapes(checkpoint[KEY]["regressor"]), "the regressor")
    except _Damage as damage:
        raise ValueError(f"{name} is no whole checkpoint: {damage}; get it again, or train anew") from None


def check_training_state(checkpoint: Mapping[str, Any], module: LightningModule, name: str) -> None:
    """Refuse to go on from a checkpoint whose optimiser, schedule or random state is not this module's.

    The optimiser updates weights where its state's shapes say, without a look at their own.

    Args:
        checkpoint: which `check_checkpoint` has passed.
        module: that is to be trained.
        name: of the file.

    Raises:
        ValueError: saying what is missing or wrong.
    """
    shapes = {key: tuple(value.shape) for key, value in module.state_dict().items()}
    try:
        for key in ("state_dict", "current_model_state"):
            if key in checkpoint:
                check_tensors(checkpoint[key], shapes, key)
        _check_random_state(checkpoint[KEY].get("random_state"))
        configured: Any = module.configure_optimizers()
        _check_optimiser(_only(checkpoint, "optimizer_states"), configured["optimizer"])
        _check_schedule(_only(checkpoint, "lr_schedulers"), len(configured["optimizer"].param_groups))
        _require(isinstance(checkpoint.get("loops"), dict), "it does not say where training stands (loops)")
    except _Damage as damage:
        raise ValueError(
            f"{name} cannot be continued from: {damage}; give another checkpoint, or start anew with "
            "--overwrite or another --output"
        ) from None


def check_tensors(tensors: Any, shapes: Mapping[str, Sequence[int]], of: str) -> None:  # noqa: ANN401
    """Refuse tensors of other names or shapes than expected, that are not stored whole, or not finite."""
    _require(isinstance(tensors, dict), f"{of} is no dictionary of tensors")
    missing, more = sorted(shapes.keys() - tensors.keys()), sorted(map(str, tensors.keys() - shapes.keys()))
    _require(not missing, f"{of} lacks {', '.join(missing[:3])}")
    _require(not more, f"{of} has a tensor that does not belong there ({', '.join(more[:3])})")
    for name, shape in shapes.items():
        problem = _problem(tensors[name], shape)
        _require(not problem, f"{of}: {name} {problem}")


class _Damage(Exception):
    """What is wrong with a checkpoint."""


def _require(holds: bool, otherwise: str) -> None:
    if not holds:
        raise _Damage(otherwise)


def _check_content(content: Any) -> None:  # noqa: ANN401
    try:
        described = _described(content, [0])
    except RecursionError:
        raise _Damage("its content is nested too deeply") from None
    error = best_match(Draft202012Validator(CONTENT).iter_errors(described))
    if error is not None:
        place = error.json_path.removeprefix("$").removeprefix(".") or "its content"
        raise _Damage(f"{place}: {error.message[:200]}")
    widths, model = described["regressor"], described["morphable_model"]
    for part in ("shape", "albedo"):
        found, expected = widths[f"{part}_count"], model[f"{part}_components"]
        _require(
            found == expected,
            f"its regressor gives {found} {part} coefficients, its morphable model has {expected}",
        )
    tensors = {"fingerprint": content.get(FINGERPRINT)}
    tensors |= {f"the centre of {name}": centre["values"] for name, centre in content["centres"].items()}
    for name, value in tensors.items():
        problem = "" if value is None else _problem(value, value.shape)
        _require(not problem, f"{name} {problem}")


def _described(value: Any, seen: list[int]) -> Any:  # noqa: ANN401
    """A content as JSON has it: a tensor as its kind and shape, a tuple as a list."""
    seen[0] += 1
    _require(seen[0] <= MOST_VALUES, f"its content holds more than {MOST_VALUES:,} values")
    if isinstance(value, Tensor):
        kind = "floating" if value.is_floating_point() else "bytes" if value.dtype == torch.uint8 else "other"
        return {"tensor": kind, "shape": list(value.shape)}
    if isinstance(value, dict):
        _require(all(isinstance(key, str) for key in value), "its content has names that are no text")
        return {key: _described(each, seen) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_described(each, seen) for each in value]
    return value


def _shapes(widths: dict[str, Any]) -> dict[str, tuple[int, ...]]:
    """The shapes of a regressor's tensors, which are not made for it."""
    with torch.random.fork_rng(devices=[]), torch.device("meta"):
        regressor = Regressor(**widths)
    return {name: tuple(value.shape) for name, value in regressor.state_dict().items()}


def _problem(value: Any, shape: Sequence[int]) -> str:  # noqa: ANN401
    """What is wrong with a tensor of numbers; empty where nothing is."""
    if not isinstance(value, Tensor):
        return f"is no tensor but {type(value).__name__}"
    if value.layout != torch.strided or value.device.type != "cpu" or value.is_quantized:
        return "is not stored as plain numbers"
    if tuple(value.shape) != tuple(shape):
        return f"must be {list(shape)}, got {list(value.shape)}"
    if not value.is_floating_point() or value.untyped_storage().nbytes() < value.numel() * value.itemsize:
        return "is not stored as plain numbers"
    return "" if bool(torch.isfinite(value).all()) else "has values that are not finite"


def _check_random_state(state: Any) -> None:  # noqa: ANN401
    expected = torch.get_rng_state()
    whole = (
        isinstance(state, Tensor)
        and state.layout == torch.strided
        and state.dtype == expected.dtype
        and state.shape == expected.shape
    )
    _require(whole, "its random state is missing or damaged")


def _only(checkpoint: Mapping[str, Any], key: str) -> dict[str, Any]:
    found = checkpoint.get(key)
    whole = isinstance(found, list) and len(found) == 1 and isinstance(found[0], dict)
    _require(whole, f"{key} is missing or damaged")
    return found[0]  # type: ignore[index, return-value]  # checked just now


def _check_optimiser(state: dict[str, Any], optimiser: torch.optim.Optimizer) -> None:
    of = "the optimiser's state"
    groups, own = state.get("param_groups"), optimiser.param_groups
    _require(isinstance(groups, list) and len(groups) == len(own), f"{of} has other groups of weights")
    numbered = iter(range(sum(len(group["params"]) for group in own)))
    for group, expected in zip(groups, own, strict=True):  # type: ignore[arg-type]  # checked just now
        _require(isinstance(group, dict), f"{of} has other groups of weights")
        places = [next(numbered) for _ in expected["params"]]
        _require(group.get("params") == places, f"{of} has other groups of weights")
        for name, value in expected.items():
            if name != "params":
                _require(_same_kind(group.get(name, value), value), f"{of} has no value to use for {name}")
    kept, weights = state.get("state"), [weight for group in own for weight in group["params"]]
    _require(isinstance(kept, dict) and kept.keys() <= set(range(len(weights))), f"{of} is of other weights")
    for place, values in kept.items():  # type: ignore[union-attr]  # checked just now
        whole = isinstance(values, dict) and values.keys() == {"step", *MOMENTS}
        _require(whole, f"{of} of weight {place} is not AdamW's")
        shapes = {"step": ()} | dict.fromkeys(MOMENTS, tuple(weights[place].shape))
        check_tensors(values, shapes, f"{of} of weight {place}")
        _require(float(values["step"]) >= 0, f"{of} of weight {place} has a negative step")


def _check_schedule(state: dict[str, Any], groups: int) -> None:
    rates = [state.get(name) for name in ("base_lrs", "_last_lr")]
    steps = [state.get(name) for name in ("last_epoch", "_step_count")]
    functions = state.get("lr_lambdas")
    whole = all(
        isinstance(each, list) and len(each) == groups and all(_same_kind(rate, 0.0) for rate in each)
        for each in rates
    )
    whole &= all(type(step) is int and step >= 0 for step in steps)
    whole &= isinstance(functions, list) and all(function in ({}, None) for function in functions)
    _require(whole, "the schedule of the learning rate is damaged")


def _same_kind(value: Any, expected: Any) -> bool:  # noqa: ANN401
    """Whether an optimiser's option is a finite number, a pair of them or a switch, as it should be."""
    if isinstance(expected, tuple):
        return isinstance(value, tuple) and len(value) == len(expected) and all(map(_is_finite, value))
    if expected is None or isinstance(expected, bool):
        return value is None or isinstance(value, bool)
    return _is_finite(value)


def _is_finite(value: Any) -> bool:  # noqa: ANN401
    return type(value) in (int, float) and abs(value) < float("inf")


def _summary(checkpoint: Any) -> str:  # noqa: ANN401
    if not isinstance(checkpoint, dict):
        return f"a {type(checkpoint).__name__}"
    names = [str(name)[:40] for name in checkpoint]
    return f"{', '.join(names[:4])}{', ...' if len(names) > 4 else ''}" if names else "an empty dictionary"
