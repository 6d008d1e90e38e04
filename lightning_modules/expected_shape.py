"""The expected shape beside the likeness: the shape that is right on average over all people who look so.

Not in the paper. The batch distribution asks predictions for the prior's full variance, so that a face looks
like somebody; how much of that variance is the person's is another question. Whoever wants geometry wants
the expected shape. Two predictions stand side by side: the likeness, learnt from what real people look like,
and a regression (`shape_regression`), learnt from synthetic people whose shapes are known and from landmarks
of unlabelled photographs, which also reads a feature map of the encoder (`recognition.mapped`). They err in
different ways, and the expected shape lies between them. No scan takes part.
"""

import sys
from collections.abc import Mapping
from typing import Any, Literal, NamedTuple, Self

import torch
from torch import Tensor, nn

from .regressor import Regressor

Geometry = Literal["likeness", "expected"]
READINGS: tuple[Geometry, ...] = ("likeness", "expected")
LEAST_PEOPLE = 8
HOW_TO_ADD = "python ablations/expected_shape.py CHECKPOINT DESTINATION --unlabelled DIR adds it"
# Of the regression. Its activation is smooth: with ReLU, features of many photographs, whose mean varies
# less than any of them, are read worse.
HIDDEN_WIDTH, DROPOUT = 512, 0.3
# How much of each reading the expected shape is.
REGRESSION_SHARE, LIKENESS_SHARE = 0.6, 0.4


class ExpectedShape(NamedTuple):
    """What was learnt beside a checkpoint's own prediction.

    Attributes:
        regression: the state of `new_shape_regressor`.
        people: from how many synthetic people.
        photographs_each: so many of each of them.
        photographs: from the landmarks of how many photographs.
        map_width: of the encoder's map, see `Mapped`, which it reads, too; 0 if its network gives none.
    """

    regression: dict[str, Tensor]
    people: int
    photographs_each: int
    photographs: int
    map_width: int

    @classmethod
    def keep(
        cls, regressor: Regressor, people: int, photographs_each: int, photographs: int, *, map_width: int
    ) -> Self:
        """The one of a regressor of shapes."""
        state = {name: value.detach().clone() for name, value in regressor.state_dict().items()}
        return cls(state, people, photographs_each, photographs, map_width)

    @torch.no_grad()
    def of(self, likeness: Tensor, features: Tensor) -> Tensor:
        """The expected coefficients [B, K].

        Args:
            likeness: [B, K], as they are predicted.
            features: [B, D], that they are predicted of, with the encoder's map if that is read.
        """
        state = {name: value.to(likeness) for name, value in self.regression.items()}
        count, width = state["linear.weight"].shape
        with torch.device("meta"):
            regressor = new_shape_regressor(width, count).eval()
        regressor.load_state_dict(state, assign=True)
        regressed: Tensor = regressor(features).shape
        return REGRESSION_SHARE * regressed + LIKENESS_SHARE * likeness


def new_shape_regressor(feature_width: int, shape_count: int) -> Regressor:
    """A regressor of shape coefficients alone, which at the start predicts the mean shape of everybody."""
    regressor = Regressor(
        feature_width, shape_count, 0, hidden_width=HIDDEN_WIDTH, linear_path=True, last_layer_scale=0.0,
        activation=lambda: nn.Sequential(nn.GELU(), nn.Dropout(DROPOUT)),
    )  # fmt: skip
    assert regressor.linear is not None
    nn.init.zeros_(regressor.linear.weight)
    nn.init.zeros_(regressor.linear.bias)
    return regressor


def kept_expected_shape(content: dict[str, Any]) -> ExpectedShape | None:
    """The one that a checkpoint's content keeps; None if it keeps none, or an earlier version's."""
    kept = content.get("expected_shape", {})
    return None if is_earlier(kept) else ExpectedShape(**kept)


def is_earlier(kept: Mapping[str, Any]) -> bool:
    """Whether what a checkpoint keeps is an earlier version's expected shape, or none.

    Earlier ones were factors on the likeness, then regressions that read no map.
    """
    return "map_width" not in kept


def readings_of(content: dict[str, Any]) -> tuple[Geometry, ...]:
    """The readings that a checkpoint has, likeness first."""
    return READINGS if kept_expected_shape(content) is not None else READINGS[:1]


def tell_of_earlier(content: dict[str, Any], name: str) -> None:
    """Say that an earlier version's expected shape is left out, where a checkpoint keeps one."""
    if "expected_shape" in content and kept_expected_shape(content) is None:
        said = f"{name} keeps an earlier version's expected shape, which is left out"
        print(f"{said}: {HOW_TO_ADD}", file=sys.stderr)


def require_expected_shape(content: dict[str, Any], name: str) -> ExpectedShape:
    """The one that a checkpoint keeps.

    Raises:
        ValueError: if it keeps none, saying how to add it.
    """
    kept = kept_expected_shape(content)
    if kept is None:
        none = "an earlier version's expected shape" if "expected_shape" in content else "no expected shape"
        raise ValueError(f"{name} keeps {none}: {HOW_TO_ADD}; or take --geometry likeness")
    return kept
